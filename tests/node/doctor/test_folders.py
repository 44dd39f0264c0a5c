# SPDX-License-Identifier: MIT
"""Folders that are open to others, on a disk of the network, or full; and nothing is made."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from node.doctor import folders
from node.paths import make_private
from tests.node.doctor.scenes import only, scene_at, states
from tests.node.executor.machines import MACHINE

MOUNTS = """\
/dev/root / ext4 rw 0 0
server:/export {home} nfs4 rw 0 0
tmpfs {home}/cache tmpfs rw 0 0
"""


def test_folders_that_are_missing_are_fine_and_are_not_made(tmp_path: Path) -> None:
    found = only(folders.see_folders(scene_at(tmp_path)))
    assert found.state == "pass"
    assert "None is there yet" in found.sentence
    assert list(tmp_path.iterdir()) == []


def test_folders_that_are_this_users_alone_pass(tmp_path: Path) -> None:
    scene = scene_at(tmp_path)
    for name in ("config", "state", "cache", "runtime"):
        make_private(tmp_path / name)
    found = only(folders.see_folders(scene))
    assert (found.state, "all" in found.sentence) == ("pass", False)
    assert "the first start" not in found.sentence


def test_a_folder_that_others_may_write_to_fails_with_the_command_that_closes_it(
    tmp_path: Path,
) -> None:
    make_private(tmp_path / "state").chmod(0o770)
    found = only(folders.see_folders(scene_at(tmp_path)))
    assert found.state == "fail"
    assert f"`chmod 700 {tmp_path / 'state'}`" in found.next_step
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o770  # the doctor mends nothing


def test_a_folder_that_others_can_look_into_is_warned_of(tmp_path: Path) -> None:
    make_private(tmp_path / "state").chmod(0o755)
    assert only(folders.see_folders(scene_at(tmp_path))).state == "warn"


def test_a_file_in_the_place_of_a_folder_fails(tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    found = only(folders.see_folders(scene_at(tmp_path)))
    assert "is no folder" in found.sentence


def test_a_folder_of_somebody_else_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_private(tmp_path / "state")
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    found = only(folders.see_folders(scene_at(tmp_path)))
    assert found.state == "fail"
    assert f"belongs to user {mine}" in found.sentence


def test_a_home_that_cannot_be_written_to_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    found = folders.see_folders(scene_at(tmp_path / "home"))
    assert states(found) == ["fail"] * 4


def test_a_path_that_no_socket_can_have_fails(tmp_path: Path) -> None:
    found = only(folders.see_folders(scene_at(tmp_path / ("x" * 120))))
    assert "socket" in found.sentence


@pytest.mark.parametrize(("folder", "kind"), [("", "nfs4"), ("cache", "tmpfs"), ("state", "nfs4")])
def test_the_file_system_is_that_of_the_nearest_mount(
    tmp_path: Path, folder: str, kind: str
) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/mounts").write_text(MOUNTS.format(home="/the/home"))
    assert folders.kind_of(Path("/the/home") / folder, tmp_path) == kind
    assert folders.kind_of(Path("/elsewhere"), tmp_path) == "ext4"


def test_a_mount_with_a_space_in_its_name_is_read(tmp_path: Path) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/mounts").write_text(r"server:/x /the\040home cifs rw 0 0")
    assert folders.kind_of(Path("/the home/state"), tmp_path) == "cifs"


def test_a_database_on_a_disk_of_the_network_is_warned_of(tmp_path: Path) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/mounts").write_text(MOUNTS.format(home=tmp_path))
    far = only(folders.see_disks(replace(scene_at(tmp_path), root=tmp_path)))
    assert (far.state, "nfs4" in far.sentence) == ("warn", True)
    assert only(folders.see_disks(scene_at(tmp_path))).state in {"pass", "warn"}
    unknown = only(folders.see_disks(replace(scene_at(tmp_path), root=tmp_path / "none")))
    assert "unknown" in unknown.sentence


def test_a_full_disk_is_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = scene_at(tmp_path, "governor.disk_free_mib=1000")
    monkeypatch.setattr(folders, "disk_space", lambda _: (9000 << 20, 2000 << 20))
    assert only(folders.see_space(scene)).state == "pass"
    monkeypatch.setattr(folders, "disk_space", lambda _: (9000 << 20, 999 << 20))
    found = only(folders.see_space(scene))
    assert (found.state, "nothing is fetched" in found.sentence) == ("warn", True)


def test_a_disk_without_room_for_the_books_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = scene_at(tmp_path)
    monkeypatch.setattr(folders, "disk_space", lambda _: (9000 << 20, 15 << 20))
    found = only(folders.see_space(scene))
    assert (found.state, "to write the books" in found.sentence) == ("fail", True)


def test_a_home_below_a_file_does_not_crash_the_look_at_space(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert only(folders.see_space(scene_at(tmp_path / "file"))).name == "space"


def test_the_command_that_closes_a_folder_can_be_pasted(tmp_path: Path) -> None:
    home = tmp_path / "a b"
    make_private(home / "cache").chmod(0o755)
    found = only(folders.see_folders(scene_at(home)))
    assert found.next_step == f"`chmod 700 '{home}/cache'`"


def test_models_near_their_share_are_warned_of(tmp_path: Path) -> None:
    scene = scene_at(tmp_path, "governor.disk_mib=64", "governor.disk_free_mib=0")
    blobs = make_private(scene.paths.models / "blobs")
    with (blobs / ("ab" * 32)).open("wb") as file:
        file.truncate(60 << 20)  # a hole takes no room
    found = only(folders.see_space(scene))
    assert (found.state, "60 of 64 MiB" in found.sentence) == ("warn", True)


@pytest.mark.parametrize(
    ("free_mib", "flag", "state"),
    [(12_000, "", "pass"), (500, "", "warn"), (12_000, "executor.memory_mib=20000", "warn")],
)
def test_memory_that_is_short_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_mib: int, flag: str, state: str
) -> None:
    monkeypatch.setattr(folders, "look", lambda *_: replace(MACHINE, memory_available_mib=free_mib))
    scene = scene_at(tmp_path, *([flag] if flag else []))
    assert only(folders.see_memory(scene)).state == state


def test_models_that_are_half_fetched_are_warned_of_while_no_node_runs(tmp_path: Path) -> None:
    scene = scene_at(tmp_path)
    assert only(folders.see_leftovers(scene)).state == "pass"
    make_private(scene.paths.models / "blobs" / ".unfinished-abc")
    assert only(folders.see_leftovers(scene)).state == "warn"
    assert only(folders.see_leftovers(scene_at(tmp_path, told={}))).state == "pass"
