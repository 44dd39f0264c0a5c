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
from protocol.events import Event, Instant, PeerEvent
from protocol.keys import Keypair
from protocol.limits import (
    SETTLED_KEEP_S,
)
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
        self.seen: dict[bytes, int] = {}
        self.wall_high_s = 0.0
        self._last: Instant | None = None
        # Peers whose hello was compared since this process began; not part of the journal.
        self.greeted: set[bytes] = set()

    # --- the fold ----------------------------------------------------------------------------

    def apply(self, event: Event) -> None:
        """Change the books as one event says. Replaying a journal is calling this for each."""
        self.wall_high_s = max(self.wall_high_s, event.at.wall_s)
        if isinstance(event, ev.Started):
            self.incarnation = event.incarnation
            self._restart(event)
            self._last = event.at
            return
        self._last = event.at
        self.bucket.refill(event.at.mono_s)
        if isinstance(event, PeerEvent):
            account = self.accounts.setdefault(event.peer, Account(event.peer))
            lent = account.exposure().lent_cu
            account.apply(event)
            self.bucket.move(lent, account.exposure().lent_cu)
            if isinstance(event, ev.Held):
                self.seen[event.order] = event.seen_until_s
        else:
            assert isinstance(event, ev.Forgot)
            for account in self.accounts.values():
                account.forget(self.wall_high_s - SETTLED_KEEP_S)
            self.seen = {
                order: until for order, until in self.seen.items() if until >= self.wall_high_s
            }

    def _restart(self, event: ev.Started) -> None:
        # The monotonic clock of a new process may begin anywhere; wall time says how long it was.
        last = self._last or event.at
        off_s = max(0.0, event.at.wall_s - last.wall_s)
        self.bucket.restart(event.at.mono_s, off_s, restored=event.restored)
        self.greeted.clear()
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
        return self._commit([ev.Froze(now, peer, evidence)])

    def thaw(self, peer: bytes, now: Instant) -> Outcome:
        """Lift a freeze: the owner's decision."""
        return self._commit([ev.Thawed(now, peer)])

    def forget(self, now: Instant) -> Outcome:
        """Drop records that no statement may refer to any more; call it now and then."""
        return self._commit([ev.Forgot(now)])

    def _seal(self, statement: Statement) -> Sealed[Statement]:
        return seal(self._keypair, self._network, statement)
