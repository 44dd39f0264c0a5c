# SPDX-License-Identifier: MIT
"""Runs the same thing twice, in processes with other hash seeds, and finds where they differ.

The first row of the trace that is not the same in both says when something came in that does not
follow from the seed: the clock on the wall, the order of a set, a thread, somebody else's dice.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

HASH_SEEDS = ("1", "2")

#: A run that was started for a comparison must not start two more.
WITHIN = "COMMONS_SIM_COMPARED"


class NotTheSameError(AssertionError):
    """Two runs of one seed differ."""


def check_test(item: pytest.Item) -> None:
    """Run a test of pytest twice; raise NotTheSameError where the runs differ."""
    if os.environ.get(WITHIN):
        return
    seed = item.callspec.params["sim_seed"]  # type: ignore[attr-defined]  # the plugin gave it one
    words = ["-m", "pytest", item.nodeid, f"--sim-seed={seed}", "-q", "-p", "no:cacheprovider"]
    check_twice(words, "--sim-trace", f"seed {seed}", item.config.rootpath)


def check_twice(words: Sequence[str], trace_option: str, what: str, folder: Path) -> int:
    """Run Python with these words twice; give how many rows were the same, which is all of them."""
    with TemporaryDirectory(prefix="commons-sim-") as place:
        traces = [Path(place) / each for each in HASH_SEEDS]
        for seed, trace in zip(HASH_SEEDS, traces, strict=True):
            environ = {**os.environ, "PYTHONHASHSEED": seed, WITHIN: "1"}
            command = [sys.executable, *words, f"{trace_option}={trace}"]
            done = subprocess.run(  # noqa: S603 - this same Python, with words of the person's own
                command, cwd=folder, env=environ, capture_output=True, text=True, check=False
            )
            if not trace.is_file() or not trace.stat().st_size:
                said = (done.stdout + done.stderr).strip()[-2000:]
                raise NotTheSameError(
                    f"{what}: a run for comparison left no trace; it said: {said}"
                )
        return compared(what, *traces)


def compared(what: str, one: Path, other: Path) -> int:
    """Give the count of rows of two traces that are the same; else raise NotTheSameError."""
    count = 0
    with one.open(encoding="utf-8") as ours, other.open(encoding="utf-8") as theirs:
        for count, (left, right) in enumerate(zip_longest(ours, theirs), start=1):
            if left != right:
                raise NotTheSameError(
                    f"{what}: two runs differ first in row {count}, at {_time_of(left, right)} s "
                    f"of virtual time.\n  one:   {_shown(left)}\n  other: {_shown(right)}\n"
                    "Something there does not follow from the seed: the clock on the wall, the "
                    "order of a set, a thread, or dice that are not the world's."
                )
    return count


def _time_of(*rows: str | None) -> str:
    given = next(row for row in rows if row)
    return given.partition(",")[0].strip("[ ")


def _shown(row: str | None) -> str:
    return row.rstrip("\n") if row else "(it had ended)"
