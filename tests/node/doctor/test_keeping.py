# SPDX-License-Identifier: MIT
"""The identity, the networks, the clock and the databases, in order and not."""

import os
from pathlib import Path

import pytest

from node.doctor import keeping
from node.doctor.keeping import RELEASED_S, remembered
from node.identity import identity_file, load_or_make
from node.paths import make_private
from node.store.lock import hold
from node.store.settings import PORT, WALL_S
from protocol.keys import peer_id
from tests.node.doctor.scenes import database_at, only, scene_at, states


def files(folder: Path) -> set[str]:
    return {each.name for each in folder.rglob("*")}


def test_an_identity_is_named_and_a_missing_one_is_not_made(tmp_path: Path) -> None:
    scene = scene_at(tmp_path)
    assert only(keeping.see_identity(scene)).state == "pass"
    assert files(tmp_path) == set()
    identity = load_or_make(scene.paths, scene.clock)
    found = only(keeping.see_identity(scene))
    assert (found.state, peer_id(identity.me) in found.sentence) == ("pass", True)
    assert identity.seed.hex() not in str(found)


def test_an_identity_that_others_can_read_fails_with_the_command(tmp_path: Path) -> None:
    scene = scene_at(tmp_path)
    load_or_make(scene.paths, scene.clock)
    identity_file(scene.paths).chmod(0o644)
    found = only(keeping.see_identity(scene))
    assert found.state == "fail"
    assert f"`chmod 600 {identity_file(scene.paths)}`" in found.next_step


def test_the_network_in_use_is_named_with_the_versions_of_its_secret(tmp_path: Path) -> None:
    scene = scene_at(tmp_path)
    assert "`commons` is used (open)" in only(keeping.see_networks(scene)).sentence
    scene.networks().found("school", private=True)
    rotated = scene.networks().rotate()
    found = only(keeping.see_networks(scene))
    assert "`school` is used (private, secret versions 1, 2), of 2" in found.sentence
    assert all(each.hex() not in str(found) for each in rotated.secrets.values())


def test_a_network_whose_file_is_broken_fails(tmp_path: Path) -> None:
    scene = scene_at(tmp_path)
    network = scene.networks().found("school", private=True)
    (scene.networks().folder / f"{network.id.hex()}.json").write_text("{}")
    assert only(keeping.see_networks(scene)).state == "fail"
    assert scene.active() is None


def test_a_plausible_clock_passes(tmp_path: Path) -> None:
    assert only(keeping.see_clock(scene_at(tmp_path))).state == "pass"


def test_a_clock_of_before_the_program_fails(tmp_path: Path) -> None:
    assert only(keeping.see_clock(scene_at(tmp_path, wall_s=RELEASED_S - 1))).state == "fail"


@pytest.mark.parametrize(("behind_s", "state"), [(0.0, "pass"), (59.0, "pass"), (61.0, "fail")])
def test_a_clock_that_was_set_back_fails(tmp_path: Path, behind_s: float, state: str) -> None:
    scene = scene_at(tmp_path)
    database_at(scene, (WALL_S.name, str(1_800_000_000.0 + behind_s)))
    assert only(keeping.see_clock(scene)).state == state


def test_a_clock_that_stands_still_in_suspend_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Old:
        source = "CLOCK_MONOTONIC"

    scene = scene_at(tmp_path)
    monkeypatch.setattr(keeping, "SystemClock", Old)
    assert only(keeping.see_clock(scene)).state == "warn"


def test_databases_that_are_whole_pass_and_nothing_is_left_beside_them(tmp_path: Path) -> None:
    scene = scene_at(tmp_path)
    assert only(keeping.see_databases(scene)).sentence == "There is none yet."
    assert files(tmp_path) == set()
    path = database_at(scene)
    before = path.read_bytes()
    assert only(keeping.see_databases(scene)).sentence == "1 are there and whole."
    assert files(scene.paths.state) == {"node.db"}
    assert path.read_bytes() == before


def test_a_damaged_database_fails(tmp_path: Path) -> None:
    scene = scene_at(tmp_path)
    path = database_at(scene, ("port", "20001"))
    data = bytearray(path.read_bytes())
    data[4096:8192] = os.urandom(4096)
    path.write_bytes(data)
    found = only(keeping.see_databases(scene))
    assert found.state == "fail"
    assert "node.db" in found.sentence
    path.write_bytes(b"this is no database at all" * 100)
    assert states(keeping.see_databases(scene)) == ["fail"]
    assert remembered(scene, PORT) is None


def test_a_database_that_another_process_holds_fails_while_no_node_answers(
    tmp_path: Path,
) -> None:
    scene = scene_at(tmp_path)
    path = database_at(scene)
    held = hold(path.with_suffix(".lock"))
    try:
        found = only(keeping.see_databases(scene))
        assert (found.state, "XDG_RUNTIME_DIR" in found.sentence) == ("fail", True)
        assert keeping.see_databases(scene_at(tmp_path, told={})) == []
    finally:
        os.close(held)
    assert only(keeping.see_databases(scene)).state == "pass"
    os.close(hold(path.with_suffix(".lock")))  # the look has not kept the lock


def test_a_database_that_is_a_link_is_not_opened(tmp_path: Path) -> None:
    scene = scene_at(tmp_path)
    make_private(scene.paths.state)
    (tmp_path / "elsewhere.db").touch()
    (scene.paths.state / "node.db").symlink_to(tmp_path / "elsewhere.db")
    assert only(keeping.see_databases(scene)).state == "fail"
    assert remembered(scene, PORT) is None


def test_the_port_is_remembered(tmp_path: Path) -> None:
    scene = scene_at(tmp_path)
    assert remembered(scene, PORT) is None
    database_at(scene, ("port", "20001"))
    assert remembered(scene, PORT) == 20_001
