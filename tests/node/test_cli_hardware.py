# SPDX-License-Identifier: MIT
"""`commons hardware` says in words what was measured, and says when it was not."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from node.cli import hardware as command
from node.cli.main import main
from node.clock import Clock, SystemClock
from node.executor import hardware
from node.executor.hardware import Hardware
from node.executor.machine import look
from node.executor.measured import FILE, Gpu, Measured, key_of, recall, remember
from node.executor.providers import CPU, CUDA
from node.exits import ExitCode
from protocol.errors import Refused
from protocol.reasons import Reason
from tests.node.executor.machines import MACHINE, MEASURED
from tests.tree import ROOT

HOUR_S = 3_600


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the cache, in a home of its own."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)  # part of the key
    monkeypatch.setenv("COMMONS_HOME", str(tmp_path))
    return tmp_path / "cache"


@pytest.fixture
def known(cache: Path) -> Measured:
    """What was measured two hours and a half ago, on this machine."""
    at_s = int(SystemClock().now().wall_s) - 5 * HOUR_S // 2
    measured = replace(MEASURED, measured_at_s=at_s)
    remember(cache, key_of(look(cache)), measured)
    return measured


@pytest.mark.usefixtures("known")
def test_what_is_known_is_shown_with_units_and_earnings(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hardware"]) == ExitCode.OK
    printed = capsys.readouterr()
    lines = {line.split("  ", 1)[0]: line for line in printed.out.splitlines()}
    assert "100 GFLOP/s" in lines["float32"]
    assert "400 GOP/s" in lines["int8"]
    assert "20 GB/s" in lines["bandwidth"]
    assert "GiB" in lines["memory"]
    assert "GiB" in lines["disk"]
    assert lines["GPU"].split()[1] == "none"
    assert CPU in lines["providers"]
    assert "2 hours ago" in lines["measured"]
    assert "about 100,000 CU a second" in printed.out
    assert "10.0 us for 1 CU" in printed.out
    assert "200,000 where it reads weights (5.0 us for 1 CU)" in printed.out
    assert printed.err == ""


def test_as_json_it_is_one_document(known: Measured, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["hardware", "--json"]) == ExitCode.OK
    document = json.loads(capsys.readouterr().out)
    assert document["v"] == 1
    assert document["advert"]["fp32_mflops"] == known.fp32_mflops
    assert document["advert"]["cores"] >= 1
    assert document["measured"]["measured_at_s"] == known.measured_at_s
    assert document["measured"]["providers"] == [CPU]
    assert document["machine"]["memory_available_mib"] > 0
    assert document["fp32_cu_per_s"] == 100_000
    assert 2 * HOUR_S < document["age_s"] < 3 * HOUR_S


@pytest.mark.parametrize("refresh", [True, False])
def test_refresh_is_handed_on(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], refresh: bool
) -> None:
    asked: list[tuple[Path, bool]] = []

    def probe_here(folder: Path, _: Clock, *, refresh: bool) -> Hardware:
        asked.append((folder, refresh))
        return Hardware(MACHINE, MEASURED)

    monkeypatch.setattr(hardware, "probe_here", probe_here)
    assert main(["hardware", *(["--refresh"] if refresh else [])]) == ExitCode.OK
    assert asked == [(cache, refresh)]
    assert capsys.readouterr().err == ""  # nobody waits at a terminal


@pytest.mark.usefixtures("cache")
def test_a_probe_that_failed_is_a_failure_and_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def probe_here(*_: object, **__: object) -> Hardware:
        raise Refused(Reason.RUN_FAILED, "the hardware probe ended by SIGILL")

    monkeypatch.setattr(hardware, "probe_here", probe_here)
    assert main(["hardware"]) == ExitCode.FAILED
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("commons: the hardware probe ended by SIGILL.")


@pytest.mark.slow
@pytest.mark.usefixtures("cache")
def test_a_new_machine_is_measured_and_remembered(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "node.cli.main", "hardware", "--json"],
        cwd=ROOT,
        env={"COMMONS_HOME": str(tmp_path), "HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=True,
    )
    document = json.loads(done.stdout)
    assert document["advert"]["fp32_mflops"] > 100
    assert document["age_s"] < 600
    kept = recall(tmp_path / "cache", key_of(look(tmp_path / "cache")))
    assert kept
    assert kept.as_document() == document["measured"]
    # nothing else: no telemetry, no litter
    assert [each.name for each in tmp_path.rglob("*") if each.is_file()] == [FILE]


def told(change: dict[str, Any], of_machine: dict[str, Any]) -> str:
    """All that is printed about a changed machine, as one text."""
    found = Hardware(replace(MACHINE, **of_machine), replace(MEASURED, **change))
    return "\n".join(" | ".join(row) for row in command.rows(found, 0))


def test_a_gpu_is_shown_with_its_memory_and_its_limits() -> None:
    text = told({"gpus": (Gpu("NVIDIA A10", 23_028),), "providers": (CUDA, CPU)}, {})
    assert "GPU | NVIDIA A10 | 22.5 GiB of its own memory; for trusted work only" in text
    assert "providers | 2 | CUDAExecutionProvider CPUExecutionProvider" in text


def test_small_and_fast_machines_have_fitting_units() -> None:
    text = told({"int8_mops": 2_500_000}, {"memory_mib": 512, "cpu_features": ()})
    assert "int8 | 2.5 TOP/s" in text
    assert "memory | 512 MiB" in text
    assert "features not known" in text


def test_a_machine_without_speed_still_has_sentences() -> None:
    slow = Hardware(replace(MACHINE, cores_usable=0.01), replace(MEASURED, fp32_mflops=1))
    assert "about 0 CU" in command.earnings(slow)[0]


@pytest.mark.parametrize(
    ("age_s", "words"),
    [
        (0, "just now"),
        (59, "just now"),
        (60, "1 minute ago"),
        (7_199, "1 hour ago"),
        (7_200, "2 hours ago"),
        (200_000, "2 days ago"),
    ],
)
def test_an_age_is_told_in_its_largest_unit(age_s: int, words: str) -> None:
    assert command.age(age_s) == words
