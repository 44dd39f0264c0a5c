# SPDX-License-Identifier: MIT
"""Networks: founded, joined by an invite, rotated, left; on the disk, and nothing is lost."""

from pathlib import Path

import pytest

from node.errors import ConfigError, NotFound
from node.network import BOOTSTRAP_MAX, SECRETS_MAX
from node.networks import COMMONS, Networks
from protocol.hello import network_id
from protocol.invite import Invite
from protocol.limits import ADDRESSES_MAX
from tests.node.mesh.virtual_clock import EPOCH_S
from tests.node.network_scene import address, invite_of, networks_at, same


@pytest.fixture
def mine(tmp_path: Path) -> Networks:
    return networks_at(tmp_path / "mine")


@pytest.fixture
def theirs(tmp_path: Path) -> Networks:
    return networks_at(tmp_path / "theirs")


def test_who_has_joined_nothing_is_in_the_open_network(mine: Networks) -> None:
    assert mine.active() == COMMONS
    assert mine.all() == [COMMONS]
    assert not COMMONS.is_private
    assert not mine.folder.exists()


def test_all_nodes_mean_the_same_open_network() -> None:
    """Changing name or salt would cut every node off from all older ones."""
    assert COMMONS.id == network_id("commons", b"compute commons.")
    assert COMMONS.id.hex() == "8680fc09e648f4b17eb135e448817630"


def test_a_private_network_has_a_secret_and_an_open_one_has_none(mine: Networks) -> None:
    school = mine.found("school", private=True)
    town = mine.found("town", private=False)
    assert (school.is_private, school.newest, len(school.secrets[1])) == (True, 1, 32)
    assert (town.is_private, town.newest) == (False, 0)
    assert mine.active().id == town.id
    assert [each.name for each in mine.all()] == ["commons", "school", "town"]


def test_two_networks_of_one_name_are_two(mine: Networks, theirs: Networks) -> None:
    assert mine.found("school", private=True).id != theirs.found("school", private=True).id


def test_an_invite_brings_another_node_into_the_network(mine: Networks, theirs: Networks) -> None:
    school = mine.found("school", private=True)
    joined = theirs.join(invite_of(mine.invite([address(1)], for_s=3600)))
    assert joined.id == school.id
    assert dict(joined.secrets) == dict(school.secrets)
    assert joined.bootstrap == (address(1),)
    assert same(theirs.active(), joined)


def test_an_invite_ends_when_it_says_so(mine: Networks) -> None:
    mine.found("school", private=True)
    invite = invite_of(mine.invite([address(1)], for_s=60))
    assert invite.expires_at_s == EPOCH_S + 60
    assert invite_of(mine.invite([address(1)], for_s=0)).expires_at_s == 0


def test_an_invite_names_others_too_so_that_it_outlives_its_writer(
    mine: Networks, theirs: Networks
) -> None:
    mine.found("town", private=False)
    theirs.join(invite_of(mine.invite([address(1), address(2), address(3)], for_s=0)))
    second = invite_of(theirs.invite([address(n) for n in range(10, 20)], 0, [address(9)]))
    assert len(second.bootstrap) == ADDRESSES_MAX
    assert second.bootstrap[-3:] == (address(9), address(1), address(2))
    third = invite_of(theirs.invite([address(1), address(9)], 0, [address(9)]))
    assert third.bootstrap == (address(1), address(9), address(2), address(3))


def test_an_address_without_a_peer_is_not_put_into_an_invite(mine: Networks) -> None:
    with pytest.raises(ConfigError, match="leads nowhere"):
        mine.invite(["/ip4/192.0.2.1/tcp/4001"], for_s=0)


def test_a_second_invite_adds_and_takes_nothing_away(mine: Networks, theirs: Networks) -> None:
    mine.found("school", private=True)
    theirs.join(invite_of(mine.invite([address(1)], for_s=0)))
    mine.rotate()
    joined = theirs.join(invite_of(mine.invite([address(2)], for_s=0)))
    assert sorted(joined.secrets) == [1, 2]
    assert dict(joined.secrets) == dict(mine.active().secrets)
    assert joined.bootstrap == (address(2), address(1))


def test_a_rotated_secret_leaves_the_old_one_valid_until_it_is_retired(mine: Networks) -> None:
    first = mine.found("school", private=True)
    second = mine.rotate()
    assert second.id == first.id
    assert second.newest == 2
    assert second.secrets[1] == first.secrets[1] != second.secrets[2]
    third = mine.retire(1)
    assert sorted(third.secrets) == [2]
    assert same(mine.active(), third)


@pytest.mark.parametrize("version", [2, 7])
def test_neither_the_newest_nor_an_unknown_secret_is_retired(mine: Networks, version: int) -> None:
    mine.found("school", private=True)
    mine.rotate()
    with pytest.raises(ConfigError, match="the newest is 2, and the older ones are 1"):
        mine.retire(version)


def test_an_open_network_has_no_secret_to_rotate(mine: Networks) -> None:
    with pytest.raises(ConfigError, match="has no secret"):
        mine.rotate()


def test_a_secret_that_was_rotated_twice_at_a_time_is_told_apart(
    mine: Networks, theirs: Networks
) -> None:
    mine.found("school", private=True)
    theirs.join(invite_of(mine.invite([], for_s=0)))
    mine.rotate()
    theirs.rotate()
    with pytest.raises(ConfigError, match="Rotate it once more"):
        theirs.join(invite_of(mine.invite([], for_s=0)))
    mine.rotate()
    assert theirs.join(invite_of(mine.invite([], for_s=0))).newest == 3


def test_secrets_have_an_end_and_the_oldest_is_named(mine: Networks) -> None:
    mine.found("school", private=True)
    for _ in range(SECRETS_MAX - 1):
        mine.rotate()
    with pytest.raises(ConfigError, match="network retire 1"):
        mine.rotate()


def test_networks_have_an_end(mine: Networks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.networks.NETWORKS_MAX", 5)  # each costs the disk two flushes
    for number in range(4):
        mine.found(f"circle {number}", private=False)
    with pytest.raises(ConfigError, match="leave one"):
        mine.found("one more", private=False)


def test_addresses_of_invites_have_an_end(mine: Networks) -> None:
    for first in range(0, 80, 8):
        bootstrap = tuple(address(first + n) for n in range(8))
        mine.join(Invite(COMMONS.id, "commons", COMMONS.salt, 0, b"", 0, bootstrap))
    assert len(mine.active().bootstrap) == BOOTSTRAP_MAX
    assert mine.active().bootstrap[0] == address(72)


def test_addresses_of_an_invite_that_lead_nowhere_are_left_out(mine: Networks) -> None:
    bootstrap = (address(1), "/ip4/192.0.2.1/tcp/4001", "/quic/x", "\x1b[2J")
    joined = mine.join(Invite(COMMONS.id, "commons", COMMONS.salt, 0, b"", 0, bootstrap))
    assert joined.bootstrap == (address(1),)


def test_a_name_that_would_act_on_a_terminal_is_refused(mine: Networks) -> None:
    name = "a\x1b[2Jb"
    invite = Invite(network_id(name, bytes(16)), name, bytes(16), 0, b"", 0, ())
    with pytest.raises(ConfigError, match="broken name"):
        mine.join(invite)
    with pytest.raises(ConfigError, match="cannot be the name"):
        mine.found(name, private=False)


@pytest.mark.parametrize("name", ["", " school", "s" * 65, "é" * 33, "two\nlines"])
def test_a_name_is_one_short_line(mine: Networks, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be the name of a network"):
        mine.found(name, private=False)


def test_leaving_forgets_the_secret_and_goes_back_to_the_open_network(mine: Networks) -> None:
    school = mine.found("school", private=True)
    assert mine.leave(school.id) == COMMONS
    assert mine.all() == [COMMONS]
    assert not list(mine.folder.glob("*.json"))


def test_who_leaves_a_circle_stays_in_another_one_if_there_is_any(mine: Networks) -> None:
    """Nobody who left his friends has asked to work for strangers."""
    mine.found("town", private=False)
    school = mine.found("school", private=True)
    clinic = mine.found("clinic", private=True)
    assert mine.leave(clinic.id).id == school.id
    assert mine.active().id == school.id


def test_leaving_another_network_changes_nothing_in_the_one_in_use(mine: Networks) -> None:
    school = mine.found("school", private=True)
    clinic = mine.found("clinic", private=True)
    assert mine.leave(school.id).id == clinic.id


def test_leaving_what_is_not_known_is_said(mine: Networks) -> None:
    with pytest.raises(ConfigError, match="is not known here"):
        mine.leave(bytes(16))
    with pytest.raises(ConfigError, match="is not known here"):
        mine.use(bytes(16))


def test_the_open_network_is_never_forgotten(mine: Networks) -> None:
    with pytest.raises(ConfigError, match="nothing of it can be forgotten"):
        mine.leave(COMMONS.id)
    mine.found("school", private=True)
    with pytest.raises(ConfigError, match="nothing of it can be forgotten"):
        mine.leave(COMMONS.id)


def test_one_can_go_back_and_forth(mine: Networks) -> None:
    school = mine.found("school", private=True)
    mine.use(COMMONS.id)
    assert mine.active() == COMMONS
    mine.use(school.id)
    assert same(mine.active(), school)


def test_networks_are_found_by_name_or_by_the_beginning_of_their_id(mine: Networks) -> None:
    school = mine.found("school", private=True)
    assert mine.named("school").id == school.id
    assert mine.named(school.id.hex()[:6]).id == school.id
    with pytest.raises(NotFound, match="none of the networks that this node knows: commons"):
        mine.named("shcool")
    mine.found("school", private=True)
    with pytest.raises(NotFound, match="is the name of several"):
        mine.named("school")
