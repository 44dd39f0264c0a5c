# SPDX-License-Identifier: MIT
"""Stories about crashes, backups, refunds and frozen accounts."""

import pytest

from protocol.account import Account
from protocol.books import Books
from protocol.budget import OrderClass
from protocol.cheque import Ack, Cheque, Payment, Receipt, Refund, RefundLine
from protocol.errors import LocalProtocolError
from protocol.events import Instant
from protocol.reasons import Reason
from protocol.sealed import seal
from tests.protocol.trade import (
    NETWORK,
    NOON,
    RULES,
    WALL_S,
    Trader,
    bare,
    later,
    refused,
    same_totals,
    wrong,
)


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
    soon = later(400)
    order_class, _ = bob.books.accept(ann.order(bob, 1, 60, placed_at_s=WALL_S + 400), soon)
    assert order_class is OrderClass.STRANGER


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


def test_a_refund_gives_back_no_more_than_its_cheque_can_prove(ann: Trader, bob: Trader) -> None:
    """Otherwise a requester that lost its books would refuse it, and the total would be stuck."""
    order, bill = bob.works_for(ann, 40)
    cheque = ann.settles(bob, bill)
    other = ann.settles(bob, bob.works_for(ann, 10)[1])
    mine = bob.settles(ann, ann.works_for(bob, 5)[1])
    for cited in (other.wire, mine.wire, b"no cheque at all"):
        with pytest.raises(LocalProtocolError):
            bob.books.refund(ann.me, order.id, 1, cited, NOON)
    bob.keep(bob.books.refund(ann.me, order.id, 40, cheque.wire, NOON))


def refund_of(bob: Trader, ann: Trader, total: int, *lines: RefundLine) -> Receipt:
    return bare(seal(bob.key, NETWORK, Refund(bob.me, ann.me, b"i" * 8, total, lines)))


def test_a_refund_is_for_something_paid_and_no_higher(ann: Trader, bob: Trader) -> None:
    order, bill = bob.works_for(ann, 40)
    line = RefundLine(order.id, 40)
    refused(Reason.NOT_ORDERED, ann.take, bob, refund_of(bob, ann, 40, line))
    cheque = ann.settles(bob, bill)
    more = refund_of(bob, ann, 41, RefundLine(order.id, 41))
    refused(Reason.REFUND_TOO_HIGH, ann.take, bob, more)
    cited = Receipt(more.statement, b"", (cheque.wire,))
    wrong(Reason.REFUND_TOO_HIGH, ann.take, bob, cited)
    refused(Reason.REFUND_TOO_HIGH, ann.take, bob, refund_of(bob, ann, 80, line, line))
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
    refused(Reason.NOT_ORDERED, ann.take, bob, bare(refund))
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
