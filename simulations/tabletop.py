# SPDX-License-Identifier: MIT
"""Nodes on a table: real statements, frames and books, carried by hand from one to the other.

There is no network, no clock and no daemon here, and the model is a few lines of arithmetic.
Everything else is what two machines will do: prices, signatures, holds, Merkle roots,
checks, cheques and acks. It is for demos and for reading; the simulator is another thing.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from math import tanh
from random import Random
from struct import pack, unpack

from protocol.books import Books
from protocol.budget import BudgetRules, OrderClass, Standing
from protocol.canon import Message, decode, encode
from protocol.channel import Channel, NoFrame
from protocol.check import history_after, plan_check
from protocol.cheque import Ack, Receipt
from protocol.compare import F32, FLOORS, judge_item
from protocol.errors import RemoteProtocolError
from protocol.events import Event, Instant
from protocol.frames import DocumentFrame, Frame, StatementFrame, TensorData, TensorStart
from protocol.keys import Keypair
from protocol.ledger import Outcome
from protocol.merkle import INPUT, OUTPUT, leaf, leaf_salt, merkle_root
from protocol.price import PRICE_VERSION, constant, facts_of, price_v1
from protocol.reasons import Reason
from protocol.roofline import matmul_flops
from protocol.sealed import Sealed, Statement, seal, unseal
from protocol.shapes import Salt, Shapes, ShapeTable, check_input, check_order, shapes_of
from protocol.statements import Accept, Order, Result
from protocol.tensors import ElementType, Tensor, item_digest

NOW = Instant(0.0, 1_800_000_000.0)
WIDTHS = (64, 96, 16)
MODEL = b"demo-model".ljust(32, b".")

# What the model costs: two matrix products, and the bytes of their weights, inputs and outputs.
FACTS = facts_of(
    (constant(matmul_flops(1, wide, deep)), constant(4 * (wide * deep + wide + deep)))
    for deep, wide in pairwise(WIDTHS)
)
ITEM_PRICE = price_v1(FACTS, (), 4 * (WIDTHS[0] + WIDTHS[-1]))


class Model:
    """A small network with seeded weights; the same on every machine."""

    def __init__(self) -> None:
        """Draw the weights."""
        dice = Random("demo model")
        self._layers = [
            [[dice.gauss(0, deep**-0.5) for _ in range(deep)] for _ in range(wide)]
            for deep, wide in pairwise(WIDTHS)
        ]

    def run(self, item: Tensor) -> Tensor:
        """Compute one item."""
        values = unpack(f"<{WIDTHS[0]}f", item.data)
        for layer in self._layers:
            values = tuple(tanh(sum(map(float.__mul__, row, values))) for row in layer)
        return Tensor(ElementType.FLOAT, (1, WIDTHS[-1]), pack(f"<{WIDTHS[-1]}f", *values))


def make_item(dice: Random) -> Tensor:
    """Draw one input."""
    values = [dice.uniform(-1, 1) for _ in range(WIDTHS[0])]
    return Tensor(ElementType.FLOAT, (1, WIDTHS[0]), pack(f"<{WIDTHS[0]}f", *values))


class Wire:
    """A stream between two nodes: what one says is cut into bytes, and put together again."""

    def __init__(self) -> None:
        """Lay it."""
        self._ends = (Channel(), Channel())
        self.carried_bytes = 0

    def say(self, end: int, frame: Frame) -> Frame:
        """Carry one frame from an end to the other one."""
        data = b"".join(self._ends[end].send(frame))
        self.carried_bytes += len(data)
        hearer = self._ends[1 - end]
        hearer.receive_data(data)
        heard = hearer.next_event()
        assert isinstance(heard, Frame)
        assert hearer.next_event() is NoFrame.NEED_DATA
        if isinstance(heard, TensorData):
            window = hearer.consumed(len(heard.data))
            if window is not None:
                self.say(1 - end, window)
        return heard

    def say_tensor(self, end: int, item: int, tensor: Tensor) -> Tensor:
        """Carry one tensor as its header and its data."""
        start = self.say(end, TensorStart(item, 0, tensor.header))
        data = self.say(end, TensorData(tensor.data))
        assert isinstance(start, TensorStart)
        assert isinstance(data, TensorData)
        return Tensor(start.header.element, start.header.dims, bytes(data.data))

    def say_statement(self, end: int, sealed: Sealed[Statement]) -> bytes:
        """Carry a signed statement; give the bytes that arrived."""
        heard = self.say(end, StatementFrame(sealed.wire))
        assert isinstance(heard, StatementFrame)
        return heard.wire

    def say_document(self, end: int, document: Message) -> bytes:
        """Carry an unsigned document; give the bytes that arrived."""
        heard = self.say(end, DocumentFrame(encode(document)))
        assert isinstance(heard, DocumentFrame)
        return heard.body


@dataclass
class Verdict:
    """What became of one shard."""

    order_class: OrderClass
    items: int
    checked: int
    price: int
    wrong: Reason | None = None
    wrong_item: int = 0


@dataclass
class TableNode:
    """One node. `fake` may replace the result of an item, given its number and the true one."""

    name: str
    network: bytes
    rules: BudgetRules
    fake: Callable[[int, Tensor], Tensor] | None = None
    journal: list[Event] = field(default_factory=list)
    history: dict[bytes, int] = field(default_factory=dict)
    orders: int = 0

    def __post_init__(self) -> None:
        """Throw the dice for a key, and open the books."""
        self.dice = Random(f"node {self.name}")
        self.key = Keypair(self.dice.randbytes(32))
        self.model = Model()
        self.books = Books(self.key, self.network, self.rules)
        self.keep(self.books.start(self.dice.randbytes(8), NOW))

    def keep(self, outcome: Outcome) -> Outcome:
        """Write to the journal first; what is sent comes after."""
        self.journal += outcome.events
        return outcome

    def greet(self, other: "TableNode") -> None:
        """Compare the two totals that this account has."""
        account = other.books.account(self.key.public)
        self.keep(self.books.greet(other.key.public, account.held_total, account.signed_total))

    # --- as requester ----------------------------------------------------------------------------

    def order(self, worker: "TableNode", table: ShapeTable, roots: bytes) -> Sealed[Order]:
        """Sign an order for a table of items whose Merkle root is known."""
        self.orders += 1
        order = Order(
            requester=self.key.public,
            worker=worker.key.public,
            incarnation=self.books.incarnation,
            nonce=self.dice.randbytes(32),
            model=MODEL,
            stage=0,
            adapter=b"",
            input_root=roots,
            shape_root=table.root,
            items=table.items,
            price=table.price,
            price_version=PRICE_VERSION,
            comparator=F32,
            tolerance=FLOORS[F32],
            ttl_s=60,
            placed_at_s=int(NOW.wall_s),
            public=1,
        )
        return seal(self.key, self.network, order)

    def ask(self, worker: "TableNode", items: list[Tensor], wire: Wire) -> Verdict:
        """Have one shard computed: order, inputs, outputs, check, and the cheque if all is well."""
        secret = self.dice.randbytes(32)
        table = ShapeTable(shapes_of((ITEM_PRICE, (each.dims,)) for each in items))
        order = self.order(worker, table, root_of(secret, INPUT, items))
        order_class, accept = worker.take_order(
            wire.say_statement(0, order), wire.say_document(0, table.shapes)
        )
        unseal(wire.say_statement(1, accept), self.network, Accept)
        salt = wire.say_document(0, Salt(order.id, secret))
        inputs = [wire.say_tensor(0, number, each) for number, each in enumerate(items)]
        outputs, result = worker.work(order, table, inputs, decode(salt, Salt).secret)
        got = [wire.say_tensor(1, number, each) for number, each in enumerate(outputs)]
        bill = unseal(wire.say_statement(1, result), self.network, Result)
        if bill.value.output_root != root_of(secret, OUTPUT, got):
            raise RemoteProtocolError(Reason.BAD_PROOF, "the result is about other outputs")
        verdict = self.check(worker.key.public, table, items, got, order_class)
        if verdict.wrong is None:
            self.pay(worker, bill, wire)
        else:
            self.keep(self.books.freeze(worker.key.public, order.id, NOW))
        return verdict

    def check(
        self,
        worker: bytes,
        table: ShapeTable,
        items: list[Tensor],
        got: list[Tensor],
        order_class: OrderClass,
    ) -> Verdict:
        """Compute some of the items again, as many as the worker's history asks for."""
        history = self.history.get(worker, 0)
        chosen = plan_check(history, [ITEM_PRICE] * len(items), self.dice.randbytes(32))
        verdict = Verdict(order_class, len(items), len(chosen), table.price)
        for number in chosen:
            again = self.model.run(items[number])
            wrong = judge_item(F32, FLOORS[F32], [got[number]], [again])
            if wrong is not None:
                verdict.wrong, verdict.wrong_item = wrong, number
                break
        self.history[worker] = history_after(history, table.price, accepted=verdict.wrong is None)
        return verdict

    def pay(self, worker: "TableNode", bill: Sealed[Result], wire: Wire) -> None:
        """Sign a cheque, and take the ack for it."""
        (cheque,) = self.keep(self.books.pay(worker.key.public, [bill], NOW)).send
        assert isinstance(cheque, Sealed)
        body = wire.say_document(0, Receipt(cheque.wire, b"", ()))
        ack = worker.take_cheque(self.key.public, decode(body, Receipt))
        heard = unseal(wire.say_statement(1, ack), self.network, Ack)
        self.keep(self.books.acked(heard, NOW))

    # --- as worker -------------------------------------------------------------------------------

    def take_order(self, wire: bytes, document: bytes) -> tuple[OrderClass, Sealed[Statement]]:
        """Find the order's price right, and the budget large enough."""
        order = unseal(wire, self.network, Order)
        table = ShapeTable(decode(document, Shapes))
        check_order(table, order.value)
        if any(row.price != ITEM_PRICE for row in table.shapes.rows):
            raise RemoteProtocolError(Reason.PRICE_DIFFERS, f"an item costs {ITEM_PRICE} CU")
        order_class, outcome = self.books.accept(order, NOW, Standing(member=True))
        (accept,) = self.keep(outcome).send
        assert isinstance(accept, Sealed)
        return order_class, accept

    def work(
        self, order: Sealed[Order], table: ShapeTable, inputs: list[Tensor], secret: bytes
    ) -> tuple[list[Tensor], Sealed[Statement]]:
        """Compute all items, or pretend to, and sign what is sent."""
        requester = order.value.requester
        if root_of(secret, INPUT, inputs) != order.value.input_root:
            raise RemoteProtocolError(Reason.BAD_PROOF, "the order was for other inputs")
        self.keep(self.books.begin(requester, order.id, NOW))
        outputs = []
        for number, each in enumerate(inputs):
            check_input(table, number, 0, each.dims)
            true = self.model.run(each)
            outputs.append(self.fake(number, true) if self.fake else true)
        result = Result(
            self.key.public,
            requester,
            self.books.incarnation,
            order.id,
            first=0,
            through=len(inputs),
            due=table.price,
            output_root=root_of(secret, OUTPUT, outputs),
            environment="tabletop",
            last=1,
            issued_at_s=int(NOW.wall_s),
        )
        (bill,) = self.keep(self.books.bill(result, NOW)).send
        assert isinstance(bill, Sealed)
        return outputs, bill

    def take_cheque(self, peer: bytes, receipt: Receipt) -> Sealed[Statement]:
        """Store the cheque, then acknowledge it."""
        (ack,) = self.keep(self.books.take(peer, receipt, NOW)).send
        assert isinstance(ack, Sealed)
        return ack


def root_of(secret: bytes, side: int, tensors: list[Tensor]) -> bytes:
    """The salted Merkle root over items of one tensor each."""
    return merkle_root(
        leaf(number, leaf_salt(secret, side, number), item_digest([each]))
        for number, each in enumerate(tensors)
    )
