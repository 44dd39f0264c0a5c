# SPDX-License-Identifier: MIT
"""What stands still does nothing, and goes on as if no time had passed for its timers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from simulations.determinism import run_in_virtual_time
from simulations.standstill import Standstill
from tests.node.executor.virtual_time import in_virtual_time


class Machine:
    """Some tasks below a nursery of their own, as a node has them, that note what they do."""

    def __init__(self, tasks: trio.Nursery) -> None:
        self.tasks = tasks
        self.did: list[tuple[float, str]] = []

    def note(self, what: str) -> None:
        self.did.append((trio.current_time(), what))

    async def tick(self, name: str = "tick", every_s: float = 10.0) -> None:
        while True:
            await trio.sleep(every_s)
            self.note(name)


@asynccontextmanager
async def machine() -> AsyncIterator[Machine]:
    async with trio.open_nursery() as outer:
        made: list[Machine] = []

        async def be() -> None:
            async with trio.open_nursery() as tasks:
                made.append(Machine(tasks))
                await trio.sleep_forever()

        outer.start_soon(be)
        await wait_all_tasks_blocked()
        yield made[0]
        outer.cancel_scope.cancel()


@in_virtual_time
async def test_nothing_runs_meanwhile_and_timers_keep_what_they_had_left() -> None:
    async with machine() as it:
        it.tasks.start_soon(it.tick)
        await trio.sleep(13)
        standstill = Standstill(it.tasks)
        await trio.sleep(600)
        assert [at_s for at_s, _ in it.did] == [10]
        standstill.go_on()
        await trio.sleep(20)
        assert [at_s for at_s, _ in it.did] == pytest.approx([10, 620, 630])


@in_virtual_time
async def test_whoever_was_woken_runs_when_it_goes_on() -> None:
    async with machine() as it:
        bell = trio.Event()

        async def wait() -> None:
            await bell.wait()
            it.note("woken")
            it.tasks.start_soon(it.tick)

        it.tasks.start_soon(wait)
        await wait_all_tasks_blocked()
        standstill = Standstill(it.tasks)
        bell.set()
        it.tasks.start_soon(it.tick, "started by another", 1.0)
        await trio.sleep(100)
        assert it.did == []
        standstill.go_on()
        standstill.go_on()  # twice is once
        await trio.sleep(1.5)
        assert it.did == [(100.0, "woken"), (101.0, "started by another")]


@in_virtual_time
async def test_a_deadline_comes_as_much_later_as_it_stood_still() -> None:
    async with machine() as it:

        async def wait() -> None:
            with trio.move_on_after(30):
                async with trio.open_nursery() as inner:
                    inner.start_soon(it.tick, "inner", 25.0)
            it.note("over")

        it.tasks.start_soon(wait)
        await trio.sleep(20)
        for _ in range(2):
            standstill = Standstill(it.tasks)
            await trio.sleep(1000)
            standstill.go_on()
        await trio.sleep(20)
        assert it.did == [(2025.0, "inner"), (2030.0, "over")]


@in_virtual_time
async def test_others_are_not_disturbed() -> None:
    async with machine() as it, machine() as other:
        for each in (it, other):
            each.tasks.start_soon(each.tick)
        one, two = Standstill(it.tasks), Standstill(other.tasks)
        await trio.sleep(15)
        two.go_on()
        await trio.sleep(11)
        assert [at_s for at_s, _ in other.did] == [25]
        assert it.did == []
        one.go_on()


@in_virtual_time
async def test_what_stands_still_can_be_ended() -> None:
    """Else a world would never end: what it waits for would not run."""
    async with machine() as it:

        async def wait() -> None:
            try:
                await trio.sleep_forever()
            finally:
                it.note("ended")

        for _ in range(3):
            it.tasks.start_soon(wait)
        await wait_all_tasks_blocked()
        standstill = Standstill(it.tasks)
        it.tasks.start_soon(it.tick)  # woken, and held before its first step
        await wait_all_tasks_blocked()
        assert not standstill.is_over
    assert standstill.is_over
    assert len(it.did) == 3


def test_the_seed_decides_in_which_order_they_go_on() -> None:
    async def order() -> list[str]:
        async with machine() as it:
            for number in range(30):
                it.tasks.start_soon(it.tick, f"{number}")
            await trio.sleep(5)
            standstill = Standstill(it.tasks)
            await trio.sleep(50)
            standstill.go_on()
            await trio.sleep(50)
            return [name for _, name in it.did]

    first, second, other = (run_in_virtual_time(seed, order) for seed in "112")
    assert first == second != other
