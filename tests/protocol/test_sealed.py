# SPDX-License-Identifier: MIT
"""Signed statements: what was accepted is what was signed, for this network and this kind."""

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256, sha512
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.canon import domain_tag, encode
from protocol.cheque import Ack, Cheque
from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.keys import _GROUP_ORDER, Keypair
from protocol.reasons import Reason
from protocol.sealed import PairStatement, Sealed, Statement, seal, unseal
from protocol.statements import Cancel, Refuse
from tests.strategies import part_of_examples, statement_kinds, statements

FOR_EVERY_KIND = pytest.mark.parametrize("cls", statement_kinds(), ids=lambda cls: cls.KIND)
# Each of these runs for every kind, so each kind gets a part of the examples.
SOME = part_of_examples(5)
ME, PEER = Keypair(b"\1" * 32), Keypair(b"\2" * 32)
NETWORK, OTHER = b"n" * 16, b"o" * 16
ACK = Ack(ME.public, PEER.public, bytes(8), bytes(32), 7)


def refused(wire: bytes, network: bytes, cls: type[Statement]) -> Reason:
    with pytest.raises(RemoteProtocolError) as caught:
        unseal(wire, network, cls)
    return caught.value.reason


# --- every kind -----------------------------------------------------------------------------------


@FOR_EVERY_KIND
@SOME
@given(st.data())
def test_what_was_sealed_is_unsealed_with_the_same_bytes(
    cls: type[Statement], data: st.DataObject
) -> None:
    value = data.draw(statements(cls, ME))
    sealed = seal(ME, NETWORK, value)
    assert sealed.value == value
    assert unseal(sealed.wire, NETWORK, cls) == sealed
    assert sealed.wire == sealed.signature + encode(value)


@FOR_EVERY_KIND
@SOME
@given(st.data())
def test_one_changed_byte_is_always_noticed(cls: type[Statement], data: st.DataObject) -> None:
    wire = bytearray(seal(ME, NETWORK, data.draw(statements(cls, ME))).wire)
    for _ in range(4):
        place = data.draw(st.integers(0, len(wire) - 1))
        change = data.draw(st.integers(1, 255))
        wire[place] ^= change
        with pytest.raises(RemoteProtocolError):
            unseal(bytes(wire), NETWORK, *statement_kinds())
        wire[place] ^= change
    unseal(bytes(wire), NETWORK, cls)


@FOR_EVERY_KIND
@SOME
@given(st.data())
def test_a_statement_for_one_network_is_none_in_another(
    cls: type[Statement], data: st.DataObject
) -> None:
    sealed = seal(ME, NETWORK, data.draw(statements(cls, ME)))
    assert refused(sealed.wire, OTHER, cls) is Reason.BAD_SIGNATURE
    assert seal(ME, OTHER, sealed.value).id != sealed.id


@FOR_EVERY_KIND
def test_the_first_field_of_a_statement_is_the_key_of_its_signer(cls: type[Statement]) -> None:
    values = [bytes([place]) * 32 for place in range(len(cls.CODECS))]
    assert cls(*values).signer == values[0]


# --- whose word it is -----------------------------------------------------------------------------


def test_nobody_signs_for_another() -> None:
    with pytest.raises(LocalProtocolError, match="ack: the first field must be the signer's own"):
        seal(PEER, NETWORK, ACK)


def test_a_statement_signed_by_another_key_is_refused() -> None:
    body = encode(ACK)
    forged = PEER.sign(domain_tag("ack") + NETWORK + body) + body
    assert refused(forged, NETWORK, Ack) is Reason.BAD_SIGNATURE


def test_a_signature_under_the_tag_of_another_kind_is_refused() -> None:
    """Two kinds with the same fields: the bytes of one say the same about the other."""
    body = encode(ACK)
    for kind in ("cheque", "refund", "membership", ""):
        forged = ME.sign(domain_tag(kind) + NETWORK + body) + body
        assert refused(forged, NETWORK, Ack) is Reason.BAD_SIGNATURE
    assert refused(ME.sign(body) + body, NETWORK, Ack) is Reason.BAD_SIGNATURE


def test_the_signature_of_one_body_does_not_fit_another() -> None:
    one, other = seal(ME, NETWORK, ACK), seal(ME, NETWORK, replace(ACK, total=8))
    assert refused(one.signature + other.body, NETWORK, Ack) is Reason.BAD_SIGNATURE


def test_a_statement_of_a_weak_key_is_refused() -> None:
    body = encode(replace(ACK, creditor=b"\1" + bytes(31)))
    assert refused(b"\1" + bytes(63) + body, NETWORK, Ack) is Reason.WEAK_KEY


def test_a_second_spelling_of_the_signature_is_refused() -> None:
    wire = seal(ME, NETWORK, ACK).wire
    number = int.from_bytes(wire[32:64], "little") + _GROUP_ORDER
    other = wire[:32] + number.to_bytes(32, "little") + wire[64:]
    assert refused(other, NETWORK, Ack) is Reason.BAD_SIGNATURE


@pytest.mark.parametrize("size", [0, 1, 63, 64])
def test_a_signature_without_a_body_is_malformed(size: int) -> None:
    with pytest.raises(RemoteProtocolError, match=f"of {size} bytes has no body") as caught:
        unseal(bytes(size), NETWORK, Ack)
    assert caught.value.reason is Reason.MALFORMED


def test_a_kind_that_has_no_place_here_is_refused_before_its_signature_is_checked() -> None:
    assert refused(bytes(64) + encode(ACK), NETWORK, Cheque) is Reason.UNKNOWN_KIND


def test_one_of_several_kinds_may_be_expected() -> None:
    wire = seal(ME, NETWORK, ACK).wire
    assert unseal(wire, NETWORK, Cheque, Ack).value == ACK
    assert unseal(wire, NETWORK, Cancel, Refuse, Ack).value == ACK


# --- the id ---------------------------------------------------------------------------------------


def test_the_id_is_the_hash_of_what_was_signed() -> None:
    sealed = seal(ME, NETWORK, ACK)
    assert sealed.id == sha256(domain_tag("ack") + NETWORK + sealed.body).digest()


def test_the_id_does_not_depend_on_the_signature() -> None:
    """Who owns a key can make many valid signatures of one body; they name one statement."""
    sealed = seal(ME, NETWORK, ACK)
    assert replace(sealed, signature=bytes(64)).id == sealed.id
    twice = Sealed(ACK, sealed.body, bytes(64), sealed.id)
    assert twice.wire[64:] == sealed.wire[64:]
    assert unseal(another_signature(sealed), NETWORK, Ack).id == sealed.id
    assert another_signature(sealed) != sealed.wire


def another_signature(sealed: Sealed[Ack]) -> bytes:
    """Sign the same body with another nonce: valid, and not what the library gives."""
    scalar = int.from_bytes(_expanded(b"\1" * 32)[:32], "little")
    nonce_scalar = int.from_bytes(_expanded(b"\3" * 32)[:32], "little")
    nonce_point = Keypair(b"\3" * 32).public
    signed = domain_tag("ack") + NETWORK + sealed.body
    challenge = int.from_bytes(_hash(nonce_point + ME.public + signed), "little")
    answer = (nonce_scalar + challenge * scalar) % _GROUP_ORDER
    return nonce_point + answer.to_bytes(32, "little") + sealed.body


def _hash(data: bytes) -> bytes:
    return sha512(data).digest()


def _expanded(seed: bytes) -> bytes:
    """The scalar of a key, as the standard derives it from its seed."""
    digest = bytearray(_hash(seed))
    digest[0] &= 248
    digest[31] = digest[31] & 127 | 64
    return bytes(digest)


@pytest.mark.parametrize(
    "cls",
    [cls for cls in statement_kinds() if issubclass(cls, PairStatement)],
    ids=lambda cls: cls.KIND,
)
@SOME
@given(data=st.data())
def test_both_parties_of_a_statement_are_different_nodes(
    cls: type[PairStatement], data: st.DataObject
) -> None:
    """A node has nothing to settle with itself, whatever the kind."""
    value = data.draw(statements(cls, ME))
    cells = type(value).CELLS(value)
    own = cast("Callable[..., PairStatement]", cls)(ME.public, ME.public, *cells[2:])
    assert not value.broken_rule()
    assert own.broken_rule() == "both parties are the same node"
