# SPDX-License-Identifier: MIT
"""The books of one node as a fold of events: every account and the one budget.

What may happen is decided in `lending` (orders that this node accepts) and `books` (cheques
that it takes and signs); here is only what follows from it. Storing and sending is the
caller's part: it writes the events of an :class:`Outcome` to its journal **before** it
sends anything, and a method that raises has changed nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from protocol import events as ev
from protocol.account import Account
from protocol.budget import (
    Bucket,
    BudgetRules,
)
from protocol.cheque import Receipt
from protocol.errors import LocalProtocolError
from protocol.events import Event, Instant, PeerEvent
from protocol.keys import Keypair
from protocol.limits import CLOCK_SKEW_S_MAX, SEEN_SWEEP_AT, SETTLED_KEEP_S
from protocol.sealed import Sealed, Statement, seal


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was decided: events for the journal, and what to send once they are durable."""

    events: tuple[Event, ...] = ()
    send: tuple[Sealed[Statement] | Receipt, ...] = ()


class Ledger:
    """All accounts of one node."""

    def __init__(self, keypair: Keypair, network: bytes, rules: BudgetRules) -> None:
        """Begin with empty accounts and a full bucket; time begins with :meth:`start`."""
        self._keypair = keypair
        self._network = network
        self.me = keypair.public
        self.incarnation = b""
        self.bucket = Bucket(rules, 0.0)
        self.accounts: dict[bytes, Account] = {}
        # Orders that were accepted here, and until when (monotonic) that is remembered.
        self.seen: dict[bytes, float] = {}
        # Peers with claims, so that time and caps need not look at everybody.
        self.claimants: dict[bytes, None] = {}
        self._last: Instant | None = None
        # Peers whose hello was compared since this process began; not part of the journal.
        self.greeted: set[bytes] = set()

    # --- the fold ----------------------------------------------------------------------------

    def apply(self, event: Event) -> None:
        """Change the books as one event says. Replaying a journal is calling this for each."""
        if isinstance(event, ev.Started):
            self.incarnation = event.incarnation
            self._restart(event)
            self._last = event.at
            return
        self._last = event.at
        self.bucket.refill(event.at.mono_s)
        if isinstance(event, PeerEvent):
            account = self.accounts.setdefault(event.peer, Account(event.peer))
            lent = account.lent
            account.apply(event)
            self.bucket.move(lent, account.lent)
            if account.claims:
                self.claimants[event.peer] = None
            else:
                self.claimants.pop(event.peer, None)
            if isinstance(event, ev.Held):
                self._note_seen(event)
        else:
            assert isinstance(event, ev.Forgot)
            self._forget(event.at)

    def _forget(self, at: Instant) -> None:
        for account in self.accounts.values():
            account.forget(at.wall_s - SETTLED_KEEP_S)
        # Where nothing is left, nothing happened that anybody could still refer to.
        self.accounts = {
            peer: account for peer, account in self.accounts.items() if account != Account(peer)
        }
        self._sweep_seen(at.mono_s)

    def _note_seen(self, event: ev.Held) -> None:
        # An order dated ten minutes ahead is fresh for twenty; later its date refuses it.
        self.seen[event.order] = event.at.mono_s + 2 * CLOCK_SKEW_S_MAX
        if len(self.seen) >= SEEN_SWEEP_AT:
            self._sweep_seen(event.at.mono_s)

    def _sweep_seen(self, now_s: float) -> None:
        self.seen = {order: until for order, until in self.seen.items() if until >= now_s}

    def _restart(self, event: ev.Started) -> None:
        # The monotonic clock of a new process may begin anywhere; wall time says how long it was.
        last = self._last or event.at
        off_s = max(0.0, event.at.wall_s - last.wall_s)
        self.bucket.restart(event.at.mono_s, off_s, restored=event.restored)
        self.greeted.clear()
        # What was seen is kept by uptime alone, so that no wrong clock can drop it.
        self.seen = {
            order: until + event.at.mono_s - last.mono_s for order, until in self.seen.items()
        }
        for account in self.accounts.values():
            account.shift(event.at.mono_s - last.mono_s - off_s)
            if event.restored:
                account.restored()

    def account(self, peer: bytes) -> Account:
        """Give the account with a peer; a stranger's is empty, and kept once something happens."""
        return self.accounts.get(peer) or Account(peer)

    def _commit(self, events: Iterable[Event], *send: Sealed[Statement] | Receipt) -> Outcome:
        done = tuple(events)
        for event in done:
            self.apply(event)
        return Outcome(done, send)

    def start(self, incarnation: bytes, now: Instant, *, restored: bool = False) -> Outcome:
        """Begin a process: accounts must greet again before anything is signed."""
        return self._commit([ev.Started(now, incarnation, restored)])

    # --- consequences ------------------------------------------------------------------------

    def freeze(self, peer: bytes, evidence: bytes, now: Instant) -> Outcome:
        """Stop all dealings with a peer on evidence; totals stay as they are."""
        if not evidence:
            raise LocalProtocolError("an account is frozen on evidence, by its id")
        return self._commit([ev.Froze(now, peer, evidence)])

    def thaw(self, peer: bytes, now: Instant) -> Outcome:
        """Lift a freeze: the owner's decision."""
        return self._commit([ev.Thawed(now, peer)])

    def forget(self, now: Instant) -> Outcome:
        """Drop records that no statement may refer to any more; call it now and then."""
        return self._commit([ev.Forgot(now)])

    def _seal(self, statement: Statement) -> Sealed[Statement]:
        return seal(self._keypair, self._network, statement)
