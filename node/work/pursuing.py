# SPDX-License-Identifier: MIT
"""The steps of a requester from a signed order to its ack. Placing one is in `requester`.

They are taken by whoever placed the order, and, after a loss, by `left_open`. Each can be
taken again: what is done is seen in the order itself.
"""

from contextlib import suppress

import trio

from node.mesh.framed import Framed
from node.mesh.transport import Lost, TransportError
from node.work.accounts import Accounts
from node.work.checking import Checking
from node.work.exchange import ANSWER_S, Exchange, Progress
from node.work.orders import Orders
from node.work.placed import Ordered, Phase, reason_of
from node.work.receipts import LOST_MEMORY, Receipts
from node.work.results import OUTPUTS, Results
from node.work.tensors import EndedEarlyError, next_frame
from node.work.wires import WORK, Post, Wires
from protocol.canon import encode
from protocol.errors import CommonsError, Refused, RemoteProtocolError
from protocol.frames import DocumentFrame, StatementFrame
from protocol.limits import TOLERANCE_MAX
from protocol.order import Role, State
from protocol.reasons import Reason
from protocol.sealed import Sealed
from protocol.statements import Cancel, Dispute, Order

#: The word that an order is not wanted any more is tried to be said for so long.
TAKE_BACK_S = 30.0


class Pursuing:
    """Takes the steps."""

    def __init__(
        self,
        accounts: Accounts,
        checking: Checking,
        orders: Orders,
        results: Results,
        receipts: Receipts,
        wires: Wires,
        post: Post,
    ) -> None:
        """Know what each of them needs."""
        self._accounts = accounts
        self._checking = checking
        self._orders = orders
        self._results = results
        self._receipts = receipts
        self._wires = wires
        self._post = post
        self._exchange = Exchange(accounts, orders)
        #: Orders that somebody waits for; nobody else goes on with them.
        self.handled: set[bytes] = set()

    async def deliver(self, ordered: Ordered, wire: Framed, progress: Progress) -> None:
        """Come to a result whose outputs are on the disk."""
        again = ordered.accept is not None
        try:
            await self._exchange.be_accepted(ordered, wire, progress)
            if again:
                outputs, result = await self._exchange.take_outputs(ordered, wire)
            else:
                outputs, result = await self._exchange.give_and_take(ordered, wire, progress)
        except EndedEarlyError as ended:
            with suppress(TransportError):  # whoever gives back an order may be about to leave
                await wire.end()
            if ordered.accept:
                self._wires.note_order(ordered.worker, well=False)
            detail = f"the worker gave it back: {ended.reason}"
            raise Refused(reason_of(ended.reason), detail) from None
        progress(Phase.DELIVERED)
        await self._results.keep(ordered.id, OUTPUTS, outputs, ordered.secret)
        stands = self._orders.stands(ordered.id, State.DELIVERED, result=result.wire)
        # Written before the cheque is, and so as durable as that when it is sent.
        self._accounts.write([stands])
        ordered.outputs, ordered.result = outputs, result

    # --- from result to ack ---------------------------------------------------------------------

    async def settle(self, ordered: Ordered, wire: Framed, progress: Progress) -> None:
        """Check what came; pay, or dispute."""
        assert ordered.result
        wrong = await self._checking.check(ordered)
        progress(Phase.CHECKED)
        if wrong:
            await self._dispute(ordered, wire)
        elif not ordered.paid:
            await self._pay(ordered, wire)
        self._wires.note_order(ordered.worker, well=not wrong)
        progress(Phase.SETTLED)

    async def _pay(self, ordered: Ordered, wire: Framed) -> None:
        """Sign a cheque, and take the ack for it; without one it is shown again after hello."""
        assert ordered.result
        await self._receipts.wait_greeted(ordered.worker)
        if not self._accounts.has_greeted(ordered.worker):
            raise Lost("the worker has gone meanwhile; it is paid when it is met again")
        receipt = await self._accounts.pay(ordered.worker, [ordered.result])
        ordered.paid = True
        if receipt is None:  # a gift
            ordered.acked = True
            self.ended(ordered, State.SETTLED)
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
            await self.show_again(ordered.worker)
        self.close_acked(ordered.worker)
        ordered.acked = self._accounts.is_settled(ordered.worker, ordered.id)

    async def show_again(self, worker: bytes) -> None:
        """Show what is not acknowledged, for instance to a worker that was met again meanwhile.

        It said its totals before this cheque was signed.
        """
        cited = self._accounts.unacked(worker)
        if cited and self._receipts.is_met(worker):
            with suppress(TransportError, CommonsError):  # else at the next meeting
                await self._receipts.show(worker, (cited,))

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
        self.ended(ordered, State.FORFEIT, error)
        self._post("result_wrong", peer=ordered.worker.hex(), item=ordered.wrong_item)
        with suppress(TransportError, CommonsError):
            await wire.send(StatementFrame(self._accounts.sign(dispute).wire))
        self._wires.blame(ordered.worker, ordered.wrong, f"item {ordered.wrong_item}")

    def ended(self, ordered: Ordered, state: State, error: CommonsError | None = None) -> None:
        """Write down how an order stands."""
        self._accounts.write([self._orders.stands(ordered.id, state, error=error)])

    def close_acked(self, peer: bytes) -> None:
        """Close the orders whose cheques were acknowledged."""
        rows = self._orders.open_with(peer, Role.REQUESTER)
        over = [each.id for each in rows if self._accounts.is_settled(peer, each.id)]
        self._accounts.write([self._orders.stands(each, State.SETTLED) for each in over])

    async def take_back(self, order: Sealed[Order]) -> None:
        """Tell a worker that an order is not wanted; one that is gone hears it another time."""
        cancel = self._accounts.sign(self._cancelling(order))
        with suppress(TransportError, CommonsError), trio.move_on_after(TAKE_BACK_S):
            async with self._wires.wire(order.value.worker, WORK) as wire:
                await wire.send(StatementFrame(cancel.wire))

    def _cancelling(self, order: Sealed[Order]) -> Cancel:
        return Cancel(
            self._accounts.me,
            order.value.worker,
            self._accounts.books.incarnation,
            order.id,
            0,
            Reason.REQUESTER_CANCELLED.value,
        )
