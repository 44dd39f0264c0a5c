# SPDX-License-Identifier: MIT
"""The books of one node: every account and the one budget. Storing and sending is the caller's part.

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

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from protocol import events as ev
from protocol.account import Account, ClaimState
from protocol.budget import (
    STRANGER,
    Bucket,
    BudgetRules,
    OrderClass,
    Standing,
    admit,
    admit_gift,
    lend,
)
from protocol.errors import LocalProtocolError, Refused, RemoteProtocolError
from protocol.events import Event, Instant, Line, PeerEvent, Progress
from protocol.keys import Keypair
from protocol.limits import (
    CLAIMS_PER_PEER_MAX,
    CLOCK_SKEW_S_MAX,
    HOLD_S_MAX,
    PAYMENTS_PER_CHEQUE_MAX,
    REFUNDS_MAX,
    SEEN_KEEP_S,
    SETTLED_KEEP_S,
)
from protocol.reasons import Reason
from protocol.sealed import Sealed, Statement, seal, unseal
from protocol.settle import Points, newly_paid, newly_refunded, point_of
from protocol.statements import (
    Accept,
    Ack,
    Cheque,
    Order,
    Payment,
    Receipt,
    Refund,
    RefundLine,
    Result,
    SessionOrder,
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was decided: events for the journal, and what to send once they are durable."""

    events: tuple[Event, ...] = ()
    send: tuple[Sealed[Statement] | Receipt, ...] = ()


class Books:
    """All accounts of one node."""

    def __init__(self, keypair: Keypair, network: bytes, rules: BudgetRules, now: Instant) -> None:
        """Begin with empty accounts and a full bucket."""
        self._keypair = keypair
        self._network = network
        self.me = keypair.public
        self.incarnation = b""
        self.bucket = Bucket(rules, now.mono_s)
        self.accounts: dict[bytes, Account] = {}
        self.seen: dict[bytes, int] = {}
        self.wall_high_s = now.wall_s
        # Peers whose hello was compared since this process began; not part of the journal.
        self.greeted: set[bytes] = set()

    # --- the fold ------------------------------------------------------------------------------

    def apply(self, event: Event) -> None:
        """Change the books as one event says. Replaying a journal is calling this for each."""
        self.wall_high_s = max(self.wall_high_s, event.at.wall_s)
        if isinstance(event, ev.Started):
            self.incarnation = event.incarnation
            self.bucket.restart(event.at.mono_s, event.off_s, restored=event.restored)
            self.greeted.clear()
            return
        self.bucket.refill(event.at.mono_s)
        if isinstance(event, PeerEvent):
            account = self.accounts.setdefault(event.peer, Account(event.peer))
            lent = account.exposure().lent_cu
            account.apply(event)
            self.bucket.move(lent, account.exposure().lent_cu)
            if isinstance(event, ev.Held):
                self.seen[event.order] = event.seen_until_s
        elif isinstance(event, ev.Forgot):
            for account in self.accounts.values():
                account.forget(self.wall_high_s - SETTLED_KEEP_S)
            self.seen = {order: until for order, until in self.seen.items() if until >= self.wall_high_s}

    def account(self, peer: bytes) -> Account:
        """Give the account with a peer; a stranger's is empty and only kept once something happens."""
        return self.accounts.get(peer) or Account(peer)

    def _commit(self, events: Iterable[Event], *send: Sealed[Statement] | Receipt) -> Outcome:
        done = tuple(events)
        for event in done:
            self.apply(event)
        return Outcome(done, send)

    def start(self, incarnation: bytes, now: Instant, off_s: float = 0, *, restored: bool = False) -> Outcome:
        """Begin a process: accounts must greet again before anything is signed."""
        return self._commit([ev.Started(now, incarnation, off_s, restored)])

    # --- meeting ---------------------------------------------------------------------------------

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

    # --- lending: orders that I accept -------------------------------------------------------------

    def accept(
        self,
        order: Sealed[Order] | Sealed[SessionOrder],
        now: Instant,
        standing: Standing = STRANGER,
        *,
        gift_policy: int = 0,
        idle: bool = False,
    ) -> tuple[OrderClass, Outcome]:
        """Accept an order whose price was found right, or raise Refused."""
        value = order.value
        if value.worker != self.me:
            raise RemoteProtocolError(Reason.WRONG_PARTY, "the order is for another worker")
        self._check_fresh(order.id, value, now)
        self.bucket.refill(now.mono_s)
        account = self.account(value.requester)
        if len(account.claims) >= CLAIMS_PER_PEER_MAX:
            raise Refused(Reason.UNPAID, f"{len(account.claims)} orders were ended and not paid")
        exposure = account.exposure()
        items, price = (value.items, value.price) if isinstance(value, Order) else (0, value.window_price)
        window_price = 0 if isinstance(value, Order) else price
        try:
            order_class = admit(exposure, standing, self.bucket, price)
        except Refused as refused:
            try:
                order_class = admit_gift(exposure, standing, gift_policy, idle=idle)
            except Refused:
                raise refused from None
            price = window_price = 0
        hold_s = min(value.ttl_s, HOLD_S_MAX)
        held = ev.Held(
            now,
            value.requester,
            order.id,
            items,
            price,
            window_price,
            hold_until_s=now.mono_s + hold_s,
            deadline_s=now.mono_s + value.ttl_s,
            seen_until_s=value.placed_at_s + value.ttl_s + SEEN_KEEP_S,
        )
        accept = Accept(
            self.me, value.requester, self.incarnation, order.id, items, price, hold_s, int(now.wall_s)
        )
        return order_class, self._commit([held], self._seal(accept))

    def _check_fresh(self, order_id: bytes, value: Order | SessionOrder, now: Instant) -> None:
        if order_id in self.seen:
            raise Refused(Reason.REPLAYED, "this order was accepted before")
        if abs(value.placed_at_s - now.wall_s) > CLOCK_SKEW_S_MAX:
            raise Refused(Reason.REPLAYED, f"dated {value.placed_at_s - now.wall_s:+.0f} s from now")
        if value.placed_at_s + value.ttl_s + SEEN_KEEP_S < self.wall_high_s:
            raise Refused(Reason.REPLAYED, "the clock of this machine went back over its records")

    def begin(self, peer: bytes, order: bytes, now: Instant) -> Outcome:
        """Note the first input of an order: its hold is at risk from here on."""
        if self._claim_state(peer, order) is not ClaimState.HELD:
            raise LocalProtocolError("only an order that was just accepted can begin")
        return self._commit([ev.Begun(now, peer, order)])

    def extend(self, peer: bytes, order: bytes, standing: Standing, now: Instant) -> Outcome:
        """Hold credit for a session's next window, or raise Refused: then the session pauses."""
        claim = self.account(peer).claims.get(order)
        if claim is None or not claim.window_price or claim.state is not ClaimState.BEGUN:
            raise LocalProtocolError("only a running session has a next window")
        if claim.held > claim.window_price:
            raise Refused(Reason.WINDOW_UNPAID, f"{claim.held} CU are open")
        self.bucket.refill(now.mono_s)
        exposure = self.account(peer).exposure()
        if exposure.frozen:
            raise Refused(Reason.PAIR_FROZEN)
        lend(exposure, standing, self.bucket, claim.window_price)
        return self._commit([ev.Extended(now, peer, order, claim.window_price)])

    def bill(self, result: Result, now: Instant) -> Outcome:
        """Sign a result. It must stay within what is held, and its points must rise."""
        peer, order = result.requester, result.order
        claim = self.account(peer).claims.get(order)
        if claim is None or claim.state is not ClaimState.BEGUN:
            raise LocalProtocolError("a result needs an order that has begun")
        settled = self.account(peer).settled.get(order)
        before = claim.billed or Progress(order, 0, 0)
        if result.first != before.through or result.due < before.due:
            raise LocalProtocolError("results follow each other without a gap")
        if result.due - (settled.due if settled else 0) > claim.held:
            raise LocalProtocolError(f"due {result.due} CU is more than was held")
        sealed = self._seal(result)
        return self._commit(
            [ev.Billed(now, peer, order, result.through, result.due, bool(result.last))], sealed
        )

    def end(self, peer: bytes, order: bytes, kept: int, now: Instant) -> Outcome:
        """End an order early. `kept` CU stay as exposure: what was delivered, and work begun."""
        claim = self.account(peer).claims.get(order)
        if claim is None or not 0 <= kept <= claim.held:
            raise LocalProtocolError(f"cannot keep {kept} CU of this order's hold")
        return self._commit([ev.Ended(now, peer, order, kept)])

    def expire(self, now: Instant) -> Outcome:
        """End what was never begun in time, and mark as overdue what was begun and not paid."""
        events: list[Event] = []
        for peer, account in self.accounts.items():
            for order, claim in account.claims.items():
                if claim.until_s > now.mono_s:
                    continue
                if claim.state is ClaimState.HELD:
                    events.append(ev.Ended(now, peer, order, 0))
                elif claim.state in (ClaimState.BEGUN, ClaimState.BILLED):
                    events.append(ev.Overdue(now, peer, order))
        return self._commit(events)

    def _claim_state(self, peer: bytes, order: bytes) -> ClaimState | None:
        claim = self.account(peer).claims.get(order)
        return claim.state if claim else None

    # --- taking: cheques, refunds and what peers show ------------------------------------------------

    def take(self, peer: bytes, receipt: Receipt, now: Instant) -> Outcome:
        """Take a cheque or refund from a peer, with or without proofs; RemoteProtocolError if it is wrong."""
        statement: Sealed[Cheque | Refund] = unseal(receipt.statement, self._network, Cheque, Refund)
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
        self, account: Account, statement: Sealed[Cheque | Refund], citations: tuple[bytes, ...], now: Instant
    ) -> Outcome:
        value = statement.value
        rise = value.total - account.held_total
        points = Points(self._network, self.me, account.peer, citations, now.wall_s)
        if isinstance(value, Cheque):
            paid, refunded = newly_paid(account, value.payments, rise, points), ()
        else:
            paid, refunded = (), newly_refunded(account, value.refunds, rise, points)
        ack = self._seal(Ack(self.me, account.peer, self.incarnation, statement.id, value.total))
        event = ev.Credited(now, account.peer, value.total, statement.wire, ack.wire, paid, refunded)
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
            raise RemoteProtocolError(Reason.WRONG_AMOUNT, f"acks {ack.value.total}, signed was {total}")
        return self._commit([ev.Acked(now, account.peer, total, wire, ack.wire)])

    # --- paying: what I sign -------------------------------------------------------------------------

    def pay(self, peer: bytes, bills: Sequence[Sealed[Result] | Sealed[Accept]], now: Instant) -> Outcome:
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
            lines.append(Line(point.order, point.through, point.due - due, total, bill.wire))
        return self._sign(account, lines, total, now, refunds=False)

    def refund(self, peer: bytes, order: bytes, amount: int, cheque: bytes, now: Instant) -> Outcome:
        """Give back part of what the peer paid for an order; `cheque` is the one that paid it."""
        account = self._ready_to_sign(peer, refunds=True)
        settled = account.settled.get(order)
        if settled is None or not 0 < amount <= settled.due - settled.refunded:
            raise LocalProtocolError(f"{amount} CU is not what was paid for this order", Reason.REFUND_TOO_HIGH)
        total = account.signed_total + amount
        return self._sign(account, [Line(order, 0, amount, total, cheque)], total, now, refunds=True)

    def _ready_to_sign(self, peer: bytes, *, refunds: bool) -> Account:
        account = self.account(peer)
        if account.frozen:
            raise Refused(Reason.PAIR_FROZEN)
        if peer not in self.greeted:
            raise LocalProtocolError("nothing is signed before hello has compared the totals")
        if account.lines and account.lines_are_refunds is not refunds:
            raise LocalProtocolError("cheques and refunds wait for each other's ack", Reason.WINDOW_FULL)
        return account

    def _sign(
        self, account: Account, lines: list[Line], total: int, now: Instant, *, refunds: bool
    ) -> Outcome:
        if not lines:
            return Outcome()
        restated = (*account.lines, *lines)
        if len(restated) > (REFUNDS_MAX if refunds else PAYMENTS_PER_CHEQUE_MAX):
            raise LocalProtocolError(f"{len(restated)} lines are not acknowledged", Reason.WINDOW_FULL)
        sealed: Sealed[Statement]
        if refunds:
            back = tuple(RefundLine(line.order, line.amount) for line in restated)
            sealed = self._seal(Refund(self.me, account.peer, self.incarnation, total, back))
        else:
            paid = tuple(Payment(line.order, line.through, line.amount) for line in restated)
            sealed = self._seal(Cheque(self.me, account.peer, self.incarnation, total, paid))
        event = ev.Signed(now, account.peer, total, sealed.id, sealed.wire, tuple(lines), refunds)
        return self._commit([event], sealed)

    # --- consequences ------------------------------------------------------------------------------

    def freeze(self, peer: bytes, evidence: bytes, now: Instant) -> Outcome:
        """Stop all dealings with a peer on evidence; totals stay as they are."""
        return self._commit([ev.Froze(now, peer, evidence)])

    def thaw(self, peer: bytes, now: Instant) -> Outcome:
        """Lift a freeze: the owner's decision."""
        return self._commit([ev.Thawed(now, peer)])

    def forget(self, now: Instant) -> Outcome:
        """Drop records that no statement may refer to any more; call it now and then."""
        return self._commit([ev.Forgot(now)])

    def _seal(self, statement: Statement) -> Sealed[Statement]:
        return seal(self._keypair, self._network, statement)


def _lines_shown(value: Cheque | Refund) -> tuple[Progress, ...]:
    """What a cheque says of single orders; after a lost book it is all that is known of them."""
    if isinstance(value, Refund):
        return ()
    reached: dict[bytes, Progress] = {}
    for line in value.payments:
        before = reached.get(line.order, Progress(line.order, 0, 0))
        reached[line.order] = Progress(line.order, line.through, before.due + line.amount)
    return tuple(reached.values())
