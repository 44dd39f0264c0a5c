# SPDX-License-Identifier: MIT
"""The orders that this node accepts: credit that is held, work that is billed, time that runs out.

Every method gives an outcome for the journal, or raises and has changed nothing.
"""

from protocol import events as ev
from protocol.account import ClaimState
from protocol.budget import (
    STRANGER,
    OrderClass,
    Standing,
    admit,
    admit_gift,
    lend,
)
from protocol.errors import LocalProtocolError, Refused, RemoteProtocolError
from protocol.events import Event, Instant, Progress
from protocol.ledger import Ledger, Outcome
from protocol.limits import (
    CLAIMS_PER_PEER_MAX,
    CLOCK_SKEW_S_MAX,
    HOLD_S_MAX,
    SETTLED_KEEP_S,
    STRANGER_ORDERS_MAX,
)
from protocol.reasons import Reason
from protocol.sealed import Sealed
from protocol.statements import Accept, Order, Result, SessionOrder


class Lending(Ledger):
    """The side of the books on which others owe this node."""

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
        if order.id in account.settled:
            raise Refused(Reason.REPLAYED, "this order is settled")
        if len(account.claims) >= CLAIMS_PER_PEER_MAX:
            raise Refused(Reason.UNPAID, f"{len(account.claims)} orders were ended and not paid")
        exposure = account.exposure()
        items, price = (
            (value.items, value.price) if isinstance(value, Order) else (0, value.window_price)
        )
        window_price = 0 if isinstance(value, Order) else price
        try:
            order_class = admit(exposure, standing, self.bucket, price)
        except Refused as refused:
            try:
                order_class = admit_gift(exposure, standing, gift_policy, idle=idle)
            except Refused:
                raise refused from None
            price = window_price = 0
        self._check_crowd(order_class)
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
            order_class=order_class,
        )
        accept = Accept(
            self.me,
            value.requester,
            self.incarnation,
            order.id,
            items,
            price,
            hold_s,
            int(now.wall_s),
        )
        return order_class, self._commit([held], self._seal(accept))

    def _check_fresh(self, order_id: bytes, value: Order | SessionOrder, now: Instant) -> None:
        if order_id in self.seen:
            raise Refused(Reason.REPLAYED, "this order was accepted before")
        if abs(value.placed_at_s - now.wall_s) > CLOCK_SKEW_S_MAX:
            raise Refused(
                Reason.REPLAYED, f"dated {value.placed_at_s - now.wall_s:+.0f} s from now"
            )

    def _check_crowd(self, order_class: OrderClass) -> None:
        if order_class in (OrderClass.REDEEMS, OrderClass.KNOWN):
            return
        crowd = sum(self.accounts[peer].open_in(order_class) for peer in self.claimants)
        if crowd >= STRANGER_ORDERS_MAX:
            raise Refused(Reason.BUSY, f"{crowd} orders of this class are open")

    def begin(self, peer: bytes, order: bytes, now: Instant) -> Outcome:
        """Note the first input of an order: its hold is at risk from here on."""
        if self._claim_state(peer, order) is not ClaimState.HELD:
            raise LocalProtocolError("only an order that was just accepted can begin")
        return self._commit([ev.Begun(now, peer, order)])

    def extend(self, peer: bytes, order: bytes, standing: Standing, now: Instant) -> Outcome:
        """Hold credit for a session's next window, or raise Refused: then the session pauses."""
        claim = self.account(peer).claims.get(order)
        if claim is None or claim.items or claim.state is not ClaimState.BEGUN:
            raise LocalProtocolError("only a running session has a next window")
        if not claim.window_price:  # a gift
            return Outcome()
        owed = self.account(peer).owed(order)
        if claim.held > owed:
            raise LocalProtocolError("the window before is not billed yet")
        if owed > claim.window_price:
            raise Refused(Reason.WINDOW_UNPAID, f"{owed} CU are open")
        self.bucket.refill(now.mono_s)
        exposure = self.account(peer).exposure()
        if exposure.frozen:
            raise Refused(Reason.PAIR_FROZEN)
        lend(exposure, standing, self.bucket, claim.window_price)
        return self._commit([ev.Extended(now, peer, order, claim.window_price)])

    def bill(self, result: Result, now: Instant) -> Outcome:
        """Sign a result. It must stay within what is held, and its points must rise."""
        peer, order = result.requester, result.order
        account = self.account(peer)
        claim = account.claims.get(order)
        if claim is None or claim.state is not ClaimState.BEGUN:
            raise LocalProtocolError("a result needs an order that has begun")
        before = claim.billed or Progress(order, 0, 0)
        if result.first != before.through or result.due < before.due:
            raise LocalProtocolError("results follow each other without a gap")
        if claim.items and result.through > claim.items:
            raise LocalProtocolError(f"item {result.through} of {claim.items}")
        whole = result.through == claim.items
        if claim.items and claim.price and whole is not (result.due == claim.price):
            raise LocalProtocolError("all items, and only all of them, cost the order's price")
        if result.due - account.settled_due(order) > claim.held:
            raise LocalProtocolError(f"due {result.due} CU is more than was held")
        sealed = self._seal(result)
        return self._commit(
            [ev.Billed(now, peer, order, result.through, result.due, bool(result.last))], sealed
        )

    def end(self, peer: bytes, order: bytes, kept: int, now: Instant) -> Outcome:
        """End an order early. `kept` CU stay as exposure: what was delivered, and work begun."""
        claim = self.account(peer).claims.get(order)
        if claim is None or claim.state not in (ClaimState.HELD, ClaimState.BEGUN):
            raise LocalProtocolError("only an order that is not delivered can end early")
        if not 0 <= kept <= claim.held:
            raise LocalProtocolError(f"cannot keep {kept} CU of a hold of {claim.held}")
        return self._commit([ev.Ended(now, peer, order, kept)])

    def write_off(self, peer: bytes, order: bytes, now: Instant) -> Outcome:
        """Wait no longer for what is open: the owner's decision, or time's."""
        claim = self.account(peer).claims.get(order)
        if claim is None or claim.state not in (ClaimState.ENDED, ClaimState.OVERDUE):
            raise LocalProtocolError("only what is overdue or ended early can be written off")
        return self._commit([ev.WroteOff(now, peer, order)])

    def expire(self, now: Instant) -> Outcome:
        """Do what time does to claims; call it every few seconds.

        What was not begun ends. What was begun owes what was billed: work that is not billed by
        its deadline is the worker's own loss. After ninety days what is open is written off.
        """
        events: list[Event] = []
        for peer in self.claimants:
            account = self.accounts[peer]
            for order, claim in account.claims.items():
                if claim.until_s > now.mono_s:
                    continue
                owed = account.owed(order)
                if claim.state is ClaimState.HELD or (claim.state is ClaimState.BEGUN and not owed):
                    events.append(ev.Ended(now, peer, order, 0))
                elif claim.state in (ClaimState.BEGUN, ClaimState.BILLED):
                    events.append(ev.Overdue(now, peer, order, owed))
                elif claim.until_s + SETTLED_KEEP_S <= now.mono_s:
                    events.append(ev.WroteOff(now, peer, order))
        return self._commit(events)

    def _claim_state(self, peer: bytes, order: bytes) -> ClaimState | None:
        claim = self.account(peer).claims.get(order)
        return claim.state if claim else None
