# SPDX-License-Identifier: MIT
"""The requester's side of orders: placed, delivered, checked, paid. Who is asked is not said here.

What is given to the worker and what comes back is written down on the way, so that an order
survives the loss of its stream, of the connection and of this process: once the worker has
accepted it, the same order is sent again, and the worker gives the result that it has or will
have. Paid is what was found right, and only when outputs and result are on the disk.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import trio

from node.clock import Clock
from node.executor.executor import Item
from node.mesh.framed import Framed
from node.mesh.transport import TransportError
from node.models.library import AtHand, Library
from node.work.accounts import Accounts
from node.work.beside import beside
from node.work.checking import Checking
from node.work.orders import Orders, Row
from node.work.placed import Declined, Ordered, Phase, Placed, reason_of
from node.work.receipts import LOST_MEMORY, Receipts
from node.work.results import INPUTS, OUTPUTS, Results
from node.work.tensors import (
    EndedEarlyError,
    Root,
    next_frame,
    output_forms,
    root_of,
    send_items,
    take_items,
)
from node.work.wires import WORK, Post, Wires
from protocol.canon import encode
from protocol.errors import CommonsError, LocalProtocolError, Refused, RemoteProtocolError
from protocol.frames import CancelFrame, DocumentFrame, StatementFrame
from protocol.limits import TOLERANCE_MAX
from protocol.merkle import INPUT, OUTPUT
from protocol.order import Role, State
from protocol.price import PRICE_VERSION
from protocol.reasons import Reason
from protocol.sealed import Sealed, unseal
from protocol.shapes import Salt, ShapeTable, shapes_of
from protocol.statements import Accept, Cancel, Dispute, Order, Refuse, Result

#: A worker answers an order at once, or after a look at its sandbox.
ANSWER_S = 30.0

#: An order whose stream was lost is asked for again after so long, twice as long each time.
AGAIN_S_MIN, AGAIN_S_MAX = 1.0, 30.0

#: A caller that leaves waits so long for the word that tells the worker.
CALL_OFF_S = 2.0

Progress = Callable[[Phase], None]


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
        self._checking = checking
        self._orders = orders
        self._results = results
        self._receipts = receipts
        self._wires = wires
        self._clock = clock
        self._post = post
        self._nursery: trio.Nursery | None = None
        self._handled: set[bytes] = set()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Go on with what was left open, inside the block, as soon as its worker is met."""
        self._receipts.on_greeted = self._greeted
        self._receipts.on_acked = self._acked
        async with beside() as nursery:
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
        self._handled.add(ordered.id)
        try:
            with trio.fail_after(ttl_s):
                return await self._pursue(ordered, addresses, progress)
        except trio.TooSlowError:
            raise Refused(Reason.DEADLINE, f"nothing came within {ttl_s} s") from None
        except RemoteProtocolError as error:
            self._wires.blame(worker, error.reason, error.detail)
            self._ended(ordered, State.CANCELLED, error)
            raise
        except Refused as refusal:
            if ordered.result is None:
                self._ended(ordered, State.CANCELLED, refusal)
            raise
        finally:
            self._handled.discard(ordered.id)

    # --- from order to result -------------------------------------------------------------------

    async def _order(
        self, worker: bytes, model: AtHand, items: Sequence[Item], ttl_s: int
    ) -> Ordered:
        """Sign an order, and write down what it needs to be gone on with."""
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
        written = self._accounts.write([row])
        return Ordered(sealed, table, model, list(items), secret, written)

    async def _pursue(
        self, ordered: Ordered, addresses: Sequence[str], progress: Progress
    ) -> Placed:
        """Do it, and after a loss do it again, as far as it still makes sense."""
        wait_s = AGAIN_S_MIN
        while True:
            try:
                async with self._wires.wire(ordered.worker, WORK, addresses) as wire:
                    await self._receipts.wait_greeted(ordered.worker)
                    if ordered.result is None:
                        await self._deliver(ordered, wire, progress)
                    await self._settle(ordered, wire, progress)
                return _became(ordered)
            except TransportError:
                if ordered.is_over:
                    return _became(ordered)
                if ordered.accept is None:
                    raise
                # It is accepted and perhaps computed: whoever left it there would have to pay.
                await trio.sleep(wait_s)
                wait_s = min(2 * wait_s, AGAIN_S_MAX)

    async def _deliver(self, ordered: Ordered, wire: Framed, progress: Progress) -> None:
        """Come to a result whose outputs are on the disk."""
        again = ordered.accept is not None
        try:
            await self._be_accepted(ordered, wire, progress)
            if again:
                outputs, result = await self._take_outputs(ordered, wire)
            else:
                outputs, result = await self._exchange(ordered, wire, progress)
        except trio.Cancelled:
            await self._call_off(ordered, wire)
            raise
        except EndedEarlyError as ended:
            await wire.end()
            detail = f"the worker gave it back: {ended.reason}"
            raise Refused(reason_of(ended.reason), detail) from None
        progress(Phase.DELIVERED)
        await self._results.keep(ordered.id, OUTPUTS, outputs, ordered.secret)
        stands = self._orders.stands(ordered.id, State.DELIVERED, result=result.wire)
        await self._accounts.write([stands]).wait()
        ordered.outputs, ordered.result = outputs, result

    async def _be_accepted(self, ordered: Ordered, wire: Framed, progress: Progress) -> None:
        """Send the order, and take the worker's answer."""
        document = DocumentFrame(encode(ordered.table.shapes))
        await wire.send(StatementFrame(ordered.order.wire), document)
        progress(Phase.PLACED)
        frame = await next_frame(wire, ANSWER_S)
        if not isinstance(frame, StatementFrame):
            detail = f"{type(frame).__name__} where an accept or a refusal is due"
            raise RemoteProtocolError(Reason.UNEXPECTED, detail)
        answer = unseal(frame.wire, self._accounts.network, Accept, Refuse)
        value, order = answer.value, ordered.order.value
        if (value.worker, value.requester, value.order) != (
            *(order.worker, order.requester, ordered.id),
        ):
            raise RemoteProtocolError(Reason.WRONG_PARTY, "the answer is to another order")
        if isinstance(value, Refuse):
            raise Declined(
                reason_of(value.reason), f"the worker says {value.reason}", value.retry_s
            )
        if value.items != order.items or value.price not in (0, order.price):
            detail = f"{value.items} items for {value.price} CU, ordered for {order.price}"
            raise RemoteProtocolError(Reason.WRONG_AMOUNT, detail)
        if ordered.accept and ordered.accept.value != value:
            raise RemoteProtocolError(Reason.WRONG_AMOUNT, "it was accepted in other words before")
        ordered.accept = Sealed(value, answer.body, answer.signature, answer.id)
        progress(Phase.ACCEPTED)

    async def _call_off(self, ordered: Ordered, wire: Framed) -> None:
        """Tell the worker that nobody wants it any more; what it has billed is still looked at."""
        state = State.OWING if ordered.accept else State.CANCELLED
        self._ended(ordered, state, Refused(Reason.REQUESTER_CANCELLED))
        with trio.move_on_after(CALL_OFF_S) as calling:
            calling.shield = True
            with suppress(TransportError, CommonsError):
                cancel = self._accounts.sign(self._cancelling(ordered.order))
                code = Reason.REQUESTER_CANCELLED.value
                await wire.send(CancelFrame(code), StatementFrame(cancel.wire))
                await wire.end()

    async def _exchange(
        self, ordered: Ordered, wire: Framed, progress: Progress
    ) -> tuple[list[Item], Sealed[Result]]:
        """Send the inputs, and listen meanwhile: a worker may end the order at any moment."""
        assert ordered.accept
        stands = self._orders.stands(ordered.id, State.WORKING, accept=ordered.accept.wire)
        await ordered.written.wait()
        await self._accounts.write([stands]).wait()
        got: list[tuple[list[Item], Sealed[Result]]] = []
        failed: list[Exception] = []

        async def send() -> None:
            with suppress(TransportError, CommonsError):  # the one who listens hears why
                salt = encode(Salt(ordered.id, ordered.secret))
                await wire.send(DocumentFrame(salt))
                await send_items(wire, ordered.items)
                progress(Phase.SENT)

        async def listen() -> None:
            try:
                got.append(await self._take_outputs(ordered, wire))
            except (TransportError, CommonsError, EndedEarlyError) as error:
                failed.append(error)
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            nursery.start_soon(send)
        if failed:
            raise failed[0]
        return got[0]

    async def _take_outputs(
        self, ordered: Ordered, wire: Framed
    ) -> tuple[list[Item], Sealed[Result]]:
        """Take outputs and result, and hold one against the other."""
        root = Root(ordered.secret, OUTPUT)
        interface, table = ordered.model.interface, ordered.table
        order = ordered.order.value
        outputs = await take_items(
            wire,
            lambda item: output_forms(interface, table.shape_of(item)),
            table.items,
            root,
            deviates=Reason.WRONG_FORM,
            first_s=order.ttl_s,
        )
        frame = await next_frame(wire)
        if not isinstance(frame, StatementFrame):
            detail = f"{type(frame).__name__} where a result is due"
            raise RemoteProtocolError(Reason.UNEXPECTED, detail)
        result = unseal(frame.wire, self._accounts.network, Result)
        value = result.value
        if (value.worker, value.requester, value.order) != (
            *(order.worker, order.requester, ordered.id),
        ):
            raise RemoteProtocolError(Reason.WRONG_PARTY, "the result is of another order")
        assert ordered.accept
        due = ordered.accept.value.price
        if (value.first, value.through, value.due, value.last) != (0, order.items, due, 1):
            detail = f"a bill of {value.due} CU for {value.through} items, {due} CU are due"
            raise RemoteProtocolError(Reason.WRONG_AMOUNT, detail)
        if value.output_root != root.root():
            raise RemoteProtocolError(Reason.BAD_PROOF, "the result is about other outputs")
        return outputs, result

    # --- from result to ack ---------------------------------------------------------------------

    async def _settle(self, ordered: Ordered, wire: Framed, progress: Progress) -> None:
        """Check what came; pay, or dispute."""
        assert ordered.result
        wrong = await self._checking.check(ordered)
        progress(Phase.CHECKED)
        if wrong:
            await self._dispute(ordered, wire)
        elif not ordered.paid:
            await self._pay(ordered, wire)
        progress(Phase.SETTLED)

    async def _pay(self, ordered: Ordered, wire: Framed) -> None:
        """Sign a cheque, and take the ack for it; without one it is shown again after hello."""
        assert ordered.result
        receipt = await self._accounts.pay(ordered.worker, [ordered.result])
        ordered.paid = True
        if receipt is None:  # a gift
            ordered.acked = True
            self._ended(ordered, State.SETTLED)
            return
        try:
            await wire.send(DocumentFrame(encode(receipt)))
            frame = await next_frame(wire, ANSWER_S)
            if not isinstance(frame, StatementFrame):
                detail = f"{type(frame).__name__} where an ack is due"
                raise RemoteProtocolError(Reason.UNEXPECTED, detail)
            self._accounts.acked(frame.wire)
        except EndedEarlyError as ended:
            cited = self._accounts.unacked(ordered.worker)
            if cited and ended.reason in LOST_MEMORY:
                # It has lost its books, and believes its own accepts and results.
                await self._receipts.show(ordered.worker, (cited,))
        except TransportError as error:
            self._post("ack_not_received", peer=ordered.worker.hex(), error=str(error))
        self._acked(ordered.worker)
        ordered.acked = self._accounts.is_settled(ordered.worker, ordered.id)

    async def _dispute(self, ordered: Ordered, wire: Framed) -> None:
        """Say what is wrong, pay nothing, and have no more dealings with this worker."""
        assert ordered.result
        assert ordered.wrong
        dispute = Dispute(
            self._accounts.me,
            ordered.worker,
            self._accounts.books.incarnation,
            ordered.id,
            ordered.result.id,
            ordered.wrong_item,
            ordered.found,
            TOLERANCE_MAX,
            ordered.wrong.value,
        )
        self._accounts.freeze(ordered.worker, ordered.id)
        error = Refused(ordered.wrong, f"item {ordered.wrong_item}")
        self._ended(ordered, State.FORFEIT, error)
        self._post("result_wrong", peer=ordered.worker.hex(), item=ordered.wrong_item)
        with suppress(TransportError, CommonsError):
            await wire.send(StatementFrame(self._accounts.sign(dispute).wire))
        self._wires.blame(ordered.worker, ordered.wrong, f"item {ordered.wrong_item}")

    def _ended(self, ordered: Ordered, state: State, error: CommonsError | None = None) -> None:
        self._accounts.write([self._orders.stands(ordered.id, state, error=error)])

    # --- what was left open ---------------------------------------------------------------------

    def _greeted(self, peer: bytes) -> None:
        if self._nursery:
            self._nursery.start_soon(self._go_on, peer)

    def _acked(self, peer: bytes) -> None:
        """Close the orders whose cheques were acknowledged."""
        rows = self._orders.open_with(peer, Role.REQUESTER)
        over = [each.id for each in rows if self._accounts.is_settled(peer, each.id)]
        self._accounts.write([self._orders.stands(each, State.SETTLED) for each in over])

    async def _go_on(self, peer: bytes) -> None:
        """Go on with the orders that an earlier process, or a lost connection, left open."""
        for row in self._orders.open_with(peer, Role.REQUESTER):
            if row.id in self._handled or self._accounts.books.account(peer).frozen:
                continue
            self._handled.add(row.id)
            try:
                await self._go_on_with(row)
            except (CommonsError, TransportError, OSError) as error:
                self._post("order_left_open", peer=peer.hex(), error=str(error))
            finally:
                self._handled.discard(row.id)

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
        ordered = Ordered(order, table, model, items, secret, self._accounts.write(()))
        ordered.accept = unseal(row.accept, self._accounts.network, Accept)
        outputs = await self._results.read(row.id, OUTPUTS)
        if row.result and outputs:
            ordered.result = unseal(row.result, self._accounts.network, Result)
            ordered.outputs = outputs[1]
        try:
            async with self._wires.wire(row.peer, WORK) as wire:
                if ordered.result is None:
                    await self._deliver(ordered, wire, lambda _phase: None)
                await self._settle(ordered, wire, lambda _phase: None)
        except (Refused, LocalProtocolError) as refusal:
            if ordered.result is None:
                self._ended(ordered, State.CANCELLED, refusal)
            raise

    async def _cancel(self, order: Sealed[Order]) -> None:
        """Take an order back of which the worker may have heard or not."""
        async with self._wires.wire(order.value.worker, WORK) as wire:
            cancel = self._accounts.sign(self._cancelling(order))
            await wire.send(StatementFrame(cancel.wire))
        error = Refused(Reason.REQUESTER_CANCELLED)
        self._accounts.write([self._orders.stands(order.id, State.CANCELLED, error=error)])

    def _cancelling(self, order: Sealed[Order]) -> Cancel:
        return Cancel(
            self._accounts.me,
            order.value.worker,
            self._accounts.books.incarnation,
            order.id,
            0,
            Reason.REQUESTER_CANCELLED.value,
        )


def _became(ordered: Ordered) -> Placed:
    assert ordered.accept
    return Placed(
        order=ordered.id,
        price=ordered.order.value.price,
        paid=0 if ordered.wrong else ordered.accept.value.price,
        acked=ordered.acked,
        outputs=ordered.outputs,
        checked=ordered.checked,
        wrong=ordered.wrong,
        wrong_item=ordered.wrong_item,
    )
