# SPDX-License-Identifier: MIT
"""A runner that says what it is told to, in a task of the test, at the other end of a link."""

import json
import os
import signal
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import trio

from node.executor.link import Link
from node.executor.wire import HEAD, Head, Op, Place, Placed, head_bytes, table_bytes
from node.executor.zygote import Child
from protocol.reasons import Reason
from protocol.tensors import ElementType, TensorHeader

DESCRIPTION: dict[str, object] = {
    "inputs": [["x", 1, ["n"]]],
    "outputs": [["y", 1, ["n"]]],
    "layers": [["seccomp_load", True, "as it says"]],
}


class DeadChild(Child):
    """A child without a process: it is gone as soon as somebody kills it."""

    def __init__(self) -> None:
        super().__init__(pid=0, pidfd=-1)

    def kill(self) -> None:
        """Be gone, and known to be, as when the zygote tells it."""
        self.status = signal.SIGKILL
        self.ended.set()


@dataclass
class Liar:
    """The runner's end, with words to lie with."""

    socket: trio.socket.SocketType
    heard: list[Head] = field(default_factory=list)
    fds: list[int] = field(default_factory=list)

    async def say(self, *parts: bytes) -> None:
        """Send bytes, whatever they are."""
        view = memoryview(b"".join(parts))
        while view:
            view = view[await self.socket.send(view) :]

    async def hear(self) -> Head:
        """Take one message, with the descriptors that come along."""
        head = Head(*HEAD.unpack(await self._exactly(HEAD.size)))
        self.heard.append(head)
        await self._exactly(head.table_bytes + head.inline_bytes)
        return head

    async def hear_call(self) -> Head:
        """Take messages until one wants an answer."""
        while (head := await self.hear()).op in (Op.ROOM_IN, Op.ROOM_OUT, Op.CLOSE):
            pass
        return head

    async def _exactly(self, size_bytes: int) -> bytes:
        data = b""
        while len(data) < size_bytes:
            part, ancillary, _, _ = await self.socket.recvmsg(
                size_bytes - len(data), socket.CMSG_SPACE(64)
            )
            for _, _, content in ancillary:
                self.fds += struct.unpack(f"{len(content) // 4}i", content)
            if not part:
                raise EOFError
            data += part
        return data

    def close(self) -> None:
        """Leave."""
        self.socket.close()
        for fd in self.fds:
            os.close(fd)
        self.fds.clear()


Lie = Callable[[Liar], Awaitable[object]]


@asynccontextmanager
async def linked(lie: Lie) -> AsyncIterator[Link]:
    """Give a link to a liar, who listens to the end of the block once all is said."""
    ours, theirs = socket.socketpair()
    link = Link(DeadChild(), ours)
    liar = Liar(trio.socket.from_stdlib_socket(theirs))

    async def lie_and_listen() -> None:
        with suppress(OSError, EOFError, trio.ClosedResourceError):  # the daemon has left, or he
            await lie(liar)
            while await liar.socket.recv(1 << 16):
                pass

    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lie_and_listen)
            try:
                yield link
            finally:
                await link.end("the test is over")
                nursery.cancel_scope.cancel()
    finally:
        liar.close()


# --- what an honest runner says -------------------------------------------------------------------


def ready(said: object = None) -> bytes:
    """Say that the model is loaded."""
    return head_bytes(Op.READY, json.dumps(DESCRIPTION if said is None else said).encode())


def done(data: bytes = b"", *, session: int = 0, op: Op = Op.DONE, busy_us: int = 0) -> bytes:
    """Answer with one row of floats in the message; with no tensor at all if there are no data."""
    if not data:
        return head_bytes(op, session=session, busy_us=busy_us)
    header = TensorHeader(ElementType.FLOAT, (len(data) // 4,), len(data))
    table = table_bytes([Placed(Place.INLINE, header, 0)])
    head = head_bytes(op, table, count=1, inline_bytes=len(data), session=session, busy_us=busy_us)
    return head + data


def done_shared(offset: int, size_bytes: int) -> bytes:
    """Answer with bytes that lie in shared memory, or do not."""
    header = TensorHeader(ElementType.UINT8, (size_bytes,), size_bytes)
    return head_bytes(Op.DONE, table_bytes([Placed(Place.SHARED, header, offset)]), count=1)


def failed(reason: str = Reason.RUN_FAILED, detail: str = "", *, session: int = 0) -> bytes:
    """Say why not."""
    return head_bytes(Op.FAILED, f"{reason}\n{detail}".encode(), session=session)


def needs(size_bytes: int | str) -> bytes:
    """Ask for room."""
    return head_bytes(Op.NEEDS, str(size_bytes).encode())
