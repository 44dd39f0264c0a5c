# SPDX-License-Identifier: MIT
"""The account with one peer, as a fold of events. Deciding which events happen is in `books`.

An account has two sides that never mix. *Lent*: what the peer owes me: the highest cheque
that I hold, and a **claim** for each order that I accepted. *Owed*: what I owe the peer:
the highest total that I signed, and the **lines** since the last total that the peer
acknowledged. Money has moved when both sides hold the same two integers.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from protocol.budget import Exposure, OrderClass
from protocol.events import (
    Acked,
    Adopted,
    Begun,
    Billed,
    Credited,
    Ended,
    Extended,
    Froze,
    Held,
    Line,
    Overdue,
    PeerEvent,
    Progress,
    Recalled,
    Signed,
    Thawed,
    Withdrew,
    WroteOff,
)


class ClaimState(StrEnum):
    """How much of an order's hold is at risk."""

    HELD = "held"  # accepted; no input yet, no work done
    BEGUN = "begun"
    BILLED = "billed"  # the last result is out
    OVERDUE = "overdue"  # its time is over and it is not paid: blocks new orders
    ENDED = "ended"  # ended early; the rest of its hold is exposure, but blocks nothing


_OPEN = (ClaimState.HELD, ClaimState.BEGUN, ClaimState.BILLED)


@dataclass(slots=True)
class Claim:
    """An order that I accepted. `points` maps a number of items to what they cost in all."""

    items: int
    price: int
    window_price: int
    held: int
    until_s: float
    deadline_s: float
    order_class: OrderClass
    state: ClaimState = ClaimState.HELD
    billed: Progress | None = None
    refundable: bool = True
    points: dict[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class Paid:
    """How far an order is settled between us, and how much of that went back."""

    through: int
    due: int
    refunded: int = 0
    wall_s: float = 0.0


@dataclass(slots=True)
class Account:
    """Everything between this node and one peer."""

    peer: bytes
    # What the peer owes me.
    held_total: int = 0
    held_wire: bytes = b""
    held_ack: bytes = b""
    uncharged: int = 0
    claims: dict[bytes, Claim] = field(default_factory=dict)
    settled: dict[bytes, Paid] = field(default_factory=dict)
    # What I owe the peer.
    signed_total: int = 0
    signed_wire: bytes = b""
    acked_total: int = 0
    acked_wire: bytes = b""
    acked_ack: bytes = b""
    lines: list[Line] = field(default_factory=list)
    lines_are_refunds: bool = False
    sent: dict[bytes, tuple[int, bytes]] = field(default_factory=dict)
    paid: dict[bytes, Paid] = field(default_factory=dict)
    # Between us.
    earned: int = 0
    withdrawals: int = 0
    frozen: bytes = b""

    def open_in(self, order_class: OrderClass) -> int:
        """Count the open orders that were admitted as one class."""
        return sum(
            claim.order_class is order_class and claim.state in _OPEN
            for claim in self.claims.values()
        )

    @property
    def net(self) -> int:
        """What the peer owes me after subtracting what I owe it, holds included."""
        return (
            self.held_total - self.signed_total + sum(claim.held for claim in self.claims.values())
        )

    @property
    def lent(self) -> int:
        """The credit that is out with the peer: what tokens were taken for."""
        return max(0, self.net - self.uncharged)

    def settled_due(self, order: bytes) -> int:
        """How much the peer has paid for an order."""
        return self.settled[order].due if order in self.settled else 0

    def owed(self, order: bytes) -> int:
        """How much was billed for a claimed order and is not paid."""
        billed = self.claims[order].billed
        return max(0, (billed.due if billed else 0) - self.settled_due(order))

    def exposure(self) -> Exposure:
        """Sum the account up for admission."""
        states = [claim.state for claim in self.claims.values()]
        return Exposure(
            net_cu=self.net,
            uncharged_cu=self.uncharged,
            earned_cu=self.earned,
            open_orders=sum(state in _OPEN for state in states),
            unpaid_orders=states.count(ClaimState.OVERDUE),
            frozen=bool(self.frozen),
        )

    def apply(self, event: PeerEvent) -> None:
        """Change the account as the event says; an event never fails."""
        match event:
            case Held() | Begun() | Extended() | Billed() | Ended() | Overdue() | WroteOff():
                self._apply_to_claim(event)
            case Credited():
                self._credit(event)
            case Adopted():
                self._adopt(event)
            case Signed():
                self._sign(event)
            case Acked():
                self._acknowledge(event.total, event.wire, event.ack)
            case Recalled():
                self._recall(event)
            case Withdrew():
                self._withdraw()
            case Froze():
                self.frozen = event.evidence
            case _:
                assert isinstance(event, Thawed)
                self.frozen = b""

    def _apply_to_claim(
        self, event: Held | Begun | Extended | Billed | Ended | Overdue | WroteOff
    ) -> None:
        if isinstance(event, Held):
            claim = Claim(
                event.items,
                event.price,
                event.window_price,
                held=event.price,
                until_s=event.hold_until_s,
                deadline_s=event.deadline_s,
                order_class=OrderClass(event.order_class),
            )
            if event.price and event.items:
                claim.points[event.items] = event.price
            self.claims[event.order] = claim
            return
        claim = self.claims[event.order]
        match event:
            case Begun():
                claim.state = ClaimState.BEGUN
                claim.until_s = claim.deadline_s
            case Extended():
                claim.held += event.amount
            case Billed():
                self._bill(claim, event)
            case Ended():
                self._end(claim, event)
            case Overdue():
                claim.state = ClaimState.OVERDUE
                claim.held = event.owed
            case _:
                # Not repaid: what tokens were taken for it came back by refill alone.
                self.uncharged -= claim.held
                claim.state = ClaimState.ENDED
                claim.held = 0
        self._close_if_done(event.order, claim)

    def _bill(self, claim: Claim, event: Billed) -> None:
        claim.billed = Progress(event.order, event.through, event.due)
        if event.due:
            claim.points[event.through] = event.due
        if claim.window_price or event.last:  # what was held and not used is free again
            claim.held = max(0, event.due - self.settled_due(event.order))
        if event.last:
            claim.state = ClaimState.BILLED

    def _end(self, claim: Claim, event: Ended) -> None:
        # Who pays for work that is never done owes it, but nothing was lent: or a budget could be
        # drained by paying for holds and letting them end.
        billed = claim.billed.due if claim.billed else 0
        self.uncharged += max(0, self.settled_due(event.order) - billed)
        claim.state = ClaimState.ENDED
        claim.held = event.kept

    def _close_if_done(self, order: bytes, claim: Claim) -> None:
        if claim.held == 0 and claim.state in (
            ClaimState.BILLED,
            ClaimState.OVERDUE,
            ClaimState.ENDED,
        ):
            del self.claims[order]

    def _credit(self, event: Credited) -> None:
        lent = self.net - self.uncharged
        rise = event.total - self.held_total
        self._hold_cheque(event.total, event.wire, event.ack)
        rise -= sum(self._settle(progress, event) for progress in event.paid)
        # What was not held was not lent. It first uses up what I owe: a refund takes back the
        # right to redeem that the refunded work had earned.
        self.uncharged = self.net - min(lent + rise, max(lent, 0))
        for back in event.refunded:
            before = self.paid.get(back.order, Paid(0, 0))
            self.earned -= back.refunded - before.refunded
            self.paid[back.order] = Paid(back.through, back.due, back.refunded, event.at.wall_s)

    def _adopt(self, event: Adopted) -> None:
        # These books are a restored backup: which of its claims were paid since is not known, and
        # whatever was not can still be paid by citing my own accept. None of them blocks the peer.
        # What is lent stays as it was: a memory that comes back is no repayment.
        lent = self.net - self.uncharged
        self.claims.clear()
        self._hold_cheque(event.total, event.wire, event.ack)
        self.uncharged = self.net - lent
        for progress in event.paid:
            self._settle(progress, event)

    def _hold_cheque(self, total: int, wire: bytes, ack: bytes) -> None:
        self.held_total = total
        self.held_wire = wire
        self.held_ack = ack

    def _settle(self, progress: Progress, event: Credited | Adopted) -> int:
        """Record a payment; give back how much of it had been held."""
        before = self.settled.get(progress.order, Paid(0, 0))
        amount = progress.due - before.due
        claim = self.claims.get(progress.order)
        # Only what these books saw from accept to pay can be refunded: anything else may have been
        # paid and refunded before, in a memory that was lost.
        refunded = before.refunded if claim and claim.refundable else progress.due
        self.settled[progress.order] = Paid(
            progress.through, progress.due, refunded, event.at.wall_s
        )
        if claim is None:
            return 0
        covered = min(amount, claim.held)
        claim.held -= covered
        claim.points = {at: due for at, due in claim.points.items() if at > progress.through}
        self._close_if_done(progress.order, claim)
        return covered

    def _sign(self, event: Signed) -> None:
        # Paying cancels debt that was never lent before it earns a right to redeem.
        self.uncharged -= min(event.total - self.signed_total, max(0, self.uncharged))
        self.signed_total = event.total
        self.signed_wire = event.wire
        self.sent[event.statement] = (event.total, event.wire)
        self.lines_are_refunds = event.refunds
        self.lines.extend(event.lines)
        for line in event.lines:
            if event.refunds:
                self.settled[line.order].refunded += line.amount
            else:
                before = self.paid.get(line.order, Paid(0, 0))
                due = before.due + line.amount
                self.paid[line.order] = Paid(line.through, due, before.refunded, event.at.wall_s)
                self.earned += line.amount

    def _acknowledge(self, total: int, wire: bytes, ack: bytes) -> None:
        self.acked_total = total
        self.acked_wire = wire
        self.acked_ack = ack
        self.lines = [line for line in self.lines if line.total_after > total]
        self.sent = {key: sent for key, sent in self.sent.items() if sent[0] > total}

    def _withdraw(self) -> None:
        for line in reversed(self.lines):
            if self.lines_are_refunds:
                self.settled[line.order].refunded -= line.amount
            else:
                paid = self.paid[line.order]
                paid.through, paid.due = line.since, paid.due - line.amount
                self.earned -= line.amount
        self.signed_total = self.acked_total
        self.signed_wire = self.acked_wire
        self.lines = []
        self.sent = {}
        self.withdrawals += 1

    def _recall(self, event: Recalled) -> None:
        self.uncharged -= event.total - self.signed_total  # remembered, not repaid: as in _adopt
        self.signed_total = event.total
        self.signed_wire = event.wire
        self._acknowledge(event.total, event.wire, event.ack)
        for progress in event.paid:
            before = self.paid.get(progress.order, Paid(0, 0))
            if progress.through > before.through:
                self.earned += progress.due - before.due
                self.paid[progress.order] = Paid(
                    progress.through, progress.due, before.refunded, event.at.wall_s
                )

    def shift(self, seconds: float) -> None:
        """Move all deadlines to the clock of a new process."""
        for claim in self.claims.values():
            claim.until_s += seconds
            claim.deadline_s += seconds

    def restored(self) -> None:
        """Go on from an old backup, which may not know what was redeemed or refunded since.

        What I owe stays owed, but redeeming it draws on the budget, or it could be redeemed
        once more after each restore. And nothing from before can be refunded any more.
        """
        self.uncharged = min(self.uncharged, self.net)
        for settled in self.settled.values():
            settled.refunded = settled.due
        for claim in self.claims.values():
            claim.refundable = False

    def forget(self, before_wall_s: float) -> None:
        """Drop what was settled before then, but nothing that is still open."""
        kept = {line.order for line in self.lines}
        for records in (self.settled, self.paid):
            old = [order for order, paid in records.items() if paid.wall_s < before_wall_s]
            for order in old:
                if order not in self.claims and order not in kept:
                    del records[order]
