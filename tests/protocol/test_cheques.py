# SPDX-License-Identifier: MIT
"""Stories about cheques: what is paid, lost, repeated, overtaken and refused."""

import pytest

from protocol.account import ClaimState
from protocol.cheque import Ack, Cheque, Payment, Receipt
from protocol.errors import LocalProtocolError
from protocol.limits import (
    HOLD_S_MAX,
    PAYMENTS_PER_CHEQUE_MAX,
    SETTLED_KEEP_S,
)
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
    """Without a citation it is refused, with one that proves nothing it is a breach."""
    cheque = cheque_of(ann, bob, 5, Payment(b"x" * 32, 1, 5))
    refused(Reason.NOT_ORDERED, bob.take, ann, cheque)
    other = bob.keep(bob.books.accept(ann.order(bob), NOON)[1])
    wrong(Reason.NOT_ORDERED, bob.take, ann, Receipt(cheque.statement, b"", (other.wire,)))


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
    refused(Reason.NOT_ORDERED, bob.take, ann, bare(cheque))
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
