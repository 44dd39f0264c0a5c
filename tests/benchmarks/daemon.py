# SPDX-License-Identifier: MIT
"""What the whole path of a call costs: frames, sandbox, disk. The transport alone is `transport`.

Both ends are in this process, on loopback: libp2p, SQLite on the disk, runners in processes of
their own. Ours and a reference are timed in turns, in the same run:

- W1 session: a tensor there, a tiny sandboxed call, a tensor back, on a warm stream of work;
  against a round trip of bare py-libp2p with the same bytes, and the same sandboxed call;
- W1 order: one item ordered, computed, delivered, checked, paid and acknowledged; against three
  commits of plain SQLite and three round trips of bare py-libp2p;
- W3: 32 MiB of float32 as frames on a stream of work, put together and hashed by the receiver;
  against bare py-libp2p in the pieces that are best for it, and SHA-256. Here more is better.
"""

import sqlite3
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, closing
from itertools import count
from pathlib import Path
from statistics import median
from time import perf_counter

import onnx
import trio
from libp2p.abc import INetStream

from node.executor.executor import Group, Item, Runner
from node.membership import Membership
from node.mesh.framed import Framed
from node.mesh.peer import Peer
from node.models.library import AtHand
from node.work.tensors import _take_tensor
from node.work.trying import _Watch
from protocol.errors import Refused
from protocol.frames import DocumentFrame, TensorStart
from protocol.reasons import Reason
from protocol.tensors import ElementType, Tensor
from tests.benchmarks.figures import Figure
from tests.benchmarks.pairs import two_meshes, two_nodes
from tests.benchmarks.transport import LARGE, BarePair, bare_pair
from tests.models_in_code import mlp
from tests.node.mesh.bare_libp2p import bare_host, connect, open_stream
from tests.node.mesh.scene import key_of

SESSION, UPLOAD = "/bench/session/1", "/bench/upload/1"
US = Group("us")
CALLS, ORDERS, UPLOADS, ROUNDS = 40, 40, 9, 15
WIDTH = 256
COMMITS = TRIPS = 3

#: The worker looks at its machine first, and then fetches the model.
FETCH_S = 60.0

Timed = Callable[[], Awaitable[float]]


def run() -> list[Figure]:
    """Measure everything."""
    with tempfile.TemporaryDirectory() as folder:
        return trio.run(_all, Path(folder))


async def _all(folder: Path) -> list[Figure]:
    model = folder / "mlp.onnx"
    onnx.save(mlp((WIDTH, WIDTH, WIDTH)), model)
    async with AsyncExitStack() as stack:
        nodes = await stack.enter_async_context(two_nodes(folder))
        bare = await bare_pair(stack)
        order, at_hand, item = await _warm_order(*nodes, model)
        figures = [await _order(order, bare, folder)]
        executor = nodes[1].ground.world.executor
        async with executor.lease(at_hand.model(), US) as runner:
            figures.append(await _session(stack, runner, item))
        figures.append(await _upload(stack, bare))
        return figures


# --- W1: a call -----------------------------------------------------------------------------------


async def _session(stack: AsyncExitStack, runner: Runner, item: Item) -> Figure:
    async def serve(_: Peer, wire: Framed) -> None:
        for number in count():
            done = await runner.run((await _take(wire),), deadline_s=60)
            await wire.send_tensor(number, 0, done.tensors[0])

    async def serve_bare(stream: INetStream) -> None:
        while True:
            data = await _read(stream, 4 * WIDTH)
            done = await runner.run((_tensor(data),), deadline_s=60)
            await stream.write(bytes(done.tensors[0].data))

    first, second = await stack.enter_async_context(two_meshes({SESSION: serve}))
    wire = await stack.enter_async_context(first.wire(second.me, SESSION))
    called = await stack.enter_async_context(bare_host("henry", {SESSION: _quietly(serve_bare)}))
    caller = await stack.enter_async_context(bare_host("iris"))
    await connect(caller, key_of("henry"), str(called.get_addrs()[0]))
    stream = await open_stream(caller, key_of("henry"), SESSION)
    data, numbers = bytes(item[0].data), count()

    async def ours() -> float:
        begin = perf_counter()
        for _ in range(CALLS):
            await wire.send_tensor(next(numbers), 0, item[0])
            await _take(wire)
        return (perf_counter() - begin) / CALLS

    async def bare() -> float:
        begin = perf_counter()
        for _ in range(CALLS):
            await stream.write(data)
            await _read(stream, len(data))
        return (perf_counter() - begin) / CALLS

    mine, theirs = await _in_turns(ours, bare, ROUNDS)
    what = f"{mine * 1e3:.2f} ms / bare py-libp2p and the same call, {theirs * 1e3:.2f} ms"
    return Figure("W1 session call", mine / theirs, f"{what}; at most 1.25")


# --- W1: an order ---------------------------------------------------------------------------------


async def _warm_order(
    first: Membership, second: Membership, path: Path
) -> tuple[Timed, AtHand, Item]:
    """Give one order, with the model at hand and warm on both sides."""
    trying = first.trying
    model, _, free = await trying._take_in(path, {}, _Watch(lambda _part, _sentence: None))
    [item] = await trying._inputs(model, free, 1)
    worker = second.accounts.me

    async def order() -> float:
        begin = perf_counter()
        placed = await trying._requester.place(worker, model, [item])
        assert placed.acked
        assert placed.paid
        return perf_counter() - begin

    with trio.fail_after(FETCH_S):
        while True:
            try:
                await order()
            except Refused as refused:
                if refused.reason not in (Reason.MODEL_UNKNOWN, Reason.PAUSED):
                    raise
                await trio.sleep(1)
            else:
                return order, model, item


async def _order(order: Timed, pair: BarePair, folder: Path) -> Figure:
    with closing(sqlite3.connect(folder / "plain.db", isolation_level=None)) as plain:
        for sql in (
            *("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL"),
            "CREATE TABLE rows (body BLOB NOT NULL) STRICT",
        ):
            plain.execute(sql)
        body = bytes(600)

        async def reference() -> float:
            begin = perf_counter()
            for _ in range(COMMITS):
                plain.execute("INSERT INTO rows VALUES (?)", (body,))
            for _ in range(TRIPS):
                await pair.calls.write(body)
                await _read(pair.calls, len(body))
            return perf_counter() - begin

        mine, theirs = await _in_turns(order, reference, ORDERS)
    what = f"{mine * 1e3:.1f} ms / {COMMITS} commits and {TRIPS} round trips, {theirs * 1e3:.1f} ms"
    return Figure("W1 settled order", mine / theirs, f"{what}; at most 1.25")


# --- W3 -------------------------------------------------------------------------------------------


async def _upload(stack: AsyncExitStack, pair: BarePair) -> Figure:
    async def serve(_: Peer, wire: Framed) -> None:
        while True:
            await _take(wire)
            await wire.send(DocumentFrame(b"\x00"))

    first, second = await stack.enter_async_context(two_meshes({UPLOAD: serve}))
    wire = await stack.enter_async_context(first.wire(second.me, UPLOAD))
    tensor, numbers = Tensor(ElementType.FLOAT, (len(LARGE) // 4,), LARGE), count()

    async def ours() -> float:
        begin = perf_counter()
        await wire.send_tensor(next(numbers), 0, tensor)
        await wire.take_document()
        return perf_counter() - begin

    mine, theirs = await _in_turns(ours, pair.upload, UPLOADS)
    what = f"{32 / mine:.0f} MiB/s / bare py-libp2p and SHA-256, {32 / theirs:.0f} MiB/s"
    return Figure("W3 32 MiB tensor", theirs / mine, f"{what}; at least 0.9")


# --- how ------------------------------------------------------------------------------------------


async def _take(wire: Framed) -> Tensor:
    """Take a tensor as orders do, hashed as it comes."""
    frame = await wire.take(TensorStart)
    return (await _take_tensor(wire, frame.header))[0]


async def _read(stream: INetStream, size_bytes: int) -> bytes:
    got = bytearray()
    while len(got) < size_bytes:
        got += await stream.read(size_bytes - len(got))
    return bytes(got)


def _quietly(
    serve: Callable[[INetStream], Awaitable[None]],
) -> Callable[[INetStream], Awaitable[None]]:
    async def quiet(stream: INetStream) -> None:
        try:
            await serve(stream)
        except Exception:  # noqa: BLE001 - however it ends, the library must not hear of it
            return

    return quiet


def _tensor(data: bytes) -> Tensor:
    return Tensor(ElementType.FLOAT, (1, WIDTH), data)


async def _in_turns(ours: Timed, reference: Timed, rounds: int) -> tuple[float, float]:
    """Median seconds of both; the first turn of each is not counted."""
    await ours()
    await reference()
    times = [(await ours(), await reference()) for _ in range(rounds)]
    our_times, their_times = zip(*times, strict=True)
    return median(our_times), median(their_times)


if __name__ == "__main__":
    for name, ratio, meaning in run():
        print(f"{ratio:7.2f} x  {name:28} {meaning}")
