# SPDX-License-Identifier: MIT
"""The documents that go with an order: its table of shapes, its salt. Prices are in `price`.

The price of work has to be known before the work is accepted, and it depends on the shapes
of the inputs alone. So an order does not promise "about this much": it commits to a table
that says, item by item, what shapes come and what each costs. The worker prices each row by
itself, checks the sums, and from then on every point of the price curve is an exact integer
that both sides read off the same table. An input of another shape ends the order.

The table of a session lists the kinds of call instead, dearest first, each once: nobody
knows how many of which will come, and what is held for a window is its dearest case.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby
from typing import Annotated

from protocol.canon import (
    Digest,
    Message,
    Row,
    UintCodec,
    message,
    row,
    rows_of,
    tagged_hash,
    values_of,
)
from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.limits import (
    DIMENSION_MAX,
    ITEMS_PER_ORDER_MAX,
    PORTS_MAX,
    PRICE_MAX,
    RANK_MAX,
    SHAPES_BYTES_MAX,
)
from protocol.merkle import merkle_root
from protocol.reasons import Reason
from protocol.statements import Items, Order, Price, SessionOrder
from protocol.tensors import Tensor

# The dimensions of each input, in the order of the model's interface.
Shape = tuple[tuple[int, ...], ...]

_NUMBERS = values_of(UintCodec(0, DIMENSION_MAX), 0, PORTS_MAX * (1 + RANK_MAX))


@dataclass(frozen=True, slots=True)
class ShapeCodec:
    """A shape as a flat list: rank and dimensions of one input after the other."""

    def pack(self, value: Shape) -> bytes:
        """Write rank before dimensions."""
        raw = _NUMBERS.pack(tuple(number for dims in value for number in (len(dims), *dims)))
        self.unpack(raw)
        return raw

    def unpack(self, raw: object) -> Shape:
        """Read input after input; the last one has to end where the list ends."""
        numbers = _NUMBERS.unpack(raw)
        shape = []
        at = 0
        while at < len(numbers):
            rank = numbers[at]
            if rank > RANK_MAX or at + 1 + rank > len(numbers):
                raise ValueError(f"rank {rank} at number {at} of a shape of {len(numbers)}")
            shape.append(numbers[at + 1 : at + 1 + rank])
            at += 1 + rank
        if len(shape) > PORTS_MAX:
            raise ValueError(f"a shape of {len(shape)} inputs, at most {PORTS_MAX}")
        return tuple(shape)


@row
class ShapeRow(Row):
    """`count` items in a row have this shape, and each of them costs `price`."""

    count: Items
    price: Price
    shape: Annotated[Shape, ShapeCodec()]


@message("shapes", most=SHAPES_BYTES_MAX)
class Shapes(Message):
    """The table as it travels, before the inputs. An order signs its root."""

    rows: Annotated[tuple[ShapeRow, ...], rows_of(ShapeRow, 1, ITEMS_PER_ORDER_MAX)]

    def broken_rule(self) -> str:
        """Equal neighbours are one row, and the sums stay below the caps of an order."""
        for left, right in zip(self.rows, self.rows[1:], strict=False):
            if (left.price, left.shape) == (right.price, right.shape):
                return f"two rows in a row for the same {left.count} + {right.count} items"
        if (items := sum(each.count for each in self.rows)) > ITEMS_PER_ORDER_MAX:
            return f"{items} items, at most {ITEMS_PER_ORDER_MAX}"
        price = sum(each.count * each.price for each in self.rows)
        return f"a price of {price}, at most {PRICE_MAX}" if price > PRICE_MAX else ""


@message("salt")
class Salt(Message):
    """The secret of an order, from which the salts of its leaves are made.

    The requester sends it once the order is accepted, before the first input. It is signed
    nowhere: whoever has it could test guesses about every item of the order.
    """

    order: Digest
    secret: Digest


def shapes_of(items: Iterable[tuple[int, Shape]]) -> Shapes:
    """Make the table of a batch from the price and shape of each item in order."""
    runs = ((sum(1 for _ in run), price, shape) for (price, shape), run in groupby(items))
    return Shapes(tuple(ShapeRow(*run) for run in runs))


def session_shapes_of(kinds: Iterable[tuple[int, Shape]]) -> Shapes:
    """Make the table of a session from the price and shape of each kind of call."""
    return Shapes(tuple(ShapeRow(1, *kind) for kind in sorted(kinds, key=_dearest_first)))


class ShapeTable:
    """A table of shapes made ready to be asked. It does not change any more."""

    __slots__ = ("_dues", "_ends", "_prices", "root", "shapes")

    def __init__(self, shapes: Shapes) -> None:
        """Compute the running sums and the root, once."""
        self.shapes = shapes
        self._ends = list(accumulate(each.count for each in shapes.rows))
        self._dues = list(accumulate(each.count * each.price for each in shapes.rows))
        self._prices = {each.shape: each.price for each in shapes.rows}
        self.root = merkle_root(_row_leaf(each) for each in shapes.rows)

    @property
    def items(self) -> int:
        """How many items the table describes."""
        return self._ends[-1]

    @property
    def price(self) -> int:
        """What all of them cost."""
        return self._dues[-1]

    def due(self, through: int) -> int:
        """Give the price of the items before `through`."""
        if not 0 <= through <= self.items:
            raise LocalProtocolError(f"no price through item {through} of {self.items}")
        place = bisect_left(self._ends, through)
        row = self.shapes.rows[place]
        return self._dues[place] - (self._ends[place] - through) * row.price

    def shape_of(self, item: int) -> Shape:
        """Give the shape that was promised for one item."""
        if not 0 <= item < self.items:
            raise LocalProtocolError(f"no item {item} of {self.items}")
        return self.shapes.rows[bisect_right(self._ends, item)].shape

    def window_price(self, window: int) -> int:
        """Give what `window` calls of a session cost if each is of the dearest kind."""
        return window * max(each.price for each in self.shapes.rows)

    def call_price(self, shape: Shape) -> int:
        """Give the price of a call in a session, or raise RemoteProtocolError if no kind fits."""
        price = self._prices.get(shape)
        if price is None:
            raise RemoteProtocolError(Reason.INPUT_DEVIATES, f"no kind of call has shape {shape}")
        return price


def check_order(table: ShapeTable, order: Order) -> None:
    """Raise RemoteProtocolError unless this is the table that the order signed, and its sums."""
    _check_root(table, order)
    if table.items != order.items:
        detail = f"{order.items} items ordered, {table.items} in the table of shapes"
        raise RemoteProtocolError(Reason.OUT_OF_RANGE, detail)
    if table.price != order.price:
        detail = f"the order says {order.price} CU, its table of shapes {table.price} CU"
        raise RemoteProtocolError(Reason.PRICE_DIFFERS, detail)


def check_session_order(table: ShapeTable, order: SessionOrder) -> None:
    """Raise RemoteProtocolError unless the table lists kinds of call and prices the window."""
    _check_root(table, order)
    rows = table.shapes.rows
    kinds = [(each.price, each.shape) for each in rows]
    if any(each.count != 1 for each in rows) or kinds != sorted(kinds, key=_dearest_first):
        raise RemoteProtocolError(Reason.OUT_OF_RANGE, "kinds of call, dearest first, each once")
    if len({each.shape for each in rows}) != len(rows):
        raise RemoteProtocolError(Reason.OUT_OF_RANGE, "two prices for one kind of call")
    if table.window_price(order.window) != order.window_price:
        detail = (
            f"the order says {order.window_price} CU a window, its table of shapes "
            f"{table.window_price(order.window)} CU"
        )
        raise RemoteProtocolError(Reason.PRICE_DIFFERS, detail)


def check_input(table: ShapeTable, item: int, port: int, dims: tuple[int, ...]) -> None:
    """Raise RemoteProtocolError unless one input of an item has its promised dimensions.

    This needs no more than the header: a wrong input is refused before its data arrive.
    """
    shape = _promised(table, item)
    if not 0 <= port < len(shape):
        raise RemoteProtocolError(Reason.INPUT_DEVIATES, f"input {port} of {len(shape)}")
    if dims != shape[port]:
        detail = f"input {port} of item {item} is {dims}, promised was {shape[port]}"
        raise RemoteProtocolError(Reason.INPUT_DEVIATES, detail)


def check_item(table: ShapeTable, item: int, tensors: Sequence[Tensor]) -> None:
    """Raise RemoteProtocolError unless an item has all its inputs, each of its promised shape."""
    if len(tensors) != len(_promised(table, item)):
        raise RemoteProtocolError(Reason.INPUT_DEVIATES, f"item {item} has {len(tensors)} inputs")
    for port, tensor in enumerate(tensors):
        check_input(table, item, port, tensor.dims)


def _promised(table: ShapeTable, item: int) -> Shape:
    if not 0 <= item < table.items:
        raise RemoteProtocolError(Reason.INPUT_DEVIATES, f"item {item} of {table.items}")
    return table.shape_of(item)


def _check_root(table: ShapeTable, order: Order | SessionOrder) -> None:
    if table.root != order.shape_root:
        raise RemoteProtocolError(Reason.BAD_PROOF, "the order signed another table of shapes")


def _dearest_first(kind: tuple[int, Shape]) -> tuple[int, Shape]:
    price, shape = kind
    return -price, shape


def _row_leaf(each: ShapeRow) -> bytes:
    # Its place is bound by the tree; the numbers are of fixed length, the shape comes last.
    numbers = each.count.to_bytes(8, "big") + each.price.to_bytes(8, "big")
    return tagged_hash("shape-row", numbers, ShapeCodec().pack(each.shape))
