# SPDX-License-Identifier: MIT
"""The clock of a made world keeps what every clock promises, and is the same in each run."""

from collections.abc import Callable

import pytest
import trio

from node.clock import Clock
from simulations.clock import EPOCH_S, VirtualClock
from tests.node.clock_promises import PROMISES
from tests.node.executor.virtual_time import in_virtual_time


@pytest.mark.parametrize("promise", PROMISES)
def test_the_virtual_clock_keeps_the_promises_of_clocks(promise: Callable[[Clock], None]) -> None:
    promise(VirtualClock("a seed"))


def test_the_same_seed_gives_the_same_dice_and_secrets() -> None:
    one, other, third = VirtualClock("a"), VirtualClock("a"), VirtualClock("b")
    rolls = [each.dice("die").getrandbits(64) for each in (one, other, third)]
    assert rolls[0] == rolls[1] != rolls[2]
    secrets = [each.secret_bytes(100) for each in (one, other, third)]
    assert secrets[0] == secrets[1] != secrets[2]


@in_virtual_time
async def test_time_passes_with_that_of_trio() -> None:
    clock = VirtualClock(ahead_s=5)
    before = clock.now()
    await trio.sleep(1000)
    after = clock.now()
    assert after.mono_s - before.mono_s == pytest.approx(1000)
    assert after.wall_s - before.wall_s == pytest.approx(1000)
    assert after.wall_s - after.mono_s == VirtualClock().now().wall_s - after.mono_s + 5


@in_virtual_time
async def test_a_quartz_that_is_too_fast_gains_on_both_times() -> None:
    clock = VirtualClock(drift_ppm=200)
    for drift_ppm, mono_s in ((200, 50_010), (-500, 99_985), (0, 149_985)):
        clock.drift_ppm = drift_ppm
        await trio.sleep(50_000)
        now = clock.now()
        assert now.mono_s == pytest.approx(mono_s)
        assert now.wall_s == pytest.approx(EPOCH_S + mono_s)


@in_virtual_time
async def test_a_clock_that_is_set_counts_its_seconds_on() -> None:
    clock = VirtualClock()
    await trio.sleep(10)
    for seconds in (86_400, -2 * 86_400):
        before = clock.now()
        clock.jump(seconds)
        after = clock.now()
        assert after.mono_s == before.mono_s
        assert after.wall_s - before.wall_s == seconds


@in_virtual_time
async def test_the_next_process_has_the_same_wrong_clock_and_other_dice() -> None:
    clock = VirtualClock("one", drift_ppm=1000)
    clock.jump(-50)
    await trio.sleep(10_000)
    following = clock.anew("two")
    assert following.now() == clock.now()
    assert following.secret_bytes(16) != VirtualClock("one").secret_bytes(16)
    await trio.sleep(10_000)
    assert following.now() == clock.now()
    assert following.now().wall_s == pytest.approx(EPOCH_S + 20_020 - 50)


@in_virtual_time
async def test_a_clock_can_be_set_right() -> None:
    clock = VirtualClock(drift_ppm=300, ahead_s=3600)
    await trio.sleep(86_400)
    before_s = clock.now().mono_s
    clock.set_right()
    assert clock.now().wall_s == pytest.approx(EPOCH_S + 86_400)
    assert clock.now().mono_s == before_s  # what counts seconds never goes back
    await trio.sleep(86_400)
    assert clock.now().wall_s == pytest.approx(EPOCH_S + 2 * 86_400)
