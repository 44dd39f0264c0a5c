# SPDX-License-Identifier: MIT
"""The store of a made world: the node's own SQL on databases in memory, in the same thread.

What is committed outlives a crash; what only waits to be written does not, and neither does a
transaction that the crash interrupts. SQLite itself is what keeps them apart, as on a disk.

The disk below it may be slow, full or failing, from one moment to the next.
"""

import errno
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from math import inf
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
        """`commit_s` is the virtual time that the disk takes for a commit; it may change."""
        self.commit_s = commit_s
        self.room_bytes: float = inf
        """What all databases together may take; 0 is a disk on which nothing can be written."""
        self.is_failing = False
        """Each commit ends with an error of the disk. What was read once stays in memory."""
        self.commits = 0
        self._blobs = blobs
        self._watch = watch
        self._disks: dict[str, Connection] = {}
        self._open: dict[str, _Opened] = {}
        self._life = 0

    @property
    def blobs(self) -> Path:
        """The folder of blobs, which the world has made."""
        return self._blobs

    @property
    def size_bytes(self) -> int:
        """What all databases take, with what the transaction that is open has added."""
        return sum(map(_size_of, self._disks.values()))

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

    def backup_all(self) -> dict[str, bytes]:
        """Give all databases that there are, by name."""
        return {name: self.backup(name) for name in sorted(self._disks)}

    def restore_all(self, backups: Mapping[str, bytes]) -> None:
        """Put these in the place of all databases; what was not there then is gone."""
        assert not self._open, f"a backup is restored while {', '.join(self._open)} is open"
        for disk in self._disks.values():
            disk.close()
        self._disks.clear()
        for name, backup in backups.items():
            self.restore(name, backup)

    def _disk(self, name: str) -> Connection:
        if name not in self._disks:
            watch = partial(self._look, name)
            self._disks[name] = disk = Connection(Path(f"{name}.db"), name=":memory:", watch=watch)
            finalize(self, disk.close)  # a disk is there as long as somebody has it
        return self._disks[name]

    async def _commit(self, disk: Connection, writes: Sequence[Write]) -> Trouble | None:
        life = self._life
        await trio.sleep(self.commit_s)
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
        if sql == "COMMIT":
            self._check_disk()
            self.commits += 1

    def _check_disk(self) -> None:
        """Refuse a commit that the disk would not take."""
        if self.is_failing:
            raise OSError(errno.EIO, "the disk failed to write")
        if self.room_bytes < inf and self.size_bytes > self.room_bytes:
            raise OSError(errno.ENOSPC, "the disk is full")


def _size_of(disk: Connection) -> int:
    [(pages,)], [(page_bytes,)] = disk.rows("PRAGMA page_count"), disk.rows("PRAGMA page_size")
    assert isinstance(pages, int)
    assert isinstance(page_bytes, int)
    return pages * page_bytes


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
