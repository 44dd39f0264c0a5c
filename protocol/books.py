# SPDX-License-Identifier: MIT
"""The books of one node: cheques that it takes, cheques that it signs, and what hello compares.

Theory of operation
-------------------
Each method decides, on what the books say and what a peer sent, and gives an
:class:`Outcome`: the events that happened and the statements to send. The events are
applied at once; the caller writes them to its journal **before** anything is sent. A
method that raises has changed nothing.

A cheque is taken when its total rises by exactly what it newly pays:

- a line at or below what is already settled adds nothing (it was restated);
- any other line must name a *point* that this node itself has signed (its accept: the whole
  order; its result: so many items) and bring the order there exactly from where it stood;
- the rise of the total is the sum of those amounts, and nothing else.

So nobody can pay less than an order costs, pay twice for one, or drive up a total for
nothing. A total that does not rise is answered with the ack of the highest one: merging is
taking the maximum, and a message may come twice, late, or never.
"""

from collections.abc import Sequence

from protocol import events as ev
from protocol.account import Account
from protocol.canon import tagged_hash
from protocol.cheque import Ack, Cheque, Payment, Receipt, Refund, RefundLine
from protocol.errors import LocalProtocolError, Refused, RemoteProtocolError
from protocol.events import Instant, Line, Progress, Refunded
from protocol.ledger import Outcome
from protocol.lending import Lending
from protocol.limits import (
    PAYMENTS_PER_CHEQUE_MAX,
    REFUNDS_MAX,
)
from protocol.reasons import Reason
from protocol.sealed import Sealed, Statement, unseal
from protocol.settle import Points, newly_paid, newly_refunded, point_of
from protocol.statements import Accept, Result


class Books(Lending):
    """All accounts of one node."""

    # --- meeting -----------------------------------------------------------------------------

    def greet(self, peer: bytes, held_total: int, signed_total: int) -> Outcome:
        """Take the two totals of a peer's hello; send what the peer seems to have lost.

        When the peer holds more than these books say was signed, they are a restored backup:
        nothing is signed for this peer until it has shown the cheque.
        """
        account = self.account(peer)
        send: list[Receipt] = []
        if signed_total < account.held_total:
            send.append(Receipt(account.held_wire, account.held_ack, ()))
        if held_total < account.acked_total:
            send.append(Receipt(account.acked_wire, account.acked_ack, ()))
        if account.lines:
            citations = tuple(dict.fromkeys(line.citation for line in account.lines))
            send.append(Receipt(account.signed_wire, b"", citations))
        if held_total <= account.signed_total:
            self.greeted.add(peer)
        return Outcome((), tuple(send))

    def left(self, peer: bytes) -> None:
        """Note that a peer is gone: it greets again before anything is signed for it."""
        self.greeted.discard(peer)

    # --- taking: cheques, refunds and what peers show ----------------------------------------

    def take(self, peer: bytes, receipt: Receipt, now: Instant) -> Outcome:
        """Take a cheque or refund from a peer; one that is wrong raises RemoteProtocolError."""
        statement = unseal(receipt.statement, self._network, Cheque, Refund)
        value = statement.value
        ack = unseal(receipt.ack, self._network, Ack) if receipt.ack else None
        if ack is not None and (
            ack.value.statement != statement.id
            or ack.value.creditor != value.creditor
            or ack.value.total != value.total
        ):
            raise RemoteProtocolError(Reason.MALFORMED, "the ack belongs to another statement")
        if (value.debtor, value.creditor) == (self.me, peer):
            return self._recall(peer, statement, ack, now)
        if (value.debtor, value.creditor) != (peer, self.me):
            raise RemoteProtocolError(Reason.WRONG_PARTY, "the statement is between other nodes")
        account = self.account(peer)
        if value.total <= account.held_total:
            return Outcome((), (unseal(account.held_ack, self._network, Ack),))
        if ack is not None:
            paid = _lines_shown(value)
            return self._commit(
                [ev.Adopted(now, peer, value.total, statement.wire, ack.wire, paid)], ack
            )
        return self._credit(account, statement, receipt.citations, now)

    def _credit(
        self,
        account: Account,
        statement: Sealed[Cheque | Refund],
        citations: tuple[bytes, ...],
        now: Instant,
    ) -> Outcome:
        value = statement.value
        rise = value.total - account.held_total
        points = Points(self._network, self.me, account.peer, citations, now.wall_s)
        paid: tuple[Progress, ...] = ()
        refunded: tuple[Refunded, ...] = ()
        if isinstance(value, Cheque):
            paid = newly_paid(account, value.payments, rise, points)
        else:
            refunded = newly_refunded(account, value.refunds, rise, points)
        ack = self._seal(Ack(self.me, account.peer, self.incarnation, statement.id, value.total))
        event = ev.Credited(
            now, account.peer, value.total, statement.wire, ack.wire, paid, refunded
        )
        return self._commit([event], ack)

    def _recall(
        self, peer: bytes, statement: Sealed[Cheque | Refund], ack: Sealed[Ack] | None, now: Instant
    ) -> Outcome:
        if ack is None:
            raise RemoteProtocolError(Reason.UNEXPECTED, "my own cheque was shown without its ack")
        account = self.account(peer)
        total = statement.value.total
        if total <= account.signed_total:
            return self.acked(ack, now)
        paid = _lines_shown(statement.value)
        recalled = ev.Recalled(now, peer, total, statement.wire, ack.wire, paid)
        self.greeted.add(peer)
        return self._commit([recalled])

    def acked(self, ack: Sealed[Ack], now: Instant) -> Outcome:
        """Take the ack of something that I signed; one that says nothing new changes nothing."""
        if ack.value.debtor != self.me:
            raise RemoteProtocolError(Reason.WRONG_PARTY, "the ack is for another node")
        account = self.account(ack.value.creditor)
        total, wire = account.sent.get(ack.value.statement, (0, b""))
        if total <= account.acked_total:
            return Outcome()
        if total != ack.value.total:
            raise RemoteProtocolError(
                Reason.WRONG_AMOUNT, f"acks {ack.value.total}, signed was {total}"
            )
        return self._commit([ev.Acked(now, account.peer, total, wire, ack.wire)])

    # --- paying: what I sign -----------------------------------------------------------------

    def pay(
        self, peer: bytes, bills: Sequence[Sealed[Result] | Sealed[Accept]], now: Instant
    ) -> Outcome:
        """Pay up to the points of a worker's own statements, which the caller found right."""
        account = self._ready_to_sign(peer, refunds=False)
        total = account.signed_total
        reached = {order: (paid.through, paid.due) for order, paid in account.paid.items()}
        lines: list[Line] = []
        for bill in bills:
            if bill.value.worker != peer or bill.value.requester != self.me:
                raise RemoteProtocolError(Reason.WRONG_PARTY, "the bill is between other nodes")
            point = point_of(bill.value)
            through, due = reached.get(point.order, (0, 0))
            if point.through <= through:
                continue
            if point.due < due:
                raise RemoteProtocolError(Reason.WRONG_AMOUNT, "a later bill is the lower one")
            if point.due == due:  # a gift
                continue
            reached[point.order] = (point.through, point.due)
            total += point.due - due
            lines.append(
                Line(point.order, through, point.through, point.due - due, total, bill.wire)
            )
        return self._sign(account, lines, total, now, refunds=False)

    def refund(
        self, peer: bytes, order: bytes, amount: int, cheque: bytes, now: Instant
    ) -> Outcome:
        """Give back part of what the peer paid for an order; `cheque` is the one that paid it.

        The cheque goes along as a citation, in case the peer lost its books: so no more is given
        back than this one cheque can prove.
        """
        account = self._ready_to_sign(peer, refunds=True)
        settled = account.settled.get(order)
        most = self._named(cheque, peer, order) - settled.refunded if settled else 0
        if not 0 < amount <= most:
            raise LocalProtocolError(
                f"{amount} CU is not what was paid for this order", Reason.REFUND_TOO_HIGH
            )
        total = account.signed_total + amount
        return self._sign(
            account, [Line(order, 0, 0, amount, total, cheque)], total, now, refunds=True
        )

    def withdraw(self, peer: bytes, now: Instant) -> Outcome:
        """Take back what the peer refused, citations and all: the next cheque begins anew.

        It happens when one of the two lost its memory. Should the peer come to accept the cheque
        after all, it will show it with its ack, and then it binds. What is lent again by going
        back must be in the budget; if it is not, Refused, and time helps.
        """
        account = self.account(peer)
        if not account.lines:
            return Outcome()
        self.bucket.refill(now.mono_s)
        after = account.net - account.uncharged + account.signed_total - account.acked_total
        if max(0, after) - account.lent > self.bucket.tokens:
            raise Refused(Reason.BUDGET_EXHAUSTED, "taking back a cheque lends again")
        return self._commit([ev.Withdrew(now, peer)])

    def _named(self, cheque: bytes, peer: bytes, order: bytes) -> int:
        """Give what a cheque of the peer pays for an order; nothing if it is another's."""
        try:
            value = unseal(cheque, self._network, Cheque).value
        except RemoteProtocolError as error:
            raise LocalProtocolError(
                f"a refund cites a cheque, and this is none: {error}"
            ) from error
        if (value.debtor, value.creditor) != (peer, self.me):
            return 0
        return sum(line.amount for line in value.payments if line.order == order)

    def _ready_to_sign(self, peer: bytes, *, refunds: bool) -> Account:
        account = self.account(peer)
        if account.frozen:
            raise Refused(Reason.PAIR_FROZEN)
        if peer not in self.greeted:
            raise LocalProtocolError("nothing is signed before hello has compared the totals")
        if account.lines and account.lines_are_refunds is not refunds:
            raise LocalProtocolError(
                "cheques and refunds wait for each other's ack", Reason.WINDOW_FULL
            )
        return account

    def _sign(
        self, account: Account, lines: list[Line], total: int, now: Instant, *, refunds: bool
    ) -> Outcome:
        if not lines:
            return Outcome()
        restated = (*account.lines, *lines)
        if len(restated) > (REFUNDS_MAX if refunds else PAYMENTS_PER_CHEQUE_MAX):
            raise LocalProtocolError(
                f"{len(restated)} lines are not acknowledged", Reason.WINDOW_FULL
            )
        # After a withdrawal the same total may be signed for something else: it says so.
        incarnation = self.incarnation
        if account.withdrawals:
            count = account.withdrawals.to_bytes(8, "big")
            incarnation = tagged_hash("withdrawn", self.incarnation, count)[:8]
        sealed: Sealed[Statement]
        if refunds:
            back = tuple(RefundLine(line.order, line.amount) for line in restated)
            sealed = self._seal(Refund(self.me, account.peer, incarnation, total, back))
        else:
            paid = tuple(Payment(line.order, line.through, line.amount) for line in restated)
            sealed = self._seal(Cheque(self.me, account.peer, incarnation, total, paid))
        event = ev.Signed(now, account.peer, total, sealed.id, sealed.wire, tuple(lines), refunds)
        return self._commit([event], sealed)


def _lines_shown(value: Cheque | Refund) -> tuple[Progress, ...]:
    """What a cheque says of single orders; after a lost book it is all that is known of them."""
    if isinstance(value, Refund):
        return ()
    reached: dict[bytes, Progress] = {}
    for line in value.payments:
        before = reached.get(line.order, Progress(line.order, 0, 0))
        reached[line.order] = Progress(line.order, line.through, before.due + line.amount)
    return tuple(reached.values())
