# SPDX-License-Identifier: MIT
"""What a node tells the mesh about itself: one way to say it, for a limited time."""

from dataclasses import replace

import pytest

from protocol.advert import (
    GIFT_ANYONE,
    GIFT_MEMBERS,
    GIFT_NONE,
    REACH_DIRECT,
    REACH_OUTBOUND,
    REACH_RELAYED,
    REACH_UNKNOWN,
    Advert,
    ModelAtHand,
)
from protocol.canon import decode, encode
from protocol.errors import LocalProtocolError
from protocol.limits import ADDRESSES_MAX, ADVERT_TTL_S_MAX, MODELS_PER_ADVERT_MAX

ADVERT = Advert(
    node=b"n" * 32,
    incarnation=b"i" * 8,
    sequence=7,
    issued_at_s=1_700_000_000,
    ttl_s=3600,
    cores=4,
    memory_mib=8192,
    disk_mib=20_000,
    accelerator="",
    accelerator_mib=0,
    fp32_mflops=50_000,
    int8_mops=100_000,
    memory_mbps=12_000,
    price_version=1,
    rate_min=0,
    gift=GIFT_MEMBERS,
    reach=REACH_DIRECT,
    addresses=("/ip4/192.0.2.1/tcp/4001", "/ip4/10.0.0.2/tcp/4001"),
    models=(ModelAtHand(b"a" * 32, 0), ModelAtHand(b"b" * 32, 1)),
    extension=b"",
)


def refused(advert: Advert, match: str) -> None:
    with pytest.raises(LocalProtocolError, match=match):
        encode(advert)


def test_an_advert_is_valid_and_signed_by_its_node() -> None:
    assert decode(encode(ADVERT), Advert) == ADVERT
    assert ADVERT.signer == ADVERT.node


def test_an_advert_expires_its_time_to_live_after_it_was_issued() -> None:
    assert ADVERT.expires_at_s() == 1_700_003_600


@pytest.mark.parametrize("ttl_s", [0, ADVERT_TTL_S_MAX + 1])
def test_an_advert_lives_for_a_while_but_not_for_ever(ttl_s: int) -> None:
    refused(replace(ADVERT, ttl_s=ttl_s), f"{ttl_s} is not within 1..{ADVERT_TTL_S_MAX}")


def test_models_are_listed_in_one_order() -> None:
    refused(replace(ADVERT, models=ADVERT.models[::-1]), "strictly ascend")


def test_a_model_is_not_listed_as_warm_and_as_cold() -> None:
    """Two different rows that ascend, so the list by itself is in order."""
    both = (ModelAtHand(b"a" * 32, 0), ModelAtHand(b"a" * 32, 1))
    refused(replace(ADVERT, models=both), "lists a model twice")


def test_the_order_of_addresses_means_something() -> None:
    swapped = replace(ADVERT, addresses=ADVERT.addresses[::-1])
    assert decode(encode(swapped), Advert) == swapped


@pytest.mark.parametrize("count", [0, ADDRESSES_MAX])
def test_a_node_may_have_no_address_or_several(count: int) -> None:
    advert = replace(ADVERT, addresses=("/ip4/192.0.2.1/tcp/4001",) * count)
    assert len(decode(encode(advert), Advert).addresses) == count


def test_lists_end_at_their_caps() -> None:
    refused(replace(ADVERT, addresses=("/a",) * (ADDRESSES_MAX + 1)), "9 rows are not within")
    many = tuple(ModelAtHand(bytes([n]) * 32, 0) for n in range(MODELS_PER_ADVERT_MAX + 1))
    refused(replace(ADVERT, models=many), "37 rows are not within")


def test_an_empty_address_is_refused() -> None:
    refused(replace(ADVERT, addresses=("",)), "text of 0 bytes is not within")


@pytest.mark.parametrize(
    ("field", "known"),
    [
        ("gift", {GIFT_NONE, GIFT_MEMBERS, GIFT_ANYONE}),
        ("reach", {REACH_UNKNOWN, REACH_DIRECT, REACH_RELAYED, REACH_OUTBOUND}),
    ],
)
def test_only_named_ways_of_giving_and_reaching_can_be_said(field: str, known: set[int]) -> None:
    for value in range(5):
        advert = replace(ADVERT, **{field: value})  # type: ignore[arg-type]  # both fields are integers
        if value in known:
            assert decode(encode(advert), Advert) == advert
        else:
            refused(advert, f"{value} is not within")


def test_what_a_newer_node_adds_is_passed_on_unread() -> None:
    newer = replace(ADVERT, extension=b"\xff\0 anything")
    assert decode(encode(newer), Advert) == newer
