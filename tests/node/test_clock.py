# SPDX-License-Identifier: MIT
"""The clock of this machine keeps what every clock promises, and counts suspend where it can."""

import random
import sys
import time
from collections.abc import Callable

import pytest

from node.clock import Clock, SystemClock
from protocol.events import Instant
from tests.node.clock_promises import PROMISES


class RiggedClock:
    """A clock as a careless simulation would write it: correct, until a part is replaced."""

    def __init__(self) -> None:
        self.told = 0
        self.dies: dict[str, random.Random] = {}
        self.pool = random.Random(1)

    def now(self) -> Instant:
        self.told += 1
        return Instant(mono_s=self.told / 8, wall_s=1_800_000_000 + self.told / 8)

    def dice(self, purpose: str) -> random.Random:
        return self.dies.setdefault(purpose, random.Random(purpose))

    def secret_bytes(self, count: int) -> bytes:
        if count < 0:
            raise ValueError("negative")
        return self.pool.randbytes(count)


class GoesBack(RiggedClock):
    def now(self) -> Instant:
        self.told += 1
        return Instant(mono_s=float(self.told % 100), wall_s=1_800_000_000.0)


class StartsIn1970(RiggedClock):
    def now(self) -> Instant:
        return Instant(mono_s=1.0, wall_s=0.0)


class RunsApart(RiggedClock):
    def now(self) -> Instant:
        self.told += 1
        return Instant(mono_s=float(self.told), wall_s=1_800_000_000.0 + 60 * self.told)


class BeginsAnew(RiggedClock):
    def dice(self, purpose: str) -> random.Random:
        return random.Random(purpose)


class LoadedDie(random.Random):
    def getrandbits(self, k: int, /) -> int:
        return super().getrandbits(k) & ~1


class Cheats(RiggedClock):
    def dice(self, purpose: str) -> random.Random:
        return self.dies.setdefault(purpose, LoadedDie(1))


class OneSequence(RiggedClock):
    def dice(self, purpose: str) -> random.Random:
        return self.dies.setdefault(purpose, random.Random(7))


class ShortSecrets(RiggedClock):
    def secret_bytes(self, count: int) -> bytes:
        return super().secret_bytes(min(count, 8))


class SecretsFromTheDie(RiggedClock):
    def dice(self, purpose: str) -> random.Random:
        return self.dies.setdefault(purpose, random.Random(1))


@pytest.mark.parametrize("make", [SystemClock, RiggedClock])
@pytest.mark.parametrize("promise", PROMISES)
def test_a_clock_keeps_its_promises(
    make: Callable[[], Clock], promise: Callable[[Clock], None]
) -> None:
    promise(make())


@pytest.mark.parametrize(
    ("make", "broken"),
    [
        (GoesBack, "time_never_goes_back"),
        (StartsIn1970, "an_instant_has_both_times"),
        (RunsApart, "both_times_run_alike"),
        (Cheats, "a_die_shows_all_its_faces"),
        (BeginsAnew, "a_die_that_is_asked_for_again_goes_on"),
        (OneSequence, "dice_of_two_purposes_differ"),
        (ShortSecrets, "secrets_have_their_length"),
        (SecretsFromTheDie, "secrets_never_repeat"),
    ],
)
def test_a_clock_that_breaks_a_promise_is_noticed(make: Callable[[], Clock], broken: str) -> None:
    """A promise that no clock can break would hold a simulated one to nothing."""
    (promise,) = [promise for promise in PROMISES if promise.__name__ == broken]
    with pytest.raises(AssertionError):
        promise(make())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux calls it so")
def test_the_clock_of_this_machine_counts_suspend() -> None:
    clock = SystemClock()
    assert clock.source == "CLOCK_BOOTTIME"
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert before <= clock.now().mono_s <= time.clock_gettime(time.CLOCK_BOOTTIME)


def test_without_a_clock_that_counts_suspend_the_next_one_serves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(time, "CLOCK_BOOTTIME", raising=False)
    clock = SystemClock()
    assert clock.source == "CLOCK_MONOTONIC"
    assert clock.now().mono_s == pytest.approx(time.clock_gettime(time.CLOCK_MONOTONIC), abs=60)


def test_a_clock_that_the_kernel_does_not_know_is_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(time, "CLOCK_BOOTTIME", 9999, raising=False)
    assert SystemClock().source == "CLOCK_MONOTONIC"


def test_a_system_without_any_such_clock_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CLOCK_BOOTTIME", "CLOCK_MONOTONIC"):
        monkeypatch.delattr(time, name, raising=False)
    with pytest.raises(OSError, match="CLOCK_BOOTTIME"):
        SystemClock()
