# SPDX-License-Identifier: MIT
"""Keys: which are refused and why, that a signature has one spelling, and the names of peers."""

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.keys import (
    _GROUP_ORDER,
    LOW_ORDER_KEYS,
    Keypair,
    check_key,
    parse_peer_id,
    peer_id,
    verify,
)
from protocol.reasons import Reason
from tests.strategies import keypairs

PRIME = 2**255 - 19
D = -121665 * pow(121666, -1, PRIME) % PRIME
ROOT_OF_MINUS_ONE = pow(2, (PRIME - 1) // 4, PRIME)
Point = tuple[int, int]
KEYPAIR = Keypair(bytes(range(32)))


def refused(reason: Reason, public: bytes, signature: bytes, data: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        verify(public, signature, data)
    assert caught.value.reason is reason


def added(one: Point, two: Point) -> Point:
    """The sum of two points of the curve, by its textbook formula."""
    (a, b), (c, d) = one, two
    t = D * a * b * c * d % PRIME
    x = (a * d + b * c) * pow(1 + t, -1, PRIME)
    y = (b * d + a * c) * pow(1 - t, -1, PRIME)
    return x % PRIME, y % PRIME


def point_of(encoding: bytes) -> Point:
    """The point that a key stands for, with y taken modulo the prime as lax readers do."""
    number = int.from_bytes(encoding, "little")
    y = number % 2**255 % PRIME
    square = (y * y - 1) * pow(D * y * y + 1, -1, PRIME) % PRIME
    x = pow(square, (PRIME + 3) // 8, PRIME)
    if x * x % PRIME != square:
        x = x * ROOT_OF_MINUS_ONE % PRIME
    assert x * x % PRIME == square
    return (PRIME - x if x % 2 != number >> 255 else x) % PRIME, y


# --- keys that are refused ------------------------------------------------------------------------


@pytest.mark.parametrize("key", sorted(LOW_ORDER_KEYS), ids=bytes.hex)
def test_a_key_of_low_order_is_refused(key: bytes) -> None:
    point = point_of(key)
    for _ in range(3):
        point = added(point, point)
    assert point == (0, 1)  # eight times it is nothing
    with pytest.raises(RemoteProtocolError, match=key.hex()) as caught:
        check_key(key)
    assert caught.value.reason is Reason.WEAK_KEY


def test_there_are_fourteen_of_them() -> None:
    """Eight points: one is written in four ways, three in two, and four in one."""
    assert len(LOW_ORDER_KEYS) == 14
    assert len({point_of(key) for key in LOW_ORDER_KEYS}) == 8


def test_one_signature_would_do_for_many_messages_of_a_key_of_low_order() -> None:
    anything = b"\1" + bytes(63)
    for key in sorted(LOW_ORDER_KEYS):
        loaded = Ed25519PublicKey.from_public_bytes(key)
        hits = 0
        for number in range(64):
            try:
                loaded.verify(anything, b"%d" % number)
                hits += 1
            except InvalidSignature:
                continue
        assert hits
        refused(Reason.WEAK_KEY, key, anything, b"0")


@pytest.mark.parametrize("sign", [0, 1])
def test_a_second_spelling_of_a_key_is_refused(sign: int) -> None:
    for number in range(PRIME, 2**255):
        key = (number | sign << 255).to_bytes(32, "little")
        with pytest.raises(RemoteProtocolError) as caught:
            check_key(key)
        assert caught.value.reason is Reason.WEAK_KEY
    check_key((PRIME - 2 | sign << 255).to_bytes(32, "little"))


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_key_of_another_size_is_malformed(size: int) -> None:
    with pytest.raises(RemoteProtocolError, match=f"32 bytes, got {size}") as caught:
        check_key(bytes(size))
    assert caught.value.reason is Reason.MALFORMED


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=64, max_size=64), st.binary())
def test_whatever_a_peer_calls_key_and_signature_only_its_own_fault_comes_of_it(
    key: bytes, signature: bytes, data: bytes
) -> None:
    with pytest.raises(RemoteProtocolError):
        verify(key, signature, data)


# --- signatures -----------------------------------------------------------------------------------


@given(keypairs(), st.binary(max_size=100))
def test_what_was_signed_verifies_and_is_signed_the_same_way_again(
    keypair: Keypair, data: bytes
) -> None:
    signature = keypair.sign(data)
    verify(keypair.public, signature, data)
    assert keypair.sign(data) == signature


def test_signatures_are_those_of_the_standard() -> None:
    """RFC 8032, 7.1, test 2."""
    seed = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"
    keypair = Keypair(bytes.fromhex(seed))
    assert keypair.public.hex() == (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
    )
    assert keypair.sign(b"r").hex() == (
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )


@given(st.binary(min_size=1, max_size=40), st.data())
def test_one_changed_bit_of_key_signature_or_data_is_noticed(
    data: bytes, more: st.DataObject
) -> None:
    parts = [KEYPAIR.public, KEYPAIR.sign(data), data]
    which = more.draw(st.integers(0, 2))
    bit = more.draw(st.integers(0, len(parts[which]) * 8 - 1))
    changed = bytearray(parts[which])
    changed[bit // 8] ^= 1 << bit % 8
    parts[which] = bytes(changed)
    with pytest.raises(RemoteProtocolError):
        verify(*parts)


@given(st.binary(max_size=40))
def test_the_second_spelling_of_a_signature_is_refused(data: bytes) -> None:
    signature = KEYPAIR.sign(data)
    number = int.from_bytes(signature[32:], "little")
    other = signature[:32] + (number + _GROUP_ORDER).to_bytes(32, "little")
    with pytest.raises(RemoteProtocolError, match="second spelling") as caught:
        verify(KEYPAIR.public, other, data)
    assert caught.value.reason is Reason.BAD_SIGNATURE


def test_the_group_order_is_the_first_number_that_is_refused() -> None:
    for number, second in [(_GROUP_ORDER - 1, False), (_GROUP_ORDER, True)]:
        with pytest.raises(RemoteProtocolError) as caught:
            verify(KEYPAIR.public, bytes(32) + number.to_bytes(32, "little"), b"")
        assert ("second spelling" in caught.value.detail) == second


@pytest.mark.parametrize("size", [0, 63, 65])
def test_a_signature_of_another_size_is_malformed(size: int) -> None:
    refused(Reason.MALFORMED, KEYPAIR.public, bytes(size), b"")


def test_a_forged_signature_is_refused_with_the_name_of_the_peer() -> None:
    with pytest.raises(RemoteProtocolError, match=peer_id(KEYPAIR.public)):
        verify(KEYPAIR.public, Keypair(bytes(32)).sign(b"x"), b"x")


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_seed_of_another_size_is_our_own_mistake(size: int) -> None:
    with pytest.raises(LocalProtocolError, match=f"32 bytes, got {size}"):
        Keypair(bytes(size))


def test_a_keypair_does_not_show_its_seed() -> None:
    shown = repr(KEYPAIR)
    assert shown == f"Keypair({peer_id(KEYPAIR.public)})"
    assert bytes(range(32)).hex() not in shown
    assert not hasattr(KEYPAIR, "__dict__")


# --- names of peers -------------------------------------------------------------------------------


@pytest.mark.slow
def test_peer_ids_are_those_of_libp2p() -> None:
    from libp2p.crypto.ed25519 import Ed25519PublicKey as TheirKey
    from libp2p.peer.id import ID

    for number in range(20):
        public = Keypair(bytes([number]) * 32).public
        theirs = ID.from_pubkey(TheirKey.from_bytes(public)).to_base58()
        assert peer_id(public) == theirs
        assert parse_peer_id(theirs) == public


@given(keypairs())
def test_a_peer_id_is_read_back_into_its_key(keypair: Keypair) -> None:
    text = peer_id(keypair.public)
    assert text.startswith("12D3KooW")
    assert len(text) == 52
    assert parse_peer_id(text) == keypair.public


def refused_name(text: str, match: str) -> None:
    with pytest.raises(RemoteProtocolError, match=match) as caught:
        parse_peer_id(text)
    assert caught.value.reason is Reason.MALFORMED


@pytest.mark.parametrize("sign", ["0", "O", "I", "l", " ", "é", "-"])
def test_a_character_outside_the_alphabet_is_named(sign: str) -> None:
    text = peer_id(KEYPAIR.public)
    refused_name(text[:9] + sign + text[10:], f"{sign!r} does not occur in a peer id")


def test_only_the_one_spelling_of_a_peer_id_is_taken() -> None:
    text = peer_id(KEYPAIR.public)
    others = ["", "1", text[:-1], text[1:], "1" + text, text + "1", text * 2, "2" + text[1:]]
    for other in others:
        refused_name(other, "is not the peer id of an Ed25519 key")


def test_the_peer_id_of_another_kind_of_key_is_refused() -> None:
    refused_name("QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N", "not the peer id")
    refused_name("16Uiu2HAmLhLvBoYaoZfaMUKuibM6ac163GwKY74c5kiSLg5KvLpY", "not the peer id")


def test_the_peer_id_of_a_weak_key_is_refused() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse_peer_id(peer_id(b"\1" + bytes(31)))
    assert caught.value.reason is Reason.WEAK_KEY


@given(st.text(max_size=80))
def test_any_text_is_a_peer_id_or_the_fault_of_who_sent_it(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_peer_id(text)


def test_a_long_text_is_not_computed_with() -> None:
    refused_name("z" * 1_000_000, "is not the peer id")
