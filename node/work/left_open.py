# SPDX-License-Identifier: MIT
"""Goes on with the orders that an earlier process, or a lost connection, left open at a requester.

As soon as their worker is met again: one that was accepted is asked for again, one that was
delivered is checked and paid, and one of which the worker may not even have heard is taken back.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from node.mesh.transport import TransportError
from node.models.library import Library
from node.work.accounts import Accounts
from node.work.beside import alone, beside
from node.work.orders import Orders, Row
from node.work.placed import Ordered
from node.work.pursuing import Pursuing
from node.work.receipts import Receipts
from node.work.results import INPUTS, OUTPUTS, Results
from node.work.wires import WORK, Post, Wires
from protocol.errors import CommonsError, LocalProtocolError, Refused, RemoteProtocolError
from protocol.order import Role, State
from protocol.reasons import Reason
from protocol.sealed import Sealed, unseal
from protocol.shapes import ShapeTable, shapes_of
from protocol.statements import Accept, Order, Result

#: What could not be gone on with, while its worker is there, is tried again after so long.
LATER_S = 60.0

#: A worker that cannot take its cheque (its disk is full) is shown it so often while it stays
#: connected, which is for an hour; after that when it is met again.
SHOWN_TIMES_MAX = 60


class LeftOpen:
    """Works inside :meth:`open`."""

    def __init__(
        self,
        pursuing: Pursuing,
        accounts: Accounts,
        library: Library,
        orders: Orders,
        results: Results,
        receipts: Receipts,
        wires: Wires,
        post: Post,
    ) -> None:
        """Know all that an order needs."""
        self._pursuing = pursuing
        self._accounts = accounts
        self._library = library
        self._orders = orders
        self._results = results
        self._wires = wires
        self._post = post
        self._receipts = receipts
        self._later: dict[bytes, int] = {}  # and how often it was tried so
        self._nursery: trio.Nursery | None = None
        receipts.on_greeted = self._greeted
        receipts.on_acked = pursuing.close_acked

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Go on inside the block."""
        async with beside(self._keep_going_on) as nursery:
            self._nursery = nursery
            try:
                yield
            finally:
                self._nursery = None

    def later(self, peer: bytes) -> None:
        """Go on with what is open with this peer after a while, also if it stays connected."""
        self._later.setdefault(peer, 0)

    async def _keep_going_on(self) -> None:
        while True:
            await trio.sleep(LATER_S)
            later, self._later = self._later, {}
            for peer, times in sorted(later.items()):
                if self._receipts.is_met(peer):  # else when it is met again
                    await alone(self._go_on_later, peer, times)

    async def _go_on_later(self, peer: bytes, times: int) -> None:
        if self._accounts.stopped:  # what they say has been paid may not be on the disk
            self._later[peer] = times
            return
        await self.go_on(peer)
        if self._accounts.unacked(peer):
            await self._pursuing.show_again(peer)
        if self._accounts.unacked(peer) and times < SHOWN_TIMES_MAX:
            self._later[peer] = times + 1

    def _greeted(self, peer: bytes) -> None:
        if self._nursery:
            self._nursery.start_soon(alone, self.go_on, peer)

    async def go_on(self, peer: bytes) -> None:
        """Go on with the orders that an earlier process, or a lost connection, left open."""
        for row in self._orders.open_with(peer, Role.REQUESTER):
            if row.id in self._pursuing.handled or self._accounts.books.account(peer).frozen:
                continue
            self._pursuing.handled.add(row.id)
            try:
                await self._go_on_with(row)
            except RemoteProtocolError as error:
                self._wires.blame(peer, error.reason, error.detail)
                self._wires.note_order(peer, well=False)
                if not self._accounts.has_paid(peer, row.id):
                    stands = self._orders.stands(row.id, State.CANCELLED, error=error)
                    self._accounts.write([stands])
            except (CommonsError, TransportError, OSError) as error:
                self._post("order_left_open", peer=peer.hex(), error=str(error))
                self.later(peer)
            finally:
                self._pursuing.handled.discard(row.id)

    async def _go_on_with(self, row: Row) -> None:
        order = unseal(row.order, self._accounts.network, Order)
        kept = await self._results.read(row.id, INPUTS)
        model = self._library.find(order.value.model)
        if self._accounts.has_paid(row.peer, row.id):
            return  # its cheque is shown with the receipts
        if not row.accept or kept is None or model is None:
            await self._cancel(order)
            return
        secret, items = kept
        shapes = [tuple(tuple(each.dims) for each in item) for item in items]
        table = ShapeTable(shapes_of((model.price(shape), shape) for shape in shapes))
        ordered = Ordered(order, table, model, items, secret)
        ordered.accept = unseal(row.accept, self._accounts.network, Accept)
        outputs = await self._results.read(row.id, OUTPUTS)
        if row.result and outputs:
            ordered.result = unseal(row.result, self._accounts.network, Result)
            ordered.outputs = outputs[1]
        try:
            async with self._wires.wire(row.peer, WORK) as wire:
                if ordered.result is None:
                    await self._pursuing.deliver(ordered, wire, lambda _phase: None)
                await self._pursuing.settle(ordered, wire, lambda _phase: None)
        except (Refused, LocalProtocolError) as refusal:
            if ordered.result is None:
                self._pursuing.ended(ordered, State.CANCELLED, refusal)
            raise

    async def _cancel(self, order: Sealed[Order]) -> None:
        """Take an order back of which the worker may have heard or not."""
        error = Refused(Reason.REQUESTER_CANCELLED)
        await self._pursuing.take_back(order)
        self._accounts.write([self._orders.stands(order.id, State.CANCELLED, error=error)])
