# SPDX-License-Identifier: MIT
"""Stories about orders that a worker accepts: holds, gifts, cancels, deadlines and sessions."""

from typing import Any

import pytest

from protocol.books import Books
from protocol.budget import BudgetRules, OrderClass, Standing
from protocol.cheque import Receipt
from protocol.errors import LocalProtocolError
from protocol.events import Instant
from protocol.keys import Keypair
from protocol.limits import (
    CLAIMS_PER_PEER_MAX,
    CLOCK_SKEW_S_MAX,
    HOLD_S_MAX,
    SEEN_SWEEP_AT,
    SETTLED_KEEP_S,
    STRANGER_ORDERS_MAX,
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


def test_a_wrong_clock_neither_forgets_what_was_seen_nor_closes_the_door(
    ann: Trader, bob: Trader
) -> None:
    """Thirty years ahead for one start; afterwards the node works as before."""
    order = ann.order(bob)
    bob.keep(bob.books.accept(order, NOON)[1])
    ahead = Instant(5.0, WALL_S + 30 * 365 * 86_400.0)
    bob.reopen(bob.journal, ahead)
    bob.keep(bob.books.forget(ahead))
    bob.reopen(bob.journal, later(10))
    refused(Reason.REPLAYED, bob.books.accept, order, later(10))
    bob.keep(bob.books.expire(later(10)))
    bob.books.accept(ann.order(bob), later(10))


def test_an_order_that_is_settled_is_not_worked_on_again(ann: Trader, bob: Trader) -> None:
    """Not even by a worker that forgot that it saw it: a crash may lose an accept."""
    start = list(bob.journal)
    order = ann.order(bob, 1, 40)
    accept = bob.keep(bob.books.accept(order, NOON)[1])
    cheque = ann.pays(bob, accept)
    bob.reopen(start)
    bob.take(ann, Receipt(cheque.wire, b"", (accept.wire,)))
    refused(Reason.REPLAYED, bob.books.accept, order, NOON)


def test_what_was_seen_is_forgotten_when_its_date_would_refuse_it(ann: Trader, bob: Trader) -> None:
    """So the memory of a flood stays small."""
    for number in range(SEEN_SWEEP_AT - 1):
        bob.books.seen[number.to_bytes(32, "big")] = 50.0
    bob.keep(bob.books.accept(ann.order(bob, placed_at_s=WALL_S + 60), later(60))[1])
    assert len(bob.books.seen) == 1


def test_strangers_together_have_so_many_open_orders() -> None:
    """Keys cost nothing; memory does."""
    rich = Trader(9, rules=BudgetRules(10**9, 1, 100))
    for number in range(STRANGER_ORDERS_MAX + 1):
        stranger = Trader(0)
        stranger.key = Keypair((7000 + number).to_bytes(32, "big"))
        stranger.books.me = stranger.key.public
        order = stranger.order(rich, 1, 1)
        if number == STRANGER_ORDERS_MAX:
            refused(Reason.BUSY, rich.books.accept, order, NOON)
        else:
            rich.keep(rich.books.accept(order, NOON)[1])
    rich.keep(rich.books.expire(later(HOLD_S_MAX)))
    assert not rich.books.claimants
    rich.keep(rich.books.forget(later(HOLD_S_MAX)))
    assert not rich.books.accounts


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


def test_paying_for_a_hold_and_letting_it_end_drains_no_budget(ann: Trader, bob: Trader) -> None:
    """Half of the budget was gone for the price of some signatures."""
    order = ann.order(bob, 1, 100)
    accept = bob.keep(bob.books.accept(order, NOON)[1])
    ann.settles(bob, accept)
    assert bob.books.bucket.tokens == RULES.size_cu - 100
    bob.keep(bob.books.expire(later(HOLD_S_MAX)))
    assert bob.books.bucket.tokens == RULES.size_cu
    assert bob.books.account(ann.me).net == 100
    assert bob.books.account(ann.me).exposure().lent_cu == 0


def test_a_worker_that_is_late_does_not_blame_the_requester(ann: Trader, bob: Trader) -> None:
    """What was delivered was paid; what was not billed in time is the worker's own loss."""
    order = ann.order(bob, 10, 10)
    bob.keep(bob.books.accept(order, NOON)[1])
    bob.keep(bob.books.begin(ann.me, order.id, NOON))
    ann.settles(bob, bob.keep(bob.books.bill(bob.result(order, 5, 50, last=0), NOON)))
    bob.keep(bob.books.expire(later(301)))
    assert not bob.books.account(ann.me).claims
    bob.books.accept(ann.order(bob, placed_at_s=WALL_S + 301), later(301))


def test_what_was_billed_and_not_paid_is_overdue_by_exactly_that(ann: Trader, bob: Trader) -> None:
    order = ann.order(bob, 10, 10)
    bob.keep(bob.books.accept(order, NOON)[1])
    bob.keep(bob.books.begin(ann.me, order.id, NOON))
    bill = bob.keep(bob.books.bill(bob.result(order, 5, 50, last=0), NOON))
    bob.keep(bob.books.expire(later(301)))
    assert bob.books.account(ann.me).claims[order.id].held == 50
    with pytest.raises(LocalProtocolError):  # cancelling it would open the door again
        bob.books.end(ann.me, order.id, 50, later(301))
    ann.settles(bob, bill, now=later(301))
    assert not bob.books.account(ann.me).claims


def test_a_prepaid_order_that_ends_early_leaves_no_negative_hold(ann: Trader, bob: Trader) -> None:
    order = ann.order(bob, 10, 10)
    accept = bob.keep(bob.books.accept(order, NOON)[1])
    ann.settles(bob, accept)
    bob.keep(bob.books.begin(ann.me, order.id, NOON))
    bob.keep(bob.books.bill(bob.result(order, 5, 50, last=1), NOON))
    assert not bob.books.account(ann.me).claims


def test_what_is_open_for_ninety_days_is_written_off(ann: Trader, bob: Trader) -> None:
    """It stops eating the peer's line, and gives back no tokens: refill did that long ago."""
    order, _ = bob.works_for(ann, 40)
    bob.keep(bob.books.expire(later(301)))
    bob.books.bucket.tokens = 7
    lent = bob.books.account(ann.me).exposure().lent_cu
    late = later(301 + SETTLED_KEEP_S)
    bob.books.bucket.rules = BudgetRules(RULES.size_cu, 0, 100)
    bob.keep(bob.books.expire(later(302)))
    assert order.id in bob.books.account(ann.me).claims
    bob.keep(bob.books.expire(late))
    account = bob.books.account(ann.me)
    assert not account.claims
    assert account.net == 0
    assert account.exposure().lent_cu == lent
    assert bob.books.bucket.tokens == 7


def test_an_owner_may_write_off_what_is_overdue_and_nothing_else(ann: Trader, bob: Trader) -> None:
    order, _ = bob.works_for(ann, 40)
    with pytest.raises(LocalProtocolError):
        bob.books.write_off(ann.me, order.id, NOON)
    bob.keep(bob.books.expire(later(301)))
    bob.keep(bob.books.write_off(ann.me, order.id, later(302)))
    assert bob.books.account(ann.me).exposure().unpaid_orders == 0
    with pytest.raises(LocalProtocolError):
        bob.books.write_off(ann.me, order.id, later(302))


@pytest.mark.parametrize(("through", "due"), [(11, 100), (10, 90), (5, 100)])
def test_all_items_and_only_all_of_them_cost_the_price_of_the_order(
    ann: Trader, bob: Trader, through: int, due: int
) -> None:
    """Or a requester that pays by the accept would be refused."""
    order = ann.order(bob, 10, 10)
    bob.keep(bob.books.accept(order, NOON)[1])
    bob.keep(bob.books.begin(ann.me, order.id, NOON))
    with pytest.raises(LocalProtocolError):
        bob.books.bill(bob.result(order, through, due), NOON)


def test_our_own_slips_are_local_errors(ann: Trader, bob: Trader) -> None:
    order, _ = bob.works_for(ann, 40)
    with pytest.raises(LocalProtocolError):
        bob.books.begin(ann.me, order.id, NOON)
    with pytest.raises(LocalProtocolError):
        bob.books.begin(ann.me, b"x" * 32, NOON)
    with pytest.raises(LocalProtocolError):
        bob.books.end(ann.me, order.id, 40, NOON)  # it is delivered
    other = bob.order(ann, 1, 40)
    ann.keep(ann.books.accept(other, NOON)[1])
    with pytest.raises(LocalProtocolError):
        ann.books.end(bob.me, other.id, 41, NOON)
    with pytest.raises(LocalProtocolError):
        bob.books.extend(ann.me, order.id, Standing(), NOON)
    with pytest.raises(LocalProtocolError):
        bob.books.freeze(ann.me, b"", NOON)
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


def test_a_window_is_billed_before_the_next_is_held(ann: Trader, bob: Trader) -> None:
    """Or the hold of the second would be lost with the bill of the first."""
    order = open_session(ann, bob)
    with pytest.raises(LocalProtocolError, match="not billed"):
        bob.books.extend(ann.me, order.id, Standing(), NOON)


def test_a_gift_session_goes_on_without_windows(ann: Trader, bob: Trader) -> None:
    order = ann.session(bob, window=4, unit=100)
    bob.keep(bob.books.accept(order, NOON, gift_policy=2, idle=True)[1])
    bob.keep(bob.books.begin(ann.me, order.id, NOON))
    assert bob.books.extend(ann.me, order.id, Standing(), NOON).events == ()


def test_a_paid_session_keeps_no_points_behind_it(ann: Trader, bob: Trader) -> None:
    """A requester chooses how many windows there are; they must not pile up."""
    order = open_session(ann, bob)
    for window in range(1, 20):
        result = bob.result(order, window, window, first=window - 1, last=0)
        ann.settles(bob, bob.keep(bob.books.bill(result, NOON)))
        bob.keep(bob.books.extend(ann.me, order.id, Standing(), NOON))
    assert not bob.books.account(ann.me).claims[order.id].points


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
