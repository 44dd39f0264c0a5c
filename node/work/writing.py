# SPDX-License-Identifier: MIT
"""Writes to the database in the order of the calls. What a failed write means is in `accounts`.

Books change at once, and what changed them is written after: in the same order, or a replay
would give other books. Whoever must not go on before it is on the disk waits for it.
"""

from collections.abc import Iterable

import trio

from node.store.store import Database, Statement
from protocol.errors import Refused
from protocol.reasons import Reason

#: More than this in one commit only makes those wait who came first.
STATEMENTS_PER_COMMIT_MAX = 4096


class Written:
    """Something that was given to be written."""

    __slots__ = ("_done", "_why")

    def __init__(self) -> None:
        """Begin unwritten."""
        self._done = trio.Event()
        self._why = ""

    def end(self, why: str = "") -> None:
        """Say that it is on the disk, or why it never will be."""
        self._why = why
        self._done.set()

    async def wait(self) -> None:
        """Return when it is durable; Refused when it was not written."""
        await self._done.wait()
        if self._why:
            raise Refused(Reason.PAUSED, f"the disk took nothing: {self._why}")


class Pen:
    """The one that writes. It works while :meth:`run` does, and is not used again once broken."""

    def __init__(self, database: Database) -> None:
        """Write into this database."""
        self._database = database
        self._waiting: list[tuple[list[Statement], Written]] = []
        self._more = trio.Event()
        self._idle = trio.Event()
        self._idle.set()
        self.broken = ""

    def write(self, statements: Iterable[Statement] = ()) -> Written:
        """Write these after everything before; with none, only wait for what is before."""
        written = Written()
        if self.broken:
            written.end(self.broken)
        else:
            self._waiting.append((list(statements), written))
            self._more.set()
            self._idle = trio.Event()
        return written

    async def finish(self) -> None:
        """Return when nothing is left to be written."""
        while self._waiting and not self.broken:
            await self._idle.wait()

    async def run(self) -> None:
        """Write until a write fails: then nobody's is done any more, and it raises why."""
        while True:
            await self._more.wait()
            count = size = 0
            for statements, _ in self._waiting:
                if count and size + len(statements) > STATEMENTS_PER_COMMIT_MAX:
                    break
                size += len(statements)
                count += 1
            batch = self._waiting[:count]
            together = [each for statements, _ in batch for each in statements]
            try:
                if together:
                    await self._database.write(together)
            except (OSError, ValueError) as error:  # the second: what it builds on was not written
                self.broken = str(error) or type(error).__name__
                for _, written in self._waiting:
                    written.end(self.broken)
                self._waiting.clear()
                self._idle.set()
                raise
            del self._waiting[:count]
            for _, written in batch:
                written.end()
            if not self._waiting:
                self._more = trio.Event()
                self._idle.set()
