# SPDX-License-Identifier: MIT
"""What happened to the books: one record per change. What follows from one is in `account`.

Decisions give events, and state changes only by applying events. So the journal of a node
is the list of its events, and its books are their fold: replaying the journal must give
the same books to the last integer. Every event carries the node's monotonic time, because
the budget refills with it, and its wall time, because records are kept by date.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a cheque or refund that I signed, and my total after it.

    `citation` is the creditor's own statement that fixes the price (or, for a refund, the
    creditor's own cheque): it goes along when the creditor may have lost its books.
    `since` is how many items were paid before; both are 0 in a refund.
    """

    order: bytes
    since: int
    through: int
    amount: int
    total_after: int
    citation: bytes


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an order is paid: `due` CU for its first `through` items."""

    order: bytes
    through: int
    due: int


@dataclass(frozen=True, slots=True)
class Refunded:
    """How much of what was paid for an order went back."""

    order: bytes
    through: int
    due: int
    refunded: int


@dataclass(frozen=True, slots=True)
class Instant:
    """Now: monotonic seconds that count suspend, and wall-clock seconds."""

    mono_s: float
    wall_s: float


@dataclass(frozen=True, slots=True)
class Event:
    """Base of all events."""

    at: Instant


@dataclass(frozen=True, slots=True)
class PeerEvent(Event):
    """Base of the events of one account."""

    peer: bytes


@dataclass(frozen=True, slots=True)
class Started(Event):
    """The process began, with a new incarnation and perhaps another monotonic clock."""

    incarnation: bytes
    restored: bool


@dataclass(frozen=True, slots=True)
class Held(PeerEvent):
    """I accepted an order and hold `price` CU for it: the whole batch, one window, or a gift's 0.

    `order_class` is the class that it was admitted as.

    Without inputs the hold ends at `hold_until_s`, with them the order does at `deadline_s`.
    """

    order: bytes
    items: int
    price: int
    window_price: int
    hold_until_s: float
    deadline_s: float
    order_class: int


@dataclass(frozen=True, slots=True)
class Begun(PeerEvent):
    """The first input arrived: from here on work may have been done."""

    order: bytes


@dataclass(frozen=True, slots=True)
class Extended(PeerEvent):
    """Credit is held for the next window of a session."""

    order: bytes
    amount: int


@dataclass(frozen=True, slots=True)
class Billed(PeerEvent):
    """I signed a result: the first `through` items cost `due` CU."""

    order: bytes
    through: int
    due: int
    last: bool


@dataclass(frozen=True, slots=True)
class Ended(PeerEvent):
    """An order ended early; `kept` CU of its hold stay as unpaid exposure."""

    order: bytes
    kept: int


@dataclass(frozen=True, slots=True)
class Overdue(PeerEvent):
    """The time of an order is over, and `owed` CU of what was billed are not paid."""

    order: bytes
    owed: int


@dataclass(frozen=True, slots=True)
class WroteOff(PeerEvent):
    """What is open for an order is no longer waited for; refill has long made up for it."""

    order: bytes


@dataclass(frozen=True, slots=True)
class Credited(PeerEvent):
    """The peer's cheque or refund was valid: it owes me `total` in all."""

    total: int
    wire: bytes
    ack: bytes
    paid: tuple[Progress, ...]
    refunded: tuple[Refunded, ...]


@dataclass(frozen=True, slots=True)
class Adopted(PeerEvent):
    """The peer showed a cheque that I once acknowledged: my books are older than I am."""

    total: int
    wire: bytes
    ack: bytes
    paid: tuple[Progress, ...]


@dataclass(frozen=True, slots=True)
class Signed(PeerEvent):
    """I signed a cheque or refund: I owe the peer `total` in all."""

    total: int
    statement: bytes
    wire: bytes
    lines: tuple[Line, ...]
    refunds: bool


@dataclass(frozen=True, slots=True)
class Acked(PeerEvent):
    """The peer acknowledged what I signed, up to `total`."""

    total: int
    wire: bytes
    ack: bytes


@dataclass(frozen=True, slots=True)
class Recalled(PeerEvent):
    """The peer showed a later cheque of mine than these books have: my own word binds me."""

    total: int
    wire: bytes
    ack: bytes
    paid: tuple[Progress, ...]


@dataclass(frozen=True, slots=True)
class Withdrew(PeerEvent):
    """The peer refused what I signed: I go back to the total that it acknowledged last."""


@dataclass(frozen=True, slots=True)
class Froze(PeerEvent):
    """Evidence against the peer: no credit, no payment, until its owner or mine clears it."""

    evidence: bytes


@dataclass(frozen=True, slots=True)
class Thawed(PeerEvent):
    """The owner lifted the freeze."""


@dataclass(frozen=True, slots=True)
class Forgot(Event):
    """Records that nothing can refer to any more were dropped."""
