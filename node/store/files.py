# SPDX-License-Identifier: MIT
"""The real store: SQLite databases in the state folder, blobs in the cache. No SQL is here.

Each open database has two connections. One writes, in a thread, for one commit at a time; the
other reads, in the thread of the daemon, and waits for nobody: that is what WAL mode is for.
"""

import os
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager, closing, suppress
from functools import partial
from pathlib import Path

import trio

from node.durable import sync
from node.executor.aside import aside
from node.nurseries import plain_nursery
from node.paths import Paths, make_private
from node.store.connection import Connection, Watch
from node.store.groups import Groups, Write
from node.store.lock import FILE_MODE, hold
from node.store.store import Cell, Database
from node.store.trouble import Trouble

_NAME = re.compile(r"[A-Za-z0-9-]{1,64}")


class FileStore:
    """A :class:`~node.store.store.Store` on this machine."""

    def __init__(self, paths: Paths, *, watch: Watch | None = None) -> None:
        """Make nothing yet. `watch` is told each statement that writes, in another thread."""
        self._paths = paths
        self._watch = watch

    @property
    def blobs(self) -> Path:
        """The folder of blobs."""
        return self._paths.models / "blobs"

    def path_of(self, name: str) -> Path:
        """Say where the database of this name is."""
        return self._paths.state / f"{checked_name(name)}.db"

    @asynccontextmanager
    async def open(self, name: str, migrations: Sequence[str]) -> AsyncIterator[Database]:
        """Open a database inside the block."""
        path = self.path_of(name)
        files = await aside(partial(_Files, path, tuple(migrations), self._watch))
        try:
            async with serving(Groups(path, files.commit)) as groups:
                yield _Opened(groups, files)
        finally:
            with trio.CancelScope(shield=True):
                await aside(files.close)


@asynccontextmanager
async def serving(groups: Groups) -> AsyncIterator[Groups]:
    """Do writes inside the block. An error of the block comes out as it is, not in a group."""
    async with plain_nursery() as nursery:
        nursery.start_soon(groups.run)
        try:
            yield groups
        finally:
            groups.close()


def checked_name(name: str) -> str:
    """Give back the name of a database, if it can be a part of a file's name."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"a database is named by 1 to 64 letters, digits and hyphens, not {name}")
    return name


class _Files:
    """The files of one open database: its lock, and two connections. All but `rows` blocks."""

    def __init__(self, path: Path, migrations: Sequence[str], watch: Watch | None) -> None:
        make_private(path.parent)
        with ExitStack() as opened:
            opened.callback(os.close, hold(path.with_suffix(".lock")))
            _make_file(path)
            # The writer closes last: only then does SQLite move the log into the database.
            self._writer = opened.enter_context(closing(Connection(path, watch=watch)))
            self._writer.prepare(migrations)
            sync(path.parent)  # what a folder lists is not durable by itself
            self._reader = opened.enter_context(closing(Connection(path, reads_only=True)))
            self._opened = opened.pop_all()

    async def commit(self, writes: Sequence[Write]) -> Trouble | None:
        """Do the writes, in a thread."""
        return await aside(partial(self._writer.commit, writes))

    def rows(self, sql: str, parameters: Sequence[Cell]) -> list[tuple[Cell, ...]]:
        """Read, in this thread."""
        return self._reader.rows(sql, parameters)

    def close(self) -> None:
        """Close both connections, and let the lock go."""
        self._opened.close()


class _Opened:
    """A :class:`~node.store.store.Database` of files."""

    def __init__(self, groups: Groups, files: _Files) -> None:
        self.write = groups.write
        self._files = files

    def read(self, sql: str, parameters: Sequence[Cell] = ()) -> list[tuple[Cell, ...]]:
        return self._files.rows(sql, parameters)


def _make_file(path: Path) -> None:
    """Make an empty file that only this user can read; SQLite gives its log the same mode.

    Nobody may close a descriptor of this file later on: that would drop the locks of SQLite.
    """
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE))
    if path.stat().st_mode & 0o077:
        path.chmod(FILE_MODE)
