# SPDX-License-Identifier: MIT
"""Tests of `node.mesh.telling`: the own advert is fresh by the clock on the wall, too."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from node.mesh.telling import AGAIN_S, RENEW_S, SETTLED_S, Telling
from tests.node.executor.virtual_time import in_virtual_time
from tests.node.mesh.virtual_clock import VirtualClock

HOUR_S = 3600.0


class Told:
    """When an advert was made, in seconds of the timers since it began."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.telling = Telling(self.clock, self.describe, lambda _wire: None)
        self.at_s: list[float] = []
        self.is_broken = False

    async def describe(self) -> bytes:
        self.at_s.append(trio.current_time())
        if self.is_broken:
            raise OSError("the disk is full")
        return b"an advert"

    @asynccontextmanager
    async def looking(self) -> AsyncIterator[None]:
        """Keep it at work inside the block, as the view does."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.telling.run)
            nursery.start_soon(self._keep_looking)
            yield
            nursery.cancel_scope.cancel()

    async def _keep_looking(self) -> None:
        while True:
            await trio.sleep(5)
            self.telling.look()


@in_virtual_time
async def test_an_advert_is_told_twice_at_first_and_then_renewed_at_its_time() -> None:
    told = Told()
    async with told.looking():
        await trio.sleep(2 * RENEW_S + SETTLED_S + 10)
    begin_s = told.at_s[0]
    assert [at_s - begin_s for at_s in told.at_s] == [
        *(0, SETTLED_S, SETTLED_S + RENEW_S, SETTLED_S + 2 * RENEW_S)
    ]


@pytest.mark.parametrize("after_s", [60, SETTLED_S + 60, SETTLED_S + RENEW_S - 60])
@pytest.mark.parametrize("jump_s", [2 * HOUR_S, -2 * HOUR_S])
def test_who_has_slept_or_has_set_his_clock_renews_his_advert_at_once(
    after_s: float, jump_s: float
) -> None:
    """Timers stand still meanwhile. A laptop that woke up was unknown for up to 25 minutes."""

    @in_virtual_time
    async def run() -> None:
        told = Told()
        async with told.looking():
            await trio.sleep(after_s)
            before = len(told.at_s)
            told.clock.jump(jump_s)
            await trio.sleep(6)
            assert len(told.at_s) == before + 1
            await trio.sleep(100)
            assert len(told.at_s) == before + 1, "once is enough"

    run()


@in_virtual_time
async def test_a_clock_that_is_set_by_minutes_changes_nothing() -> None:
    told = Told()
    async with told.looking():
        await trio.sleep(SETTLED_S + 10)
        told.clock.jump(-200)
        await trio.sleep(300)
        told.clock.jump(400)
        await trio.sleep(300)
        assert len(told.at_s) == 2


@in_virtual_time
async def test_what_cannot_be_made_after_a_long_sleep_is_tried_again_with_patience() -> None:
    told = Told()
    async with told.looking():
        await trio.sleep(SETTLED_S + 10)
        told.is_broken = True
        told.clock.jump(2 * HOUR_S)
        await trio.sleep(10 * AGAIN_S)
    assert 10 <= len(told.at_s) - 2 <= 11
