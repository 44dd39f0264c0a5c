# SPDX-License-Identifier: MIT
"""Stories about orders that a worker accepts: holds, gifts, cancels, deadlines and sessions."""

from typing import Any

import pytest

from protocol.books import Books
from protocol.budget import OrderClass, Standing
from protocol.cheque import Receipt
from protocol.errors import LocalProtocolError
from protocol.limits import (
    CLAIMS_PER_PEER_MAX,
    CLOCK_SKEW_S_MAX,
)
from protocol.reasons import Reason
from tests.protocol.trade import (
    NETWORK,
    NOON,
    RULES,
    WALL_S,
    Trader,
    later,
    refused,
    same_totals,
    wrong,
)


def test_an_order_is_accepted_once_and_near_its_date(ann: Trader, bob: Trader) -> None:
    order = ann.order(bob)
    order_class, outcome = bob.books.accept(order, NOON)
    assert order_class is OrderClass.STRANGER
    assert outcome.send
    refused(Reason.REPLAYED, bob.books.accept, order, NOON)
    for offset in (-CLOCK_SKEW_S_MAX - 1, CLOCK_SKEW_S_MAX + 1):
        dated = ann.order(bob, placed_at_s=WALL_S + offset)
        refused(Reason.REPLAYED, bob.books.accept, dated, NOON)


def test_a_clock_that_jumps_back_opens_no_door_for_old_orders(ann: Trader, bob: Trader) -> None:
    """Once the record of an order may have been dropped, the order itself is refused."""
    order = ann.order(bob)
    bob.keep(bob.books.accept(order, NOON)[1])
    bob.keep(bob.books.forget(later(10 * 86_400)))
    assert not bob.books.seen
    refused(Reason.REPLAYED, bob.books.accept, order, NOON)


def test_an_order_for_another_worker_is_no_order(ann: Trader, bob: Trader) -> None:
    wrong(Reason.WRONG_PARTY, bob.books.accept, ann.order(Trader(3)), NOON)


def test_a_requester_without_credit_may_get_a_gift(ann: Trader, bob: Trader) -> None:
    """Nothing is held, nothing is due, and the order still ends."""
    order = ann.order(bob, 1, 500)
    refused(Reason.CREDIT_LINE, bob.books.accept, order, NOON)
    refused(Reason.CREDIT_LINE, bob.books.accept, order, NOON, gift_policy=2, idle=False)
    order_class, outcome = bob.books.accept(order, NOON, gift_policy=2, idle=True)
    assert order_class is OrderClass.GIFT
    accept = bob.keep(outcome)
    assert accept.value.price == 0
    bob.keep(bob.books.begin(ann.me, order.id, NOON))
    bill = bob.keep(bob.books.bill(bob.result(order, 1, 0), NOON))
    assert not bob.books.account(ann.me).claims
    assert ann.pays(bob, bill, accept) == ()
    assert bob.books.bucket.tokens == RULES.size_cu


def test_too_many_orders_that_were_ended_and_not_paid_close_the_door(
    ann: Trader, bob: Trader
) -> None:
    friend = Standing(line_cu=900)
    for number in range(CLAIMS_PER_PEER_MAX):
        order = ann.order(bob, 1, 2)
        bob.keep(bob.books.accept(order, NOON, friend)[1])
        bob.keep(bob.books.begin(ann.me, order.id, NOON))
        bob.keep(bob.books.end(ann.me, order.id, 2, NOON))
        assert len(bob.books.account(ann.me).claims) == number + 1
    refused(Reason.UNPAID, bob.books.accept, ann.order(bob, 1, 2), NOON, friend)


def test_a_cancelled_order_owes_what_was_delivered_and_begun(ann: Trader, bob: Trader) -> None:
    """Delivered items are paid; the rest stays exposure, blocks nothing, and can be paid too."""
    order = ann.order(bob, 4, 10)
    accept = bob.keep(bob.books.accept(order, NOON)[1])
    bob.keep(bob.books.begin(ann.me, order.id, NOON))
    bill = bob.keep(bob.books.bill(bob.result(order, 1, 10, last=0), NOON))
    bob.keep(bob.books.end(ann.me, order.id, 20, NOON))
    ann.settles(bob, bill)
    account = bob.books.account(ann.me)
    assert account.held_total == 10
    assert account.claims[order.id].held == 10
    assert account.net == 20
    assert account.exposure().open_orders == account.exposure().unpaid_orders == 0
    cheque = ann.pays(bob, accept)
    bob.take(ann, Receipt(cheque.wire, b"", (accept.wire,)))
    assert account.held_total == 40
    assert order.id not in account.claims
    assert account.exposure().lent_cu == 20


def test_handing_back_the_rest_of_an_order_frees_its_hold(ann: Trader, bob: Trader) -> None:
    order = ann.order(bob, 4, 10)
    bob.keep(bob.books.accept(order, NOON)[1])
    bob.keep(bob.books.begin(ann.me, order.id, NOON))
    bill = bob.keep(bob.books.bill(bob.result(order, 1, 10, last=1), NOON))
    assert bob.books.bucket.tokens == RULES.size_cu - 10
    ann.settles(bob, bill)
    assert not bob.books.account(ann.me).claims


@pytest.mark.parametrize(
    ("through", "due", "first"),
    [(1, 100, 0), (2, 20, 1), (1, 41, 0)],
    ids=["more than held", "a gap", "one too much"],
)
def test_a_worker_cannot_bill_what_it_did_not_hold(
    ann: Trader, bob: Trader, through: int, due: int, first: int
) -> None:
    order = ann.order(bob, 4, 10)
    bob.keep(bob.books.accept(order, NOON)[1])
    with pytest.raises(LocalProtocolError):
        bob.books.bill(bob.result(order, 1, 10), NOON)  # nothing has begun
    bob.keep(bob.books.begin(ann.me, order.id, NOON))
    with pytest.raises(LocalProtocolError):
        bob.books.bill(bob.result(order, through, due, first=first), NOON)


def test_our_own_slips_are_local_errors(ann: Trader, bob: Trader) -> None:
    order, _ = bob.works_for(ann, 40)
    with pytest.raises(LocalProtocolError):
        bob.books.begin(ann.me, order.id, NOON)
    with pytest.raises(LocalProtocolError):
        bob.books.begin(ann.me, b"x" * 32, NOON)
    with pytest.raises(LocalProtocolError):
        bob.books.end(ann.me, order.id, 41, NOON)
    with pytest.raises(LocalProtocolError):
        bob.books.extend(ann.me, order.id, Standing(), NOON)
    with pytest.raises(LocalProtocolError):
        bob.books.refund(ann.me, order.id, 1, b"", NOON)
    assert Books(bob.key, NETWORK, RULES).incarnation == b""


def open_session(ann: Trader, bob: Trader) -> Any:
    order = ann.session(bob, window=4, unit=10)
    bob.keep(bob.books.accept(order, NOON)[1])
    bob.keep(bob.books.begin(ann.me, order.id, NOON))
    return order


def test_a_session_holds_one_window_and_frees_what_it_did_not_use(ann: Trader, bob: Trader) -> None:
    order = open_session(ann, bob)
    claim = bob.books.account(ann.me).claims[order.id]
    assert claim.held == 40
    bill = bob.keep(bob.books.bill(bob.result(order, 4, 25, last=0), NOON))
    assert claim.held == 25
    ann.settles(bob, bill)
    assert claim.held == 0
    assert order.id in bob.books.account(ann.me).claims
    bob.keep(bob.books.extend(ann.me, order.id, Standing(), NOON))
    assert claim.held == 40
    last = bob.keep(bob.books.bill(bob.result(order, 6, 40, first=4), NOON))
    ann.settles(bob, last)
    assert not bob.books.account(ann.me).claims
    assert same_totals(ann, bob)


def test_a_session_runs_one_window_ahead_of_its_cheques_and_then_pauses(
    ann: Trader, bob: Trader
) -> None:
    """So a cheque on its way delays nothing, and a missing one costs two windows at most."""
    order = open_session(ann, bob)
    bob.keep(bob.books.bill(bob.result(order, 4, 40, last=0), NOON))
    bob.keep(bob.books.extend(ann.me, order.id, Standing(), NOON))
    bob.keep(bob.books.bill(bob.result(order, 8, 80, first=4, last=0), NOON))
    refused(Reason.WINDOW_UNPAID, bob.books.extend, ann.me, order.id, Standing(), NOON)


def test_a_peer_that_is_owed_redeems_its_next_window(ann: Trader, bob: Trader) -> None:
    bob.settles(ann, ann.works_for(bob, 90)[1])
    order = open_session(ann, bob)
    bob.keep(bob.books.bill(bob.result(order, 4, 40, last=0), NOON))
    bob.books.bucket.tokens = 0
    bob.keep(bob.books.extend(ann.me, order.id, Standing(), NOON))
    assert bob.books.account(ann.me).claims[order.id].held == 80


def test_the_next_window_needs_the_budget_too(ann: Trader, bob: Trader) -> None:
    order = open_session(ann, bob)
    bob.keep(bob.books.bill(bob.result(order, 4, 40, last=0), NOON))
    bob.books.bucket.tokens = 39
    refused(Reason.BUDGET_EXHAUSTED, bob.books.extend, ann.me, order.id, Standing(), NOON)
    bob.keep(bob.books.freeze(ann.me, b"evidence", NOON))
    refused(Reason.PAIR_FROZEN, bob.books.extend, ann.me, order.id, Standing(), NOON)


def test_a_session_settles_with_a_creditor_that_lost_its_books(ann: Trader, bob: Trader) -> None:
    """The cited results say what each window cost."""
    start = list(bob.journal)
    order = open_session(ann, bob)
    first = bob.keep(bob.books.bill(bob.result(order, 4, 25, last=0), NOON))
    bob.keep(bob.books.extend(ann.me, order.id, Standing(), NOON))
    second = bob.keep(bob.books.bill(bob.result(order, 8, 60, first=4), NOON))
    ann.pays(bob, first, second)
    bob.reopen(start, restored=True)
    ann.meets(bob)
    assert bob.books.account(ann.me).held_total == 60
    assert same_totals(ann, bob)
