# SPDX-License-Identifier: MIT
"""Only addresses that somebody could dial are told, best first; reach is not just claimed."""

import pytest

from node.mesh.addresses import (
    HOUSE,
    MACHINE,
    NOWHERE,
    WORLD,
    Reach,
    announced,
    scope_of,
    with_peer,
)
from node.networks import parse_bootstrap
from protocol.advert import REACH_DIRECT, REACH_OUTBOUND, REACH_UNKNOWN
from protocol.keys import Keypair
from protocol.limits import ADDRESSES_MAX

LOOPBACK = "/ip4/127.0.0.1/tcp/4001"
LAN = "/ip4/192.168.1.7/tcp/4001"
PUBLIC = "/ip4/93.184.215.14/tcp/4001"
PUBLIC_6 = "/ip6/2606:2800:21f:cb07:6820:80da:af6b:8b2c/tcp/4001"


@pytest.mark.parametrize(
    ("address", "scope"),
    [
        (PUBLIC, WORLD),
        (PUBLIC_6, WORLD),
        ("/dns/node.example/tcp/4001", WORLD),
        ("/dns4/localhost/tcp/4001", MACHINE),
        (LAN, HOUSE),
        ("/ip4/10.0.0.1/tcp/1", HOUSE),
        ("/ip4/100.64.3.4/tcp/1", HOUSE),
        ("/ip6/fd00::7/tcp/1", HOUSE),
        (LOOPBACK, MACHINE),
        ("/ip6/::1/tcp/4001", MACHINE),
        ("/ip6/::ffff:127.0.0.1/tcp/4001", MACHINE),
        ("/ip6/::ffff:93.184.215.14/tcp/4001", WORLD),
        ("/ip4/0.0.0.0/tcp/4001", NOWHERE),
        ("/ip6/::/tcp/4001", NOWHERE),
        ("/ip6/fe80::1/tcp/4001", NOWHERE),
        ("/ip4/169.254.3.4/tcp/4001", NOWHERE),
        ("/ip4/224.0.0.1/tcp/4001", NOWHERE),
        ("/ip4/2606::1/tcp/4001", NOWHERE),
        ("/ip6/192.168.1.7/tcp/4001", NOWHERE),
        ("/unix/socket", NOWHERE),
        ("", NOWHERE),
        ("nonsense", NOWHERE),
        (f"/dns/{'a' * 300}/tcp/1", NOWHERE),
    ],
)
def test_it_is_known_how_far_an_address_reaches(address: str, scope: int) -> None:
    assert scope_of(address) == scope


def test_loopback_is_not_told_where_something_else_is_there() -> None:
    assert announced([LOOPBACK, LAN, "/ip6/::1/tcp/4001"]) == (LAN,)


def test_nodes_on_one_machine_tell_each_other_their_loopback() -> None:
    assert announced([LOOPBACK, "/ip6/::1/tcp/4002"]) == (LOOPBACK, "/ip6/::1/tcp/4002")


def test_wildcards_and_link_local_addresses_are_never_told() -> None:
    assert announced(["/ip4/0.0.0.0/tcp/1", "/ip6/::/tcp/1", "/ip6/fe80::1/tcp/1"]) == ()
    assert announced([], ["/ip4/0.0.0.0/tcp/4001"]) == ()


def test_the_owners_choice_comes_first_then_what_reaches_far() -> None:
    told = announced([LOOPBACK, LAN, PUBLIC], ["/dns/home.example/tcp/4001"])
    assert told == ("/dns/home.example/tcp/4001", PUBLIC, LAN)


def test_each_address_is_told_once_without_a_peer_and_not_more_than_an_advert_takes() -> None:
    many = [f"/ip4/10.0.0.{number}/tcp/4001" for number in range(20)]
    told = announced([*many, LAN, LAN], [f"{LAN}/p2p/12D3KooW"])
    assert told[0] == LAN
    assert len(told) == len(set(told)) == ADDRESSES_MAX


def test_an_address_of_an_invite_leads_to_this_node() -> None:
    key = Keypair(bytes(31) + b"\x01").public
    (address,) = with_peer([LAN], key)
    assert parse_bootstrap(address) == (key, address)
    assert with_peer([address], key) == (address,)


def test_reach_is_unknown_until_somebody_has_dialled_this_node() -> None:
    reach = Reach()
    assert reach.of((LAN,)) == REACH_UNKNOWN
    assert reach.on_dialled("/ip4/192.168.1.9/tcp/50000")
    assert reach.of((LAN,)) == REACH_DIRECT


def test_a_caller_from_the_house_says_nothing_about_an_address_for_the_world() -> None:
    reach = Reach()
    reach.on_dialled("/ip4/192.168.1.9/tcp/50000")
    reach.on_dialled("/ip4/127.0.0.1/tcp/50000")
    assert reach.of((PUBLIC, LAN)) == REACH_UNKNOWN
    assert reach.on_dialled("/ip4/93.184.216.99/tcp/50000")
    assert not reach.on_dialled("/ip4/93.184.216.98/tcp/50000")
    assert reach.of((PUBLIC, LAN)) == REACH_DIRECT


def test_a_node_without_addresses_can_only_call() -> None:
    assert Reach().of(()) == REACH_OUTBOUND


def test_an_unknown_caller_proves_nothing() -> None:
    reach = Reach()
    assert not reach.on_dialled("")
    assert reach.of((LOOPBACK,)) == REACH_UNKNOWN
