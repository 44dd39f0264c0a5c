# SPDX-License-Identifier: MIT
"""A runner that says what it is told to, in a task of the test, at the other end of a link."""

import gc
import json
import os
import signal
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from node.executor.link import Answer, Link
from node.executor.wire import (
    HEAD,
    INLINE_BYTES_MAX,
    Head,
    Op,
    Place,
    Placed,
    head_bytes,
    table_bytes,
)
from node.executor.zygote import Child
from protocol.errors import Refused
from protocol.reasons import Reason
from protocol.tensors import ElementType, Tensor, TensorHeader

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


def float_rows(count: int, *, place: Place = Place.INLINE, size_bytes: int = 4) -> bytes:
    header = TensorHeader(ElementType.FLOAT, (size_bytes // 4,), size_bytes)
    return table_bytes([Placed(place, header, 0)] * count)


def raw(
    table_size: int = 0, op: int = Op.DONE, count: int = 0, inline_bytes: int = 0, session: int = 0
) -> bytes:
    """Write a head that says what it likes."""
    return HEAD.pack(table_size, op, 0, count, session, inline_bytes, 0)


def row(place: int, header_bytes: int, offset: int) -> bytes:
    return struct.pack("<BHQ", place, header_bytes, offset)


# --- what a test does with it ---------------------------------------------------------------------

DEADLINE_S = 5.0
FOUR = b"\0\0\x80\x40"
BIG = Tensor(ElementType.UINT8, (INLINE_BYTES_MAX + 1,), bytes(INLINE_BYTES_MAX + 1))
SMALL = Tensor(ElementType.FLOAT, (1,), FOUR)


def held() -> tuple[int, int]:
    """Count descriptors and pieces of shared memory."""
    mapped = Path("/proc/self/maps").read_text(encoding="utf-8").count("memfd:room")
    return len(os.listdir("/proc/self/fd")), mapped  # noqa: PTH208 - descriptors are no files


@asynccontextmanager
async def lied_to(lie: Lie) -> AsyncIterator[Link]:
    """Give a link to a liar; afterwards all that it held is given back, and time went on."""
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await trio.sleep(0.25)
            ticks += 1

    before, begin_s = held(), trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tick)
        async with linked(lie) as link:
            yield link
        nursery.cancel_scope.cancel()
    if isinstance(trio.lowlevel.current_clock(), MockClock):
        assert ticks >= int((trio.current_time() - begin_s) / 0.25) - 1
    if held() != before:
        gc.collect()  # what pytest remembers of an exception holds views of shared memory
    assert held() == before


def saying(*parts: bytes) -> Lie:
    """Answer the first call with these words."""

    async def lie(liar: Liar) -> None:
        await liar.hear_call()
        await liar.say(*parts)

    return lie


async def call(link: Link, *inputs: Tensor, **more: object) -> Answer:
    async with link.turn():
        return await link.call(Op.RUN, inputs, deadline_s=DEADLINE_S, **more)  # type: ignore[arg-type]  # as the test says


async def refusal(link: Link, *inputs: Tensor, **more: object) -> Refused:
    with pytest.raises(Refused) as caught:
        await call(link, *inputs, **more)
    return caught.value


def assert_gone(link: Link) -> None:
    assert link.gone
    assert link.shared_bytes == 0
    assert link.child.ended.is_set()


async def silent(liar: Liar) -> None:
    await liar.hear_call()
    await trio.sleep_forever()


async def deaf(liar: Liar) -> None:
    del liar
    await trio.sleep_forever()
