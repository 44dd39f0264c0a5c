# SPDX-License-Identifier: MIT
"""Versions, a stranger over our packages, an old kernel, a node of before an update."""

import platform
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from node import __version__
from node.doctor import programs
from node.doctor.programs import numbers
from tests.node.doctor.scenes import only, scene_at
from tests.tree import ROOT


def test_all_versions_that_somebody_asks_for_are_named(tmp_path: Path) -> None:
    found = only(programs.see_programs(scene_at(tmp_path)))
    assert found.state == "pass"
    for name in ("commons", "Python", *programs.LIBRARIES):
        assert f"{name} " in found.sentence


def test_a_library_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "LIBRARIES", ("trio", "no-such-thing"))
    found = only(programs.see_programs(scene_at(tmp_path)))
    assert found.state == "fail"
    assert "Not installed: no-such-thing" in found.sentence


def test_a_library_that_is_too_old_is_named_with_what_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert only(programs.see_older_libraries(scene_at(tmp_path))).state == "pass"
    monkeypatch.setattr(programs, "requires", lambda _: ["trio>=99.1", "numpy>=1", "x>=1"])
    found = only(programs.see_older_libraries(scene_at(tmp_path)))
    assert found.state == "warn"
    assert "and 99.1 is needed" in found.sentence
    assert "numpy" not in found.sentence


def test_a_stranger_in_the_place_of_our_package_is_found(tmp_path: Path) -> None:
    assert only(programs.see_strangers(scene_at(tmp_path))).state == "pass"

    def find(name: str) -> object:
        place = tmp_path if name == "protocol" else ROOT / name
        return SimpleNamespace(origin=str(place / "__init__.py"))

    found = only(programs.see_strangers(scene_at(tmp_path), find))
    assert found.state == "fail"
    assert "`protocol`" in found.sentence
    gone = only(programs.see_strangers(scene_at(tmp_path), lambda _: None))
    assert "nowhere" in gone.sentence


@pytest.mark.parametrize(
    ("system", "release", "state"),
    [("Linux", "6.1.0-13-amd64", "pass"), ("Linux", "5.10.0", "warn"), ("Darwin", "23", "warn")],
)
def test_a_kernel_without_the_layers_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str, release: str, state: str
) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "release", lambda: release)
    assert only(programs.see_kernel(scene_at(tmp_path))).state == state


def test_a_node_that_runs_the_program_of_before_an_update_is_noticed(tmp_path: Path) -> None:
    same = scene_at(tmp_path, told={"version": __version__})
    assert programs.see_running_version(same) == []
    found = only(programs.see_running_version(scene_at(tmp_path, told={"version": "0.0.9"})))
    assert found.state == "warn"
    assert "0.0.9" in found.sentence


def test_versions_are_compared_by_their_numbers() -> None:
    assert numbers("6.1.0-13-amd64") == (6, 1, 0)
    assert numbers("1.10") > numbers("1.9")
    assert numbers("unknown") == ()


@pytest.mark.slow
def test_nothing_heavy_is_imported_to_say_versions() -> None:
    import subprocess

    code = (
        "import sys; from node.doctor.programs import versions; versions();"
        "print(*({'onnxruntime', 'onnx', 'numpy', 'libp2p'} & sys.modules.keys()))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
