# SPDX-License-Identifier: MIT
"""Where files go, and that folders are private or refused."""

import os
import socket
import stat
from pathlib import Path

import platformdirs
import pytest

from node.errors import ConfigError
from node.paths import SOCKET_PATH_BYTES_MAX, Paths, find_paths, make_private, usable_socket

AS_ROOT = os.geteuid() == 0


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment that knows a home and nothing else."""
    for name in [name for name in os.environ if name.startswith(("XDG_", "COMMONS_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_commons_home_moves_all_four_folders(tmp_path: Path) -> None:
    assert find_paths({"COMMONS_HOME": str(tmp_path)}) == Paths(
        config=tmp_path / "config",
        state=tmp_path / "state",
        cache=tmp_path / "cache",
        runtime=tmp_path / "runtime",
    )


def test_asking_for_a_path_makes_nothing(tmp_path: Path) -> None:
    found = find_paths({"COMMONS_HOME": str(tmp_path / "new")})
    assert found.config_file.name == "config.toml"
    assert list(tmp_path.iterdir()) == []


def test_what_lies_in_the_folders_has_its_place(tmp_path: Path) -> None:
    found = find_paths({"COMMONS_HOME": str(tmp_path)})
    assert found.config_file == tmp_path / "config" / "config.toml"
    assert found.models == tmp_path / "cache" / "models"
    assert found.control_socket == tmp_path / "runtime" / "control.sock"


def test_a_tilde_in_commons_home_is_the_home(home: Path) -> None:
    """A unit of systemd and a container file hand it on as it stands."""
    assert find_paths({"COMMONS_HOME": "~/mesh"}).state == home / "mesh" / "state"


@pytest.mark.parametrize("path", ["mesh", "./mesh", "../mesh", "."])
def test_a_commons_home_that_depends_on_the_folder_of_the_start_is_refused(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a daemon and a command in another folder would see two different nodes."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="COMMONS_HOME") as raised:
        find_paths({"COMMONS_HOME": path})
    assert str(tmp_path) in str(raised.value)


def test_the_home_of_an_unknown_user_is_refused() -> None:
    with pytest.raises(ConfigError, match="home folder"):
        find_paths({"COMMONS_HOME": "~nobody-of-this-name/mesh"})


def test_a_commons_home_with_a_zero_byte_is_refused() -> None:
    with pytest.raises(ConfigError, match="zero byte"):
        find_paths({"COMMONS_HOME": "/a\0b"})


def test_an_empty_commons_home_counts_as_none(home: Path) -> None:
    assert find_paths({"COMMONS_HOME": ""}) == find_paths({})
    assert home in find_paths({}).config.parents


@pytest.mark.usefixtures("home")
def test_each_folder_carries_the_name_of_the_program() -> None:
    """A folder is made private: it must never be one that other programs use too."""
    found = find_paths({})
    for folder in (found.config, found.state, found.cache):
        assert folder.name == "commons"


def test_the_folders_of_the_desktop_are_honoured(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CONFIG", "STATE", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(home / name))
    found = find_paths(os.environ)
    assert found.config == home / "CONFIG" / "commons"
    assert found.state == home / "STATE" / "commons"
    assert found.cache == home / "CACHE" / "commons"


def test_the_runtime_folder_is_the_one_of_the_session(home: Path) -> None:
    assert find_paths({"XDG_RUNTIME_DIR": str(home)}).runtime == home / "commons"


@pytest.mark.parametrize("session", ["", "relative", "/no/such/folder", "/a\0b"])
def test_without_a_session_the_runtime_folder_is_below_the_state(home: Path, session: str) -> None:
    found = find_paths({"XDG_RUNTIME_DIR": session})
    assert found.runtime == found.state / "run"
    assert home in found.runtime.parents


def test_the_session_of_somebody_else_is_not_used(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After `su` the variable still names the folder of who was there before."""
    monkeypatch.setattr(os, "geteuid", lambda: home.stat().st_uid + 1)
    assert find_paths({"XDG_RUNTIME_DIR": str(home)}).runtime.name == "run"


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that is started with a number for a user."""

    class Homeless:
        def __init__(self, *_: object, **__: object) -> None:
            self.user_config_dir = "~/.config/commons"

        @property
        def user_state_dir(self) -> str:
            raise RuntimeError("could not determine the home directory")

    monkeypatch.setattr(platformdirs, "PlatformDirs", Homeless)
    with pytest.raises(ConfigError, match="set HOME, or COMMONS_HOME"):
        find_paths({})


def test_an_older_platformdirs_that_leaves_the_tilde_is_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Homeless:
        user_config_dir = user_state_dir = user_cache_dir = "~nobody-of-this-name/commons"

        def __init__(self, *_: object, **__: object) -> None:
            pass

    monkeypatch.setattr(platformdirs, "PlatformDirs", Homeless)
    with pytest.raises(ConfigError, match="set HOME, or COMMONS_HOME"):
        find_paths({})


def test_a_private_folder_and_all_above_it_are_made_for_this_user_alone(tmp_path: Path) -> None:
    folder = tmp_path / "one" / "two" / "three"
    assert make_private(folder) == folder
    for made in (folder, folder.parent, folder.parent.parent):
        assert mode_of(made) == 0o700


def test_making_a_private_folder_twice_is_fine(tmp_path: Path) -> None:
    make_private(tmp_path / "mine")
    (tmp_path / "mine" / "file").touch()
    make_private(tmp_path / "mine")
    assert (tmp_path / "mine" / "file").exists()


def test_an_umask_that_opens_everything_changes_nothing(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        make_private(tmp_path / "one" / "two")
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "one") == mode_of(tmp_path / "one" / "two") == 0o700


def test_a_folder_that_others_may_read_is_closed(tmp_path: Path) -> None:
    """As one that its owner made by hand, to put a config.toml into it."""
    folder = tmp_path / "mine"
    folder.mkdir()
    folder.chmod(0o755)
    make_private(folder)
    assert mode_of(folder) == 0o700


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o722, 0o1777])
def test_a_folder_that_others_may_write_to_is_refused_and_left_as_it_is(
    tmp_path: Path, mode: int
) -> None:
    """What lies in it may not be ours."""
    folder = tmp_path / "mine"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(ConfigError, match="chmod 700"):
        make_private(folder)
    assert mode_of(folder) == mode


def test_a_folder_that_anybody_can_exchange_is_refused(tmp_path: Path) -> None:
    above = tmp_path / "open"
    above.mkdir()
    above.chmod(0o777)
    with pytest.raises(ConfigError, match="in the place of"):
        make_private(above / "mine")


def test_a_folder_in_a_place_like_tmp_is_fine(tmp_path: Path) -> None:
    above = tmp_path / "sticky"
    above.mkdir()
    above.chmod(0o1777)
    assert make_private(above / "mine").is_dir()


def test_a_folder_of_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(ConfigError, match=f"belongs to user {owner}, and this is user {owner + 1}"):
        make_private(tmp_path)


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path: Path) -> None:
    file = tmp_path / "mine"
    file.touch()
    with pytest.raises(ConfigError, match="is none") as raised:
        make_private(file)
    assert str(file) in str(raised.value)


def test_a_file_in_the_place_of_a_folder_above_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ConfigError, match="cannot be made") as raised:
        make_private(file / "mine")
    assert str(file) in str(raised.value)


def test_a_link_that_leads_nowhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").symlink_to(tmp_path / "gone")
    with pytest.raises(ConfigError, match="cannot be used"):
        make_private(tmp_path / "mine")


def test_a_link_to_a_folder_of_ours_is_followed(tmp_path: Path) -> None:
    """As a cache that its owner put on a bigger disk."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "mine").symlink_to(tmp_path / "disk")
    make_private(tmp_path / "mine")
    assert mode_of(tmp_path / "disk") == 0o700


def test_a_name_that_is_too_long_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be made"):
        make_private(tmp_path / ("x" * 300))


@pytest.mark.skipif(AS_ROOT, reason="root may write everywhere")
def test_a_place_where_nothing_may_be_made_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigError, match="cannot be made: Permission denied"):
        make_private(tmp_path / "mine")


def test_a_folder_that_cannot_be_written_to_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a disk that was mounted for reading."""
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(ConfigError, match="cannot be written to"):
        make_private(tmp_path)


def test_the_longest_path_of_a_socket_is_the_one_that_the_system_takes(tmp_path: Path) -> None:
    """Found out by binding one: in a short folder of our own, else this could not be shown."""
    room = SOCKET_PATH_BYTES_MAX - len(os.fsencode(tmp_path)) - 1
    if room < 1:
        pytest.skip("the folder for tests is too deep for any socket")
    longest = tmp_path / ("s" * room)
    with socket.socket(socket.AF_UNIX) as ours:
        ours.bind(str(usable_socket(longest)))
    with socket.socket(socket.AF_UNIX) as ours, pytest.raises(OSError, match="too long"):
        ours.bind(f"{longest}s")
    with pytest.raises(ConfigError, match="choose a shorter COMMONS_HOME"):
        usable_socket(Path(f"{longest}s"))


def test_the_path_of_a_socket_is_counted_in_bytes() -> None:
    with pytest.raises(ConfigError, match="has 121 bytes"):
        usable_socket(Path("/" + "é" * 60))
