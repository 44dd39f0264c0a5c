# SPDX-License-Identifier: MIT
"""A signature that is remembered says what a signature that is checked says."""

from hashlib import sha256

import pytest

from protocol import keys
from protocol.errors import RemoteProtocolError
from protocol.keys import Keypair, verify
from protocol.reasons import Reason
from simulations.signatures import remembered_signatures

ANN, BOB = (Keypair(sha256(name).digest()) for name in (b"ann", b"bob"))


def test_a_signature_is_checked_once_and_holds_each_time() -> None:
    signature = ANN.sign(b"data")
    with remembered_signatures() as signatures:
        for _ in range(5):
            verify(ANN.public, signature, b"data")
        assert (signatures.asked, signatures.checked) == (5, 1)


def test_a_false_signature_stays_false() -> None:
    signature = ANN.sign(b"data")
    with remembered_signatures() as signatures:
        verify(ANN.public, signature, b"data")
        for public, signed, data in (
            (BOB.public, signature, b"data"),
            (ANN.public, BOB.sign(b"data"), b"data"),
            (ANN.public, signature, b"datA"),
            (ANN.public, signature, b"data "),
        ):
            for _ in range(3):
                with pytest.raises(RemoteProtocolError) as refused:
                    verify(public, signed, data)
                assert refused.value.reason is Reason.BAD_SIGNATURE
        assert signatures.checked == 5


def test_what_is_refused_before_a_check_is_refused_as_before() -> None:
    signature = ANN.sign(b"data")
    second = (int.from_bytes(signature[32:], "little") + keys._GROUP_ORDER).to_bytes(32, "little")
    with remembered_signatures() as signatures:
        verify(ANN.public, signature, b"data")
        for public, signed, reason in (
            (ANN.public, signature[:-1], Reason.MALFORMED),
            (ANN.public[:-1], signature, Reason.MALFORMED),
            (bytes(32), signature, Reason.WEAK_KEY),
            (ANN.public, signature[:32] + second, Reason.BAD_SIGNATURE),
        ):
            with pytest.raises(RemoteProtocolError) as refused:
                verify(public, signed, b"data")
            assert refused.value.reason is reason
        assert signatures.checked == 1


def test_only_so_many_are_remembered_and_the_oldest_is_forgotten() -> None:
    signed = [(ANN.sign(bytes([number])), bytes([number])) for number in range(4)]
    with remembered_signatures(remembered_max=3) as signatures:
        for signature, data in (*signed[:3], signed[0], signed[3]):
            verify(ANN.public, signature, data)
        assert signatures.checked == 4
        verify(ANN.public, *signed[0])  # it was asked for lately
        assert signatures.checked == 4
        verify(ANN.public, *signed[1])
        assert signatures.checked == 5


def test_a_node_that_is_in_no_made_world_checks_each_time() -> None:
    real = keys.is_signed
    with remembered_signatures() as outer:
        assert keys.is_signed == outer.is_signed
        with remembered_signatures() as inner:
            verify(ANN.public, ANN.sign(b"data"), b"data")
            verify(ANN.public, ANN.sign(b"data"), b"data")
        assert (inner.checked, outer.checked) == (1, 1)
    assert keys.is_signed is real is keys._is_signed
