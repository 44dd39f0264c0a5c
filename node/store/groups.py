# SPDX-License-Identifier: MIT
"""Who waits for the disk, and who shares a commit. What a commit does is in `connection`."""

import errno
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import trio

from node.store.store import Statement
from node.store.trouble import Trouble

#: One commit costs about the same for one write and for hundreds; a long one delays the first.
GROUP_WRITES_MAX = 1000

#: More than this wait only for a disk that does not answer.
WAITING_WRITES_MAX = 10_000


@dataclass(eq=False, slots=True)
class Write:
    """One write that waits, and what became of it."""

    statements: tuple[Statement, ...]
    trouble: Trouble | None = None
    done: trio.Event = field(default_factory=trio.Event)


Commit = Callable[[Sequence[Write]], Awaitable[Trouble | None]]
"""Does some writes durably; what it gives went wrong for all of them."""


class Groups:
    """The writes of one database, in the order in which they were called."""

    def __init__(self, path: Path, commit: Commit) -> None:
        """`path` is for messages."""
        self._path = path
        self._commit = commit
        self._waiting: deque[Write] = deque()
        self._closed = False
        self._lost = False
        self._changed = trio.Event()

    async def write(self, statements: Iterable[Statement]) -> None:
        """Wait until this is done. Its place in the order is taken before anybody else runs."""
        write = Write(tuple(statements))
        self._add(write)
        await write.done.wait()
        if write.trouble is not None:
            raise write.trouble.error()

    async def run(self) -> None:
        """Do what waits, group after group, until :meth:`close`. Nobody can cancel a commit."""
        with trio.CancelScope(shield=True):
            while self._waiting or not self._closed:
                if not self._waiting:
                    self._changed = trio.Event()
                    await self._changed.wait()
                    continue
                count = min(len(self._waiting), GROUP_WRITES_MAX)
                await self._do([self._waiting.popleft() for _ in range(count)])

    def close(self) -> None:
        """Take no more; :meth:`run` ends when all that waits is done."""
        self._closed = True
        self._changed.set()

    def lose(self) -> None:
        """Forget what waits and answer nobody any more, as if the process had been killed."""
        self._lost = True
        self._waiting.clear()
        self.close()

    def _add(self, write: Write) -> None:
        if self._lost:
            return
        if self._closed:
            raise Trouble(self._path, "it is closed").error()
        if len(self._waiting) >= WAITING_WRITES_MAX:
            what = f"{WAITING_WRITES_MAX} writes wait for the disk: see what keeps it busy"
            raise Trouble(self._path, what, errno.EBUSY).error()
        self._waiting.append(write)
        self._changed.set()

    async def _do(self, group: list[Write]) -> None:
        trouble = await self._commit(group)
        if self._lost:
            return
        if trouble is not None:
            # Those that wait were called by somebody who took these for done.
            group += self._waiting
            self._waiting.clear()
            for write in group:
                write.trouble = trouble
        for write in group:
            write.done.set()
