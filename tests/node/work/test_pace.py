# SPDX-License-Identifier: MIT
"""So many bytes in a second, in turns."""

import trio
from trio.testing import wait_all_tasks_blocked

from node.work.pace import SAVED_S, TURN_BYTES, Pace
from tests.node.executor.virtual_time import in_virtual_time

KIB = 1024


@in_virtual_time
async def test_so_many_bytes_go_in_a_second() -> None:
    pace = Pace(100 * KIB)
    for _ in range(100):
        await pace.take(10 * KIB)
    # what goes last may go in debt, by one turn
    assert 9.7 <= trio.current_time() - 0.0 <= 10.0


@in_virtual_time
async def test_nobody_waits_without_a_limit() -> None:
    pace = Pace(0)
    for _ in range(100):
        await pace.take(1 << 30)
    assert trio.current_time() == 0


@in_virtual_time
async def test_what_was_saved_up_is_a_quarter_second_at_most() -> None:
    pace = Pace(100 * KIB)
    await pace.take(1)
    await trio.sleep(3600)
    begun = trio.current_time()
    await pace.take(int(100 * KIB * SAVED_S))
    assert trio.current_time() == begun
    await pace.take(100 * KIB)
    await pace.take(1)
    assert 0.9 <= trio.current_time() - begun <= 1.01


@in_virtual_time
async def test_small_pieces_do_not_wait_for_a_big_one() -> None:
    pace = Pace(100 * KIB)
    ends: dict[str, float] = {}

    async def send(name: str, pieces: int, count: int) -> None:
        for _ in range(pieces):
            await pace.take(count)
        ends[name] = trio.current_time()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send, "big", 1, 1000 * KIB)
        await wait_all_tasks_blocked()
        nursery.start_soon(send, "small", 10, 1 * KIB)
    assert ends["small"] < 2.0
    assert 9.5 < ends["big"] < 10.5


@in_virtual_time
async def test_two_streams_share_alike_whatever_their_pieces_are() -> None:
    pace = Pace(100 * KIB)
    sent = {"fine": 0, "coarse": 0}

    async def send(name: str, count: int) -> None:
        while True:
            await pace.take(count)
            sent[name] += count

    with trio.move_on_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send, "fine", TURN_BYTES)
            nursery.start_soon(send, "coarse", 8 * TURN_BYTES)
    assert abs(sent["fine"] - sent["coarse"]) <= 16 * TURN_BYTES
    assert abs(sum(sent.values()) - 6000 * KIB) < 300 * KIB


@in_virtual_time
async def test_who_is_cancelled_has_used_nothing() -> None:
    pace = Pace(100 * KIB)
    await pace.take(1)
    for _ in range(50):
        with trio.move_on_after(0.2):
            await pace.take(1000 * KIB)
    begun = trio.current_time()
    await pace.take(10 * KIB)
    assert trio.current_time() - begun <= TURN_BYTES / (100 * KIB)


@in_virtual_time
async def test_who_is_cancelled_does_not_hold_up_the_next() -> None:
    pace = Pace(1 * KIB)
    await pace.take(TURN_BYTES)  # a debt of sixteen seconds
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pace.take, TURN_BYTES)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    await pace.take(1)
    assert trio.current_time() <= 17


@in_virtual_time
async def test_a_limit_that_is_lifted_lets_the_waiting_go() -> None:
    pace = Pace(1)
    await pace.take(TURN_BYTES)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pace.take, TURN_BYTES)
        await trio.sleep(5)
        pace.bytes_per_s = 0
    assert trio.current_time() <= 7
