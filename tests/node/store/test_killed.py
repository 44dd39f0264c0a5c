# SPDX-License-Identifier: MIT
"""Real processes, killed while they write: what was acknowledged is there, nothing is half."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tree import ROOT


def run(*arguments: object) -> int:
    """Run the program, and give the number that it ends with."""
    command = [sys.executable, "-m", "tests.node.store.killed", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stderr}"  # with the seed
    return int(done.stdout)


@pytest.mark.slow
def test_whoever_is_killed_at_any_moment_has_lost_nothing_that_he_was_told_is_written(
    tmp_path: Path,
) -> None:
    """Ten times on one database. What is there is what was called first, without a hole."""
    assert run("moments", tmp_path, 10, 1) > 0


@pytest.mark.soak
def test_two_hundred_kills_lose_nothing(tmp_path: Path) -> None:
    seed = random.SystemRandom().getrandbits(32)
    assert run("moments", tmp_path, 200, seed) > 0


@pytest.mark.slow
def test_whoever_is_killed_at_any_statement_finds_each_write_and_each_migration_whole_or_not_there(
    tmp_path: Path,
) -> None:
    """One is killed before the first statement, one before the second, up to the last."""
    assert run("statements", tmp_path) > 20
