# SPDX-License-Identifier: MIT
"""What a made world says of a mesh is what real processes do."""

import sys
from pathlib import Path

import pytest

from tests.e2e.fidelity import Told, told_by_a_made_world, told_by_processes
from tests.e2e.forked import Spawner

#: Counts may differ by so much of what the made world has.
SHARE = 0.2


@pytest.mark.slow
def test_a_made_world_tells_the_same_story_as_real_processes(
    tmp_path: Path, spawner: Spawner
) -> None:
    real, moments = told_by_processes(tmp_path, spawner, steady_s=16)
    compare(real, told_by_a_made_world(moments, seed=0, steady_s=16))


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(3))
def test_it_is_the_same_over_minutes(tmp_path: Path, spawner: Spawner, seed: int) -> None:
    real, moments = told_by_processes(tmp_path, spawner, steady_s=100)
    compare(real, told_by_a_made_world(moments, seed=seed, steady_s=100))


def compare(real: Told, made: Told) -> None:
    """Tell the figures, and insist that they are near each other and all promises kept."""
    apart = []
    for part, count in real.counts.items():
        for protocol, frames in sorted(count.frames.items()):
            there = made.counts[part].frames[protocol]
            sys.stdout.write(
                f"\n{part}: {protocol}, {frames} frames of processes in {count.seconds:.1f} s, "
                f"{there} in a made world in {made.counts[part].seconds:.1f} s"
            )
            if abs(frames - there) > SHARE * there:
                apart.append((part, protocol, frames, there))
    assert real.verdicts == made.verdicts
    assert all(made.verdicts.values())
    assert not apart
