# SPDX-License-Identifier: MIT
"""The store seam: a folder of blobs, and a database that loses nothing it has said to keep.

There is one writer. :meth:`Database.write` gives back control when what was written is on
the disk: many writers that wait at the same time share one commit. Reads see everything that
was committed, at once and without waiting; they are for what is small or indexed.
"""

from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

Cell = int | float | str | bytes | None
Statement = tuple[str, Sequence[Cell]]
"""One SQL statement with its parameters."""


class Database(Protocol):
    """One open SQLite database."""

    async def write(self, statements: Iterable[Statement]) -> None:
        """Do all of them or none, durably; OSError says what is wrong with the disk.

        Whoever is cancelled while waiting does not know whether it was done; it may well be.
        """
        ...

    def read(self, sql: str, parameters: Sequence[Cell] = ()) -> list[tuple[Cell, ...]]:
        """Give the rows of a query, as of the last commit."""
        ...


class Store(Protocol):
    """What of this node outlives its process."""

    @property
    def blobs(self) -> Path:
        """The folder of blobs, each named by its digest."""
        ...

    def open(self, name: str, migrations: Sequence[str]) -> AbstractAsyncContextManager[Database]:
        """Open the database of this name (letters, digits, hyphens) inside the block.

        Each migration is a script that brings it from one version to the next; those that it
        has not seen are done, each as a whole. ConfigError when a newer program made it, when
        it is damaged, or when another process has it open.
        """
        ...
