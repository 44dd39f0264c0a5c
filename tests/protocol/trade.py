# SPDX-License-Identifier: MIT
"""Two nodes that trade, for tests that tell one story about the books."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from protocol.books import Books
from protocol.budget import BudgetRules
from protocol.cheque import Receipt
from protocol.errors import Refused, RemoteProtocolError
from protocol.events import Event, Instant
from protocol.hello import network_id
from protocol.keys import Keypair
from protocol.ledger import Outcome
from protocol.reasons import Reason
from protocol.sealed import Sealed, seal
from protocol.statements import Order, Result, SessionOrder

NETWORK = network_id("trade", b"s" * 16)
RULES = BudgetRules(size_cu=1000, refill_cu_per_s=2, stranger_line_cu=100)
WALL_S = 1_800_000_000
NOON = Instant(0.0, float(WALL_S))


def later(seconds: float, of: Instant = NOON) -> Instant:
    """Some time after another instant, on both clocks."""
    return Instant(of.mono_s + seconds, of.wall_s + seconds)


@dataclass
class Trader:
    """A node: its key, its books and its journal."""

    seed: int
    rules: BudgetRules = RULES
    journal: list[Event] = field(default_factory=list)
    starts: int = 0
    orders: int = 0

    def __post_init__(self) -> None:
        self.key = Keypair(bytes([self.seed]) * 32)
        self.books = Books(self.key, NETWORK, self.rules)
        self.start()

    @property
    def me(self) -> bytes:
        return self.key.public

    def start(self, now: Instant = NOON, *, restored: bool = False) -> None:
        self.starts += 1
        self.keep(self.books.start(bytes([self.starts]) * 8, now, restored=restored))

    def keep(self, outcome: Outcome) -> Any:
        """Journal what happened; give what is to be sent, or the one thing that is."""
        self.journal.extend(outcome.events)
        return outcome.send[0] if len(outcome.send) == 1 else outcome.send

    def reopen(self, events: list[Event], now: Instant = NOON, *, restored: bool = False) -> None:
        """Come back with the books that these events give."""
        self.books = Books(self.key, NETWORK, self.rules)
        self.journal = list(events)
        for event in events:
            self.books.apply(event)
        self.start(now, restored=restored)

    def order(
        self, worker: "Trader", items: int = 1, unit: int = 10, **fields: Any
    ) -> Sealed[Order]:
        self.orders += 1
        values = {
            "requester": self.me,
            "worker": worker.me,
            "incarnation": self.books.incarnation,
            "nonce": self.orders.to_bytes(32, "big"),
            "model": b"m" * 32,
            "stage": 0,
            "adapter": b"",
            "input_root": b"i" * 32,
            "shape_root": b"s" * 32,
            "items": items,
            "price": items * unit,
            "price_version": 1,
            "comparator": 1,
            "tolerance": 20_000,
            "ttl_s": 300,
            "placed_at_s": WALL_S,
            "public": 0,
        }
        return seal(self.key, NETWORK, Order(**{**values, **fields}))

    def session(self, worker: "Trader", window: int = 4, unit: int = 10, **fields: Any) -> Any:
        self.orders += 1
        values = {
            "requester": self.me,
            "worker": worker.me,
            "incarnation": self.books.incarnation,
            "nonce": self.orders.to_bytes(32, "big"),
            "model": b"m" * 32,
            "stage": 0,
            "adapter": b"",
            "shape_root": b"s" * 32,
            "window": window,
            "window_price": window * unit,
            "memory_bytes": 1 << 20,
            "rent_per_s": 1,
            "price_version": 1,
            "comparator": 1,
            "tolerance": 20_000,
            "ttl_s": 300,
            "placed_at_s": WALL_S,
            "public": 0,
        }
        return seal(self.key, NETWORK, SessionOrder(**{**values, **fields}))

    def result(
        self, order: Sealed[Any], through: int, due: int, *, first: int = 0, last: int = 1
    ) -> Result:
        return Result(
            self.me,
            order.value.requester,
            self.books.incarnation,
            order.id,
            first,
            through,
            due,
            b"o" * 32,
            "cpu",
            last,
            WALL_S,
        )

    def meets(self, other: "Trader", now: Instant = NOON) -> None:
        """Exchange hellos, and deliver what they lead to until there is nothing more."""
        for one, two in ((self, other), (other, self)):
            account = two.books.account(one.me)
            sent = one.books.greet(two.me, account.held_total, account.signed_total).send
            for receipt in sent:
                assert isinstance(receipt, Receipt)
                for answer in two.take(one, receipt, now):
                    one.keep(one.books.acked(answer, now))

    def take(self, sender: "Trader", receipt: Receipt, now: Instant = NOON) -> Any:
        outcome = self.books.take(sender.me, receipt, now)
        self.keep(outcome)
        return outcome.send

    def works_for(self, requester: "Trader", unit: int = 10, now: Instant = NOON) -> Any:
        """Take one order of one item, deliver it, and give the order and its bill."""
        order = requester.order(self, 1, unit, placed_at_s=int(now.wall_s))
        self.keep(self.books.accept(order, now)[1])
        self.keep(self.books.begin(requester.me, order.id, now))
        return order, self.keep(self.books.bill(self.result(order, 1, unit), now))

    def pays(self, worker: "Trader", *bills: Any, now: Instant = NOON) -> Any:
        """Sign a cheque for bills; it is not sent."""
        return self.keep(self.books.pay(worker.me, bills, now))

    def settles(self, worker: "Trader", *bills: Any, now: Instant = NOON) -> Any:
        """Sign a cheque, deliver it, and take the ack."""
        cheque = self.pays(worker, *bills, now=now)
        (ack,) = worker.take(self, bare(cheque), now)
        self.keep(self.books.acked(ack, now))
        return cheque


def bare(sealed: Sealed[Any]) -> Receipt:
    """A cheque or refund as it travels when nothing went wrong."""
    return Receipt(sealed.wire, b"", ())


def same_totals(one: Trader, other: Trader) -> bool:
    """Whether money moved: both sides hold the same two integers."""
    mine, theirs = one.books.account(other.me), other.books.account(one.me)
    return (mine.held_total, mine.signed_total) == (theirs.signed_total, theirs.held_total)


def refused(reason: Reason, call: Any, *args: Any, **named: Any) -> None:
    with pytest.raises(Refused) as caught:
        call(*args, **named)
    assert caught.value.reason is reason


def wrong(reason: Reason, call: Any, *args: Any, **named: Any) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        call(*args, **named)
    assert caught.value.reason is reason
