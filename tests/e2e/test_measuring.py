# SPDX-License-Identifier: MIT
"""Tests of `tests.e2e.measuring`: what the soak believes of a line."""

import os
import random

import pytest

from tests.e2e.measuring import Sample, memory_of, slope_of


def samples(per_minute: float, per_peer: float, noise: float) -> list[Sample]:
    """Half an hour of a process whose peers come and go."""
    dice = random.Random(3)
    found = []
    for number in range(180):
        connected = dice.randrange(5, 10)
        value = 40 + per_minute * number / 6 + per_peer * connected + dice.gauss(0, noise)
        found.append(Sample(number * 10.0, 0.0, 0.0, 0.0, 0, round(value), 0, 0, connected))
    return found


def test_what_peers_bring_is_no_growth_and_what_leaks_is() -> None:
    flat = slope_of(samples(0, 12, 1.0), "descriptors")
    assert flat.per_peer == pytest.approx(12, abs=0.2)
    assert flat.surely < 0.02
    leaking = slope_of(samples(0.5, 12, 1.0), "descriptors")
    assert leaking.per_minute == pytest.approx(0.5, abs=0.05)
    assert leaking.surely > 0.4


def test_few_noisy_samples_prove_nothing() -> None:
    few = slope_of(samples(0, 1, 5.0)[:8], "descriptors")
    assert few.surely < abs(few.per_minute)


def test_memory_is_read_by_the_kernels_names() -> None:
    sizes = memory_of(os.getpid())
    assert 0 < sizes["Anonymous"] <= sizes["Rss"]
    assert sizes["Pss"] <= sizes["Rss"]
