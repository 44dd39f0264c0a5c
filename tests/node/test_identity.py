# SPDX-License-Identifier: MIT
"""A node has one key: made once, kept closed, and never changed by an accident."""

import os
import stat
import threading
from pathlib import Path

import pytest

from node.clock import SystemClock
from node.errors import ConfigError
from node.identity import Identity, identity_file, load, load_or_make
from node.paths import Paths
from protocol.keys import peer_id
from tests.node.mesh.virtual_clock import VirtualClock


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(*(tmp_path / name for name in ("config", "state", "cache", "runtime")))


def refused(paths: Paths) -> str:
    with pytest.raises(ConfigError) as raised:
        load_or_make(paths, SystemClock())
    return str(raised.value)


def test_the_first_start_makes_an_identity_and_the_next_one_finds_it(paths: Paths) -> None:
    assert load(paths) is None
    made = load_or_make(paths, SystemClock())
    assert load_or_make(paths, SystemClock()).seed == made.seed
    found = load(paths)
    assert found is not None
    assert found.me == made.keypair.public


def test_two_nodes_have_two_identities(tmp_path: Path) -> None:
    both = [
        load_or_make(Paths(*[tmp_path / name] * 4), SystemClock()).me for name in ("one", "two")
    ]
    assert both[0] != both[1]


def test_only_its_owner_can_read_it_and_nothing_else_is_left_in_the_folder(paths: Paths) -> None:
    load_or_make(paths, SystemClock())
    assert stat.S_IMODE(identity_file(paths).stat().st_mode) == 0o600
    assert stat.S_IMODE(paths.state.stat().st_mode) == 0o700
    assert list(paths.state.iterdir()) == [identity_file(paths)]


def test_whoever_finds_the_file_can_read_what_it_is(paths: Paths) -> None:
    made = load_or_make(paths, SystemClock())
    text = identity_file(paths).read_text()
    assert text.startswith("# The identity of a node of the compute commons.")
    assert peer_id(made.me) in text


def test_an_identity_shows_its_seed_in_no_log(paths: Paths) -> None:
    made = load_or_make(paths, VirtualClock("shown"))
    assert repr(made.seed) not in repr(made)
    assert made.seed.hex() not in repr(made)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660])
def test_a_file_that_others_can_read_is_refused_with_the_command_that_closes_it(
    paths: Paths, mode: int
) -> None:
    load_or_make(paths, SystemClock())
    identity_file(paths).chmod(mode)
    assert f"chmod 600 {identity_file(paths)}" in refused(paths)


def test_a_file_of_somebody_else_is_refused(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    load_or_make(paths, SystemClock())
    real = os.fstat

    def of_another(descriptor: int) -> os.stat_result:
        found = list(real(descriptor))
        found[4] = os.geteuid() + 1
        return os.stat_result(found)

    monkeypatch.setattr("os.fstat", of_another)
    assert f"belongs to user {os.geteuid() + 1}" in refused(paths)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("seed ", "sead ", "wanted are the lines"),
        ("seed ", "", "wanted are the lines"),
        ("\nseed ", "\nmore words\nseed ", "wanted are the lines"),
        ("peer 12D3", "peer 12D4", "its seed is not that of"),
        ("seed ", "seed 00", "33 bytes instead of 32"),
    ],
)
def test_a_damaged_file_is_refused_and_stays_as_it_is(
    paths: Paths, old: str, new: str, said: str
) -> None:
    """A new identity in its place would be a new node, without its credit."""
    load_or_make(paths, VirtualClock("damaged"))
    file = identity_file(paths)
    text = file.read_text()
    damaged = text.replace(old, new)
    file.write_text(damaged)
    assert said in refused(paths)
    assert file.read_text() == damaged


def test_a_file_that_was_cut_is_refused(paths: Paths) -> None:
    load_or_make(paths, VirtualClock("cut"))
    file = identity_file(paths)
    file.write_text(file.read_text()[:-3])
    assert "31 bytes instead of 32" in refused(paths)


@pytest.mark.parametrize("data", [b"", b"\xff" * 40, b"x" * 5000])
def test_another_file_in_its_place_is_refused(paths: Paths, data: bytes) -> None:
    load_or_make(paths, SystemClock())
    identity_file(paths).write_bytes(data)
    assert str(identity_file(paths)) in refused(paths)


def test_one_bit_of_the_seed_is_noticed(paths: Paths) -> None:
    load_or_make(paths, VirtualClock("bit"))
    file = identity_file(paths)
    text = file.read_text()
    place = text.index("seed ") + 7
    file.write_text(text[:place] + ("1" if text[place] == "0" else "0") + text[place + 1 :])
    assert "its seed is not that of" in refused(paths)


def test_a_pipe_in_its_place_holds_nobody_up(paths: Paths) -> None:
    paths.state.mkdir(mode=0o700)
    os.mkfifo(identity_file(paths), 0o600)
    assert "is none: move it away" in refused(paths)


def test_processes_that_start_at_once_become_one_node(paths: Paths) -> None:
    found: list[Identity] = []
    begin = threading.Barrier(6)

    def start() -> None:
        begin.wait()
        found.append(load_or_make(paths, SystemClock()))

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert len({each.seed for each in found}) == 1
    assert list(paths.state.iterdir()) == [identity_file(paths)]


def test_a_node_that_dies_while_it_makes_its_identity_has_none_and_makes_one_later(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", dies)
        assert "No space left on device" in refused(paths)
    assert list(paths.state.iterdir()) == []
    assert load_or_make(paths, SystemClock()).seed
