# SPDX-License-Identifier: MIT
"""What the real transport costs, against py-libp2p as it comes, in turns in the same run.

Both ends of each are in this process, on loopback, over TCP, Noise and Yamux:

- W1: a frame of 200 bytes there and back on a warm stream;
- W3: 32 MiB in pieces of 65,000 bytes, whose SHA-256 the receiver makes as they come;
- dial: from an address to a stream that has answered, connection and all;
- start: from nothing to an endpoint that listens.

The library's host is the recipe of `tests/node/mesh/bare_libp2p.py`: its defaults would also offer
plaintext. Ratios below 1 mean that ours is quicker.
"""

import hashlib
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from statistics import median
from time import perf_counter

import trio
from libp2p.abc import IHost, INetStream

from node.mesh.libp2p import Libp2p
from node.mesh.transport import PIECE_BYTES_MAX, Connection, Endpoint, Handler, Service, Stream
from protocol.keys import Keypair
from tests.node.mesh.bare_libp2p import bare_host, connect, open_stream
from tests.node.mesh.scene import OpenGate, key_of, seed_of

CALLS = 200
FRAME = bytes(200)
LARGE = bytes(range(256)) * (1 << 17)
PIECES = [LARGE[at : at + PIECE_BYTES_MAX] for at in range(0, len(LARGE), PIECE_BYTES_MAX)]
ROUNDS = 7

CALL, SINK = "/bench/call/1", "/bench/sink/1"

Timed = Callable[[], Awaitable[float]]


async def run_all() -> list[tuple[str, float, str]]:
    """Give each figure: its name, the median of ours / the library's, and what it means."""
    figures = []
    async with AsyncExitStack() as stack:
        ours, bare = await our_pair(stack), await bare_pair(stack)
        for name, pair, meaning in (
            ("transport W1 call", (ours.call, bare.call), f"{CALLS} round trips of 200 B"),
            ("transport W3 32 MiB", (ours.upload, bare.upload), "65,000 B pieces and SHA-256"),
            ("transport dial", (ours.dial, bare.dial), "a connection and its first answer"),
            ("transport start", (ours.start, bare.start), "until it listens"),
        ):
            figures.append(await figure(name, *pair, meaning))
    return figures


async def figure(name: str, ours: Timed, reference: Timed, meaning: str) -> tuple[str, float, str]:
    """Time both in turns; the first round only warms."""
    await reference()
    await ours()
    rounds = [(await ours(), await reference()) for _ in range(ROUNDS)]
    ratio = median(mine / theirs for mine, theirs in rounds)
    mine, theirs = (min(column) for column in zip(*rounds, strict=True))
    return name, ratio, f"ours / bare py-libp2p: {meaning} (best {mine:.4f} s / {theirs:.4f} s)"


# --- ours -----------------------------------------------------------------------------------------


async def answer_ours(stream: Stream) -> None:
    """Send each frame back."""
    while data := await stream.receive():
        await stream.send(data)


async def hash_ours(stream: Stream) -> None:
    """Hash what comes, and say that it is done."""
    while True:
        digest, left = hashlib.sha256(), len(LARGE)
        while left:
            data = await stream.receive()
            if not data:
                return
            digest.update(data)
            left -= len(data)
        await stream.send(digest.digest())


class OurPair:
    """A caller and a called endpoint, and warm streams between them."""

    def __init__(self, caller: Endpoint, called: Endpoint) -> None:
        self.caller, self.called = caller, called
        self.calls: Stream
        self.uploads: Stream

    async def call(self) -> float:
        began = perf_counter()
        for _ in range(CALLS):
            await self.calls.send(FRAME)
            got = 0
            while got < len(FRAME):
                got += len(await self.calls.receive())
        return perf_counter() - began

    async def upload(self) -> float:
        began = perf_counter()
        for piece in PIECES:
            await self.uploads.send(piece)
        await self.uploads.receive()
        return perf_counter() - began

    async def dial(self) -> float:
        began = perf_counter()
        connection = await self.caller.dial(key_of("bob"), self.called.addresses)
        stream = await connection.open(CALL)
        await stream.send(FRAME)
        await stream.receive()
        took = perf_counter() - began
        await connection.close()
        return took

    async def start(self) -> float:
        began = perf_counter()
        async with opened("carol", {}):
            return perf_counter() - began


def opened(who: str, handlers: dict[str, Handler]) -> AbstractAsyncContextManager[Endpoint]:
    """Be on the network."""

    async def meet(_: Connection) -> None:
        pass

    service = Service(meet, handlers, OpenGate())
    seed = seed_of(who)
    return Libp2p().open(Keypair(seed), seed, ["/ip4/127.0.0.1/tcp/0"], service)


async def our_pair(stack: AsyncExitStack) -> OurPair:
    """Make it."""
    handlers: dict[str, Handler] = {CALL: answer_ours, SINK: hash_ours}
    caller = await stack.enter_async_context(opened("alice", {}))
    called = await stack.enter_async_context(opened("bob", handlers))
    pair = OurPair(caller, called)
    connection = await caller.dial(key_of("bob"), called.addresses)
    pair.calls, pair.uploads = await connection.open(CALL), await connection.open(SINK)
    return pair


# --- the library's --------------------------------------------------------------------------------


async def answer_bare(stream: INetStream) -> None:
    """Send each frame back."""
    with_error = False
    while not with_error:
        try:
            await stream.write(await stream.read(1 << 16))
        except Exception:  # noqa: BLE001 - however it ends
            with_error = True


async def hash_bare(stream: INetStream) -> None:
    """Hash what comes, and say that it is done."""
    while True:
        digest, left = hashlib.sha256(), len(LARGE)
        while left:
            try:
                data = await stream.read(1 << 20)
            except Exception:  # noqa: BLE001 - however it ends
                return
            digest.update(data)
            left -= len(data)
        await stream.write(digest.digest())


class BarePair:
    """The same, of the library."""

    def __init__(self, caller: IHost, address: str) -> None:
        self.caller, self.address = caller, address
        self.calls: INetStream
        self.uploads: INetStream

    async def call(self) -> float:
        began = perf_counter()
        for _ in range(CALLS):
            await self.calls.write(FRAME)
            got = 0
            while got < len(FRAME):
                got += len(await self.calls.read(1 << 16))
        return perf_counter() - began

    async def upload(self) -> float:
        began = perf_counter()
        for piece in PIECES:
            await self.uploads.write(piece)
        await self.uploads.read(1 << 16)
        return perf_counter() - began

    async def dial(self) -> float:
        async with bare_host("dave") as caller:
            began = perf_counter()
            await connect(caller, key_of("erin"), self.address)
            stream = await open_stream(caller, key_of("erin"), CALL)
            await stream.write(FRAME)
            await stream.read(1 << 16)
            return perf_counter() - began

    async def start(self) -> float:
        began = perf_counter()
        async with bare_host("frank"):
            return perf_counter() - began


async def bare_pair(stack: AsyncExitStack) -> BarePair:
    """Make it."""
    handlers = {CALL: answer_bare, SINK: hash_bare}
    called = await stack.enter_async_context(bare_host("erin", handlers))
    caller = await stack.enter_async_context(bare_host("grace"))
    pair = BarePair(caller, str(called.get_addrs()[0]))
    await connect(caller, key_of("erin"), pair.address)
    pair.calls = await open_stream(caller, key_of("erin"), CALL)
    pair.uploads = await open_stream(caller, key_of("erin"), SINK)
    return pair


def run() -> list[tuple[str, float, str]]:
    """Give the figures."""
    return trio.run(run_all)


if __name__ == "__main__":
    for name, ratio, meaning in run():
        print(f"{ratio:7.2f} x  {name:28} {meaning}")
