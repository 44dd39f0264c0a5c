# SPDX-License-Identifier: MIT
"""What the sandbox costs: every way to run a model, beside `InferenceSession.run` in this process.

Each ratio is ours / plain, in turns, so that a busy machine is busy for both. Two ratios are the
other way round because the goal is: throughput by processor time, and steps of a decoder, are
plain / ours, and 1.0 is as good as plain ONNX Runtime.
"""

import os
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import psutil
import trio

from node.executor.executor import Group, Item, Model, Runner
from node.executor.pool import Pool, PoolLimits
from node.executor.zygote import Zygote
from protocol.tensors import ElementType, Tensor, TensorHeader
from tests.benchmarks import models
from tests.benchmarks.figures import Figure

US = Group("us")
CALL_S = 60.0
LIMITS = PoolLimits(runners=2, memory_bytes=12 << 30, runner_memory_bytes=2 << 30)


def run() -> Iterator[Figure]:
    """Measure everything, one figure after the other."""
    with tempfile.TemporaryDirectory() as folder:
        yield from trio.run(_all, Path(folder))


async def _all(folder: Path) -> list[Figure]:
    os.chmod(folder, 0o755)  # noqa: PTH101 - so that a runner of another user may read it
    add, layer = models.add_one(folder / "add"), models.layer(folder / "layer")
    encoder, decoder = models.encoder(folder / "encoder"), models.decoder(folder / "decoder")
    pool = Pool(LIMITS, Zygote(nice=0))
    async with pool.open():
        return [
            *await _sizes(pool, add),
            *await _large(pool, add, layer),
            *[await _sustained(pool, encoder, runners) for runners in (1, 2)],
            await _steps(pool, decoder),
            await _cold(pool, models.heavy(folder / "heavy", 50)),
            *await _starts(pool, add),
        ]


# --- one call -------------------------------------------------------------------------------------


async def _sizes(pool: Pool, model: Model) -> list[Figure]:
    found = []
    async with pool.lease(model, US) as runner:
        for size_bytes, rounds in ((1 << 10, 1500), (1 << 20, 300)):
            item, array = _item(size_bytes // 4)
            session = _plain(model)
            ours, plain = await _in_turns(
                partial(runner.run, item, deadline_s=CALL_S),
                partial(session.run, None, {"x": array}),
                rounds,
            )
            added = (ours - plain) * 1e6
            name = f"call of {_size(size_bytes)}"
            found.append(
                Figure(name, ours / plain, f"Add; {added:.0f} us more than {plain * 1e6:.0f} us")
            )
    return found


async def _large(pool: Pool, add: Model, layer: Model) -> list[Figure]:
    """32 MiB in and out: lent and owned, where nothing is computed and where something is."""
    found = []
    for model, dims, what in ((add, (8 << 20,), "Add"), (layer, (8 << 10, 1024), "one layer")):
        item, array = _item(*dims)
        header = item[0].header
        session = _plain(model)
        async with pool.lease(model, US) as runner:
            for how, call in (("lent", _lent), ("owned", _owned)):
                ours, plain = await _in_turns(
                    partial(call, runner, item, header),
                    partial(session.run, None, {"x": array}),
                    9,
                )
                meaning = f"{what}; plain {plain * 1e3:.1f} ms, ours {ours * 1e3:.1f} ms"
                found.append(Figure(f"call of 32 MiB, {how}", ours / plain, meaning))
    return found


async def _lent(runner: Runner, _: Item, header: TensorHeader) -> None:
    async with runner.call([header]) as call:
        await call.run(deadline_s=CALL_S)


async def _owned(runner: Runner, item: Item, _: TensorHeader) -> None:
    await runner.run(item, deadline_s=CALL_S)


# --- many calls -----------------------------------------------------------------------------------


async def _sustained(pool: Pool, model: Model, runners: int) -> Figure:
    """Processor time for an item, all processes together, against plain ONNX Runtime's."""
    shape = (4, models.LENGTH, models.WIDTH)
    item, array = _item(*shape)
    session = _plain(model)
    calls, rounds = 24, 5
    ratios = []
    for _ in range(rounds):
        begin = process_time()
        for _ in range(calls):
            session.run(None, {"x": array})
        plain_s = process_time() - begin
        ratios.append(plain_s / await _busy_s(pool, model, item, calls, runners))
    meaning = f"plain / ours, processor time for an item, {runners} at once; at least 0.95"
    return Figure(f"sustained, {runners} runners", median(ratios), meaning)


async def _busy_s(pool: Pool, model: Model, item: Item, calls: int, runners: int) -> float:
    """Give the processor time of daemon and runners for so many calls."""

    async def work(ready: trio.Event) -> None:
        async with pool.lease(model, US) as runner:
            await runner.run(item, deadline_s=CALL_S)
            waiting.append(ready)
            ready.set()
            await go.wait()
            for _ in range(calls // runners):
                await runner.run(item, deadline_s=CALL_S)

    go = trio.Event()
    waiting: list[trio.Event] = []
    async with trio.open_nursery() as nursery:
        events = [trio.Event() for _ in range(runners)]
        for event in events:
            nursery.start_soon(work, event)
        for event in events:
            await event.wait()
        before_s = process_time() + _cpu_s(pool.pids)
        go.set()
    return process_time() + _cpu_s(pool.pids) - before_s


async def _steps(pool: Pool, model: Model) -> Figure:
    """Steps of a decoder whose caches stay where the model is, on both sides."""
    assert model.interface
    item, array = _item(1, models.DECODER_WIDTH)
    session = _plain(model)
    names = [port.name for port in model.interface.inputs]
    empty = np.zeros((models.HEADS, 0, models.HEAD_WIDTH), np.float32)
    state = [
        Tensor(ElementType.FLOAT, empty.shape, b"") for _ in range(len(model.interface.states))
    ]
    steps, ratios, plain_s = 64, [], 0.0
    async with pool.lease(model, US) as runner:
        for _ in range(7):
            feeds = dict.fromkeys(names[1:], empty)
            begin = perf_counter()
            for _ in range(steps):
                got = session.run(None, {"x": array, **feeds})
                feeds = dict(zip(names[1:], got[1:], strict=True))
            plain_s = perf_counter() - begin
            ours = await runner.open(state)
            begin = perf_counter()
            for _ in range(steps):
                await ours.step(item, deadline_s=CALL_S)
            ratios.append(plain_s / (perf_counter() - begin))
            await ours.close()
    meaning = f"plain / ours, {steps} steps of {plain_s / steps * 1e3:.1f} ms; at least 0.95"
    return Figure("decoder steps", median(ratios), meaning)


# --- starting -------------------------------------------------------------------------------------


async def _cold(pool: Pool, model: Model) -> Figure:
    """From nothing to the first answer, weights in the page cache."""
    item, array = _item(1, 1024)
    ratios, times = [], []
    for turn in range(5):
        begin = perf_counter()
        _plain(model).run(None, {"x": array})
        middle = perf_counter()
        async with pool.lease(model, Group(f"cold {turn}")) as runner:
            await runner.run(item, deadline_s=CALL_S)
        times.append(perf_counter() - middle)
        ratios.append(times[-1] / (middle - begin))
    return Figure(
        "cold start, 50 MB", median(ratios), f"load and run; {median(times) * 1e3:.0f} ms"
    )


async def _starts(pool: Pool, model: Model) -> list[Figure]:
    """A runner against a bare fork; its own memory against that of a process with ONNX Runtime."""
    item, _ = _item(16)
    ours, bare = [], []
    for turn in range(15):
        begin = perf_counter()
        pid = os.fork()
        if not pid:
            os._exit(0)
        os.waitpid(pid, 0)  # noqa: ASYNC222 - the child leaves at once; it is the measure
        middle = perf_counter()
        async with pool.lease(model, Group(f"start {turn}")) as runner:
            await runner.run(item, deadline_s=CALL_S)
        ours.append(perf_counter() - middle)
        bare.append(middle - begin)
    started = median(ours) * 1e3
    pss = [psutil.Process(pid).memory_full_info().pss for pid in pool.pids]
    whole = psutil.Process().memory_full_info().pss
    mib = median(pss) / (1 << 20)
    return [
        Figure("runner start", median(ours) / median(bare), f"/ a bare fork; {started:.1f} ms"),
        Figure("memory of a runner", median(pss) / whole, f"/ this process; PSS {mib:.1f} MiB"),
    ]


# --- how ------------------------------------------------------------------------------------------


async def _in_turns(
    ours: Callable[[], Awaitable[object]], plain: Callable[[], object], rounds: int
) -> tuple[float, float]:
    """Median seconds of both; the first turn of each is not counted."""
    await ours()
    plain()
    times = []
    for _ in range(rounds):
        begin = perf_counter()
        plain()
        middle = perf_counter()
        await ours()
        times.append((perf_counter() - middle, middle - begin))
    our_times, plain_times = zip(*times, strict=True)
    return median(our_times), median(plain_times)


def _plain(model: Model) -> ort.InferenceSession:
    """What a person would write, with one thread as our runners have."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    path = str(model.folder / "graph.onnx")
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _item(*dims: int) -> tuple[Item, npt.NDArray[np.float32]]:
    array = np.random.default_rng(1).standard_normal(dims, dtype=np.float32)
    return (Tensor(ElementType.FLOAT, dims, array.tobytes()),), array


def _cpu_s(pids: list[int]) -> float:
    return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in pids)


def _size(size_bytes: int) -> str:
    return f"{size_bytes >> 20} MiB" if size_bytes >= 1 << 20 else f"{size_bytes >> 10} KiB"
