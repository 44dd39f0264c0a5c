# SPDX-License-Identifier: MIT
"""The governor drives: it looks, holds the executor, tells what changed. Time is trio's own."""

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any

import trio
from trio.testing import wait_all_tasks_blocked

from node.config import GovernorConfig
from node.executor.executor import Group, Layer, Model, Runner
from node.host.host import Sensors
from node.work.governing import GRACE_S, Governing
from node.work.governor import State
from protocol.events import Instant
from protocol.reasons import Reason
from simulations.host import FREE, ScriptedHost
from tests.node.executor.virtual_time import in_virtual_time
from tests.node.work.governed import BUSY


class VirtualClock:
    """What trio's clock says, which the tests let jump."""

    def now(self) -> Instant:
        return Instant(mono_s=trio.current_time(), wall_s=1_800_000_000 + trio.current_time())

    def dice(self, purpose: str) -> random.Random:
        return random.Random(purpose)

    def secret_bytes(self, count: int) -> bytes:
        return bytes(count)


class NotedExecutor:
    """An executor that only notes when it is paused and resumed."""

    def __init__(self) -> None:
        self.notes: list[tuple[str, float]] = []
        self.breaks = False
        self.takes_s = 0.0

    def lease(self, model: Model, group: Group) -> AbstractAsyncContextManager[Runner]:
        raise AssertionError(f"the governor leases nothing: {model}, {group}")

    async def pause(self, grace_s: float) -> None:
        assert grace_s == GRACE_S
        self.notes.append(("pause", trio.current_time()))
        await trio.sleep(self.takes_s)
        if self.breaks:
            raise OSError("the zygote is gone")

    def resume(self) -> None:
        self.notes.append(("resume", trio.current_time()))

    async def layers(self) -> tuple[Layer, ...]:
        return ()

    @property
    def words(self) -> list[str]:
        return [word for word, _ in self.notes]


class Scene:
    """A running governor and all that it touches."""

    def __init__(
        self, script: Sequence[tuple[float, Sensors | Exception]], more: dict[str, Any], config: Any
    ) -> None:
        self.host = ScriptedHost(script)
        self.executor = NotedExecutor()
        self.posts: list[tuple[float, dict[str, Any]]] = []
        self.governing = Governing(
            GovernorConfig(**config), VirtualClock(), self.host, self.executor, self.post, **more
        )

    def post(self, event: str, **fields: object) -> None:
        assert event == "governor_changed"
        self.posts.append((trio.current_time(), fields))

    @property
    def states(self) -> list[object]:
        return [fields["state"] for _, fields in self.posts]


@asynccontextmanager
async def governed(
    *script: tuple[float, Sensors | Exception], more: dict[str, Any] | None = None, **config: Any
) -> AsyncIterator[Scene]:
    scene = Scene(script or ((0.0, FREE),), more or {}, config)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.governing.run)
        await wait_all_tasks_blocked()
        yield scene
        nursery.cancel_scope.cancel()


@in_virtual_time
async def test_a_free_machine_is_looked_at_every_five_seconds_and_works() -> None:
    async with governed() as scene:
        await trio.sleep(60.5)
        assert scene.host.looks == 13
        assert scene.governing.may_work()[0] is None
        assert scene.executor.notes == []
        assert scene.states == ["active"]


@in_virtual_time
async def test_pressure_drains_then_frees_the_memory_and_work_begins_when_it_is_well() -> None:
    script = (0.0, FREE), (8.0, BUSY), (50.0, FREE)
    async with governed(*script, drain_s=20.0, recover_s=30.0) as scene:
        await trio.sleep(12)
        assert scene.governing.may_work()[0] == Reason.PROCESSORS_BUSY
        assert scene.executor.notes == []
        await trio.sleep(50)
        assert scene.executor.notes == [("pause", 30.0)]
        assert scene.governing.is_held
        await trio.sleep(60)
        assert scene.executor.words == ["pause", "resume"]
        assert not scene.governing.is_held
        assert scene.governing.may_work()[0] is None
        assert scene.states == ["active", "pressure", "paused", "recovery", "active"]


@in_virtual_time
async def test_under_pressure_it_looks_every_second() -> None:
    async with governed((0.0, FREE), (5.0, BUSY), drain_s=600.0) as scene:
        await trio.sleep(5.5)
        before = scene.host.looks
        await trio.sleep(10)
        assert scene.host.looks == before + 10


@in_virtual_time
async def test_the_owners_pause_drains_on_time_and_not_at_the_next_look() -> None:
    async with governed(drain_s=3.0) as scene:
        await trio.sleep(1)
        scene.governing.pause()
        assert scene.governing.may_work()[0] == Reason.OWNER_PAUSED
        await trio.sleep(3.1)
        assert scene.executor.words == ["pause"]
        await trio.sleep(1000)
        scene.governing.resume()
        await wait_all_tasks_blocked()
        assert scene.executor.words == ["pause", "resume"]
        assert scene.governing.may_work()[0] is None


@in_virtual_time
async def test_a_pause_for_a_while_ends_on_time() -> None:
    async with governed() as scene:
        scene.governing.pause(7200)
        kept = scene.governing.paused_until_s
        await trio.sleep(7199)
        assert scene.governing.may_work()[0] == Reason.OWNER_PAUSED
        assert scene.governing.paused_until_s == kept
        await trio.sleep(1.5)
        assert scene.governing.may_work()[0] is None
        assert scene.governing.paused_until_s is None


@in_virtual_time
async def test_a_pause_of_the_last_run_holds_from_the_first_moment() -> None:
    async with governed(more={"paused_until_s": 1_800_000_100.0}, drain_s=0.0) as scene:
        assert scene.governing.may_work()[0] == Reason.OWNER_PAUSED
        await trio.sleep(101)
        assert scene.governing.may_work()[0] is None


@in_virtual_time
async def test_memory_is_freed_as_soon_as_it_is_quiet() -> None:
    quiet = trio.Event()
    async with governed(more={"quiet": quiet.wait}, drain_s=600.0) as scene:
        scene.governing.pause()
        await trio.sleep(100)
        assert scene.executor.notes == []
        quiet.set()
        await wait_all_tasks_blocked()
        assert scene.executor.words == ["pause"]


@in_virtual_time
async def test_memory_is_freed_after_the_drain_when_it_is_never_quiet() -> None:
    async with governed(more={"quiet": trio.Event().wait}, drain_s=20.0) as scene:
        scene.governing.pause()
        await trio.sleep(21)
        assert scene.executor.words == ["pause"]


@in_virtual_time
async def test_a_drain_that_is_called_off_frees_nothing_however_quiet_it_becomes() -> None:
    quiet = trio.Event()
    async with governed(more={"quiet": quiet.wait}, drain_s=600.0) as scene:
        scene.governing.pause()
        await trio.sleep(1)
        scene.governing.resume()
        await trio.sleep(1)
        quiet.set()
        await trio.sleep(1000)
        assert scene.executor.notes == []


@in_virtual_time
async def test_who_may_work_finds_an_executor_that_works() -> None:
    """Between the state and the executor there is a moment; nobody is told yes within it."""
    async with governed(drain_s=0.0) as scene:
        scene.governing.pause()
        await wait_all_tasks_blocked()
        assert scene.executor.words == ["pause"]
        scene.governing.resume()
        assert scene.governing.state is State.ACTIVE
        assert scene.governing.may_work()[0] == Reason.RECOVERING
        await scene.governing.wait_change()
        assert scene.executor.words == ["pause", "resume"]
        assert scene.governing.may_work()[0] is None


@in_virtual_time
async def test_an_executor_that_is_slow_to_pause_is_resumed_afterwards() -> None:
    async with governed(drain_s=0.0) as scene:
        scene.executor.takes_s = 10
        scene.governing.pause()
        await trio.sleep(5)
        scene.governing.resume()
        await trio.sleep(10)
        assert scene.executor.words == ["pause", "resume"]
        assert scene.governing.may_work()[0] is None


@in_virtual_time
async def test_an_executor_that_cannot_pause_does_not_end_the_governor() -> None:
    async with governed(drain_s=0.0) as scene:
        scene.executor.breaks = True
        scene.governing.pause()
        await trio.sleep(5)
        scene.governing.resume()
        await trio.sleep(1)
        assert scene.executor.words == ["pause", "resume"]


@in_virtual_time
async def test_sensors_that_raise_stand_back_and_do_not_end_the_governor() -> None:
    script = (0.0, FREE), (8.0, OSError("no such file: /proc/stat")), (60.0, FREE)
    async with governed(*script) as scene:
        await trio.sleep(14)
        assert scene.governing.may_work()[0] is None  # one look may fail
        await trio.sleep(6)
        assert scene.governing.may_work()[0] == Reason.SENSORS_SILENT
        await trio.sleep(80)
        assert scene.governing.may_work()[0] is None


@in_virtual_time
async def test_a_look_that_does_not_end_counts_as_failed() -> None:
    class Hanging(ScriptedHost):
        async def sense(self) -> Sensors:
            await trio.sleep_forever()
            raise AssertionError("unreachable")

    governing = Governing(
        GovernorConfig(), VirtualClock(), Hanging(), NotedExecutor(), lambda _event, **_: None
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(governing.run)
        await trio.sleep(60)
        assert governing.may_work()[0] == Reason.SENSORS_SILENT
        nursery.cancel_scope.cancel()


@in_virtual_time
async def test_whoever_waits_hears_of_every_change() -> None:
    async with governed() as scene:
        heard = 0

        async def hear() -> None:
            nonlocal heard
            while True:
                await scene.governing.wait_change()
                heard += 1

        async with trio.open_nursery() as nursery:
            nursery.start_soon(hear)
            await wait_all_tasks_blocked()
            scene.governing.pause(10)
            await wait_all_tasks_blocked()
            assert heard >= 1
            scene.governing.resume()
            await wait_all_tasks_blocked()
            assert heard >= 2
            nursery.cancel_scope.cancel()
        assert scene.governing.seen == FREE


@in_virtual_time
async def test_a_use_that_wavers_around_its_limit_frees_the_memory_once() -> None:
    wavering = tuple(
        (10.0 * step, replace(FREE, others_percent=70.0 if step % 2 else 50.0))
        for step in range(60)
    )
    async with governed(*wavering, drain_s=20.0, recover_s=30.0) as scene:
        await trio.sleep(590)
        assert scene.executor.words == ["pause"]


@in_virtual_time
async def test_a_governor_that_is_begun_anew_finds_the_executor_held() -> None:
    """A crash of its tasks must not leave the executor paused for ever."""
    async with governed(drain_s=0.0) as scene:
        scene.governing.pause()
        await trio.sleep(1)
        assert scene.governing.is_held
    scene.governing.resume()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.governing.run)
        await trio.sleep(1)
        assert scene.executor.words[-1] == "resume"
        assert scene.governing.may_work()[0] is None
        nursery.cancel_scope.cancel()


@in_virtual_time
async def test_other_limits_count_at_once() -> None:
    async with governed((0.0, replace(FREE, others_percent=40.0))) as scene:
        scene.governing.use(GovernorConfig(others_percent=30, drain_s=0.0))
        assert scene.governing.may_work()[0] == Reason.PROCESSORS_BUSY
        await trio.sleep(1)
        assert scene.executor.words == ["pause"]
