# SPDX-License-Identifier: MIT
"""The store of a made world: the node's own SQL on databases in memory, in the same thread.

What is committed outlives a crash; what only waits to be written does not, and neither does a
transaction that the crash interrupts. SQLite itself is what keeps them apart, as on a disk.
"""

import errno
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from weakref import finalize

import trio

from node.errors import TakenError
from node.store.connection import Connection
from node.store.files import checked_name, serving
from node.store.groups import Commit, Groups, Write
from node.store.store import Cell, Database
from node.store.trouble import Trouble

Watch = Callable[[str, str], None]
"""Is told the name of a database and each statement before it is done. It may raise OSError, or
crash the store."""


class SimulatedStore:
    """A :class:`~node.store.store.Store` of a made world; it is the disk of one node.

    Start a node on it again after :meth:`crash`, as on a machine that comes back.
    """

    def __init__(self, blobs: Path, *, commit_s: float = 0.0, watch: Watch | None = None) -> None:
        """`commit_s` is the virtual time that the disk takes for a commit."""
        self._blobs = blobs
        self._commit_s = commit_s
        self._watch = watch
        self._disks: dict[str, Connection] = {}
        self._open: dict[str, _Opened] = {}
        self._life = 0

    @property
    def blobs(self) -> Path:
        """The folder of blobs, which the world has made."""
        return self._blobs

    @asynccontextmanager
    async def open(self, name: str, migrations: Sequence[str]) -> AsyncIterator[Database]:
        """Open a database inside the block."""
        await trio.lowlevel.checkpoint()
        disk = self._disk(checked_name(name))
        if name in self._open:
            raise TakenError(f"another node runs with the database {name}: stop it.")
        self._open[name] = opened = _Opened(disk, partial(self._commit, disk))
        try:
            try:
                disk.prepare(migrations)
            except _LostError:
                await trio.sleep_forever()
            async with serving(opened.groups):
                yield opened
        finally:
            opened.close()
            if self._open.get(name) is opened:
                del self._open[name]

    def crash(self) -> None:
        """Lose all that is not committed. Who waits gets no answer: his world cancels him."""
        self._life += 1
        for opened in self._open.values():
            opened.lose()
        self._open.clear()

    def backup(self, name: str) -> bytes:
        """Give what is committed, as the bytes of a file."""
        return self._disk(name).serialized()

    def restore(self, name: str, backup: bytes) -> None:
        """Put a backup in the place of a database that is not open."""
        assert name not in self._open, f"a backup is restored while {name} is open"
        self._disk(name).deserialize(backup)

    def _disk(self, name: str) -> Connection:
        if name not in self._disks:
            watch = partial(self._look, name)
            self._disks[name] = disk = Connection(Path(f"{name}.db"), name=":memory:", watch=watch)
            finalize(self, disk.close)  # a disk is there as long as somebody has it
        return self._disks[name]

    async def _commit(self, disk: Connection, writes: Sequence[Write]) -> Trouble | None:
        life = self._life
        await trio.sleep(self._commit_s)
        if life != self._life:
            return None  # nobody hears of it
        try:
            return disk.commit(writes)
        except _LostError:
            return None

    def _look(self, name: str, sql: str) -> None:
        life = self._life
        if self._watch is not None:
            self._watch(name, sql)
        if life != self._life:
            raise _LostError


class _LostError(Exception):
    """The store crashed at this statement."""


class _Opened:
    """A :class:`~node.store.store.Database` in memory."""

    def __init__(self, disk: Connection, commit: Commit) -> None:
        self.groups = Groups(disk.path, commit)
        self.write = self.groups.write
        self._disk = disk
        self._is_lost = self._is_closed = False

    def lose(self) -> None:
        self._is_lost = True
        self.groups.lose()

    def close(self) -> None:
        self._is_closed = True

    def read(self, sql: str, parameters: Sequence[Cell] = ()) -> list[tuple[Cell, ...]]:
        if self._is_lost:
            raise OSError(errno.EIO, "the store crashed", str(self._disk.path))
        if self._is_closed:
            raise Trouble(self._disk.path, "it is closed").error()
        return self._disk.rows(sql, parameters)
