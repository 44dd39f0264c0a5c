# SPDX-License-Identifier: MIT
"""What the view asks of whoever drives it. When it asks is in `neighbours`, `exchange` and `query`.

The view opens no connection and sends no byte: its methods return lists of these, and the
driver (the daemon, or a simulator) carries them out in order.
"""

from dataclasses import dataclass
from typing import TypeAlias

from protocol.canon import Message
from protocol.known import Known
from protocol.reasons import Reason


@dataclass(frozen=True, slots=True)
class Dial:
    """Connect to this node; report `on_connected` or `on_dial_failed`."""

    key: bytes
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Drop:
    """This node is no neighbour any more; close its view stream."""

    key: bytes
    reason: Reason


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message, or the sealed bytes of an advert as they were received."""

    key: bytes
    what: Message | bytes


@dataclass(frozen=True, slots=True)
class Misbehaved:
    """This node broke a rule; what that costs it elsewhere is for the driver to decide."""

    key: bytes
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Ask:
    """Send a query to this node, dialling it if needed; report its answer or `on_ask_failed`."""

    key: bytes
    addresses: tuple[str, ...]
    query: Message


@dataclass(frozen=True, slots=True)
class Found:
    """A search found these nodes; more may follow."""

    search: bytes
    adverts: tuple[Known, ...]


@dataclass(frozen=True, slots=True)
class SearchEnded:
    """A search is over; `reason` is None when it found as many as were wanted."""

    search: bytes
    found: int
    asked: int
    reason: Reason | None


Action: TypeAlias = Dial | Drop | Send | Misbehaved | Ask | Found | SearchEnded
