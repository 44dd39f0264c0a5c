# SPDX-License-Identifier: MIT
"""Bytes that come in pieces of any size, given out as they are asked for; and the socket's."""

from abc import ABC, abstractmethod

import trio

from node.mesh.libp2p.limits import READ_BYTES
from node.mesh.transport import Lost


class Source(ABC):
    """What is negotiated on: bytes are taken by number, and put as they are."""

    def __init__(self) -> None:
        """Hold nothing yet."""
        self._held = bytearray()

    @abstractmethod
    async def more(self) -> bytes | memoryview:
        """Give the next bytes, one at least; Lost at their end."""

    @abstractmethod
    async def put(self, data: bytes) -> None:
        """Send these bytes; Lost when that is not possible."""

    async def take(self, length: int) -> bytes:
        """Give exactly so many bytes; the caller has bounded the number."""
        held = self._held
        while len(held) < length:
            held += await self.more()
        taken = bytes(memoryview(held)[:length])
        del held[:length]
        return taken

    def rest(self) -> bytes:
        """Give what came beyond what was taken."""
        held, self._held = self._held, bytearray()
        return bytes(held)


class Wire(Source):
    """The bytes of a TCP connection."""

    def __init__(self, stream: trio.SocketStream) -> None:
        """Take the stream over; who made it closes it."""
        super().__init__()
        self.stream = stream

    async def more(self) -> bytes:
        """Read what is there."""
        try:
            data = await self.stream.receive_some(READ_BYTES)
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError) as error:
            raise Lost(f"the connection broke: {error.__cause__ or error}") from None
        if not data:
            raise Lost("the peer closed the connection")
        return bytes(data)

    async def put(self, data: bytes) -> None:
        """Write it all. A cancelled put has cut the data: the connection is of no use then."""
        try:
            await self.stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError, OSError) as error:
            raise Lost(f"the connection broke: {error.__cause__ or error}") from None
