# SPDX-License-Identifier: MIT
"""What a made world says of a mesh is what real processes do."""

import sys
from collections.abc import Set as AbstractSet
from pathlib import Path

import pytest

from tests.e2e.fidelity import ALL, TROUBLE, Told, told_by_a_made_world, told_by_processes
from tests.e2e.forked import Spawner

#: Counts may differ by so much of what the made world has.
SHARE = 0.2


@pytest.mark.slow
def test_a_made_world_tells_the_same_story_as_real_processes(
    tmp_path: Path, spawner: Spawner
) -> None:
    """In parts as short as these a burst of pings falls on one side of an edge or on the other."""
    real, moments = told_by_processes(tmp_path, spawner, steady_s=15)
    compare(real, told_by_a_made_world(moments, seed=0, steady_s=15), {ALL})


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(3))
def test_it_is_the_same_over_minutes(tmp_path: Path, spawner: Spawner, seed: int) -> None:
    real, moments = told_by_processes(tmp_path, spawner, steady_s=100)
    made = told_by_a_made_world(moments, seed=seed, steady_s=100)
    # While one is killed so little is said that two dials which cross are a fifth of it.
    compare(real, made, real.counts.keys() - {TROUBLE})


def compare(real: Told, made: Told, judged: AbstractSet[str]) -> None:
    """Tell the figures, and insist that those of these parts are near each other."""
    apart = []
    for part, count in real.counts.items():
        for protocol, frames in sorted(count.frames.items()):
            there = made.counts[part].frames[protocol]
            sys.stdout.write(
                f"\n{part}: {protocol}, {frames} frames of processes in {count.seconds:.1f} s, "
                f"{there} in a made world in {made.counts[part].seconds:.1f} s"
            )
            if part in judged and abs(frames - there) > SHARE * there:
                apart.append((part, protocol, frames, there))
    assert real.verdicts == made.verdicts
    assert all(made.verdicts.values())
    assert not apart
