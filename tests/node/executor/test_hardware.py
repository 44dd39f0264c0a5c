# SPDX-License-Identifier: MIT
"""The probe is honest, runs apart, and its figures are kept for this machine alone."""

import json
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from node.executor import hardware
from node.executor.hardware import Hardware, probe, probe_here, weights_mib
from node.executor.machine import look
from node.executor.measured import FILE, Gpu, key_of, measured_from, recall, remember
from node.executor.providers import CPU, CUDA
from protocol.errors import Refused
from protocol.events import Instant
from protocol.limits import NAME_BYTES_MAX
from protocol.reasons import Reason
from tests.node.executor.machines import MACHINE, MEASURED
from tests.node.executor.odd_probe import GOOD
from tests.tree import ROOT

ODD = "tests.node.executor.odd_probe"
LONG_S = 60.0


class Wall:
    """A clock that shows one wall time."""

    def __init__(self, wall_s: float = 1_800_000_000.5) -> None:
        self.wall_s = wall_s

    def now(self) -> Instant:
        return Instant(mono_s=0.0, wall_s=self.wall_s)

    def dice(self, purpose: str) -> random.Random:
        raise NotImplementedError(purpose)

    def secret_bytes(self, count: int) -> bytes:
        raise NotImplementedError(count)


def files(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


@pytest.fixture
def how(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Tell the odd probe what to do; the figures of the cache are then of this wish, too."""
    return lambda what: monkeypatch.setenv("CUDA_VISIBLE_DEVICES", what)


# --- the child ------------------------------------------------------------------------------------


async def test_what_the_child_measured_is_given_and_kept(tmp_path: Path, how: Any) -> None:
    how("good")
    folder = tmp_path / "not" / "there" / "yet"
    found = await probe(folder, Wall(), module=ODD, deadline_s=LONG_S)
    assert found.measured == measured_from({**GOOD, "measured_at_s": 1_800_000_000})
    assert files(folder) == [FILE]
    again = await probe(folder, Wall(1.0), module="there.is.no.such.module")
    assert again.measured == found.measured


def test_a_command_gets_the_same_without_trio_around_it(tmp_path: Path, how: Any) -> None:
    how("good")
    found = probe_here(tmp_path, Wall(), module=ODD, deadline_s=LONG_S)
    assert found.fp32_mflops == GOOD["fp32_mflops"]
    assert probe_here(tmp_path, Wall(), module="no.such.module").measured == found.measured


async def test_refresh_measures_again_and_keeps_the_news(tmp_path: Path, how: Any) -> None:
    how("news")
    first = await probe(tmp_path, Wall(), module=ODD, deadline_s=LONG_S)
    second = await probe(tmp_path, Wall(), module=ODD, deadline_s=LONG_S, refresh=True)
    third = await probe(tmp_path, Wall(), module=ODD, deadline_s=LONG_S)
    assert first.measured != second.measured == third.measured


async def test_figures_of_a_short_memory_are_measured_anew(tmp_path: Path, how: Any) -> None:
    """They are partly those of the cache, and nobody would ever look again."""
    how("good")
    key = key_of(look(tmp_path))
    remember(tmp_path, key, replace(MEASURED, weights_mib=16))
    await probe(tmp_path, Wall(), module=ODD, deadline_s=LONG_S)
    assert recall(tmp_path, key) == measured_from({**GOOD, "measured_at_s": 1_800_000_000})


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("die", "ended with code 1: there is no engine here"),
        ("crash", "ended by SIGILL"),
        ("flood", "10000000 bytes, at most"),
        ("garbage", "no measurement"),
        ("empty", "no measurement"),
        ("list", "no measurement"),
        ("deep", "no measurement"),
        ("less", "no measurement"),
        ("more", "no measurement"),
        ("nan", "no measurement"),
        ("azure", "no measurement"),
    ],
)
async def test_a_child_that_fails_is_a_sentence(
    tmp_path: Path, how: Any, what: str, says: str
) -> None:
    how(what)
    with pytest.raises(Refused) as failed:
        await probe(tmp_path, Wall(), module=ODD, deadline_s=LONG_S)
    assert failed.value.reason is Reason.RUN_FAILED
    assert failed.value.detail.startswith("the hardware probe ")
    assert says in failed.value.detail
    assert files(tmp_path) == []


async def test_a_child_that_hangs_ends_at_its_deadline(tmp_path: Path, how: Any) -> None:
    how("hang")
    before = psutil.Process().children()
    with pytest.raises(Refused, match=r"the hardware probe was not done within 0\.05 s"):
        await probe(tmp_path, Wall(), module=ODD, deadline_s=0.05)
    assert set(psutil.Process().children()) <= set(before)


async def test_a_child_that_prints_is_still_heard(tmp_path: Path, how: Any) -> None:
    how("shout")
    found = await probe(tmp_path, Wall(), module=ODD, deadline_s=LONG_S)
    assert found.fp32_mflops == GOOD["fp32_mflops"]


def test_the_daemon_imports_nothing_of_the_child(tmp_path: Path) -> None:
    """Nor trio, as long as nothing has to be measured."""
    program = f"""
import sys
from pathlib import Path
from node.clock import SystemClock
from node.executor import hardware, providers
from node.executor.machine import look
from node.executor.measured import key_of, measured_from, remember
folder = Path({str(tmp_path)!r})
remember(folder, key_of(look(folder)), measured_from({ {**GOOD, "measured_at_s": 1}!r}))
hardware.probe_here(folder, SystemClock(), module="there.is.no.such.module")
print("trio" in sys.modules)
import node.executor.throwaway
print(*({{"numpy", "onnx", "onnxruntime"}} & sys.modules.keys()))
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]


async def test_a_broken_file_is_measured_anew(tmp_path: Path, how: Any) -> None:
    how("good")
    (tmp_path / FILE).write_text("{", encoding="utf-8")
    found = await probe(tmp_path, Wall(), module=ODD, deadline_s=LONG_S)
    assert recall(tmp_path, key_of(found.machine)) == found.measured


async def test_a_full_disk_costs_only_the_memory_of_it(
    tmp_path: Path, how: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    how("good")
    monkeypatch.setattr(json, "dump", full)
    found = await probe(tmp_path, Wall(), module=ODD, deadline_s=LONG_S)
    assert found.fp32_mflops == GOOD["fp32_mflops"]
    assert files(tmp_path) == []


async def test_a_file_in_the_place_of_the_folder_is_no_failure(tmp_path: Path, how: Any) -> None:
    how("good")
    (tmp_path / "cache").write_text("mine", encoding="utf-8")
    found = await probe(tmp_path / "cache", Wall(), module=ODD, deadline_s=LONG_S)
    assert found.fp32_mflops == GOOD["fp32_mflops"]
    assert found.disk_mib > 0


@pytest.mark.slow
async def test_this_machine_can_be_measured(tmp_path: Path) -> None:
    """Figures that no machine has, too low or too high, would be a mistake of units."""
    found = await probe(tmp_path, Wall(), deadline_s=LONG_S)
    assert 100 < found.measured.fp32_mflops < 1_000_000
    assert 100 < found.measured.int8_mops < 10_000_000
    assert 100 < found.measured.memory_mbps < 1_000_000
    assert CPU in found.measured.providers
    assert "AzureExecutionProvider" not in found.measured.providers
    assert found.measured.runtime.startswith("onnxruntime ")
    assert recall(tmp_path, key_of(found.machine)) == found.measured
    json.dumps(found.as_document())


# --- what is said of it ---------------------------------------------------------------------------


def test_the_fields_are_those_of_an_advert() -> None:
    from protocol.advert import Advert

    advert = Hardware(MACHINE, MEASURED).as_document()["advert"]
    assert isinstance(advert, dict)
    assert advert.keys() <= set(Advert.__dataclass_fields__)
    assert advert == {
        "cores": 8,
        "memory_mib": 16_000,
        "disk_mib": 50_000,
        "accelerator": "",
        "accelerator_mib": 0,
        "fp32_mflops": 100_000,
        "int8_mops": 400_000,
        "memory_mbps": 20_000,
    }


def test_what_a_core_earns_follows_from_the_price() -> None:
    """1 CU is a million operations, or a hundred thousand bytes."""
    found = Hardware(MACHINE, MEASURED)
    assert found.fp32_cu_per_s == 100_000
    assert found.memory_cu_per_s == 200_000


def test_a_quota_lowers_what_is_promised() -> None:
    half = Hardware(replace(MACHINE, cores_usable=0.5), MEASURED)
    assert (half.cores, half.fp32_mflops, half.memory_mbps) == (1, 50_000, 10_000)
    assert "0.5 of a core" in half.doubts[0]
    more = Hardware(replace(MACHINE, cores_usable=2.5), MEASURED)
    assert (more.cores, more.fp32_mflops, more.doubts) == (2, 100_000, ())


def test_a_gpu_counts_when_a_provider_can_use_it() -> None:
    gpus = (Gpu("NVIDIA A10", 23_028), Gpu("NVIDIA H200 " * 10, 143_771))
    unused = Hardware(MACHINE, replace(MEASURED, gpus=gpus))
    assert (unused.accelerator, unused.accelerator_mib) == ("", 0)
    assert "NVIDIA A10 is there" in unused.doubts[0]
    used = Hardware(MACHINE, replace(MEASURED, gpus=gpus, providers=(CUDA, CPU)))
    assert used.accelerator.startswith("NVIDIA H200")
    assert len(used.accelerator.encode()) <= NAME_BYTES_MAX
    assert (used.accelerator_mib, used.doubts) == (143_771, ())


def test_a_name_is_cut_between_characters() -> None:
    assert hardware._cut("é" * 100) == "é" * (NAME_BYTES_MAX // 2)
    assert hardware._cut("x" + "é" * 100) == "x" + "é" * ((NAME_BYTES_MAX - 1) // 2)


def test_a_busy_machine_and_a_huge_cache_are_said() -> None:
    busy = Hardware(MACHINE, replace(MEASURED, on_core_percent=20))
    assert "20 %" in busy.doubts[0]
    cached = Hardware(replace(MACHINE, cache_kib=504 * 1024), replace(MEASURED, weights_mib=256))
    assert "504 MiB" in cached.doubts[0]


@pytest.mark.parametrize(
    ("cache_mib", "available_mib", "read_mib"),
    [
        (0, 12_000, 64),
        (8, 12_000, 64),
        (32, 12_000, 128),
        (504, 12_000, 256),
        (32, 400, 48),
        (32, 0, 16),
    ],
)
def test_what_is_read_exceeds_the_cache_and_spares_the_memory(
    cache_mib: int, available_mib: int, read_mib: int
) -> None:
    machine = replace(MACHINE, cache_kib=cache_mib * 1024, memory_available_mib=available_mib)
    assert weights_mib(machine) == read_mib
