# SPDX-License-Identifier: MIT
"""What two nodes sign when money moves: totals that cover what they name."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.canon import decode, encode
from protocol.cheque import Ack, Cheque, Payment, Receipt, Refund, RefundLine
from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.limits import PAYMENTS_PER_CHEQUE_MAX, PRICE_MAX, REFUNDS_MAX
from protocol.reasons import Reason

ME, PEER, INC, D = b"m" * 32, b"p" * 32, b"i" * 8, b"d" * 32
PAYMENT = Payment(D, 8, 100)
CHEQUE = Cheque(ME, PEER, INC, 100, (PAYMENT,))
REFUND = Refund(ME, PEER, INC, 100, (RefundLine(D, 100),))
ACK = Ack(PEER, ME, INC, D, 100)
RECEIPT = Receipt(bytes(65), b"", ())


@pytest.mark.parametrize("value", [CHEQUE, REFUND, ACK, RECEIPT], ids=lambda value: value.KIND)
def test_an_example_of_each_kind_is_valid(value: Cheque | Refund | Ack | Receipt) -> None:
    assert decode(encode(value), type(value)) == value


@given(st.lists(st.integers(1, PRICE_MAX), min_size=1, max_size=8), st.integers(-3, 3))
def test_a_total_covers_at_least_what_is_named(amounts: list[int], more: int) -> None:
    named = sum(amounts)
    payments = tuple(Payment(D, place + 1, amount) for place, amount in enumerate(amounts))
    refunds = tuple(RefundLine(D, amount) for amount in amounts)
    wanted = "" if more >= 0 else f"names {named} but totals {named + more}"
    assert replace(CHEQUE, total=named + more, payments=payments).broken_rule() == wanted
    assert replace(REFUND, total=named + more, refunds=refunds).broken_rule() == wanted


def test_nobody_pays_itself() -> None:
    assert replace(CHEQUE, creditor=ME).broken_rule() == "both parties are the same node"
    assert replace(REFUND, creditor=ME).broken_rule() == "both parties are the same node"


def test_a_cheque_that_does_not_cover_its_lines_is_refused_by_who_gets_it() -> None:
    good = encode(replace(CHEQUE, total=101, payments=(PAYMENT,)))
    place = good.rindex(b"\x65")  # 101, the total
    bad = good[:place] + b"\x63" + good[place + 1 :]
    with pytest.raises(RemoteProtocolError, match="names 100 but totals 99") as caught:
        decode(bad, Cheque)
    assert caught.value.reason is Reason.OUT_OF_RANGE


@pytest.mark.parametrize("count", [0, PAYMENTS_PER_CHEQUE_MAX + 1])
def test_a_cheque_names_something_and_fits_its_page(count: int) -> None:
    many = replace(CHEQUE, total=10**9, payments=(PAYMENT,) * count)
    with pytest.raises(LocalProtocolError, match=f"{count} rows are not within"):
        encode(many)
    encode(replace(CHEQUE, total=10**9, payments=(PAYMENT,) * PAYMENTS_PER_CHEQUE_MAX))


@pytest.mark.parametrize("count", [0, REFUNDS_MAX + 1])
def test_a_refund_names_something_and_not_too_much(count: int) -> None:
    with pytest.raises(LocalProtocolError, match=f"{count} rows are not within"):
        encode(replace(REFUND, total=10**9, refunds=(RefundLine(D, 1),) * count))


@pytest.mark.parametrize(
    "line", [replace(PAYMENT, amount=0), replace(PAYMENT, amount=PRICE_MAX + 1)]
)
def test_a_line_pays_something_and_at_most_one_order(line: Payment) -> None:
    with pytest.raises(LocalProtocolError, match=r"is not within 1\.\."):
        encode(replace(CHEQUE, total=2 * PRICE_MAX, payments=(line,)))


def test_a_line_pays_for_at_least_one_item() -> None:
    with pytest.raises(LocalProtocolError, match=r"0 is not within 1\.\."):
        encode(replace(CHEQUE, payments=(replace(PAYMENT, through=0),)))


@pytest.mark.parametrize("value", [CHEQUE, REFUND, ACK], ids=lambda value: value.KIND)
def test_a_total_of_nothing_is_never_signed(value: Cheque | Refund | Ack) -> None:
    with pytest.raises(LocalProtocolError, match=r"0 is not within 1\.\."):
        encode(replace(value, total=0))


def test_a_receipt_has_an_ack_or_none_but_no_half_of_one() -> None:
    encode(replace(RECEIPT, ack=bytes(65)))
    with pytest.raises(LocalProtocolError, match="64 bytes"):
        encode(replace(RECEIPT, ack=bytes(64)))
    with pytest.raises(LocalProtocolError, match="64 bytes"):
        encode(replace(RECEIPT, statement=bytes(64)))
