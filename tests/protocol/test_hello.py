# SPDX-License-Identifier: MIT
"""The first words on a connection: bound to it, and to the secret; a man in between has neither."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from protocol.canon import decode, encode
from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.hello import (
    DIALER,
    LISTENER,
    SPEAKS_HIGH,
    SPEAKS_LOW,
    Hello,
    check_hello,
    check_membership,
    clock_offset_s,
    membership_proof,
    network_id,
)
from protocol.keys import Keypair
from protocol.limits import CLOCK_SKEW_S_MAX
from protocol.reasons import Reason
from protocol.sealed import seal, unseal

ALICE, BOB, MALLORY = (Keypair(bytes([number]) * 32).public for number in (1, 2, 3))
NETWORK = network_id("ours", bytes(16))
SECRET, OLD_SECRET = b"s" * 32, b"t" * 32
SECRETS = {1: OLD_SECRET, 2: SECRET}
NONCE_A, NONCE_B = b"a" * 32, b"b" * 32
NOW_S = 1_700_000_000.0


def hello(node: bytes, peer: bytes, role: int, nonce: bytes, **more: Any) -> Hello:
    first = Hello(
        node=node,
        peer=peer,
        incarnation=bytes(8),
        network=NETWORK,
        role=role,
        speaks_low=SPEAKS_LOW,
        speaks_high=SPEAKS_HIGH,
        price_low=1,
        price_high=1,
        wall_ms=int(NOW_S * 1000),
        nonce=nonce,
        answers=b"",
        secret_version=2,
        proof=b"",
        held_total=0,
        signed_total=0,
        advert=b"",
        extension=b"",
    )
    return replace(first, **more)


def proven(said: Hello, peer_nonce: bytes, secret: bytes = SECRET) -> Hello:
    """The second hello: it answers the peer's nonce and proves that the secret is known."""
    answer = replace(said, answers=peer_nonce)
    return replace(answer, proof=membership_proof(secret, answer, peer_nonce))


FROM_ALICE = proven(hello(ALICE, BOB, DIALER, NONCE_A), NONCE_B)
FROM_BOB = proven(hello(BOB, ALICE, LISTENER, NONCE_B), NONCE_A)


def arrives_at_bob(said: Hello, *, peer: bytes = ALICE, nonce: bytes = NONCE_B) -> None:
    """Bob, who was dialled by `peer` and sent `nonce`, checks a hello as a node does."""
    check_hello(said, me=BOB, peer=peer, role=DIALER, network=NETWORK)
    check_membership(said, SECRETS, nonce)


def refused_by_bob(said: Hello, reason: Reason, match: str = ".", **more: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match=match) as caught:
        arrives_at_bob(said, **more)
    assert caught.value.reason is reason


# --- the proof ------------------------------------------------------------------------------------


def test_two_members_believe_each_other() -> None:
    arrives_at_bob(FROM_ALICE)
    check_hello(FROM_BOB, me=ALICE, peer=BOB, role=LISTENER, network=NETWORK)
    check_membership(FROM_BOB, SECRETS, NONCE_A)


def test_a_hello_travels_sealed() -> None:
    keypair = Keypair(b"\1" * 32)
    wire = seal(keypair, NETWORK, FROM_ALICE).wire
    assert unseal(wire, NETWORK, Hello).value == FROM_ALICE


def test_who_relays_a_hello_between_two_members_is_not_taken_for_one() -> None:
    """Alice dialled Mallory, Mallory dials Bob: Noise tells Bob who it is that dials."""
    for_mallory = hello(ALICE, MALLORY, DIALER, NONCE_A)
    refused_by_bob(proven(for_mallory, NONCE_B), Reason.WRONG_PARTY, peer=MALLORY)
    borrowed = proven(for_mallory, NONCE_B).proof
    renamed = hello(MALLORY, BOB, DIALER, NONCE_A, answers=NONCE_B, proof=borrowed)
    refused_by_bob(renamed, Reason.NOT_A_MEMBER, "without the secret", peer=MALLORY)


def test_who_mirrors_a_hello_is_not_taken_for_a_member() -> None:
    mirrored = proven(hello(BOB, MALLORY, LISTENER, NONCE_B), NONCE_B)
    refused_by_bob(mirrored, Reason.WRONG_PARTY, peer=MALLORY)
    turned = replace(mirrored, node=MALLORY, peer=BOB, role=DIALER)
    refused_by_bob(turned, Reason.NOT_A_MEMBER, "without the secret", peer=MALLORY)


def test_the_role_alone_tells_a_proof_from_its_mirror() -> None:
    """Equal keys and nonces on both ends leave nothing but the role."""
    dialled = hello(ALICE, ALICE, DIALER, NONCE_A)
    listened = replace(dialled, role=LISTENER)
    assert membership_proof(SECRET, dialled, NONCE_A) != membership_proof(SECRET, listened, NONCE_A)


def test_who_replays_a_hello_is_not_taken_for_a_member() -> None:
    refused_by_bob(FROM_ALICE, Reason.NOT_A_MEMBER, "another nonce", nonce=b"c" * 32)
    again = replace(FROM_ALICE, answers=b"c" * 32)
    refused_by_bob(again, Reason.NOT_A_MEMBER, "without the secret", nonce=b"c" * 32)


@given(
    st.sampled_from(["node", "peer", "nonce", "role", "proof"]),
    st.binary(min_size=32, max_size=32),
)
def test_a_proof_fits_one_pair_of_keys_one_role_and_one_pair_of_nonces(
    field: str, data: bytes
) -> None:
    value = LISTENER if field == "role" else data
    assume(value != getattr(FROM_ALICE, field))
    changed = replace(FROM_ALICE, **{field: value})  # type: ignore[arg-type]  # a role where a role is
    with pytest.raises(RemoteProtocolError, match="without the secret"):
        check_membership(changed, SECRETS, NONCE_B)


def test_a_proof_fits_one_version_of_the_secret() -> None:
    old = proven(hello(ALICE, BOB, DIALER, NONCE_A, secret_version=1), NONCE_B, OLD_SECRET)
    arrives_at_bob(old)
    refused_by_bob(replace(old, secret_version=2), Reason.NOT_A_MEMBER, "without the secret")
    refused_by_bob(replace(old, secret_version=3), Reason.NOT_A_MEMBER, "secret of version 3")


def test_a_first_hello_proves_nothing() -> None:
    refused_by_bob(hello(ALICE, BOB, DIALER, NONCE_A), Reason.NOT_A_MEMBER, "another nonce")
    silent = hello(ALICE, BOB, DIALER, NONCE_A, answers=NONCE_B)
    refused_by_bob(silent, Reason.NOT_A_MEMBER, "without the secret")


# --- what the transport knows ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "changed", [{"node": MALLORY}, {"peer": MALLORY}, {"role": LISTENER}], ids=str
)
def test_a_hello_for_another_connection_is_refused(changed: dict[str, Any]) -> None:
    refused_by_bob(replace(FROM_ALICE, **changed), Reason.WRONG_PARTY)


def test_a_hello_of_another_network_is_refused_with_its_name() -> None:
    other = network_id("theirs", bytes(16))
    refused_by_bob(replace(FROM_ALICE, network=other), Reason.OTHER_NETWORK, other.hex())


@pytest.mark.parametrize(
    ("low", "high", "fine"),
    [
        (SPEAKS_LOW, SPEAKS_HIGH, True),
        (SPEAKS_HIGH, SPEAKS_HIGH + 5, True),
        (1, SPEAKS_LOW, True),
        (SPEAKS_HIGH + 1, SPEAKS_HIGH + 2, False),
        (SPEAKS_LOW - 1, SPEAKS_LOW - 1, False),
    ],
)
def test_two_nodes_need_one_version_in_common(low: int, high: int, fine: bool) -> None:
    said = replace(FROM_ALICE, speaks_low=low, speaks_high=high)
    if fine:
        arrives_at_bob(said)
    else:
        refused_by_bob(said, Reason.UNKNOWN_VERSION, f"speaks {low}..{high}, here")


@pytest.mark.parametrize("what", ["speaks", "price"])
def test_a_range_does_not_end_before_it_begins(what: str) -> None:
    backwards: dict[str, Any] = {f"{what}_low": 3, f"{what}_high": 2}
    with pytest.raises(LocalProtocolError, match="ends before it begins"):
        encode(replace(FROM_ALICE, **backwards))
    same: dict[str, Any] = {f"{what}_low": 3, f"{what}_high": 3}
    assert decode(encode(replace(FROM_ALICE, **same)), Hello).price_low <= 3


def test_a_proof_answers_something() -> None:
    with pytest.raises(LocalProtocolError, match="a proof without an answered nonce"):
        encode(replace(FROM_ALICE, answers=b""))
    assert decode(encode(replace(FROM_ALICE, proof=b"")), Hello).answers == NONCE_B


# --- names and clocks -----------------------------------------------------------------------------


def test_two_founders_with_one_name_found_two_networks() -> None:
    names = {network_id(name, bytes([salt]) * 16) for name in ("ours", "theirs") for salt in (0, 1)}
    assert len(names) == 4
    assert {len(name) for name in names} == {16}


@given(st.floats(-CLOCK_SKEW_S_MAX, CLOCK_SKEW_S_MAX))
def test_a_clock_within_ten_minutes_is_measured(ahead_s: float) -> None:
    said = replace(FROM_ALICE, wall_ms=int((NOW_S + ahead_s) * 1000))
    assert abs(clock_offset_s(said, NOW_S) - ahead_s) < 0.0011


@pytest.mark.parametrize("ahead_ms", [-600_000, 600_000])
def test_ten_minutes_are_still_fine(ahead_ms: int) -> None:
    said = replace(FROM_ALICE, wall_ms=int(NOW_S * 1000) + ahead_ms)
    assert clock_offset_s(said, NOW_S) == ahead_ms / 1000


@pytest.mark.parametrize(("ahead_ms", "shown"), [(-601_000, "-601 s"), (601_000, r"\+601 s")])
def test_a_clock_that_is_wrong_either_way_is_refused(ahead_ms: int, shown: str) -> None:
    said = replace(FROM_ALICE, wall_ms=int(NOW_S * 1000) + ahead_ms)
    with pytest.raises(RemoteProtocolError, match=shown) as caught:
        clock_offset_s(said, NOW_S)
    assert caught.value.reason is Reason.CLOCK_SKEW


def test_the_highest_clock_that_can_be_said_does_no_harm() -> None:
    with pytest.raises(RemoteProtocolError):
        clock_offset_s(replace(FROM_ALICE, wall_ms=2**63 - 1), NOW_S)
