# SPDX-License-Identifier: MIT
"""The same seed is the same run, message by message, whatever process it is in."""

import os
import subprocess
import sys

import pytest

from tests.tree import ROOT


def digests(hash_seed: int, *seeds: int) -> list[list[str]]:
    """Run the eventful world in a process with this hash seed; give a row for each seed."""
    command = [sys.executable, "-m", "tests.simulations.eventful", *map(str, seeds)]
    environ = {**os.environ, "PYTHONHASHSEED": str(hash_seed)}
    done = subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, check=True
    )
    rows = [line.split(" ", 3) for line in done.stdout.splitlines()]
    assert [row[0] for row in rows] == list(map(str, seeds))
    assert not any(row[3] for row in rows), rows
    return rows


@pytest.mark.parametrize("runs", [2, pytest.param(20, marks=pytest.mark.soak)])
def test_one_seed_has_one_digest_in_processes_with_other_hash_seeds(runs: int) -> None:
    found = [digests(100 + number, 4711) for number in range(runs)]
    assert int(found[0][0][2]) > 1000, "nothing much has happened"
    assert len({row[1] for (row,) in found}) == 1


def test_other_seeds_have_other_digests_and_what_ran_before_changes_nothing() -> None:
    rows = digests(7, 1, 2, 3, 1)
    assert rows[0] == rows[3]
    assert len({row[1] for row in rows}) == 3
