# SPDX-License-Identifier: MIT
"""Requesters and workers that lie: the steps of an order by hand, any of which may change."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import trio

from node.executor.executor import Group, Item
from node.mesh.framed import Framed
from node.work.computing import compute
from node.work.tensors import root_of, send_items
from protocol.canon import decode, encode
from protocol.frames import DocumentFrame, StatementFrame, TensorData, TensorStart
from protocol.merkle import INPUT, OUTPUT
from protocol.price import PRICE_VERSION
from protocol.sealed import Sealed, unseal
from protocol.shapes import Salt, Shapes, ShapeTable, shapes_of
from protocol.statements import Accept, Order, Refuse, Result
from protocol.tensors import Tensor
from tests.node.work.made_model import DIGEST
from tests.node.work.pair import NETWORK_ID, Node, Seen

SECRET = b"s" * 32
ANSWERS = (Accept, Refuse)


@dataclass
class RogueRequester:
    """Sends orders by hand."""

    node: Node
    worker: Node
    items: Sequence[Item]

    async def order(self, table: ShapeTable | None = None, **changes: Any) -> Sealed[Order]:
        """Sign an order, with some fields changed."""
        table = table or self.table()
        manifest = self.node.model().manifest
        order = Order(
            requester=self.node.public,
            worker=self.worker.public,
            incarnation=self.node.accounts.books.incarnation,
            nonce=self.node.clock.secret_bytes(32),
            model=DIGEST,
            stage=0,
            adapter=b"",
            input_root=await root_of(SECRET, INPUT, self.items),
            shape_root=table.root,
            items=table.items,
            price=table.price,
            price_version=PRICE_VERSION,
            comparator=manifest.comparator,
            tolerance=manifest.tolerance,
            ttl_s=60,
            placed_at_s=int(self.node.clock.now().wall_s),
            public=0,
        )
        return self.node.accounts.sign(replace(order, **changes))

    def table(self, cheaper_cu: int = 0) -> ShapeTable:
        """The table of the items, at a price that may be wrong."""
        model = self.node.model()
        shapes = [tuple(each.dims for each in item) for item in self.items]
        return ShapeTable(shapes_of((model.price(each) - cheaper_cu, each) for each in shapes))

    async def say(self, wire: Framed, order: Sealed[Order], shapes: Shapes | None = None) -> Any:
        """Send an order and take the answer."""
        await wire.send(
            StatementFrame(order.wire), DocumentFrame(encode(shapes or self.table().shapes))
        )
        return unseal(await wire.take_statement(), NETWORK_ID, *ANSWERS).value

    async def inputs(
        self, wire: Framed, order: Sealed[Order], items: Sequence[Item] | None = None
    ) -> None:
        """Send the salt and some items."""
        await wire.send(DocumentFrame(encode(Salt(order.id, SECRET))))
        await send_items(wire, items or self.items)

    async def outputs(self, wire: Framed) -> Sealed[Result]:
        """Take outputs without looking, and the result."""
        while True:
            frame = await wire.receive()
            if isinstance(frame, StatementFrame):
                return unseal(frame.wire, NETWORK_ID, Result)
            assert isinstance(frame, TensorStart | TensorData), frame


@dataclass
class RogueWorker:
    """Serves one order by hand. Fields say what is done otherwise than by an honest worker."""

    node: Node
    accept: dict[str, Any] = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)
    outputs: Sequence[Item] | None = None
    says_no_result: bool = False
    never_acks: bool = False

    async def serve(self, peer: Seen, wire: Framed) -> None:
        """Serve."""
        del peer
        order = unseal(await wire.take_statement(), NETWORK_ID, Order)
        shapes = decode(await wire.take_document(), Shapes)
        _, accept = self.node.accounts.accept(order)
        changed = self.node.accounts.sign(replace(accept.value, **self.accept))
        await wire.send(StatementFrame(changed.wire))
        salt = decode(await wire.take_document(), Salt)
        self.node.accounts.begin(order.value.requester, order.id)
        inputs: list[Item] = []
        for _ in range(order.value.items):
            start = await wire.take(TensorStart)
            data = b""
            while len(data) < start.header.size_bytes:
                data += bytes((await wire.take(TensorData)).data)
            inputs.append((Tensor(start.header.element, start.header.dims, data),))
        outputs = self.outputs
        if outputs is None:
            model = self.node.model().model()
            outputs = await compute(self.node.executor, model, Group("rogue"), inputs)
        await send_items(wire, outputs)
        if self.says_no_result:
            await wire.end()
            return
        result = Result(
            self.node.public,
            order.value.requester,
            self.node.accounts.books.incarnation,
            order.id,
            first=0,
            through=order.value.items,
            due=ShapeTable(shapes).price,
            output_root=await root_of(salt.secret, OUTPUT, outputs),
            environment="a lie",
            last=1,
            issued_at_s=int(self.node.clock.now().wall_s),
        )
        await wire.send(
            StatementFrame(self.node.accounts.sign(replace(result, **self.result)).wire)
        )
        if self.never_acks:
            await trio.sleep_forever()
