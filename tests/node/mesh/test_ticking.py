# SPDX-License-Identifier: MIT
"""Tests of `node.mesh.ticking`: what is due is done when it is due, and no flood makes it more."""

import trio

from node.mesh.ticking import TICK_S_MIN, Ticking
from tests.node.executor.virtual_time import in_virtual_time
from tests.node.mesh.virtual_clock import VirtualClock


class Duties:
    """What is due, and when it was done."""

    def __init__(self) -> None:
        self.due_s = float("inf")
        self.done_s: list[float] = []
        self.again_s = float("inf")
        self.clock = VirtualClock()
        self.ticking = Ticking(self.clock, lambda _now_s: self.due_s, self.tick)
        self.begin_s = self.clock.now().mono_s

    def tick(self) -> None:
        self.done_s.append(round(self.clock.now().mono_s - self.begin_s, 6))
        self.due_s = self.clock.now().mono_s + self.again_s

    def due_in(self, wait_s: float) -> None:
        self.due_s = self.clock.now().mono_s + wait_s
        self.ticking.wake()


@in_virtual_time
async def test_it_ticks_at_once_and_then_whenever_something_is_due() -> None:
    duties = Duties()
    duties.again_s = 5.0
    with trio.move_on_after(11):
        await duties.ticking.run()
    assert duties.done_s == [0.0, 5.0, 10.0]


@in_virtual_time
async def test_what_is_due_sooner_is_not_waited_for_longer() -> None:
    duties = Duties()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(duties.ticking.run)
        await trio.sleep(1)
        duties.due_in(10)
        await trio.sleep(1)
        duties.due_in(2)
        await trio.sleep(20)
        nursery.cancel_scope.cancel()
    assert duties.done_s == [0.0, 4.0]


@in_virtual_time
async def test_what_is_put_off_again_and_again_is_still_done_when_it_was_due() -> None:
    duties = Duties()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(duties.ticking.run)
        for _ in range(5):
            await trio.sleep(1)
            duties.due_in(3)
        nursery.cancel_scope.cancel()
    assert duties.done_s == [0.0, 4.0]


@in_virtual_time
async def test_a_flood_of_wishes_is_no_flood_of_ticks() -> None:
    duties = Duties()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(duties.ticking.run)
        for _ in range(1000):
            await trio.sleep(0.001)
            duties.due_in(0)
        nursery.cancel_scope.cancel()
    assert 1 / TICK_S_MIN - 2 <= len(duties.done_s) <= 1 / TICK_S_MIN + 2


@in_virtual_time
async def test_nobody_is_woken_when_nothing_is_due_sooner() -> None:
    duties = Duties()
    duties.again_s = 60.0
    woken = 0

    class Count(trio.abc.Instrument):
        def task_scheduled(self, task: trio.lowlevel.Task) -> None:
            nonlocal woken
            woken += "Ticking" in task.name

    async with trio.open_nursery() as nursery:
        nursery.start_soon(duties.ticking.run)
        await trio.sleep(1)
        trio.lowlevel.add_instrument(Count())
        for _ in range(100):
            await trio.sleep(0.1)
            duties.ticking.wake()
        assert not woken
        nursery.cancel_scope.cancel()
