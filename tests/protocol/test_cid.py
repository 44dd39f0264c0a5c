# SPDX-License-Identifier: MIT
"""Names of blobs as text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.cid import cid_of, format_cid, parse_cid
from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.reasons import Reason

# Names that IPFS gives to these bytes as raw blocks.
EMPTY = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
HELLO = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"


def test_other_systems_give_the_same_name() -> None:
    assert cid_of(b"") == EMPTY
    assert cid_of(b"hello world") == HELLO


@given(st.binary(min_size=32, max_size=32))
def test_a_digest_survives_the_way_through_text(digest: bytes) -> None:
    assert parse_cid(format_cid(digest)) == digest


@pytest.mark.parametrize(
    "text",
    [
        "",
        HELLO[:-1],
        HELLO + "a",
        HELLO.upper(),
        "z" + HELLO[1:],  # another base
        HELLO[:4] + "1" + HELLO[5:],  # no character of base32
        HELLO[:-1] + "f",  # unused bits that are not zero
        "bafybei" + HELLO[7:],  # codec dag-pb
        "b\u0131" + HELLO[2:],
    ],
)
def test_only_one_spelling_of_one_kind_of_cid_is_read(text: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse_cid(text)
    assert caught.value.reason is Reason.MALFORMED


def test_a_digest_of_another_length_is_our_mistake() -> None:
    with pytest.raises(LocalProtocolError):
        format_cid(bytes(31))
