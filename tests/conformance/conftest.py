# SPDX-License-Identifier: MIT
"""The slice of the suite, with what ONNX Runtime makes of it here. Made once for all tests."""

import subprocess
import sys

import pytest

from tests.conformance.baseline import Judged, read
from tests.conformance.slice import candidates
from tests.conformance.suite import Case
from tests.tree import ROOT


@pytest.fixture(scope="session")
def slice_baseline(tmp_path_factory: pytest.TempPathFactory) -> tuple[Judged, ...]:
    """The verdicts of the slice; in a process of its own, because it forks."""
    path = tmp_path_factory.mktemp("conformance") / "baseline.jsonl"
    command = [sys.executable, "-m", "tests.conformance", "--slice", "--baseline", str(path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return read(path)


@pytest.fixture(scope="session")
def slice_cases(slice_baseline: tuple[Judged, ...]) -> tuple[Case, ...]:
    """The cases of the slice that pass in-process."""
    passing = {judged.name for judged in slice_baseline if judged.verdict == "pass"}
    return tuple(case for case in candidates() if case.name in passing)
