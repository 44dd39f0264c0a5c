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
        """Do all of them or none, durably, in the order in which `write` was called.

        OSError says what is wrong with the disk, ConfigError that the database is damaged. Then
        nothing is done of this write and of all that were waiting: they may build on each other.
        Whoever keeps in memory what such a write was about reads it anew. ValueError: SQLite
        refuses a statement; others are not concerned.

        Whoever is cancelled while waiting does not know whether it was done; it may well be.
        A write of no statements waits for all that were called before it.
        """
        ...

    def read(self, sql: str, parameters: Sequence[Cell] = ()) -> list[tuple[Cell, ...]]:
        """Give the rows of a query, as of the last commit. Errors are those of `write`."""
        ...


class Store(Protocol):
    """What of this node outlives its process."""

    @property
    def blobs(self) -> Path:
        """The folder of blobs, each named by its digest. Whoever writes one makes the folder."""
        ...

    def open(self, name: str, migrations: Sequence[str]) -> AbstractAsyncContextManager[Database]:
        """Open the database of this name (letters, digits, hyphens) inside the block.

        Each migration is a script that brings it from one version to the next; those that it
        has not seen are done, each as a whole. ConfigError when a newer program made it, when
        it is damaged, or when another process has it open; OSError as for a write. What waits
        to be written when the block ends is written.
        """
        ...
