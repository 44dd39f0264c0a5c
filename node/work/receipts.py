# SPDX-License-Identifier: MIT
"""Receipts outside of orders: what two nodes show each other after hello has compared totals.

On `/commons/books/1` one side shows its receipts, each is answered by an ack or by nothing
(what brings back a lost memory needs no answer), and then it ends. A cheque that is refused in
spite of its citations is answered by a cancel with the reason; its debtor takes it back.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio

from node.mesh.framed import Framed
from node.mesh.transport import TransportError
from node.work.accounts import Accounts
from node.work.beside import alone, beside
from node.work.wires import BOOKS, Post, Who, Wires
from protocol.canon import decode, encode
from protocol.channel import NoFrame
from protocol.cheque import Cheque, Receipt, Refund
from protocol.errors import CommonsError, ProtocolError, Refused, RemoteProtocolError
from protocol.frames import CancelFrame, DocumentFrame, End, StatementFrame
from protocol.keys import SIGNATURE_BYTES
from protocol.reasons import Reason

#: A disk takes so long at worst; a peer that does not answer is shown the same again next time.
ANSWER_S = 30.0

#: What an honest node may be told that lost its books, or whose peer did. Nobody's fault.
LOST_MEMORY = frozenset(
    {
        *(Reason.WRONG_AMOUNT, Reason.NOT_ORDERED, Reason.ALREADY_SETTLED),
        *(Reason.TOO_OLD, Reason.REFUND_TOO_HIGH),
    }
)


class Receipts:
    """Shows receipts, and takes those that are shown. Works inside :meth:`open`."""

    def __init__(self, accounts: Accounts, wires: Wires, post: Post) -> None:
        """Speak for these accounts."""
        self._accounts = accounts
        self._wires = wires
        self._post = post
        #: Told of the orders that a cheque has paid for; and of a peer whose acks have come.
        self.on_paid: Callable[[bytes, list[bytes]], None] = lambda _peer, _orders: None
        self.on_acked: Callable[[bytes], None] = lambda _peer: None
        #: Told of a peer when the totals were compared: from here on this node may sign for it.
        self.on_greeted: Callable[[bytes], None] = lambda _peer: None
        self._nursery: trio.Nursery | None = None
        self._greeted: dict[bytes, trio.Event] = {}
        self._meeting = trio.Event()  # another one after each meeting, whoever it was with

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Show what is to be shown inside the block."""
        async with beside() as nursery:
            self._nursery = nursery
            try:
                yield
            finally:
                self._nursery = None

    # --- meeting --------------------------------------------------------------------------------

    def met(self, peer: bytes, held_total: int, signed_total: int) -> None:
        """Compare the totals that a peer has said in its hello."""
        if self._nursery:
            done = self._greeted[peer] = trio.Event()
            self._meeting.set()
            self._meeting = trio.Event()
            self._nursery.start_soon(alone, self._greet, peer, held_total, signed_total, done)

    def left(self, peer: bytes) -> None:
        """Note that a peer is gone."""
        self._greeted.pop(peer, None)
        self._accounts.left(peer)

    def is_met(self, peer: bytes) -> bool:
        """Whether a peer is here now, as far as it was noticed that it left."""
        return peer in self._greeted

    async def wait_met(self, peer: bytes) -> None:
        """Return when a peer is met anew, however long that takes."""
        before = self._greeted.get(peer)
        while self._greeted.get(peer) in (None, before):
            await self._meeting.wait()

    async def wait_greeted(self, peer: bytes) -> None:
        """Return when the totals of a met peer were compared."""
        greeted = self._greeted.get(peer)
        if greeted is not None:
            await greeted.wait()

    async def _greet(
        self, peer: bytes, held_total: int, signed_total: int, done: trio.Event
    ) -> None:
        try:
            receipts = await self._accounts.greet(peer, held_total, signed_total)
            done.set()
            self.on_greeted(peer)
            if receipts:
                await self.show(peer, receipts)
        except (CommonsError, TransportError) as error:
            self._post("receipts_not_shown", peer=peer.hex(), error=str(error))
        finally:
            done.set()

    async def show(self, peer: bytes, receipts: tuple[Receipt, ...]) -> None:
        """Show receipts to a peer and take its acks."""
        refused = ""
        with trio.move_on_after(ANSWER_S):
            async with self._wires.wire(peer, BOOKS) as wire:
                for receipt in receipts:
                    await wire.send(DocumentFrame(encode(receipt)))
                await wire.end()
                while not isinstance(frame := await wire.receive(), NoFrame):
                    match frame:
                        case StatementFrame(ack):
                            self._accounts.acked(ack)
                            self.on_acked(peer)
                        case CancelFrame(reason):
                            refused = reason
        if refused:
            self._post("cheque_refused", peer=peer.hex(), reason=refused)
            if refused in LOST_MEMORY and any(receipt.citations for receipt in receipts):
                await self._accounts.withdraw(peer)

    # --- being shown ----------------------------------------------------------------------------

    async def serve(self, peer: Who, wire: Framed) -> None:
        """Take what a peer shows on a stream of its own."""
        while not isinstance(frame := await wire.receive(), NoFrame):
            match frame:
                case DocumentFrame(body):
                    if not await self.answer(peer.key, wire, body):
                        return
                case End():
                    pass
                case _:
                    detail = f"{type(frame).__name__} where a receipt is due"
                    raise RemoteProtocolError(Reason.UNEXPECTED, detail)

    async def answer(
        self, peer: bytes, wire: Framed, body: bytes, *, strict: bool = False
    ) -> Receipt | None:
        """Take one receipt and send its ack. None: it was refused, and the stream was ended.

        `strict`: a wrong one is the peer's fault, as within an order, where nobody lost memory.
        """
        receipt = decode(body, Receipt)
        try:
            ack = await self._accounts.take(peer, receipt)
        except (Refused, ProtocolError) as error:
            if isinstance(error, ProtocolError) and (strict or error.reason not in LOST_MEMORY):
                raise
            await wire.send(CancelFrame(error.reason.value))
            await wire.end()
            return None
        if ack:
            await wire.send(StatementFrame(ack.wire))
            value = decode(receipt.statement[SIGNATURE_BYTES:], Cheque, Refund)
            if isinstance(value, Cheque):
                self.on_paid(peer, [line.order for line in value.payments])
        return receipt
