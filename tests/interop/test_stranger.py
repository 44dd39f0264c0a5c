# SPDX-License-Identifier: MIT
"""js-libp2p, a client that nobody here wrote, calls a daemon: it gets what it proves, or nothing.

The client's hello is written in JavaScript from docs/design/protocol.md, and everything that the
daemon says is read and verified there. What it is asked to do is in stranger.mjs.
"""

import json
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.nodes import Node, nodes
from tests.interop.javascript import Stranger, stranger

pytestmark = pytest.mark.slow

OURS = [f"/commons/{name}/1" for name in ("hello", "view", "work", "books", "blob")]


@dataclass(frozen=True, slots=True)
class Place:
    """A daemon, and what whoever was invited knows of it."""

    daemon: Node
    invite: str

    @property
    def told(self) -> dict[str, str]:
        """What the stranger is told: where the daemon is, and the invite."""
        return {"address": self.daemon.address, "invite": self.invite}

    def blamed(self, peer: str) -> list[str]:
        """Give what the daemon has found wrong with a node, by reason."""
        return [each["reason"] for each in self.log("peer_blamed") if each["peer"] == peer]

    def met(self, peer: str) -> bool:
        """Tell whether a node was ever let in."""
        return any(each["peer"] == peer for each in self.log("peer_met"))

    def log(self, event: str) -> list[dict[str, Any]]:
        """Give the lines of one event in the daemon's log."""
        lines = map(json.loads, self.daemon.log.read_text().splitlines())
        return [each for each in lines if each["event"] == event]


@dataclass(frozen=True, slots=True)
class Private(Place):
    """A private network whose first secret is retired, and a node that it once let in."""

    old_invite: str
    elder: dict[str, Any]


@pytest.fixture(scope="module")
def caller(node: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stranger]:
    """The process of js-libp2p."""
    with stranger(node, tmp_path_factory.mktemp("stranger") / "complaints") as found:
        yield found


@pytest.fixture(scope="module")
def daemons(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Node]]:
    """Two daemons, which hold whatever the tests of this module do."""
    with nodes(tmp_path_factory.mktemp("daemons"), 2) as made:
        yield [each.start() for each in made]
        for each in made:
            each.signal(signal.SIGTERM)
        for each in made:
            assert each.wait() == 0, each.tail()
            lines = [json.loads(line) for line in each.log.read_text().splitlines()]
            assert [line for line in lines if line["level"] == "error"] == []


@pytest.fixture(scope="module")
def public(daemons: list[Node]) -> Place:
    """A daemon in the open network, where everybody is a guest without any proof."""
    return Place(daemons[0], daemons[0].commons("invite").strip())


@pytest.fixture(scope="module")
def private(daemons: list[Node], caller: Stranger) -> Private:
    """A daemon in a private network, whose secret was rotated as the how-to says."""
    daemon = daemons[1]
    daemon.commons("network", "new", "the reading room", "--private")
    old = daemon.commons("invite").strip()
    daemon.commons("network", "rotate")
    elder = caller.ask("joins", address=daemon.address, invite=old)
    new = daemon.commons("invite").strip()
    daemon.commons("network", "retire", "1")
    return Private(daemon, new, old, elder)


def told_nothing(private: Private, said: dict[str, Any], reason: str) -> None:
    """Nothing in the first hello, not one byte after it, no stream; and the daemon knows why."""
    assert said["bytes_after"] == 0
    assert said["approached"] == []
    nothing = {"advert": "", "proof": "", "answers": "", "extension": ""}
    assert {name: said["first"][name] for name in nothing} == nothing
    assert (said["first"]["held_total"], said["first"]["signed_total"]) == (0, 0)
    assert private.blamed(said["peer"]) == [reason]


# --- anybody -------------------------------------------------------------------------------------


def test_a_stranger_can_identify_and_ping_the_daemon(caller: Stranger, public: Place) -> None:
    told = caller.ask("asks", **public.told)
    assert told["who"] == public.daemon.peer
    assert told["addresses"] == public.daemon.ready["addresses"]
    assert not any("/0.0.0.0/" in each for each in told["addresses"])
    assert set(OURS) < set(told["protocols"])
    assert told["agent"].startswith("compute-commons/")
    assert told["rtt_ms"] >= 0


def test_a_protocol_that_nobody_speaks_is_refused_and_the_connection_stays(
    caller: Stranger, public: Place
) -> None:
    for protocol in ("/commons/none/1", "/commons/hello/2", "/plaintext/2.0.0"):
        told = caller.ask("asksFor", **public.told, protocol=protocol)
        assert told["refused"] == "UnsupportedProtocolError"
        assert told["status"] == "open"


# --- the open network ----------------------------------------------------------------------------


def test_in_the_open_network_one_hello_of_each_is_all(caller: Stranger, public: Place) -> None:
    told = caller.ask("joins", **public.told)
    assert told["first"] == told["hello"]
    assert told["hello"]["secret_version"] == 0
    assert told["hello"]["proof"] == ""
    assert told["advert"]["node"] == told["hello"]["node"]
    assert told["advert"]["addresses"] == public.daemon.ready["addresses"]
    assert caller.ask("pings", peer=told["peer"])["answered"]
    (listed,) = [p for p in public.daemon.ask("peers")["peers"] if p["peer"] == told["peer"]]
    assert (listed["direction"], listed["member"]) == ("in", False)
    caller.ask("leaves", peer=told["peer"])


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ("other_network", "other_network"),
        ("other_peer", "wrong_party"),
        ("other_role", "wrong_party"),
        ("later_version", "unknown_version"),
        ("wrong_clock", "clock_skew"),
    ],
)
def test_in_the_open_network_a_wrong_hello_is_told_what_is_wrong(
    caller: Stranger, public: Place, wrong: str, reason: str
) -> None:
    told = caller.ask("says", **public.told, wrong=wrong)
    assert told["reason"] == reason
    assert not public.met(told["peer"])


def test_garbage_ends_the_connection_on_which_it_came_and_no_other(
    caller: Stranger, public: Place
) -> None:
    honest = caller.ask("joins", **public.told)["peer"]
    for garbage, reason in {
        "other_protocol": "unknown_kind",
        "unknown_frame": "unknown_kind",
        "large_frame": "too_large",
        "data": "unexpected",
        "document": "unexpected",
        "other_statement": "unknown_kind",
        "broken_signature": "bad_signature",
    }.items():
        told = caller.ask("spoils", **public.told, garbage=garbage)
        assert public.blamed(told["peer"]) == [reason], garbage
        assert not public.met(told["peer"])
    for garbage in ("other_protocol", "large_frame", "document"):
        guest = caller.ask("joins", **public.told)["peer"]
        caller.ask("spoilsLater", peer=guest, garbage=garbage)
        assert len(public.blamed(guest)) == 1, garbage
    found = caller.ask("pings", peer=honest)
    assert (found["answered"], found["status"]) == (True, "open")
    assert public.blamed(honest) == []
    caller.ask("leaves", peer=honest)


# --- a private network: who proves it -------------------------------------------------------------


def test_whoever_proves_membership_is_answered_with_a_proof_and_an_advert(
    caller: Stranger, private: Private
) -> None:
    told = caller.ask("joins", **private.told)
    first, second = told["first"], told["hello"]
    assert (first["advert"], first["proof"], first["answers"]) == ("", "", "")
    assert first["secret_version"] == second["secret_version"] == 2
    assert told["advert"]["node"] == second["node"]
    assert told["advert"]["addresses"] == private.daemon.ready["addresses"]
    (listed,) = [p for p in private.daemon.ask("peers")["peers"] if p["peer"] == told["peer"]]
    assert (listed["direction"], listed["member"]) == ("in", True)
    found = caller.ask("pings", peer=told["peer"])
    assert (found["answered"], found["status"]) == (True, "open")
    assert found["asked"] >= 1  # the daemon pings as well, and is answered
    caller.ask("leaves", peer=told["peer"])
    assert private.blamed(told["peer"]) == []


def test_a_member_is_told_the_adverts_of_others_for_its_own(
    caller: Stranger, private: Private
) -> None:
    daemon = private.daemon.peer
    first, second = (caller.ask("joins", **private.told)["peer"] for _ in range(2))
    caller.ask("exchanges", peer=first, until=[daemon])
    found = caller.ask("exchanges", peer=second, until=[daemon, first])["adverts"]
    assert found[daemon]["addresses"] == private.daemon.ready["addresses"]
    assert found[first]["memory_mib"] == 64
    known = {each["peer"] for each in private.daemon.ask("peers", "--all")["adverts"]}
    assert {first, second} <= known
    for peer in (first, second):
        caller.ask("leaves", peer=peer)
        assert private.blamed(peer) == []


def test_an_old_secret_lets_in_until_it_is_retired_and_whoever_is_in_stays(
    caller: Stranger, private: Private
) -> None:
    elder = private.elder
    assert elder["first"]["secret_version"] == 2  # the newest that the daemon holds
    assert elder["hello"]["secret_version"] == 1  # and the one with which it answers
    found = caller.ask("pings", peer=elder["peer"])
    assert (found["answered"], found["status"]) == (True, "open")
    said = caller.ask(
        "proves", address=private.daemon.address, invite=private.old_invite, wrong="retired_secret"
    )
    told_nothing(private, said, "not_a_member")


# --- a private network: who does not --------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ("other_network", "other_network"),
        ("other_peer", "wrong_party"),
        ("other_role", "wrong_party"),
        ("later_version", "unknown_version"),
        ("wrong_clock", "clock_skew"),
        ("no_secret", "not_a_member"),
    ],
)
def test_a_stranger_with_a_wrong_hello_is_told_nothing(
    caller: Stranger, private: Private, wrong: str, reason: str
) -> None:
    told_nothing(private, caller.ask("says", **private.told, wrong=wrong), reason)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ("wrong_secret", "not_a_member"),
        ("unknown_version", "not_a_member"),
        ("other_nonce", "not_a_member"),
        ("proof_of_other_nonce", "not_a_member"),
        ("proof_of_listener", "not_a_member"),
        ("no_proof", "not_a_member"),
        ("first_again", "not_a_member"),
        ("new_nonce", "wrong_party"),
    ],
)
def test_a_stranger_with_a_wrong_proof_is_told_nothing(
    caller: Stranger, private: Private, wrong: str, reason: str
) -> None:
    said = caller.ask("proves", **private.told, wrong=wrong)
    told_nothing(private, said, reason)
    assert not private.met(said["peer"])


def test_what_was_let_in_once_is_told_nothing_when_it_is_said_again(
    caller: Stranger, private: Private
) -> None:
    told_nothing(private, caller.ask("repeats", **private.told), "not_a_member")


@pytest.mark.parametrize(
    ("how", "reason"),
    [("verbatim", "wrong_party"), ("own_first", "wrong_party"), ("own_name", "not_a_member")],
)
def test_a_proof_that_a_middleman_passes_on_opens_nothing(
    caller: Stranger, private: Private, how: str, reason: str
) -> None:
    said = caller.ask("relays", **private.told, how=how)
    told_nothing(private, said, reason)
    assert said["member_bytes_after"] == 0
    assert not private.met(said["peer"])
    assert not private.met(said["member"])
    assert said["noticed"] == "wrong_party"  # the member would have, by the rules


def test_nothing_else_is_answered_before_hello(caller: Stranger, private: Private) -> None:
    others = [each for each in OURS if "hello" not in each]
    said = caller.ask("hurries", **private.told, protocols=others)
    assert said["elsewhere"] == [0] * len(others)
    told_nothing(private, said, "not_a_member")
