# SPDX-License-Identifier: MIT
"""Stories about money between two nodes: what is paid, lost, restored, refunded and refused."""

from typing import Any

import pytest

from protocol.account import Account, ClaimState
from protocol.books import Books
from protocol.budget import OrderClass, Standing
from protocol.cheque import Ack, Cheque, Payment, Receipt, Refund, RefundLine
from protocol.errors import LocalProtocolError, Refused, RemoteProtocolError
from protocol.events import Instant
from protocol.limits import (
    CLAIMS_PER_PEER_MAX,
    CLOCK_SKEW_S_MAX,
    HOLD_S_MAX,
    PAYMENTS_PER_CHEQUE_MAX,
    SETTLED_KEEP_S,
)
from protocol.reasons import Reason
from protocol.sealed import seal
from tests.protocol.trade import NETWORK, NOON, RULES, WALL_S, Trader, bare, later, same_totals


@pytest.fixture
def ann() -> Trader:
    return Trader(1)


@pytest.fixture
def bob(ann: Trader) -> Trader:
    bob = Trader(2)
    ann.meets(bob)
    return bob


def refused(reason: Reason, call: Any, *args: Any, **named: Any) -> None:
    with pytest.raises(Refused) as caught:
        call(*args, **named)
    assert caught.value.reason is reason


def wrong(reason: Reason, call: Any, *args: Any, **named: Any) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        call(*args, **named)
    assert caught.value.reason is reason


def test_a_paid_shard_moves_the_same_credit_on_both_sides(ann: Trader, bob: Trader) -> None:
    _, bill = bob.works_for(ann, 40)
    assert bob.books.bucket.tokens == RULES.size_cu - 40
    ann.settles(bob, bill)
    assert bob.books.account(ann.me).held_total == ann.books.account(bob.me).signed_total == 40
    assert same_totals(ann, bob)
    assert not bob.books.account(ann.me).claims
    assert ann.books.account(bob.me).acked_total == 40


def test_working_for_each_other_gives_the_tokens_back(ann: Trader, bob: Trader) -> None:
    ann.settles(bob, bob.works_for(ann, 40)[1])
    bob.settles(ann, ann.works_for(bob, 40)[1])
    assert bob.books.account(ann.me).net == ann.books.account(bob.me).net == 0
    assert bob.books.bucket.tokens == ann.books.bucket.tokens == RULES.size_cu


def test_a_cheque_that_comes_twice_is_paid_once_and_acked_twice(ann: Trader, bob: Trader) -> None:
    cheque = ann.settles(bob, bob.works_for(ann, 40)[1])
    (again,) = bob.take(ann, bare(cheque))
    assert again.value.total == 40
    assert bob.books.account(ann.me).held_total == 40
    assert ann.books.acked(again, NOON).events == ()


def test_a_lost_cheque_is_healed_by_the_next_one(ann: Trader, bob: Trader) -> None:
    """It restates what the lost one paid."""
    ann.settles(bob, bob.works_for(ann, 10)[1])
    order = ann.order(bob, 2, 10)
    bob.keep(bob.books.accept(order, NOON)[1])
    bob.keep(bob.books.begin(ann.me, order.id, NOON))
    first = bob.keep(bob.books.bill(bob.result(order, 1, 10, last=0), NOON))
    second = bob.keep(bob.books.bill(bob.result(order, 2, 20, first=1), NOON))
    lost = ann.pays(bob, first)
    both = ann.pays(bob, second)
    assert [line.amount for line in both.value.payments] == [10, 10]
    (ack,) = bob.take(ann, bare(both))
    ann.keep(ann.books.acked(ack, NOON))
    assert same_totals(ann, bob)
    (late,) = bob.take(ann, bare(lost))
    assert late.value.total == 30


def test_cheques_in_flight_need_not_wait_for_acks(ann: Trader, bob: Trader) -> None:
    """The creditor skips what it has settled already, and counts the rest."""
    order = ann.order(bob, 2, 10)
    bob.keep(bob.books.accept(order, NOON)[1])
    bob.keep(bob.books.begin(ann.me, order.id, NOON))
    first = ann.pays(bob, bob.keep(bob.books.bill(bob.result(order, 1, 10, last=0), NOON)))
    bob.take(ann, bare(first))
    second = ann.pays(bob, bob.keep(bob.books.bill(bob.result(order, 2, 20, first=1), NOON)))
    bob.take(ann, bare(second))
    assert same_totals(ann, bob)


def cheque_of(ann: Trader, bob: Trader, total: int, *lines: Payment) -> Receipt:
    return bare(seal(ann.key, NETWORK, Cheque(ann.me, bob.me, b"i" * 8, total, lines)))


@pytest.mark.parametrize("amount", [1, 39, 41])
def test_a_cheque_pays_exactly_what_is_due(ann: Trader, bob: Trader, amount: int) -> None:
    order, _ = bob.works_for(ann, 40)
    wrong(
        Reason.WRONG_AMOUNT,
        bob.take,
        ann,
        cheque_of(ann, bob, amount, Payment(order.id, 1, amount)),
    )
    assert bob.books.account(ann.me).held_total == 0


def test_a_total_rises_by_what_is_named_and_nothing_else(ann: Trader, bob: Trader) -> None:
    order, _ = bob.works_for(ann, 40)
    wrong(Reason.WRONG_AMOUNT, bob.take, ann, cheque_of(ann, bob, 41, Payment(order.id, 1, 40)))


def test_nobody_can_owe_for_nothing(ann: Trader, bob: Trader) -> None:
    wrong(Reason.NOT_ORDERED, bob.take, ann, cheque_of(ann, bob, 5, Payment(b"x" * 32, 1, 5)))


def test_an_accept_pays_once_however_often_it_is_cited(ann: Trader, bob: Trader) -> None:
    order = ann.order(bob, 1, 40)
    accept = bob.keep(bob.books.accept(order, NOON)[1])
    bob.keep(bob.books.begin(ann.me, order.id, NOON))
    ann.settles(bob, bob.keep(bob.books.bill(bob.result(order, 1, 40), NOON)))
    tokens = bob.books.bucket.tokens
    again = seal(
        ann.key, NETWORK, Cheque(ann.me, bob.me, b"i" * 8, 80, (Payment(order.id, 1, 40),))
    )
    wrong(Reason.WRONG_AMOUNT, bob.take, ann, Receipt(again.wire, b"", (accept.wire,)))
    assert bob.books.bucket.tokens == tokens


def test_an_accept_does_not_expire_as_a_right_to_pay(ann: Trader, bob: Trader) -> None:
    """A requester that vanished comes back after the hold is gone, and still settles."""
    order, bill = bob.works_for(ann, 40)
    late = later(400)
    bob.keep(bob.books.expire(late))
    assert bob.books.account(ann.me).claims[order.id].state is ClaimState.OVERDUE
    refused(Reason.UNPAID, bob.books.accept, ann.order(bob, placed_at_s=WALL_S + 400), late)
    ann.settles(bob, bill, now=late)
    assert not bob.books.account(ann.me).claims
    bob.books.accept(ann.order(bob, placed_at_s=WALL_S + 400), late)


def test_a_hold_without_inputs_ends_and_gives_its_tokens_back(ann: Trader, bob: Trader) -> None:
    order = ann.order(bob, 1, 40)
    bob.keep(bob.books.accept(order, NOON)[1])
    bob.keep(bob.books.expire(later(HOLD_S_MAX - 1)))
    assert order.id in bob.books.account(ann.me).claims
    bob.keep(bob.books.expire(later(HOLD_S_MAX)))
    assert not bob.books.account(ann.me).claims
    assert bob.books.bucket.tokens == RULES.size_cu


def test_paying_for_a_hold_that_ended_neither_drains_nor_fills_the_budget(
    ann: Trader, bob: Trader
) -> None:
    """A debt that was never lent is owed, and takes no tokens."""
    order = ann.order(bob, 1, 40)
    accept = bob.keep(bob.books.accept(order, NOON)[1])
    bob.keep(bob.books.expire(later(HOLD_S_MAX)))
    cheque = ann.pays(bob, accept)
    wrong(Reason.NOT_ORDERED, bob.take, ann, bare(cheque))
    bob.take(ann, Receipt(cheque.wire, b"", (accept.wire,)))
    assert bob.books.account(ann.me).held_total == 40
    assert bob.books.account(ann.me).exposure().lent_cu == 0
    assert bob.books.bucket.tokens == RULES.size_cu
    assert same_totals(ann, bob)


def test_a_citation_must_be_my_own_and_made_for_this_peer(ann: Trader, bob: Trader) -> None:
    cat = Trader(3)
    cat.meets(bob)
    order = cat.order(bob, 1, 40)
    for_cat = bob.keep(bob.books.accept(order, NOON)[1])
    cheque = cheque_of(ann, bob, 40, Payment(order.id, 1, 40))
    wrong(Reason.WRONG_PARTY, bob.take, ann, Receipt(cheque.statement, b"", (for_cat.wire,)))
    by_cat = cat.keep(cat.books.accept(ann.order(cat, 1, 40), NOON)[1])
    wrong(Reason.WRONG_PARTY, bob.take, ann, Receipt(cheque.statement, b"", (by_cat.wire,)))


def test_an_old_citation_cannot_pay_for_a_forgotten_order(ann: Trader, bob: Trader) -> None:
    """Records are kept for ninety days; what is older could have been settled and forgotten."""
    order = ann.order(bob, 1, 40)
    accept = bob.keep(bob.books.accept(order, NOON)[1])
    bob.keep(bob.books.expire(later(HOLD_S_MAX)))
    cheque = cheque_of(ann, bob, 40, Payment(order.id, 1, 40)).statement
    late = later(SETTLED_KEEP_S + 1)
    wrong(Reason.TOO_OLD, bob.take, ann, Receipt(cheque, b"", (accept.wire,)), late)
    bob.take(ann, Receipt(cheque, b"", (accept.wire,)), later(SETTLED_KEEP_S))


def test_settled_records_are_forgotten_after_ninety_days(ann: Trader, bob: Trader) -> None:
    """On both sides; an order that is still open keeps its record."""
    order, bill = bob.works_for(ann, 40)
    ann.settles(bob, bill)
    partly = ann.order(bob, 2, 10)
    bob.keep(bob.books.accept(partly, NOON)[1])
    bob.keep(bob.books.begin(ann.me, partly.id, NOON))
    ann.settles(bob, bob.keep(bob.books.bill(bob.result(partly, 1, 10, last=0), NOON)))
    for trader in (ann, bob):
        trader.keep(trader.books.forget(later(SETTLED_KEEP_S)))
    assert order.id in bob.books.account(ann.me).settled
    assert order.id in bob.books.seen or later(SETTLED_KEEP_S).wall_s > WALL_S + 300 + 86_400
    for trader in (ann, bob):
        trader.keep(trader.books.forget(later(SETTLED_KEEP_S + 2)))
    assert list(bob.books.account(ann.me).settled) == [partly.id]
    assert not ann.books.account(bob.me).paid
    assert not bob.books.seen


# --- orders ---------------------------------------------------------------------------------


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


# --- sessions -------------------------------------------------------------------------------


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


# --- crashes and backups ------------------------------------------------------------------------


def test_a_debtor_that_lost_its_books_adopts_its_own_later_cheque(ann: Trader, bob: Trader) -> None:
    backup = list(ann.journal)
    order, bill = bob.works_for(ann, 40)
    ann.settles(bob, bill)
    ann.reopen(backup, restored=True)
    with pytest.raises(LocalProtocolError, match="hello"):
        ann.pays(bob, bill)
    ann.meets(bob)
    assert ann.books.account(bob.me).signed_total == 40
    assert ann.books.account(bob.me).paid[order.id].due == 40
    assert same_totals(ann, bob)
    assert ann.pays(bob, bill) == ()  # it knows again that this was paid


def test_a_debtor_signs_nothing_while_the_peer_holds_more_than_it_knows(
    ann: Trader, bob: Trader
) -> None:
    """It would sign a second history next to the first."""
    backup = list(ann.journal)
    ann.settles(bob, bob.works_for(ann, 40)[1])
    ann.reopen(backup)
    ann.books.greet(bob.me, 40, 0)
    with pytest.raises(LocalProtocolError, match="hello"):
        ann.pays(bob, bob.works_for(ann, 5)[1])


def test_a_creditor_that_lost_its_books_believes_its_own_ack(ann: Trader, bob: Trader) -> None:
    backup = list(bob.journal)
    order, bill = bob.works_for(ann, 40)
    ann.settles(bob, bill)
    bob.reopen(backup, restored=True)
    ann.meets(bob)
    account = bob.books.account(ann.me)
    assert account.held_total == 40
    assert account.settled[order.id].due == 40
    assert account.exposure().lent_cu == 0  # a memory that comes back lends nothing
    assert same_totals(ann, bob)


def test_claims_of_a_backup_do_not_block_a_peer_that_paid_since(ann: Trader, bob: Trader) -> None:
    order, bill = bob.works_for(ann, 40)
    backup = list(bob.journal)
    ann.settles(bob, bill)
    bob.reopen(backup, restored=True)
    assert order.id in bob.books.account(ann.me).claims
    ann.meets(bob)
    assert not bob.books.account(ann.me).claims
    assert bob.books.account(ann.me).exposure().lent_cu == 40  # and frees nothing either
    assert same_totals(ann, bob)


def test_what_a_restored_node_owes_is_redeemed_out_of_its_budget(ann: Trader, bob: Trader) -> None:
    """Otherwise it could be redeemed once more after each restore."""
    bob.settles(ann, ann.works_for(bob, 60)[1])
    backup = list(bob.journal)
    assert bob.books.accept(ann.order(bob, 1, 60), NOON)[0] is OrderClass.REDEEMS
    bob.reopen(backup, restored=True)
    refused(Reason.BUDGET_EXHAUSTED, bob.books.accept, ann.order(bob, 1, 60), NOON)
    soon = later(60)
    order_class, _ = bob.books.accept(ann.order(bob, 1, 60, placed_at_s=WALL_S + 60), soon)
    assert order_class is OrderClass.KNOWN


def test_deadlines_survive_a_reboot_that_sets_the_clock_to_zero(ann: Trader, bob: Trader) -> None:
    """Wall time says how long the node was away."""
    order, _ = bob.works_for(ann, 40)  # due 300 s after noon
    bob.reopen(bob.journal, Instant(7.0, WALL_S + 100.0))
    assert bob.books.account(ann.me).claims[order.id].until_s == pytest.approx(207.0)
    bob.keep(bob.books.expire(Instant(206.0, WALL_S + 299.0)))
    assert bob.books.account(ann.me).exposure().unpaid_orders == 0
    bob.keep(bob.books.expire(Instant(208.0, WALL_S + 301.0)))
    assert bob.books.account(ann.me).exposure().unpaid_orders == 1
    bob.keep(bob.books.expire(Instant(209.0, WALL_S + 302.0)))
    assert bob.books.account(ann.me).exposure().unpaid_orders == 1


def test_a_debtor_that_recalls_a_cheque_keeps_what_it_knew_better(ann: Trader, bob: Trader) -> None:
    """The cheque restates an order that the backup knows already."""
    order = ann.order(bob, 2, 10)
    bob.keep(bob.books.accept(order, NOON)[1])
    bob.keep(bob.books.begin(ann.me, order.id, NOON))
    ann.pays(bob, bob.keep(bob.books.bill(bob.result(order, 1, 10, last=0), NOON)))
    ann.pays(bob, bob.keep(bob.books.bill(bob.result(order, 2, 20, first=1), NOON)))
    backup = list(ann.journal)
    later_one = ann.pays(bob, seal(bob.key, NETWORK, bob.result(ann.order(bob), 1, 5)))
    ack = seal(bob.key, NETWORK, Ack(bob.me, ann.me, b"i" * 8, later_one.id, 25))
    paid = dict(ann.books.account(bob.me).paid)
    ann.reopen(backup)
    ann.take(bob, Receipt(later_one.wire, ack.wire, ()))
    assert {key: value.due for key, value in ann.books.account(bob.me).paid.items()} == {
        key: value.due for key, value in paid.items()
    }
    assert ann.books.account(bob.me).earned == 25


def test_a_crash_keeps_every_cheque_that_was_journalled(ann: Trader, bob: Trader) -> None:
    """The cheque was durable before it was sent; the connection took it down with it."""
    _, bill = bob.works_for(ann, 40)
    ann.pays(bob, bill)
    ann.reopen(ann.journal)
    ann.meets(bob)
    assert same_totals(ann, bob)
    assert ann.books.account(bob.me).acked_total == 40


def test_replaying_the_journal_gives_the_same_books(ann: Trader, bob: Trader) -> None:
    ann.settles(bob, bob.works_for(ann, 40)[1])
    bob.keep(bob.books.expire(later(30)))
    again = Books(bob.key, NETWORK, RULES)
    for event in bob.journal:
        again.apply(event)
    assert again.accounts == bob.books.accounts
    assert again.bucket.tokens == bob.books.bucket.tokens


# --- refunds --------------------------------------------------------------------------------


def test_a_refund_moves_credit_back(ann: Trader, bob: Trader) -> None:
    order, bill = bob.works_for(ann, 40)
    cheque = ann.settles(bob, bill)
    refund = bob.keep(bob.books.refund(ann.me, order.id, 15, cheque.wire, NOON))
    (ack,) = ann.take(bob, bare(refund))
    bob.keep(bob.books.acked(ack, NOON))
    assert ann.books.account(bob.me).net == -25
    assert ann.books.account(bob.me).earned == 25
    assert same_totals(ann, bob)
    with pytest.raises(LocalProtocolError):
        bob.books.refund(ann.me, order.id, 26, cheque.wire, NOON)
    bob.keep(bob.books.refund(ann.me, order.id, 25, cheque.wire, NOON))


def test_two_refunds_on_their_way_count_once_each(ann: Trader, bob: Trader) -> None:
    order, bill = bob.works_for(ann, 40)
    cheque = ann.settles(bob, bill)
    first = bob.keep(bob.books.refund(ann.me, order.id, 10, cheque.wire, NOON))
    second = bob.keep(bob.books.refund(ann.me, order.id, 5, cheque.wire, NOON))
    ann.take(bob, bare(first))
    ann.take(bob, bare(second))
    assert ann.books.account(bob.me).held_total == 15
    assert same_totals(ann, bob)


def refund_of(bob: Trader, ann: Trader, total: int, *lines: RefundLine) -> Receipt:
    return bare(seal(bob.key, NETWORK, Refund(bob.me, ann.me, b"i" * 8, total, lines)))


def test_a_refund_is_for_something_paid_and_no_higher(ann: Trader, bob: Trader) -> None:
    order, bill = bob.works_for(ann, 40)
    line = RefundLine(order.id, 40)
    wrong(Reason.NOT_ORDERED, ann.take, bob, refund_of(bob, ann, 40, line))
    ann.settles(bob, bill)
    more = RefundLine(order.id, 41)
    wrong(Reason.REFUND_TOO_HIGH, ann.take, bob, refund_of(bob, ann, 41, more))
    wrong(Reason.REFUND_TOO_HIGH, ann.take, bob, refund_of(bob, ann, 80, line, line))
    wrong(Reason.WRONG_AMOUNT, ann.take, bob, refund_of(bob, ann, 41, line))
    assert ann.books.account(bob.me).held_total == 0
    ann.take(bob, refund_of(bob, ann, 40, line))


def test_a_refund_reaches_a_requester_that_forgot_what_it_paid(ann: Trader, bob: Trader) -> None:
    """The worker shows the requester's own cheque."""
    start = list(ann.journal)
    order, bill = bob.works_for(ann, 40)
    cheque = ann.settles(bob, bill)
    refund = bob.keep(bob.books.refund(ann.me, order.id, 15, cheque.wire, NOON))
    ann.reopen(start, restored=True)
    wrong(Reason.NOT_ORDERED, ann.take, bob, bare(refund))
    ann.take(bob, Receipt(refund.wire, b"", (cheque.wire,)))
    assert ann.books.account(bob.me).held_total == 15
    other = seal(bob.key, NETWORK, Cheque(bob.me, ann.me, b"i" * 8, 9, (Payment(order.id, 1, 9),)))
    more = refund_of(bob, ann, 20, RefundLine(b"y" * 32, 5))
    wrong(Reason.WRONG_PARTY, ann.take, bob, Receipt(more.statement, b"", (other.wire,)))
    wrong(Reason.NOT_ORDERED, ann.take, bob, Receipt(more.statement, b"", (cheque.wire,)))


def test_refunds_and_cheques_wait_for_each_other(ann: Trader, bob: Trader) -> None:
    """Both move the same total, and a list of lines is of one kind."""
    order, bill = bob.works_for(ann, 40)
    cheque = ann.settles(bob, bill)
    _, other_bill = ann.works_for(bob, 10)
    bob.pays(ann, other_bill)
    with pytest.raises(LocalProtocolError) as caught:
        bob.books.refund(ann.me, order.id, 5, cheque.wire, NOON)
    assert caught.value.reason is Reason.WINDOW_FULL


def test_a_restored_node_cannot_refund_a_second_time(ann: Trader, bob: Trader) -> None:
    """It does not know what it gave back; the requester would refuse, and both would be stuck."""
    order, bill = bob.works_for(ann, 40)
    cheque = ann.settles(bob, bill)
    backup = list(bob.journal)
    ann.take(bob, bare(bob.keep(bob.books.refund(ann.me, order.id, 40, cheque.wire, NOON))))
    bob.reopen(backup, restored=True)
    ann.meets(bob)
    with pytest.raises(LocalProtocolError):
        bob.books.refund(ann.me, order.id, 1, cheque.wire, NOON)
    assert same_totals(ann, bob)


# --- what peers show ----------------------------------------------------------------------------


def test_statements_between_others_are_not_mine(ann: Trader, bob: Trader) -> None:
    cat = Trader(3)
    cheque = ann.pays(bob, bob.works_for(ann, 40)[1])
    wrong(Reason.WRONG_PARTY, cat.take, ann, bare(cheque))
    wrong(Reason.WRONG_PARTY, bob.take, cat, bare(cheque))


def test_an_ack_belongs_to_its_cheque(ann: Trader, bob: Trader) -> None:
    """A creditor's ack of one total is no ack of another, and nobody else's ack is one at all."""
    first = ann.settles(bob, bob.works_for(ann, 40)[1])
    held_ack = bob.books.account(ann.me).held_ack
    higher = seal(
        ann.key, NETWORK, Cheque(ann.me, bob.me, b"i" * 8, 99, (Payment(b"x" * 32, 1, 9),))
    )
    wrong(Reason.MALFORMED, bob.take, ann, Receipt(higher.wire, held_ack, ()))
    own = seal(ann.key, NETWORK, Ack(ann.me, bob.me, b"i" * 8, higher.id, 99))
    wrong(Reason.MALFORMED, bob.take, ann, Receipt(higher.wire, own.wire, ()))
    low = seal(bob.key, NETWORK, Ack(bob.me, ann.me, b"i" * 8, first.id, 41))
    wrong(Reason.MALFORMED, bob.take, ann, Receipt(first.wire, low.wire, ()))


def test_an_ack_of_another_amount_is_wrong_and_one_for_others_is_refused(
    ann: Trader, bob: Trader
) -> None:
    cheque = ann.pays(bob, bob.works_for(ann, 40)[1])
    lie = seal(bob.key, NETWORK, Ack(bob.me, ann.me, b"i" * 8, cheque.id, 39))
    wrong(Reason.WRONG_AMOUNT, ann.books.acked, lie, NOON)
    wrong(Reason.WRONG_PARTY, bob.books.acked, lie, NOON)
    unknown = seal(bob.key, NETWORK, Ack(bob.me, ann.me, b"i" * 8, b"x" * 32, 40))
    assert ann.books.acked(unknown, NOON).events == ()


def test_my_own_cheque_is_shown_with_its_ack(ann: Trader, bob: Trader) -> None:
    """Without it the creditor has not taken it, and shows it for some other end."""
    cheque = ann.settles(bob, bob.works_for(ann, 40)[1])
    wrong(Reason.UNEXPECTED, ann.take, bob, bare(cheque))
    held = bob.books.account(ann.me)
    assert ann.take(bob, Receipt(held.held_wire, held.held_ack, ())) == ()


def test_a_bill_is_from_the_worker_and_to_me_and_does_not_shrink(ann: Trader, bob: Trader) -> None:
    cat = Trader(3)
    cat.meets(ann)
    order, bill = bob.works_for(ann, 40)
    wrong(Reason.WRONG_PARTY, ann.books.pay, cat.me, [bill], NOON)
    ann.pays(bob, bill)
    less = seal(bob.key, NETWORK, bob.result(order, 2, 30))
    wrong(Reason.WRONG_AMOUNT, ann.books.pay, bob.me, [less], NOON)


def test_a_cheque_has_room_for_so_many_unacknowledged_lines(ann: Trader, bob: Trader) -> None:
    """Then the requester waits: the window of orders is the flow control of money."""
    order = b"q" * 32
    bills = [
        seal(
            bob.key,
            NETWORK,
            bob.result(seal(ann.key, NETWORK, ann.order(bob).value), through, through),
        )
        for through in range(1, PAYMENTS_PER_CHEQUE_MAX + 2)
    ]
    assert order
    ann.pays(bob, *bills[:-1])
    with pytest.raises(LocalProtocolError) as caught:
        ann.pays(bob, bills[-1])
    assert caught.value.reason is Reason.WINDOW_FULL


# --- consequences -----------------------------------------------------------------------------


def test_a_frozen_account_keeps_its_totals_and_moves_nothing(ann: Trader, bob: Trader) -> None:
    _, bill = bob.works_for(ann, 40)
    ann.keep(ann.books.freeze(bob.me, b"evidence", NOON))
    refused(Reason.PAIR_FROZEN, ann.books.pay, bob.me, [bill], NOON)
    refused(Reason.PAIR_FROZEN, ann.books.accept, bob.order(ann), NOON)
    assert ann.books.account(bob.me).signed_total == 0
    ann.keep(ann.books.thaw(bob.me, NOON))
    ann.settles(bob, bill)
    assert same_totals(ann, bob)


def test_a_peer_that_left_greets_again_before_it_is_paid(ann: Trader, bob: Trader) -> None:
    _, bill = bob.works_for(ann, 40)
    ann.books.left(bob.me)
    with pytest.raises(LocalProtocolError, match="hello"):
        ann.pays(bob, bill)
    ann.meets(bob)
    ann.settles(bob, bill)


def test_hello_sends_nothing_when_both_books_agree(ann: Trader, bob: Trader) -> None:
    ann.settles(bob, bob.works_for(ann, 40)[1])
    assert ann.books.greet(bob.me, 40, 0).send == ()
    assert bob.books.greet(ann.me, 0, 40).send == ()


def test_strangers_that_only_say_hello_leave_no_record(ann: Trader) -> None:
    """Anybody can make keys; memory is for those with whom something happened."""
    for number in range(100):
        ann.books.greet(number.to_bytes(32, "big"), 0, 0)
    assert ann.books.accounts == {}
    assert ann.books.account(b"k" * 32) == Account(b"k" * 32)
