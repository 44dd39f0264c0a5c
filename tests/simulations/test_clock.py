# SPDX-License-Identifier: MIT
"""The clock of a made world keeps what every clock promises, and is the same in each run."""

from collections.abc import Callable

import pytest
import trio

from node.clock import Clock
from simulations.clock import VirtualClock
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
