# SPDX-License-Identifier: MIT
"""Figures are kept for one machine and one version, and a broken file is as good as none."""

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import node
from node.executor import measured
from node.executor.measured import FILE, Gpu, Measured, key_of, measured_from, recall, remember
from node.executor.providers import CPU, CUDA
from tests.node.executor.machines import MACHINE, MEASURED


def test_a_measurement_survives_the_way_through_a_file(tmp_path: Path) -> None:
    told = replace(MEASURED, gpus=(Gpu("A GPU", 24_000),), providers=(CUDA, CPU))
    remember(tmp_path, "key", told)
    assert recall(tmp_path, "key") == told
    assert recall(tmp_path, "another key") is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '"key"',
        "[" * 10_000,
        '{"key": "key"}',
        '{"key": "key", "measured": null}',
        '{"key": ["key"], "measured": {}}',
        '{"key": "key", "measured": {"fp32_mflops": 1}}',
        "9" * 10_000,
        " " * 100_000,
        "\ud800",
    ],
)
def test_a_broken_file_is_as_good_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_bytes(text.encode("utf-8", "surrogatepass"))
    assert recall(tmp_path, "key") is None


GOOD_FIELDS = MEASURED.as_document()


@pytest.mark.parametrize(
    "change",
    [
        {"fp32_mflops": 0},
        {"fp32_mflops": -1},
        {"fp32_mflops": True},
        {"fp32_mflops": 1.5},
        {"fp32_mflops": "1"},
        {"fp32_mflops": None},
        {"fp32_mflops": 10**13},
        {"on_core_percent": 101},
        {"providers": []},
        {"providers": "CPUExecutionProvider"},
        {"providers": [CPU, CUDA]},
        {"providers": ["AzureExecutionProvider", CPU]},
        {"providers": [*(f"P{number}" for number in range(100)), CPU]},
        {"providers": [1, CPU]},
        {"gpus": {}},
        {"gpus": [["x"]]},
        {"gpus": [["x", 0]]},
        {"gpus": ["xy"]},
        {"gpus": [["x" * 1000, 1]]},
        {"runtime": "two\nlines"},
        {"runtime": 7},
        {"extra": 1},
    ],
)
def test_what_is_no_measurement_is_not_taken_for_one(change: dict[str, object]) -> None:
    assert measured_from(GOOD_FIELDS) == MEASURED
    with pytest.raises(ValueError, match=r"."):
        measured_from({**GOOD_FIELDS, **change})


@pytest.mark.parametrize(
    "other",
    [
        {"cpu_model": "Another Engine"},
        {"cpu_features": ("avx2",)},
        {"cores_physical": 2},
        {"cores_logical": 4},
        {"memory_total_mib": 15_999},
        {"cache_kib": 1},
    ],
)
def test_another_machine_has_another_key(other: dict[str, Any]) -> None:
    assert key_of(replace(MACHINE, **other)) != key_of(MACHINE)


@pytest.mark.parametrize(
    "other",
    [
        {"memory_available_mib": 1},
        {"disk_mib": 1},
        {"disk_total_mib": 1},
        {"memory_mib": 1},
        {"cores_usable": 0.5},
    ],
)
def test_what_changes_by_itself_does_not_change_the_key(other: dict[str, Any]) -> None:
    assert key_of(replace(MACHINE, **other)) == key_of(MACHINE)


def test_another_version_has_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {key_of(MACHINE)}
    monkeypatch.setattr(measured, "__version__", f"{node.__version__}.1")
    keys.add(key_of(MACHINE))
    monkeypatch.setattr(measured, "PROBE_VERSION", measured.PROBE_VERSION + 1)
    keys.add(key_of(MACHINE))
    monkeypatch.setattr(measured, "version", lambda name: f"{name} 99")
    keys.add(key_of(MACHINE))
    monkeypatch.setattr(measured, "identity", lambda: ("another machine",))
    keys.add(key_of(MACHINE))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    keys.add(key_of(MACHINE))
    assert len(keys) == 6


def test_the_id_of_the_machine_is_not_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measured, "identity", lambda: ("b5e0c0ffee",))
    remember(tmp_path, key_of(MACHINE), MEASURED)
    assert "c0ffee" not in (tmp_path / FILE).read_text(encoding="utf-8")


def test_a_cache_folder_that_is_made_for_it_is_this_users_alone(tmp_path: Path) -> None:
    remember(tmp_path / "cache", "key", MEASURED)
    assert (tmp_path / "cache").stat().st_mode & 0o777 == 0o700


def test_a_reader_never_sees_half_of_what_several_write_at_once(tmp_path: Path) -> None:
    remember(tmp_path, "key", MEASURED)
    tellings = [replace(MEASURED, fp32_mflops=number) for number in range(1, 5)]

    def write(told: Measured) -> None:
        for _ in range(20):
            remember(tmp_path, "key", told)

    writers = [threading.Thread(target=write, args=[told]) for told in tellings]
    for writer in writers:
        writer.start()
    seen = {recall(tmp_path, "key") for _ in range(100)}
    for writer in writers:
        writer.join()
    assert seen <= {MEASURED, *tellings}
    assert recall(tmp_path, "key") in tellings
    assert [each.name for each in tmp_path.iterdir()] == [FILE]
