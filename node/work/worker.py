# SPDX-License-Identifier: MIT
"""The worker's side of the streams on which orders come. What becomes of an order is in `working`.

On `/commons/work/1` orders come one after another. Each goes its way as `protocol/order.py`
says::

    ORDER, table  ->  ACCEPT (credit is held), or REFUSE
    salt, inputs  ->  each held against its promise before it is taken; then against the root
                  <-  outputs, RESULT
    receipt       ->  ACK, at any later time

A requester that is lost while its order is computed may come back: it sends the same order
again and gets accept, outputs and result once more, until it has paid. What it never asks for
again is overdue at the end of its time, and blocks its next orders.
"""

from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import trio

from node.executor.executor import Item
from node.mesh.framed import Framed
from node.mesh.transport import Lost, TransportError
from node.work.accounts import Accounts
from node.work.admission import RETRY_S, Admission
from node.work.orders import Orders
from node.work.receipts import Receipts
from node.work.results import OUTPUTS, Results
from node.work.tensors import (
    EndedEarlyError,
    Root,
    input_forms,
    next_frame,
    send_items,
    take_items,
)
from node.work.wires import Post, Who
from node.work.working import Taken, Working
from protocol.canon import decode, kind_of
from protocol.channel import NoFrame
from protocol.errors import CommonsError, Refused, RemoteProtocolError
from protocol.frames import CancelFrame, DocumentFrame, End, Frame, StatementFrame
from protocol.keys import SIGNATURE_BYTES
from protocol.limits import HOLD_S_MAX
from protocol.merkle import INPUT
from protocol.order import Role
from protocol.reasons import Reason
from protocol.sealed import Sealed, unseal
from protocol.shapes import Salt, Shapes, ShapeTable
from protocol.statements import Cancel, Dispute, Order, Refuse


class Worker:
    """Serves the streams of requesters."""

    def __init__(
        self,
        accounts: Accounts,
        admission: Admission,
        working: Working,
        orders: Orders,
        results: Results,
        receipts: Receipts,
        post: Post,
    ) -> None:
        """Serve what `working` works on."""
        self._accounts = accounts
        self._admission = admission
        self._working = working
        self._orders = orders
        self._results = results
        self._receipts = receipts
        self._post = post
        receipts.on_paid = working.paid

    # --- a stream -------------------------------------------------------------------------------

    async def serve(self, peer: Who, wire: Framed) -> None:
        """Serve one stream of a peer: orders, one after another, and receipts between them."""
        with suppress(EndedEarlyError):  # before its order was taken: there is nothing to end
            await self._serve(peer, wire)

    async def _serve(self, peer: Who, wire: Framed) -> None:
        while not isinstance(frame := await wire.receive(), NoFrame):
            match frame:
                case DocumentFrame(body):
                    if not await self._receipts.answer(peer.key, wire, body, strict=True):
                        return
                case StatementFrame(statement) if _kind(statement) == Order.KIND:
                    if not await self._serve_order(peer, wire, statement):
                        return
                case StatementFrame(statement):
                    self._hear_late(peer.key, statement)
                case End() | CancelFrame():
                    pass
                case _:
                    detail = f"{type(frame).__name__} where an order is due"
                    raise RemoteProtocolError(Reason.UNEXPECTED, detail)

    def _hear_late(self, peer: bytes, statement: bytes) -> None:
        """Take a statement about an order that is not on this stream any more."""
        value = unseal(statement, self._accounts.network, Cancel, Dispute).value
        if value.signer != peer:
            raise RemoteProtocolError(Reason.WRONG_PARTY, "it is the word of another node")
        if isinstance(value, Dispute):
            self._working.disputed(peer, value.order, value.reason)
            return
        taken = self._working.find(value.order)
        if taken is None:
            self._accounts.end(peer, value.order, 0)
        elif taken.peer == peer:
            self._working.cancelled(taken)

    # --- one order ------------------------------------------------------------------------------

    async def _serve_order(self, peer: Who, wire: Framed, statement: bytes) -> bool:
        """Serve one order; whether the stream can be used for another one."""
        order = unseal(statement, self._accounts.network, Order)
        if (order.value.requester, order.value.worker) != (peer.key, self._accounts.me):
            raise RemoteProtocolError(Reason.WRONG_PARTY, "the order is between other nodes")
        table = ShapeTable(decode(await _document(wire), Shapes))
        if self._working.find(order.id) or self._orders.find(order.id, Role.WORKER):
            with peer.hold():
                return await self._serve_again(peer, wire, order)
        try:
            admitted = await self._admission.admit(peer, order, table)
        except Refused as refusal:
            await self._refuse(wire, order, refusal)
            return True
        taken = self._working.take(admitted)
        try:
            with peer.hold():
                return await self._carry_out(taken, wire)
        except EndedEarlyError:
            await self._cancelled(taken, wire)
            return False
        except RemoteProtocolError as error:
            await self._give_up(taken, wire, error)
            raise
        finally:
            self._working.lost(taken)
            taken.told.set()

    async def _carry_out(self, taken: Taken, wire: Framed) -> bool:
        """Take the inputs, have them computed, and send what comes out."""
        await wire.send(StatementFrame(taken.admitted.accept.wire))
        try:
            secret, inputs = await self._take_inputs(taken, wire)
        except Refused as refusal:  # its time was over before it began
            await self._give_up(taken, wire, refusal)
            return False
        self._working.start(taken, secret, inputs)
        return await self._finish(taken, wire)

    async def _take_inputs(self, taken: Taken, wire: Framed) -> tuple[bytes, list[Item]]:
        order, table = taken.admitted.order, taken.admitted.table
        salt = decode(await _document(wire, HOLD_S_MAX), Salt)
        if salt.order != order.id:
            raise RemoteProtocolError(Reason.BAD_PROOF, "the salt is that of another order")
        root = Root(salt.secret, INPUT)
        interface = taken.admitted.model.interface
        inputs = await take_items(
            wire,
            lambda item: input_forms(interface, table.shape_of(item)),
            table.items,
            root,
            deviates=Reason.INPUT_DEVIATES,
            begun=partial(self._working.begin, taken),
        )
        self._working.begin(taken)  # a model without inputs begins here
        if root.root() != order.value.input_root:
            raise RemoteProtocolError(Reason.BAD_PROOF, "the order was signed for other inputs")
        return salt.secret, inputs

    async def _finish(self, taken: Taken, wire: Framed) -> bool:
        """Wait for the result and send it; whether the stream can be used for another order."""
        await _wait_done(taken, wire)
        if taken.result:
            await _deliver(wire, taken.outputs, taken.result.wire)
            return True
        await self._give_up(taken, wire, taken.error or Refused(Reason.HANDED_BACK))
        return False

    # --- once more ------------------------------------------------------------------------------

    async def _serve_again(self, peer: Who, wire: Framed, order: Sealed[Order]) -> bool:
        """Give what a requester has lost on the way, if it is still here."""
        taken = self._working.find(order.id)
        if taken and taken.has_inputs:
            await wire.send(StatementFrame(taken.admitted.accept.wire))
            try:
                return await self._finish(taken, wire)
            except EndedEarlyError:
                await self._cancelled(taken, wire)
                return False
        row = self._orders.find(order.id, Role.WORKER)
        if row and row.peer == peer.key and row.accept and row.result:
            kept = await self._results.read(order.id, OUTPUTS)
            if kept:
                await wire.send(StatementFrame(row.accept))
                await _deliver(wire, kept[1], row.result)
                return True
        if taken is None:
            self._accounts.end(peer.key, order.id, 0)
        await self._refuse(wire, order, Refused(Reason.REPLAYED, "there is no result for it"))
        return True

    # --- bad news -------------------------------------------------------------------------------

    async def _refuse(self, wire: Framed, order: Sealed[Order], refusal: Refused) -> None:
        self._post("order_refused", peer=order.value.requester.hex(), error=str(refusal))
        refuse = Refuse(
            self._accounts.me,
            order.value.requester,
            self._accounts.books.incarnation,
            order.id,
            refusal.reason.value,
            RETRY_S.get(refusal.reason, 0),
        )
        await wire.send(StatementFrame(self._accounts.sign(refuse).wire))

    async def _cancelled(self, taken: Taken, wire: Framed) -> None:
        self._working.cancelled(taken)
        await wire.end()

    async def _give_up(self, taken: Taken, wire: Framed, error: CommonsError) -> None:
        """End an order and say why; a requester that hears nothing is none the worse."""
        if not taken.has_inputs:
            self._working.give_up(taken, error)
        elif not taken.done.is_set():
            return  # it broke a rule of the stream, not of the order, which is computed
        cancel = Cancel(
            self._accounts.me,
            taken.peer,
            self._accounts.books.incarnation,
            taken.id,
            0,
            error.reason.value,
        )
        sealed = self._accounts.sign(cancel)
        with suppress(TransportError, CommonsError):
            await wire.send(CancelFrame(error.reason.value), StatementFrame(sealed.wire))
            await wire.end()


async def _document(wire: Framed, within_s: float | None = None) -> bytes:
    frame = await (next_frame(wire, within_s) if within_s else next_frame(wire))
    if not isinstance(frame, DocumentFrame):
        detail = f"{type(frame).__name__} where a document is due"
        raise RemoteProtocolError(Reason.UNEXPECTED, detail)
    return frame.body


async def _deliver(wire: Framed, outputs: Sequence[Item], result: bytes) -> None:
    await send_items(wire, outputs, after=[StatementFrame(result)])


async def _wait_done(taken: Taken, wire: Framed) -> None:
    """Wait for the result, and meanwhile for what the requester may have to say."""
    heard: list[Frame | NoFrame | Exception] = []

    async def listen() -> None:
        try:
            heard.append(await wire.receive())
        except (TransportError, RemoteProtocolError) as error:
            heard.append(error)
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        await taken.done.wait()
        nursery.cancel_scope.cancel()
    match heard:
        case [CancelFrame(reason)]:
            raise EndedEarlyError(reason)
        case [Exception() as error]:
            raise error
        case [NoFrame()]:
            raise Lost("the requester is gone; it may ask for the result again")
        case [frame]:
            detail = f"{type(frame).__name__} while an order is computed"
            raise RemoteProtocolError(Reason.UNEXPECTED, detail)


def _kind(statement: bytes) -> str:
    return kind_of(statement[SIGNATURE_BYTES:])
