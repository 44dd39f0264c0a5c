# SPDX-License-Identifier: MIT
"""Stories about cheques that are refused, and refunds that reach whom they should."""

from dataclasses import replace

from protocol.budget import Standing
from protocol.cheque import Receipt
from protocol.errors import Refused
from protocol.limits import SETTLED_KEEP_S
from protocol.reasons import Reason
from tests.protocol.trade import NOON, RULES, Trader, bare, later, refused, same_totals, wrong


def test_refunded_work_earns_no_right_to_redeem(ann: Trader, bob: Trader) -> None:
    """Fake work, paid and refunded, was a door to any amount of real work."""
    took = 0
    for _ in range(30):
        order = bob.order(ann, 1, 100)
        ann.keep(ann.books.accept(order, NOON, Standing(line_cu=500))[1])
        ann.keep(ann.books.begin(bob.me, order.id, NOON))
        cheque = bob.settles(ann, ann.keep(ann.books.bill(ann.result(order, 1, 100), NOON)))
        back = ann.keep(ann.books.refund(bob.me, order.id, 100, cheque.wire, NOON))
        (ack,) = bob.take(ann, bare(back))
        ann.keep(ann.books.acked(ack, NOON))
        wanted = ann.order(bob, 1, 100)
        try:
            bob.keep(bob.books.accept(wanted, NOON)[1])
        except Refused:
            break
        bob.keep(bob.books.begin(ann.me, wanted.id, NOON))
        ann.settles(bob, bob.keep(bob.books.bill(bob.result(wanted, 1, 100), NOON)))
        took += 100
    assert took <= 200  # the first right to redeem, and a stranger's line
    assert bob.books.bucket.tokens <= RULES.size_cu - took + 100


def test_a_second_refund_reaches_a_requester_that_lost_its_books(ann: Trader, bob: Trader) -> None:
    start = list(ann.journal)
    order, bill = bob.works_for(ann, 40)
    cheque = ann.settles(bob, bill)
    ann.reopen(start, restored=True)
    for _ in range(2):
        refund = bob.keep(bob.books.refund(ann.me, order.id, 10, cheque.wire, NOON))
        (ack,) = ann.take(bob, Receipt(refund.wire, b"", (cheque.wire,)))
        bob.keep(bob.books.acked(ack, NOON))
    assert ann.books.account(bob.me).held_total == 20


def test_a_refused_cheque_is_withdrawn_and_blocks_nothing(ann: Trader, bob: Trader) -> None:
    """A requester from an old backup pays once more; the worker refuses; both go on."""
    _, bill = bob.works_for(ann, 20)
    backup = list(ann.journal)
    ann.settles(bob, bill)
    ann.settles(bob, bob.works_for(ann, 10)[1])
    ann.reopen(backup, restored=True)
    ann.meets(bob)
    cheque = ann.pays(bob, bill)
    wrong(Reason.WRONG_AMOUNT, bob.take, ann, bare(cheque))
    ann.keep(ann.books.withdraw(bob.me, NOON))
    assert same_totals(ann, bob)
    again = ann.settles(bob, bob.works_for(ann, 20)[1])
    assert again.value.total == cheque.value.total
    assert again.value.incarnation != cheque.value.incarnation
    assert same_totals(ann, bob)


def test_a_withdrawal_undoes_what_the_cheque_did_to_the_books(ann: Trader, bob: Trader) -> None:
    order = ann.order(bob, 2, 10)
    bob.keep(bob.books.accept(order, NOON)[1])
    bob.keep(bob.books.begin(ann.me, order.id, NOON))
    ann.settles(bob, bob.keep(bob.books.bill(bob.result(order, 1, 10, last=0), NOON)))
    account = ann.books.account(bob.me)
    before = replace(account.paid[order.id])
    bill = bob.keep(bob.books.bill(bob.result(order, 2, 20, first=1), NOON))
    ann.pays(bob, bill)
    ann.keep(ann.books.withdraw(bob.me, NOON))
    paid = account.paid[order.id]
    assert (paid.through, paid.due) == (before.through, before.due)
    assert (account.earned, account.signed_total, account.lines) == (10, 10, [])
    assert ann.books.withdraw(bob.me, NOON).events == ()
    ann.settles(bob, bill)
    assert same_totals(ann, bob)


def test_a_withdrawn_refund_can_be_given_again(ann: Trader, bob: Trader) -> None:
    order, bill = bob.works_for(ann, 40)
    cheque = ann.settles(bob, bill)
    bob.keep(bob.books.refund(ann.me, order.id, 40, cheque.wire, NOON))
    bob.keep(bob.books.withdraw(ann.me, NOON))
    assert bob.books.account(ann.me).settled[order.id].refunded == 0
    bob.keep(bob.books.refund(ann.me, order.id, 40, cheque.wire, NOON))


def test_taking_back_a_cheque_lends_again_and_needs_the_budget(ann: Trader, bob: Trader) -> None:
    """Or a peer that refuses its pay could turn one piece of work into two."""
    ann.works_for(bob, 80)
    ann.pays(bob, bob.works_for(ann, 80)[1])
    ann.books.bucket.tokens = 79
    refused(Reason.BUDGET_EXHAUSTED, ann.books.withdraw, bob.me, NOON)
    ann.books.bucket.tokens = 80
    ann.keep(ann.books.withdraw(bob.me, NOON))
    assert ann.books.bucket.tokens == 0


def test_records_of_unacknowledged_lines_are_not_forgotten(ann: Trader, bob: Trader) -> None:
    """Or the same bill would be paid twice after three months."""
    order, bill = bob.works_for(ann, 40)
    ann.pays(bob, bill)
    ann.keep(ann.books.forget(later(SETTLED_KEEP_S + 1)))
    assert order.id in ann.books.account(bob.me).paid
    assert ann.pays(bob, bill) == ()
