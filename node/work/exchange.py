# SPDX-License-Identifier: MIT
"""What a requester says on the stream of one order, and what it takes. When is in `requester`.

Everything that a worker can say wrongly up to its result is found here: an answer to another
order, another price, outputs of another form, a bill for something else.
"""

from collections.abc import Callable
from contextlib import suppress

import trio

from node.executor.executor import Item
from node.mesh.framed import Framed
from node.mesh.transport import TransportError
from node.work.accounts import Accounts
from node.work.orders import Orders
from node.work.placed import Declined, Ordered, Phase, reason_of
from node.work.tensors import (
    EndedEarlyError,
    Root,
    next_frame,
    output_forms,
    send_items,
    take_items,
)
from protocol.canon import encode
from protocol.errors import CommonsError, RemoteProtocolError
from protocol.frames import DocumentFrame, StatementFrame
from protocol.merkle import OUTPUT
from protocol.order import State
from protocol.reasons import Reason
from protocol.sealed import Sealed, unseal
from protocol.shapes import Salt
from protocol.statements import Accept, Refuse, Result

#: A worker answers an order at once, or after a look at its sandbox.
ANSWER_S = 30.0

Progress = Callable[[Phase], None]


class Exchange:
    """Speaks for one requester."""

    def __init__(self, accounts: Accounts, orders: Orders) -> None:
        """The accounts sign and write."""
        self._accounts = accounts
        self._orders = orders

    async def be_accepted(self, ordered: Ordered, wire: Framed, progress: Progress) -> None:
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
        before = ordered.accept.value if ordered.accept else value
        # A worker that has crashed may have lost what it said, and says it anew in its next life.
        if before != value and before.incarnation == value.incarnation:
            raise RemoteProtocolError(Reason.WRONG_AMOUNT, "it was accepted in other words before")
        ordered.accept = Sealed(value, answer.body, answer.signature, answer.id)
        progress(Phase.ACCEPTED)

    async def give_and_take(
        self, ordered: Ordered, wire: Framed, progress: Progress
    ) -> tuple[list[Item], Sealed[Result]]:
        """Send the inputs, and listen meanwhile: a worker may end the order at any moment."""
        assert ordered.accept
        stands = self._orders.stands(ordered.id, State.WORKING, accept=ordered.accept.wire)
        await self._accounts.write([stands]).wait()
        got: list[tuple[list[Item], Sealed[Result]]] = []
        failed: list[Exception] = []

        async def send() -> None:
            with suppress(TransportError, CommonsError):  # the one who listens hears why
                salt = encode(Salt(ordered.id, ordered.secret))
                await send_items(wire, ordered.items, before=[DocumentFrame(salt)])
                progress(Phase.SENT)

        async def listen() -> None:
            try:
                got.append(await self.take_outputs(ordered, wire))
            except (TransportError, CommonsError, EndedEarlyError) as error:
                failed.append(error)
            nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            nursery.start_soon(send)
        if failed:
            raise failed[0]
        return got[0]

    async def take_outputs(
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
