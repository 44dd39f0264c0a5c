# SPDX-License-Identifier: MIT
"""Adverts that somebody holds are not read twice, and nothing else is taken for granted."""

import gc
from weakref import ref

import pytest

from protocol.errors import RemoteProtocolError
from protocol.keys import Keypair
from protocol.known import read_advert
from protocol.sealed import seal
from tests.protocol.mesh import an_advert

NETWORK = bytes(16)
PAIR = Keypair(b"\7" * 32)


def wire_of(**changes: object) -> bytes:
    return seal(PAIR, NETWORK, an_advert(PAIR.public, **changes)).wire


def test_an_advert_that_is_held_is_not_read_again() -> None:
    held = read_advert(wire_of(), NETWORK)
    assert read_advert(bytes(bytearray(held.wire)), NETWORK) is held


def test_the_same_bytes_are_no_advert_of_another_network() -> None:
    held = read_advert(wire_of(), NETWORK)
    with pytest.raises(RemoteProtocolError, match="bad_signature"):
        read_advert(held.wire, bytes(15) + b"\1")


def test_bytes_that_differ_anywhere_are_read_and_refused_each_time() -> None:
    held = read_advert(wire_of(), NETWORK)
    for place in range(len(held.wire)):
        forged = bytearray(held.wire)
        forged[place] ^= 1
        for _ in range(2):
            with pytest.raises(RemoteProtocolError):
                read_advert(bytes(forged), NETWORK)


def test_what_nobody_holds_is_not_remembered() -> None:
    held = read_advert(wire_of(sequence=9), NETWORK)
    gone = ref(held)
    del held
    gc.collect()
    assert gone() is None
