# SPDX-License-Identifier: MIT
"""Files of networks: closed to others, whole, read strictly, and changed by many at a time."""

import stat
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from node.clock import SystemClock
from node.errors import ConfigError
from node.networks import COMMONS, Networks, parse_bootstrap
from node.paths import Paths
from protocol.invite import Invite
from protocol.keys import Keypair
from tests.node.network_scene import PEER, address, invite_of, networks_at


@pytest.fixture
def mine(tmp_path: Path) -> Networks:
    return networks_at(tmp_path / "mine")


def test_files_are_closed_to_others(mine: Networks) -> None:
    mine.found("school", private=True)
    assert stat.S_IMODE(mine.folder.stat().st_mode) == 0o700
    for path in mine.folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_others_can_read_is_refused(mine: Networks) -> None:
    school = mine.found("school", private=True)
    (mine.folder / f"{school.id.hex()}.json").chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        mine.active()


def test_a_network_shows_its_secrets_in_no_log(mine: Networks) -> None:
    school = mine.found("school", private=True)
    assert school.secrets[1].hex() not in repr(school)
    assert repr(school.secrets[1]) not in repr(school)


def test_changes_of_many_at_once_are_all_kept(tmp_path: Path) -> None:
    """Each has its own open file and so its own lock, as processes have."""
    names = [f"circle {number}" for number in range(8)]
    paths = Paths(*(tmp_path / name for name in ("config", "state", "cache", "runtime")))
    mine = Networks(paths, SystemClock())
    begin = threading.Barrier(len(names))

    def change(name: str) -> None:
        own = Networks(paths, SystemClock())
        begin.wait()
        own.found(name, private=True)
        own.join(Invite(COMMONS.id, "commons", COMMONS.salt, 0, b"", 0, (address(len(name)),)))
        number = int(name.split()[1])
        own.join(Invite(COMMONS.id, "commons", COMMONS.salt, 0, b"", 0, (address(100 + number),)))

    threads = [threading.Thread(target=change, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {each.name for each in mine.all()} == {"commons", *names}
    commons = mine.named("commons")
    assert {address(100 + number) for number in range(8)} <= set(commons.bootstrap)


def test_a_marker_that_leads_nowhere_is_said(mine: Networks) -> None:
    mine.found("school", private=True)
    for text in ("no network", "00" * 16):
        (mine.folder / "active").write_text(text)
        with pytest.raises(ConfigError, match="which is not known"):
            mine.active()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"name": "school"', '"name": 7', "the key `name` has the value 7"),
        ('"name": "school"', '"name": "a\\u001bb"', "the key `name` has the value"),
        ('"name": "school"', '"name": "other"', "is the file of network"),
        ('"salt": "', '"salt": "0', "the key `salt` has the value"),
        ('"version": 1', '"version": 2', "written by a newer program"),
        ('"version": 1', '"version": true', "the key `version` has the value true"),
        ('"version": 1,', "", "the key `version` is missing"),
        ('"version": 1', '"version": 1, "colour": "red"', "the key `colour` is unknown"),
        ('"1": "', '"one": "', 'the key `secrets` has the value "one"'),
        ('"1": "', '"01": "', 'the key `secrets` has the value "01"'),
        ('"1": "', '"1": "00', "the key `secrets.1` has a wrong value"),
        ('"bootstrap": []', '"bootstrap": "x"', 'the key `bootstrap` has the value "x"'),
        ('"bootstrap": []', '"bootstrap": ["x"]', 'the key `bootstrap` has the value "x"'),
        ("{", "[", "is no JSON"),
        ("{", '["a"] {', "is no JSON"),
    ],
)
def test_a_wrong_file_is_refused_with_its_key_and_value(
    mine: Networks, old: str, new: str, said: str
) -> None:
    school = mine.found("school", private=True)
    path = mine.folder / f"{school.id.hex()}.json"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ConfigError) as raised:
        mine.active()
    assert str(path) in str(raised.value)
    assert said in str(raised.value)
    assert school.secrets[1].hex() not in str(raised.value)


def test_a_network_reads_back_as_it_was_written(mine: Networks) -> None:
    school = mine.found("Schüler & Eltern", private=True)
    mine.rotate()
    mine.join(
        replace(invite_of(mine.invite([address(1)], for_s=0)), bootstrap=(address(2), address(3)))
    )
    found = mine.active()
    assert found.name == "Schüler & Eltern"
    assert found.id == school.id
    assert found.bootstrap == (address(2), address(3))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/ip4/192.0.2.1/tcp/4001",
        f"/ip4/192.0.2.1/tcp/70000/p2p/{PEER}",
        f"/ip4/192.0.2.1/tcp/4001/p2p/{PEER}/more",
        f"/ip4/192.0.2.1/tcp/4001/p2p/{PEER[:-3]}",
        f"/udp/192.0.2.1/tcp/4001/p2p/{PEER}",
        f"/dns/{'a' * 250}/tcp/4001/p2p/{PEER}",
    ],
)
def test_an_address_that_leads_to_nobody_is_told_apart(text: str) -> None:
    assert parse_bootstrap(text) is None
    assert parse_bootstrap(address(1)) == (Keypair(b"\x07" * 32).public, address(1))
