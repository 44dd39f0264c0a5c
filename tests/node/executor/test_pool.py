# SPDX-License-Identifier: MIT
"""What only the executor of this machine does: processes come and go, and memory is shared.

What it promises like any other executor is in test_promises.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from node.executor.executor import Group, Layer
from node.executor.pool import Pool
from node.executor.rooms import is_supported
from node.executor.sandbox.confine import LAYERS
from node.executor.zygote import Zygote
from protocol.reasons import Reason
from tests.node.executor import folders
from tests.node.executor.promise_scenes import (
    GROUP,
    LIMITS,
    RUNNER_MEMORY_BYTES,
    Kept,
    Models,
    RealScene,
    build,
    children_of,
)
from tests.node.executor.promises import (
    LONG_S,
    ask,
    data_of,
    floats,
    refuses,
    until,
    works,
)
from tests.node.leaving import leave_after

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not is_supported(), reason="this system has no sealed memory"),
]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return build(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def scene(models: Models) -> Iterator[RealScene]:
    kept = Kept()
    yield RealScene(models, kept)
    kept.end()


def zygotes() -> list[int]:
    """Give the processes that were started from here and live."""
    found = []
    for pid in children_of(os.getpid()):
        with suppress(OSError, psutil.NoSuchProcess):  # it went meanwhile
            if "node.executor.child.zygote" in psutil.Process(pid).cmdline():
                found.append(pid)
    return found


class Zygotes(Zygote):
    """A zygote whose layers are as a test wants them."""

    off = ""

    async def ready(self) -> None:
        await super().ready()
        self.layers = tuple(Layer(name, name != self.off, "as tested") for name in LAYERS)


# --- its processes --------------------------------------------------------------------------------


async def test_nothing_is_started_before_it_is_needed_and_nothing_is_left(models: Models) -> None:
    before = zygotes()
    pool = Pool(LIMITS, Zygote(nice=0))
    async with pool.open():
        assert zygotes() == before
        await works(pool, models.plain)
        (ours,) = set(zygotes()) - set(before)
        assert children_of(ours) == pool.pids
    assert zygotes() == before


async def test_a_caller_may_leave_while_the_zygote_starts(models: Models) -> None:
    """At whatever moment: the next one is served, and no zygote is left over."""
    before = zygotes()
    pool = Pool(LIMITS, Zygote(nice=0))
    async with pool.open():
        steps = 1
        while not await leave_after(steps, lambda: works(pool, models.plain)):
            await pool.pause(0.0)  # so that it is started again
            assert zygotes() == before
            pool.resume()
            steps += 1
        assert steps > 3
        await works(pool, models.plain)
    assert zygotes() == before


async def test_a_pause_ends_the_zygote_too(scene: RealScene) -> None:
    before = set(zygotes())
    async with scene.open() as pool:
        await works(pool, scene.models.plain)
        await pool.pause(0.0)
        assert set(zygotes()) <= before
        pool.resume()
        await works(pool, scene.models.plain)


async def test_a_zygote_that_dies_is_nobodys_fault(scene: RealScene) -> None:
    """Whoever computes or waits may ask again, and is served by the next one."""
    async with scene.open() as pool:
        heard = []

        async def compute() -> None:
            async with pool.lease(scene.models.endless, GROUP) as runner:
                nursery.start_soon(wait, runner)
                with refuses(Reason.HANDED_BACK):
                    await ask(runner, floats(1.0))
                heard.append("computing")

        async def wait(runner: object) -> None:
            with refuses(Reason.HANDED_BACK):
                await ask(runner, floats(1.0))  # type: ignore[arg-type]  # a nursery forgets types
            heard.append("waiting")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(compute)
            await works(pool, scene.models.plain)
            await until(lambda: len(pool.pids) == 2)
            await wait_all_tasks_blocked()
            os.kill(psutil.Process(pool.pids[0]).ppid(), signal.SIGKILL)
        assert sorted(heard) == ["computing", "waiting"]
        await works(pool, scene.models.plain)


async def test_a_call_that_was_handed_back_is_made_again(scene: RealScene) -> None:
    """Its runner died while it waited for its turn there."""
    model = scene.models.plain
    async with scene.open(replace(LIMITS, runners=1)) as pool:
        expected = await pool.run(model, GROUP, [floats(3.0)], deadline_s=LONG_S)
        got = []

        async def insist() -> None:
            got.append(await pool.run(model, GROUP, [floats(3.0)], deadline_s=LONG_S))

        here = [floats(1.0).header]
        async with (
            trio.open_nursery() as nursery,
            pool.lease(model, GROUP) as runner,
            runner.call(here),
        ):
            nursery.start_soon(insist)
            await wait_all_tasks_blocked()
            await scene.kill(pool)
        assert [each.tensors for each in got] == [expected.tensors]


# --- whom it serves -------------------------------------------------------------------------------


@pytest.mark.parametrize("off", ["seccomp_load", "landlock", "limits"])
async def test_strangers_are_refused_where_a_layer_is_off(models: Models, off: str) -> None:
    zygote = Zygotes(nice=0)
    zygote.off = off
    pool = Pool(LIMITS, zygote)
    async with pool.open():
        with refuses(Reason.NOT_CONTAINED) as refusal:
            await works(pool, models.plain, Group("eve"))
        assert f"off: {off} (as tested)" in str(refusal.value)
        assert pool.pids == []
        await works(pool, models.plain)


async def test_a_model_without_an_interface_is_served_in_the_order_of_its_ports(
    scene: RealScene, tmp_path: Path
) -> None:
    """Such a model may give as much as it likes; only local work has one."""
    chosen = folders.chosen(tmp_path)
    async with scene.open() as pool, pool.lease(chosen, GROUP) as runner:
        for values, count in (((0.0, 1.0, 2.0), 2), ((0.0,), 0), ((1.0,) * 70_000, 70_000)):
            (places,) = (await ask(runner, floats(*values))).tensors
            assert places.dims == (1, count)
        with refuses(Reason.INPUT_DEVIATES):
            await ask(runner)
        with refuses(Reason.INPUT_DEVIATES):
            await runner.open([])


# --- its memory -----------------------------------------------------------------------------------


async def test_what_a_runner_shares_with_the_daemon_counts(scene: RealScene) -> None:
    large = floats(*[0.5] * 300_000)
    async with scene.open(replace(LIMITS, memory_bytes=2 * RUNNER_MEMORY_BYTES)) as pool:
        async with pool.lease(scene.models.plain, GROUP) as runner:
            await ask(runner, floats(1.0))
            assert pool.memory_bytes == RUNNER_MEMORY_BYTES
            await ask(runner, large)
            assert pool.memory_bytes >= RUNNER_MEMORY_BYTES + 2 * len(large.data)
            with refuses(Reason.BUSY):  # what is shared is not there for others
                await works(pool, scene.models.plain, Group("bob", trusted=True))
        await works(pool, scene.models.plain, Group("bob", trusted=True))
        assert pool.memory_bytes == RUNNER_MEMORY_BYTES


async def test_what_was_handed_out_stays_when_everything_is_gone(scene: RealScene) -> None:
    """It is a copy: neither the next call nor the end of the runner reaches it."""
    large = floats(*range(300_000))
    async with scene.open() as pool:
        async with pool.lease(scene.models.plain, GROUP) as runner:
            outputs = await ask(runner, large)
            before = data_of(outputs)
            await ask(runner, floats(*[0.5] * 300_000))
        await pool.pause(0.0)
        assert data_of(outputs) == before
