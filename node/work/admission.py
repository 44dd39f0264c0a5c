# SPDX-License-Identifier: MIT
"""Whether an order of a peer is taken on: one question after the other, and the first no counts.

The order of the questions is that of their cost, and of what may be told to whom: whether this
machine may work at all, whether the model is at hand, whether order and table of shapes say the
same, whether the price is the one that follows from the graph, whether there is room, and last
whether the budget covers it. Only the last one changes anything.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from node.executor.executor import Executor, Group
from node.executor.sandbox.confine import holds_strangers
from node.models.library import AtHand, Library
from node.work.accounts import Accounts
from node.work.tensors import STRINGS_BYTES_MAX, input_forms, output_forms, size_of
from node.work.wires import Who
from protocol.budget import OrderClass, Standing
from protocol.errors import Refused, RemoteProtocolError
from protocol.limits import TTL_S_MAX
from protocol.price import PRICE_VERSION
from protocol.reasons import Reason
from protocol.sealed import Sealed
from protocol.shapes import ShapeTable, check_order
from protocol.statements import Accept, Order

#: Inputs and outputs of one order, which are in memory while it is worked on.
ORDER_BYTES_MAX = 256 << 20

#: When asking again makes sense, in seconds; for the rest it makes none today.
RETRY_S = {
    Reason.PAUSED: 60,
    Reason.MODEL_UNKNOWN: 2,
    Reason.BUSY: 5,
    Reason.WINDOW_FULL: 5,
    Reason.CREDIT_LINE: 600,
    Reason.BUDGET_EXHAUSTED: 600,
    Reason.STRANGERS_EXHAUSTED: 600,
    Reason.QUOTA_SPENT: 3600,
    Reason.DISK_LOW: 3600,
}
assert max(RETRY_S.values()) <= TTL_S_MAX

GIFTS = {"none": 0, "members": 1, "anyone": 2}

MayWork = Callable[[], tuple[Reason | None, str]]
"""The governor's word: None, or why this machine may not work now."""

MayKeep = Callable[[int], tuple[Reason | None, str]]
"""Whether so many bytes more may be kept on the disk, or why not."""

#: Peers whom the owner trusts with his data share runners with each other, and with nobody else.
TRUSTED = Group("those whom the owner trusts", trusted=True)


class Wanted(Protocol):
    """Gets a model that a peer has ordered and that is not here."""

    def __call__(self, peer: Who, model: bytes) -> None:
        """Begin to fetch it, if this node wants to; Refused says why it does not."""
        ...


@dataclass(frozen=True, slots=True)
class Admitted:
    """An order that was taken on, and all that is known of it before its inputs."""

    order: Sealed[Order]
    table: ShapeTable
    model: AtHand
    group: Group
    order_class: OrderClass
    accept: Sealed[Accept]
    size_bytes: int


def group_of(peer: Who) -> Group:
    """Say who shares a runner with a peer: nobody, but those whom the owner trusts."""
    return TRUSTED if peer.trusted else Group(peer.key.hex())


def standing_of(peer: Who) -> Standing:
    """Say what the owner and the network say about a peer."""
    return Standing(listed=peer.trusted, member=peer.member)


class Admission:
    """Asks the questions, and keeps count of the room."""

    def __init__(
        self,
        accounts: Accounts,
        library: Library,
        executor: Executor,
        may_work: MayWork,
        wanted: Wanted,
        *,
        gift: str = "members",
        room_bytes: int = 2 * ORDER_BYTES_MAX,
        may_keep: MayKeep = lambda _size_bytes: (None, ""),
    ) -> None:
        """`room_bytes` is what inputs and outputs of all running orders may take together.

        Outputs are kept on the disk until they are paid; `may_keep` is asked before.
        """
        self._accounts = accounts
        self._library = library
        self._executor = executor
        self._may_work = may_work
        self._wanted = wanted
        self._gift = GIFTS[gift]
        self._may_keep = may_keep
        self._closed: Reason | None = None
        self._room_bytes = self._all_bytes = room_bytes

    async def admit(self, peer: Who, order: Sealed[Order], table: ShapeTable) -> Admitted:
        """Take an order on, or raise Refused; RemoteProtocolError: it contradicts itself."""
        value = order.value
        if self._closed:
            raise Refused(Reason.PAUSED, self._closed.sentence)
        reason, sentence = self._may_work()
        if reason:
            # What the governor knows of its owner's day is no business of a peer.
            raise Refused(Reason.PAUSED, sentence)
        trusted = peer.trusted or peer.member
        model = self._library.find_for(value.model, peer.key, trusted=trusted)
        if model is None:
            self._wanted(peer, value.model)
            raise Refused(Reason.MODEL_UNKNOWN, value.model.hex())
        check_order(table, value)
        _check_kind(value, model)
        _check_prices(table, model)
        size_bytes = _size_of(table, model)
        if size_bytes > ORDER_BYTES_MAX:
            detail = f"{size_bytes} bytes of inputs and outputs, at most {ORDER_BYTES_MAX}"
            raise Refused(Reason.TOO_LARGE, detail)
        group = group_of(peer)
        if not group.trusted and not holds_strangers(await self._executor.layers()):
            raise Refused(Reason.NOT_CONTAINED)
        if size_bytes > self._room_bytes:
            detail = f"{size_bytes} bytes are wanted, {self._room_bytes} are free"
            raise Refused(Reason.BUSY, detail)
        full, sentence = self._may_keep(size_bytes)
        if full:
            raise Refused(full, sentence)
        order_class, accept = self._accounts.accept(
            order, standing_of(peer), gift_policy=self._gift, idle=self.is_idle
        )
        self._room_bytes -= size_bytes
        return Admitted(order, table, model, group, order_class, accept, size_bytes)

    def close(self, reason: Reason) -> None:
        """Take nothing new from now on: this node ends, or goes to another network."""
        self._closed = reason

    @property
    def is_idle(self) -> bool:
        """Whether no order is in work: what is done now takes time from nobody who pays."""
        return self._room_bytes == self._all_bytes

    def leave(self, admitted: Admitted) -> None:
        """Give back the room of an order that is over."""
        self._room_bytes += admitted.size_bytes


def _check_kind(order: Order, model: AtHand) -> None:
    """Refuse what this node does not do yet, or could be found guilty of without a fault."""
    if order.price_version != PRICE_VERSION:
        detail = f"version {order.price_version} of the price table, here {PRICE_VERSION}"
        raise Refused(Reason.PRICE_VERSION, detail)
    if order.stage or order.adapter:
        raise Refused(Reason.MODEL_REFUSED, "stages and adapters are not served by this node")
    theirs = (order.comparator, order.tolerance)
    ours = (model.manifest.comparator, model.manifest.tolerance)
    if theirs != ours:
        # An honest result could be called wrong by a tolerance that nobody has measured.
        detail = f"comparator and tolerance {theirs}, the manifest says {ours}"
        raise Refused(Reason.NOT_CALIBRATED, detail)


def _check_prices(table: ShapeTable, model: AtHand) -> None:
    """Price each row by what was derived from the graph here."""
    for row in table.shapes.rows:
        try:
            price = model.price(row.shape)
        except RemoteProtocolError as error:
            raise Refused(error.reason, error.detail) from error
        if row.price != price:
            detail = f"an item of shape {row.shape} costs {price} CU, ordered for {row.price}"
            raise Refused(Reason.PRICE_DIFFERS, detail)


def _size_of(table: ShapeTable, model: AtHand) -> int:
    """Count what inputs and outputs take; strings are bounded by what comes, not by shapes."""
    total = 0
    has_strings = False
    for row in table.shapes.rows:
        forms = (
            *input_forms(model.interface, row.shape),
            *output_forms(model.interface, row.shape),
        )
        has_strings = has_strings or any(not each.element.bits for each in forms)
        total += row.count * (size_of(forms) + 256 * len(forms))
    return total + (2 * STRINGS_BYTES_MAX if has_strings else 0)
