# SPDX-License-Identifier: MIT
"""What every clock promises, as checks for any implementation: the system's, and a simulated one.

A test module has a fixture `clock` and a test that takes `promise` from PROMISES.
"""

from collections.abc import Callable

import pytest

from node.clock import Clock
from protocol.events import Instant


def time_never_goes_back(clock: Clock) -> None:
    """An instant is never before the one that was told earlier."""
    told = [clock.now().mono_s for _ in range(1000)]
    assert told == sorted(told)


def an_instant_has_both_times(clock: Clock) -> None:
    """Both are floats, and the wall shows a date on which this code existed."""
    now = clock.now()
    assert isinstance(now, Instant)
    assert isinstance(now.mono_s, float)
    assert isinstance(now.wall_s, float)
    assert now.mono_s >= 0
    assert 1_600_000_000 < now.wall_s < 10_000_000_000


def both_times_run_alike(clock: Clock) -> None:
    """Between two calls, as much passes on both; nobody sets a wall clock within a test."""
    before, after = clock.now(), clock.now()
    assert (after.wall_s - before.wall_s) == pytest.approx(after.mono_s - before.mono_s, abs=1)


def a_die_shows_all_its_faces(clock: Clock) -> None:
    """And nothing else."""
    die = clock.dice("faces")
    assert {die.randrange(6) for _ in range(1000)} == set(range(6))
    assert all(0 <= die.random() < 1 for _ in range(1000))
    assert sorted(die.sample(range(10), 10)) == list(range(10))


def a_die_that_is_asked_for_again_goes_on(clock: Clock) -> None:
    """It does not begin anew: whoever asks for it each time would always roll the same."""
    rolls = {clock.dice("again").getrandbits(64) for _ in range(100)}
    assert len(rolls) == 100


def dice_of_two_purposes_differ(clock: Clock) -> None:
    """Else one could read the sequence of another purpose from one's own."""
    one, other = clock.dice("one"), clock.dice("other")
    assert [one.getrandbits(64) for _ in range(4)] != [other.getrandbits(64) for _ in range(4)]


def secrets_have_their_length(clock: Clock) -> None:
    """Zero is a length too; less is a mistake of the caller."""
    assert [len(clock.secret_bytes(count)) for count in (0, 1, 16, 32)] == [0, 1, 16, 32]
    with pytest.raises(ValueError, match="negative"):
        clock.secret_bytes(-1)


def secrets_never_repeat(clock: Clock) -> None:
    """Neither among themselves, nor what a die shows."""
    drawn = [clock.secret_bytes(16) for _ in range(100)]
    drawn += [clock.dice("secrets").randbytes(16) for _ in range(100)]
    assert len(set(drawn)) == len(drawn)


Promise = Callable[[Clock], None]

PROMISES: tuple[Promise, ...] = (
    time_never_goes_back,
    an_instant_has_both_times,
    both_times_run_alike,
    a_die_shows_all_its_faces,
    a_die_that_is_asked_for_again_goes_on,
    dice_of_two_purposes_differ,
    secrets_have_their_length,
    secrets_never_repeat,
)
