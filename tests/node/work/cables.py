# SPDX-License-Identifier: MIT
"""A cable between two nodes: a stream with two ends, which a test may cut."""

from collections import deque
from collections.abc import Callable

import trio

from node.mesh.transport import Lost
from protocol.tensors import Buffer


class End:
    """One end of a cable: a stream of the transport seam."""

    protocol = ""

    def __init__(self, step: Callable[[str], None], cable: "Cable") -> None:
        self._step = step
        self._cable = cable
        self._in: deque[bytes] = deque()
        self._finished = False
        self._more = trio.Event()
        self.other: End = self

    @property
    def connection(self) -> object:
        return None

    async def send(self, *pieces: Buffer) -> None:
        await trio.lowlevel.checkpoint()
        self._step("send")
        await trio.lowlevel.checkpoint()
        if self._cable.is_cut:
            raise Lost("the cable is cut")
        self.other._take(b"".join(bytes(each) for each in pieces))

    async def receive(self) -> bytes:
        while not self._in:
            if self._cable.is_cut or self._finished:
                return b""
            self._more = trio.Event()
            await self._more.wait()
        await trio.lowlevel.checkpoint()
        return self._in.popleft()

    async def finish(self) -> None:
        self.other._finished = True
        self.other._more.set()

    async def reset(self) -> None:
        self._cable.cut()

    def _take(self, data: bytes) -> None:
        self._in.append(data)
        self._more.set()

    def wake(self) -> None:
        self._more.set()


class Cable:
    """A stream between two nodes."""

    def __init__(self, one: Callable[[str], None], other: Callable[[str], None]) -> None:
        self.is_cut = False
        self.ends = End(one, self), End(other, self)
        self.ends[0].other, self.ends[1].other = self.ends[1], self.ends[0]

    def cut(self) -> None:
        self.is_cut = True
        for each in self.ends:
            each.wake()
