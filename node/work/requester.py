# SPDX-License-Identifier: MIT
"""The requester's side of orders: placed, delivered, checked, paid. Who is asked is not said here.

What is given to the worker and what comes back is written down on the way, so that an order
survives the loss of its stream, of the connection and of this process: once the worker has
accepted it, the same order is sent again, and the worker gives the result that it has or will
have. Paid is what was found right, and only when outputs and result are on the disk.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from math import inf

import trio

from node.clock import Clock
from node.executor.executor import Item
from node.mesh.transport import TransportError
from node.models.library import AtHand, Library
from node.work.accounts import Accounts
from node.work.beside import alone, beside
from node.work.checking import Checking
from node.work.exchange import Progress
from node.work.left_open import LeftOpen
from node.work.orders import Orders
from node.work.placed import Ordered, Placed
from node.work.pursuing import Pursuing
from node.work.receipts import Receipts
from node.work.results import INPUTS, Results
from node.work.tensors import (
    root_of,
)
from node.work.wires import WORK, Post, Wires
from protocol.errors import Refused, RemoteProtocolError
from protocol.merkle import INPUT
from protocol.order import Role, State
from protocol.price import PRICE_VERSION
from protocol.reasons import Reason
from protocol.shapes import ShapeTable, shapes_of
from protocol.statements import Order

#: A worker answers an order at once, or after a look at its sandbox.
ANSWER_S = 30.0

#: An order whose stream was lost is asked for again after so long, twice as long each time.
AGAIN_S_MIN, AGAIN_S_MAX = 1.0, 30.0

#: A worker that is gone when all is right and only its cheque is missing is waited for so long.
PAY_S = 30.0

#: The word that an order is not wanted any more is tried to be said for so long.
CALL_OFF_S = 30.0


class Requester:
    """Places orders. Works inside :meth:`open`."""

    def __init__(
        self,
        accounts: Accounts,
        library: Library,
        checking: Checking,
        orders: Orders,
        results: Results,
        receipts: Receipts,
        wires: Wires,
        clock: Clock,
        post: Post,
    ) -> None:
        """Place nothing yet."""
        self._accounts = accounts
        self._library = library
        self._orders = orders
        self._results = results
        self._receipts = receipts
        self._wires = wires
        self._clock = clock
        steps = (orders, results, receipts, wires, post)
        self._pursuing = Pursuing(accounts, checking, *steps)
        self._left_open = LeftOpen(self._pursuing, accounts, library, *steps)
        self._nursery: trio.Nursery | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Place orders inside the block, and go on with those that were left open."""
        async with self._left_open.open(), beside() as nursery:
            self._nursery = nursery
            try:
                yield
            finally:
                self._nursery = None

    async def place(
        self,
        worker: bytes,
        model: AtHand,
        items: Sequence[Item],
        *,
        ttl_s: int = 600,
        addresses: Sequence[str] = (),
        progress: Progress = lambda _phase: None,
    ) -> Placed:
        """Have items computed by a worker, check what comes, and pay for what is right.

        Declined: the worker does not take the order. Refused: it gave it back, or this node could
        not check. RemoteProtocolError: it broke a rule, and is blamed. TransportError: it is gone.
        """
        ordered = await self._order(worker, model, items, ttl_s)
        self._pursuing.handled.add(ordered.id)
        try:
            with trio.fail_after(ttl_s):
                return await self._pursue(ordered, addresses, progress)
        except trio.TooSlowError:
            self._call_off(ordered)
            if ordered.accept and not ordered.is_over:
                self._wires.note_order(worker, well=False)
            raise Refused(Reason.DEADLINE, f"nothing came within {ttl_s} s") from None
        except RemoteProtocolError as error:
            self._wires.blame(worker, error.reason, error.detail)
            self._wires.note_order(worker, well=False)
            if not ordered.is_over:
                self._pursuing.ended(ordered, State.CANCELLED, error)
            raise
        except Refused as refusal:
            if ordered.result is None:
                self._pursuing.ended(ordered, State.CANCELLED, refusal)
            raise
        except BaseException:  # the caller has left, or the worker was lost before it accepted
            self._call_off(ordered)
            raise
        finally:
            self._pursuing.handled.discard(ordered.id)
            is_closed = ordered.acked or ordered.wrong is not None
            if ordered.result and not is_closed:  # it is to be checked and paid all the same
                self._left_open.later(worker)

    def _call_off(self, ordered: Ordered) -> None:
        """Nobody waits for it any more: tell the worker, on a stream of its own."""
        if ordered.result is None and not ordered.is_over:
            # What the worker has billed by now is looked at and paid, or when the two meet again.
            state = State.OWING if ordered.accept else State.CANCELLED
            self._pursuing.ended(ordered, state, Refused(Reason.REQUESTER_CANCELLED))
            if self._nursery:
                self._nursery.start_soon(alone, self._close_off, ordered)

    async def _close_off(self, ordered: Ordered) -> None:
        await self._pursuing.take_back(ordered.order)
        if ordered.accept and self._receipts.is_met(ordered.worker):
            await self._left_open.go_on(ordered.worker)

    # --- from order to result -------------------------------------------------------------------

    async def _order(
        self, worker: bytes, model: AtHand, items: Sequence[Item], ttl_s: int
    ) -> Ordered:
        """Sign an order, and write down what it needs to be gone on with."""
        if self._accounts.books.account(worker).frozen:
            # It would work in vain, and we would wait in vain.
            raise Refused(Reason.PAIR_FROZEN, "nothing is paid to this worker: it was caught")
        shapes = [tuple(tuple(each.dims) for each in item) for item in items]
        prices = {shape: model.price(shape) for shape in set(shapes)}
        table = ShapeTable(shapes_of((prices[shape], shape) for shape in shapes))
        secret = self._clock.secret_bytes(32)
        manifest = model.manifest
        order = Order(
            requester=self._accounts.me,
            worker=worker,
            incarnation=self._accounts.books.incarnation,
            nonce=self._clock.secret_bytes(32),
            model=model.digest,
            stage=0,
            adapter=b"",
            input_root=await root_of(secret, INPUT, items),
            shape_root=table.root,
            items=table.items,
            price=table.price,
            price_version=PRICE_VERSION,
            comparator=manifest.comparator,
            tolerance=manifest.tolerance,
            ttl_s=ttl_s,
            placed_at_s=int(self._clock.now().wall_s),
            public=0,
        )
        sealed = self._accounts.sign(order)
        self._library.lend(model.digest, worker)
        await self._results.keep(sealed.id, INPUTS, items, secret)
        row = self._orders.placed(Role.REQUESTER, sealed, State.PLACED)
        self._accounts.write([row])
        return Ordered(sealed, table, model, list(items), secret)

    async def _pursue(
        self, ordered: Ordered, addresses: Sequence[str], progress: Progress
    ) -> Placed:
        """Do it, and after a loss do it again, as far as it still makes sense."""
        wait_s, patience_s = AGAIN_S_MIN, inf
        while True:
            try:
                async with self._wires.wire(ordered.worker, WORK, addresses) as wire:
                    await self._receipts.wait_greeted(ordered.worker)
                    if ordered.result is None:
                        await self._pursuing.deliver(ordered, wire, progress)
                    await self._pursuing.settle(ordered, wire, progress)
                return _became(ordered)
            except TransportError:
                if ordered.is_over:
                    return _became(ordered)
                if ordered.accept is None:
                    raise
                # It is accepted and perhaps computed: whoever left it there would have to pay.
                if ordered.is_checked:  # all is here, and only its worker waits for something
                    patience_s = min(patience_s, trio.current_time() + PAY_S)
                    if trio.current_time() >= patience_s:
                        return _became(ordered)
                with trio.move_on_after(wait_s):
                    await self._receipts.wait_met(ordered.worker)
                wait_s = min(2 * wait_s, AGAIN_S_MAX)


def _became(ordered: Ordered) -> Placed:
    assert ordered.accept
    return Placed(
        order=ordered.id,
        price=ordered.order.value.price,
        paid=ordered.accept.value.price if ordered.paid else 0,
        acked=ordered.acked,
        outputs=ordered.outputs,
        checked=ordered.checked,
        wrong=ordered.wrong,
        wrong_item=ordered.wrong_item,
        is_gift=not ordered.accept.value.price,
    )
