# SPDX-License-Identifier: MIT
"""The caps of the protocol: what the reason of each says about others is true."""

import sqlite3
from dataclasses import replace
from typing import Any

import pytest

from protocol import limits
from protocol.canon import Message, encode
from protocol.cheque import Cheque, Payment, Receipt, Refund, RefundLine
from protocol.codecs import BytesCodec, Codec, ListCodec, TextCodec, UintCodec
from protocol.hello import Hello
from protocol.shapes import shapes_of
from protocol.statements import Evidence
from tests.strategies import kinds

CAPS = {name: value for name, value in vars(limits).items() if name.isupper()}
SIGNATURE = 64


def largest_cell(codec: Codec) -> Any:
    """The value of a field that takes the most bytes."""
    match codec:
        case UintCodec(_, most):
            return most
        case BytesCodec(_, most):
            return bytes(most)
        case TextCodec(most):
            return "a" * most
        case ListCodec():
            row = codec.make(*map(largest_cell, codec.columns))
            return (row,) * codec.most
    raise AssertionError(codec)


def largest(cls: type[Message], **kept: Any) -> Any:
    """A message of one class whose fields are all as large as they may be, but for some."""
    value: Any = cls(*map(largest_cell, cls.CODECS))
    value = replace(value, **kept)
    assert not value.broken_rule()
    return value


@pytest.mark.parametrize("name", CAPS)
def test_a_cap_is_a_whole_number_above_nothing(name: str) -> None:
    assert type(CAPS[name]) is int
    assert CAPS[name] > 0


@pytest.mark.parametrize("name", CAPS)
def test_a_cap_says_its_unit_or_that_it_counts(name: str) -> None:
    """`_MAX` and `_MIN` stand last, after the unit; what is chosen and no cap has neither."""
    assert name.count("_MAX") + name.count("_MIN") <= 1
    if "_MAX" in name or "_MIN" in name:
        assert name.endswith(("_MAX", "_MIN"))


def test_the_highest_number_fits_where_nodes_keep_it() -> None:
    with sqlite3.connect(":memory:") as store:
        (back,) = store.execute("select ?", (limits.UINT_MAX,)).fetchone()
        assert back == limits.UINT_MAX
        with pytest.raises(OverflowError):
            store.execute("select ?", (limits.UINT_MAX + 1,))
    store.close()


def test_the_largest_statement_of_evidence_fits_its_page() -> None:
    parties = {"accuser": b"a" * 32, "accused": b"b" * 32}
    assert len(encode(largest(Evidence, **parties))) <= limits.STATEMENT_BYTES_MAX


def test_a_full_cheque_fits_its_page() -> None:
    line = Payment(bytes(32), limits.UINT_MAX, limits.PRICE_MAX)
    lines = (line,) * limits.PAYMENTS_PER_CHEQUE_MAX
    assert encode(Cheque(b"a" * 32, b"b" * 32, bytes(8), limits.UINT_MAX, lines))


def test_a_full_refund_fits_its_page() -> None:
    lines = (RefundLine(bytes(32), limits.PRICE_MAX),) * limits.REFUNDS_MAX
    assert encode(Refund(b"a" * 32, b"b" * 32, bytes(8), limits.UINT_MAX, lines))


def test_a_hello_holds_the_largest_advert() -> None:
    advert = bytes(limits.STATEMENT_BYTES_MAX + SIGNATURE)
    assert len(encode(largest(Hello, peer=b"p" * 32, advert=advert))) <= limits.HELLO_BYTES_MAX


def test_a_receipt_holds_a_full_cheque_and_what_it_cites() -> None:
    cheque = bytes(limits.STATEMENT_BYTES_MAX + SIGNATURE)
    results = (bytes(SIGNATURE + 400),) * limits.PAYMENTS_PER_CHEQUE_MAX
    cheques = (cheque,) * limits.REFUNDS_MAX
    for cited in (results, cheques):
        assert encode(Receipt(cheque, bytes(512), cited))


@pytest.mark.parametrize("cls", kinds(), ids=lambda cls: cls.KIND)
def test_every_message_but_a_manifest_fits_one_frame(cls: type[Message]) -> None:
    fits = cls.BYTES_MAX + SIGNATURE <= limits.FRAME_BYTES_MAX
    assert fits == (cls.KIND != "manifest")


def test_a_table_of_two_thousand_shapes_fits() -> None:
    items = ((1_000_000 + number, ((64, 4096),)) for number in range(2_000))
    assert len(encode(shapes_of(items))) <= limits.SHAPES_BYTES_MAX


def test_the_tree_over_the_largest_order_is_as_deep_as_the_longest_path() -> None:
    assert 2**limits.MERKLE_DEPTH_MAX == limits.ITEMS_PER_ORDER_MAX


@pytest.mark.parametrize(
    ("small", "large"),
    [
        ("EXCHANGE_INTERVAL_S_MIN", "EXCHANGE_INTERVAL_S_MAX"),
        ("DIAL_REST_S_MIN", "DIAL_REST_S_MAX"),
        ("GUEST_S_MIN", "GUEST_S_MAX"),
        ("WINDOW_BYTES_DEFAULT", "WINDOW_BYTES_MAX"),
        ("STRANGER_WINDOW", "KNOWN_WINDOW_MAX"),
        ("STABLE_NEIGHBOURS", "NEIGHBOURS_MAX"),
        ("STABLE_OUTBOUND", "STABLE_NEIGHBOURS"),
        ("INBOUND_NEIGHBOURS_MAX", "NEIGHBOURS_MAX"),
        ("SUMMARY_SAMPLE_ROWS", "SUMMARY_ROWS_MAX"),
        ("ADVERT_INTERVAL_S_MIN", "ADVERT_TTL_S_MAX"),
        ("FRAME_BYTES_MAX", "WINDOW_BYTES_DEFAULT"),
    ],
)
def test_what_is_a_part_of_another_cap_is_smaller(small: str, large: str) -> None:
    assert CAPS[small] < CAPS[large]


def test_orders_are_remembered_longer_than_they_can_be_replayed() -> None:
    assert limits.SETTLED_KEEP_S > limits.TTL_S_MAX + 2 * limits.CLOCK_SKEW_S_MAX
