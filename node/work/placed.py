# SPDX-License-Identifier: MIT
"""An order on the requester's side: what is known of it on the way, and what became of it."""

from dataclasses import dataclass, field
from enum import StrEnum

from node.executor.executor import Item
from node.models.library import AtHand
from protocol.errors import Refused
from protocol.reasons import Reason
from protocol.sealed import Sealed
from protocol.shapes import ShapeTable
from protocol.statements import Accept, Order, Result


class Phase(StrEnum):
    """How far an order has come."""

    PLACED = "placed"
    ACCEPTED = "accepted"
    SENT = "sent"
    DELIVERED = "delivered"
    CHECKED = "checked"
    SETTLED = "settled"


class Declined(Refused):
    """A worker did not take an order; asking it again makes sense in `retry_s`, if not 0."""

    def __init__(self, reason: Reason, detail: str, retry_s: int) -> None:
        """Say what the worker said."""
        self.retry_s = retry_s
        super().__init__(reason, detail)


@dataclass(eq=False, slots=True)
class Ordered:
    """An order on its way."""

    order: Sealed[Order]
    table: ShapeTable
    model: AtHand
    items: list[Item]
    secret: bytes
    accept: Sealed[Accept] | None = None
    outputs: list[Item] = field(default_factory=list)
    result: Sealed[Result] | None = None
    is_checked: bool = False
    checked: int = 0
    wrong: Reason | None = None
    wrong_item: int = 0
    found: bytes = b""
    paid: bool = False
    acked: bool = False

    @property
    def id(self) -> bytes:
        """The order."""
        return self.order.id

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to be done here: it is paid, or known to be wrong."""
        return self.paid or self.wrong is not None

    @property
    def worker(self) -> bytes:
        """Who does it."""
        return self.order.value.worker


@dataclass(frozen=True, slots=True)
class Placed:
    """What became of an order. `wrong` says what is wrong with item `wrong_item`, if anything is.

    `paid` is 0 for a gift, for what was found wrong, and for what a worker delivered that is gone
    since: it is paid when the two meet again. `checked` items were computed again.
    """

    order: bytes
    price: int
    paid: int
    acked: bool
    outputs: list[Item]
    checked: int
    wrong: Reason | None
    wrong_item: int
    is_gift: bool = False


def reason_of(code: str) -> Reason:
    """Give the reason of a code; one that this version does not know is a busy worker's."""
    try:
        return Reason(code)
    except ValueError:
        return Reason.BUSY
