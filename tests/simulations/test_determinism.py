# SPDX-License-Identifier: MIT
"""What makes a run a function of its seed."""

import pytest
import trio

from simulations.determinism import HiddenThreadError, run_in_virtual_time


async def order_of_tasks(count: int = 40) -> list[int]:
    """Tell in which order tasks that are woken together run."""
    ran: list[int] = []
    gate = trio.Event()

    async def task(number: int) -> None:
        await gate.wait()
        ran.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(count):
            nursery.start_soon(task, number)
        await trio.testing.wait_all_tasks_blocked()
        gate.set()
    return ran


async def cancelled_order() -> list[int]:
    """Tell in which order tasks hear that they are cancelled."""
    heard: list[int] = []

    async def task(number: int) -> None:
        try:
            await trio.sleep_forever()
        finally:
            heard.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(30):
            nursery.start_soon(task, number)
        await trio.sleep(5)
        nursery.cancel_scope.cancel()
    return heard


def test_the_seed_decides_the_order_of_tasks() -> None:
    first, second, other = (
        run_in_virtual_time(seed, order_of_tasks) for seed in ("4711", "4711", "4712")
    )
    assert first == second
    assert first != other


def test_the_seed_decides_who_hears_first_that_he_is_cancelled() -> None:
    first, second = (run_in_virtual_time("4711", cancelled_order) for _ in range(2))
    assert first == second


def test_hours_pass_in_no_time() -> None:
    async def sleep() -> float:
        await trio.sleep(36_000)
        return trio.current_time()

    assert run_in_virtual_time("1", sleep) == 36_000


def test_a_thread_that_hides_behind_a_path_of_trio_is_found() -> None:
    async def look() -> None:
        await trio.sleep(3)
        await trio.Path("/").exists()

    with pytest.raises(HiddenThreadError, match=r"at work at 3\.000 s"):
        run_in_virtual_time("1", look)
