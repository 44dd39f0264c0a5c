# SPDX-License-Identifier: MIT
"""What passes over links is a function of the seed, whatever process asks."""

import os
import subprocess
import sys

import pytest

from simulations.determinism import run_in_virtual_time
from tests.simulations.restless_world import live
from tests.tree import ROOT


def digest_elsewhere(seed: str, hash_seed: int) -> str:
    """Run it in a process of its own, where sets of strings have another order."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulations.restless_world", seed],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()[0]


@pytest.mark.slow
def test_five_processes_with_other_hashes_see_the_same_messages() -> None:
    assert len({digest_elsewhere("8", each) for each in range(5)}) == 1


def test_another_process_sees_the_same_messages() -> None:
    here = run_in_virtual_time("7", live, "7")
    assert digest_elsewhere("7", 1) == here.digest()
    kinds = {each.kind for each in here.rows}
    assert {"met", "ended", "refused", "parted", "lifted", "killed", "frozen", "thawed"} <= kinds


def test_another_seed_is_another_world() -> None:
    digests = {run_in_virtual_time(each, live, each).digest() for each in ("1", "2", "1")}
    assert len(digests) == 2
