# SPDX-License-Identifier: MIT
"""What a running node sees of the others, and of the ways between it and them."""

from types import SimpleNamespace
from typing import Any

import pytest

from node.config import made_from
from node.doctor import company, way_in
from node.network import Network
from protocol.keys import Keypair, peer_id
from tests.node.doctor.scenes import ME, OTHER, PEER, FakeMember, only, peer, states

KEYS = [Keypair(bytes([each]) * 32).public for each in range(10, 40)]


def see(look: Any, member: FakeMember) -> Any:
    return only(look(member))


def test_peers_are_counted_with_their_distance() -> None:
    found = see(company.see_peers, FakeMember(peer(PEER), peer(OTHER, rtt_s=0.03, inbound=True)))
    assert found.state == "pass"
    assert found.sentence.startswith("2 connected (1 dialled this node, 2 proved")
    assert "within 20.0 ms" in found.sentence


def test_who_is_alone_is_told_since_when() -> None:
    left = SimpleNamespace(event="peer_left", at_s=1_800_000_000.0 - 90)
    met = SimpleNamespace(event="peer_met", at_s=1_800_000_000.0 - 95)
    found = see(company.see_peers, FakeMember(happened=[met, left]))
    assert (found.state, "connected for 90 s" in found.sentence) == ("warn", True)
    assert "since the start 100 s ago" in see(company.see_peers, FakeMember()).sentence


def test_peers_that_are_far_or_say_nothing_are_warned_of() -> None:
    assert see(company.see_peers, FakeMember(peer(rtt_s=0.9))).state == "warn"
    quiet = FakeMember(peer(rtt_s=None))
    assert "not measured yet" in see(company.see_peers, quiet).sentence
    quiet.viewing.is_alone = True
    assert see(company.see_peers, quiet).state == "warn"


@pytest.mark.parametrize(
    ("offsets_s", "state"),
    [
        ((0.5, -0.5, 900.0), "pass"),  # one of them is wrong, and not we
        ((60.0, 60.0), "pass"),
        ((61.0, 61.0), "warn"),
        ((-300.0, -300.0), "warn"),
        ((-301.0, -301.0), "fail"),
        ((301.0, 400.0, 500.0), "fail"),
        ((900.0,), "warn"),  # of two clocks nobody knows which is wrong
    ],
)
def test_the_clock_is_held_against_the_median_of_the_others(
    offsets_s: tuple[float, ...], state: str
) -> None:
    peers = [peer(key, offset_s=each) for key, each in zip(KEYS, offsets_s, strict=False)]
    assert see(company.see_clocks, FakeMember(*peers)).state == state


def test_nothing_is_said_of_clocks_and_versions_without_peers() -> None:
    assert company.see_clocks(FakeMember()) == []  # type: ignore[arg-type]  # a fake of the facts
    assert company.see_versions(FakeMember()) == []  # type: ignore[arg-type]  # a fake of the facts


def test_most_others_that_speak_a_newer_version_are_warned_of() -> None:
    assert see(company.see_versions, FakeMember(peer(), peer(OTHER, speaks=9))).state == "pass"
    assert see(company.see_versions, FakeMember(peer(speaks=9))).state == "warn"


def test_bans_are_counted_and_many_are_strange() -> None:
    member = FakeMember(peer())
    assert "Nobody" in see(company.see_bans, member).sentence
    member.behaviour.banned = dict.fromkeys(KEYS[:4], "why")
    assert see(company.see_bans, member).state == "pass"
    member.behaviour.banned = dict.fromkeys(KEYS[:5], "why")
    assert see(company.see_bans, member).state == "warn"


def test_the_same_identity_on_another_machine_fails() -> None:
    member = FakeMember()
    assert see(company.see_twin, member).state == "pass"
    member.mesh.defence.elsewhere = "/ip4/192.0.2.4/tcp/9"
    found = see(company.see_twin, member)
    assert (found.state, "/ip4/192.0.2.4/tcp/9" in found.sentence) == ("fail", True)


# --- ways in --------------------------------------------------------------------------------------


def test_the_network_is_named_and_old_secrets_are_told() -> None:
    assert "open network `commons`" in see(way_in.see_network, FakeMember()).sentence
    one = Network("school", b"s" * 16, {1: b"\xaa" * 32})
    assert "secret versions: 1." in see(way_in.see_network, FakeMember(network=one)).sentence
    two = Network("school", b"s" * 16, {1: b"\xaa" * 32, 2: b"\xbb" * 32})
    found = see(way_in.see_network, FakeMember(network=two))
    assert "retire" in found.next_step
    assert "aa" * 32 not in str(found)


@pytest.mark.parametrize(
    ("told", "state"),
    [
        (("/ip4/1.1.1.1/tcp/4001",), "pass"),
        (("/ip4/192.168.1.2/tcp/4001",), "pass"),
        (("/ip4/127.0.0.1/tcp/4001",), "warn"),
        ((), "warn"),
    ],
)
def test_addresses_are_judged_by_how_far_they_reach(told: tuple[str, ...], state: str) -> None:
    assert see(way_in.see_addresses, FakeMember(told=told)).state == state


def test_ipv6_is_said_to_be_there_or_not() -> None:
    assert "no IPv6" in see(way_in.see_addresses, FakeMember()).sentence
    both = FakeMember(listening=("/ip4/127.0.0.1/tcp/1", "/ip6/::1/tcp/1"))
    assert "and IPv6" in see(way_in.see_addresses, both).sentence
    assert see(way_in.see_addresses, FakeMember(listening=())).state == "warn"


def test_a_public_address_that_nobody_has_dialled_is_warned_of() -> None:
    public = "/ip4/1.1.1.1/tcp/4001"
    member = FakeMember(peer(), told=(public,))
    assert see(way_in.see_reach, member).state == "warn"
    member.reach.on_dialled("/ip4/8.8.8.8/tcp/5")
    assert see(way_in.see_reach, member).state == "pass"
    assert see(way_in.see_reach, FakeMember(told=(public,))).state == "pass"  # nobody is there
    house = FakeMember(peer(), told=("/ip4/192.168.1.2/tcp/1",))
    assert see(way_in.see_reach, house).state == "pass"


def test_each_way_in_is_told_with_what_became_of_it() -> None:
    texts = tuple(f"/ip4/192.0.2.9/tcp/1/p2p/{peer_id(each)}" for each in (PEER, OTHER, ME))
    config = made_from({"mesh.bootstrap": texts})
    member = FakeMember(peer(PEER), config=config)
    found = way_in.see_bootstrap(member)  # type: ignore[arg-type]  # a fake of the facts
    assert [each.sentence.split(" ", 1)[1] for each in found] == [
        "is connected.",
        "is known, and not needed just now.",
    ]
    member.behaviour.failed[OTHER] = 7
    assert "7 dials to it have failed" in way_in.see_bootstrap(member)[1].sentence  # type: ignore[arg-type]  # a fake of the facts
    alone = FakeMember(config=config)
    alone.behaviour.failed[OTHER] = 7
    alone.behaviour.banned[PEER] = SimpleNamespace(reason="bad_signature")
    assert states(way_in.see_bootstrap(alone)) == ["warn", "warn"]  # type: ignore[arg-type]  # a fake of the facts
    assert way_in.see_bootstrap(FakeMember()) == []  # type: ignore[arg-type]  # a fake of the facts


def test_the_house_is_counted() -> None:
    member = FakeMember()
    member.discovery.house[PEER] = ("/ip4/192.168.1.2/tcp/1",)
    assert see(way_in.see_house, member).sentence.startswith("1 nodes")
    off = FakeMember(config=made_from({"mesh.mdns": False}))
    assert "is off" in see(way_in.see_house, off).sentence
