# SPDX-License-Identifier: MIT
"""Tests of `protocol.shapes`: the table that fixes prices before anything is sent."""

from collections.abc import Callable
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.canon import decode, encode
from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.limits import (
    DIMENSION_MAX,
    ITEMS_PER_ORDER_MAX,
    PORTS_MAX,
    PRICE_MAX,
    RANK_MAX,
)
from protocol.reasons import Reason
from protocol.shapes import (
    Shape,
    ShapeRow,
    Shapes,
    ShapeTable,
    check_input,
    check_item,
    check_order,
    check_session_order,
    session_shapes_of,
    shapes_of,
)
from protocol.statements import Order, SessionOrder
from protocol.tensors import ElementType, Tensor
from tests.strategies import shape_tables, shapes

A: Shape = ((2, 3), ())
B: Shape = ((2, 4), (5,))


def table_of(*rows: tuple[int, int, Shape]) -> ShapeTable:
    return ShapeTable(Shapes(tuple(ShapeRow(*each) for each in rows)))


def order_of(table: ShapeTable, **changes: object) -> Order:
    fields: dict[str, Any] = {
        "requester": bytes(32),
        "worker": bytes([1] * 32),
        "incarnation": bytes(8),
        "nonce": bytes(32),
        "model": bytes(32),
        "stage": 0,
        "adapter": b"",
        "input_root": bytes(32),
        "shape_root": table.root,
        "items": table.items,
        "price": table.price,
        "price_version": 1,
        "comparator": 0,
        "tolerance": 0,
        "ttl_s": 60,
        "placed_at_s": 0,
        "public": 0,
    }
    return Order(**{**fields, **changes})


def session_of(table: ShapeTable, **changes: object) -> SessionOrder:
    order = order_of(table)
    shared = {name: getattr(order, name) for name in ("requester", "worker", "incarnation")}
    fields: dict[str, Any] = {
        "nonce": bytes(32),
        "model": bytes(32),
        "stage": 0,
        "adapter": b"",
        "shape_root": table.root,
        "window": 5,
        "window_price": table.window_price(5),
        "memory_bytes": 0,
        "rent_per_s": 0,
        "price_version": 1,
        "comparator": 0,
        "tolerance": 0,
        "ttl_s": 60,
        "placed_at_s": 0,
        "public": 0,
    }
    return SessionOrder(**{**shared, **fields, **changes})


def reason_of(check: Callable[..., object], *arguments: object) -> Reason:
    with pytest.raises(RemoteProtocolError) as remote:
        check(*arguments)
    return remote.value.reason


@given(shape_tables())
def test_a_table_is_read_back_and_written_again_alike(table: ShapeTable) -> None:
    body = encode(table.shapes)
    read = decode(body, Shapes)
    assert read == table.shapes
    assert encode(read) == body
    assert ShapeTable(read).root == table.root


@given(st.lists(st.tuples(st.integers(1, 99), st.sampled_from([A, B])), min_size=1, max_size=30))
def test_the_price_curve_is_the_sum_item_by_item(items: list[tuple[int, Shape]]) -> None:
    table = ShapeTable(shapes_of(items))
    assert table.items == len(items)
    assert [table.shape_of(item) for item in range(table.items)] == [shape for _, shape in items]
    dues = [table.due(through) for through in range(table.items + 1)]
    assert dues == [sum(price for price, _ in items[:through]) for through in range(len(items) + 1)]
    assert dues[-1] == table.price


def test_questions_beyond_the_table_are_our_own_mistake() -> None:
    table = table_of((3, 7, A))
    for through in (-1, 4):
        with pytest.raises(LocalProtocolError, match="no price through item"):
            table.due(through)
    for item in (-1, 3):
        with pytest.raises(LocalProtocolError, match="no item"):
            table.shape_of(item)
    with pytest.raises(LocalProtocolError, match="without leaves"):
        ShapeTable(Shapes(()))


def test_equal_items_in_a_row_take_one_row() -> None:
    assert shapes_of([(7, A)] * 3 + [(8, A)] + [(7, A)] * 2).rows == (
        ShapeRow(3, 7, A),
        ShapeRow(1, 8, A),
        ShapeRow(2, 7, A),
    )
    split = Shapes((ShapeRow(2, 7, A), ShapeRow(1, 7, A)))
    assert "two rows in a row" in split.broken_rule()
    with pytest.raises(LocalProtocolError):
        encode(split)


def test_sums_stay_below_the_caps_of_an_order() -> None:
    at_cap = Shapes((ShapeRow(ITEMS_PER_ORDER_MAX - 1, 1, A), ShapeRow(1, 1, B)))
    assert at_cap.broken_rule() == ""
    over = Shapes((ShapeRow(ITEMS_PER_ORDER_MAX, 1, A), ShapeRow(1, 1, B)))
    assert "65537 items" in over.broken_rule()
    half = PRICE_MAX // 2
    assert Shapes((ShapeRow(2, half, A),)).broken_rule() == ""
    assert "a price of" in Shapes((ShapeRow(2, half, A), ShapeRow(1, 1, B))).broken_rule()


def test_two_thousand_different_shapes_fit_one_table() -> None:
    table = ShapeTable(shapes_of([(10**6, ((index, 384), (index,))) for index in range(2000)]))
    assert ShapeTable(decode(encode(table.shapes), Shapes)).due(1999) == 1999 * 10**6


@pytest.mark.parametrize(
    ("numbers", "reason"),
    [
        ([2, 3], Reason.MALFORMED),
        ([RANK_MAX + 1, *[1] * (RANK_MAX + 1)], Reason.MALFORMED),
        ([1, DIMENSION_MAX + 1], Reason.OUT_OF_RANGE),
        ([0] * (PORTS_MAX + 1), Reason.MALFORMED),
        ([1, -1], Reason.OUT_OF_RANGE),
    ],
)
def test_a_shape_that_is_none_is_refused(numbers: list[int], reason: Reason) -> None:
    shape = msgpack.packb(numbers)
    body = msgpack.packb(["shapes", 1, msgpack.packb([1, 1, shape])])
    assert reason_of(decode, body, Shapes) is reason


def test_a_shape_in_longer_spelling_is_refused() -> None:
    spelled = b"\x92\x01\xcc\x03"  # [1, 3] with the 3 in two bytes
    body = msgpack.packb(["shapes", 1, msgpack.packb([1, 1, spelled])])
    assert reason_of(decode, body, Shapes) is Reason.NOT_CANONICAL
    with pytest.raises(LocalProtocolError):
        encode(Shapes((ShapeRow(1, 1, ((1,) * (RANK_MAX + 1),)),)))


@given(shape_tables(), st.data())
def test_any_other_table_has_another_root(table: ShapeTable, data: st.DataObject) -> None:
    rows = list(table.shapes.rows)
    at = data.draw(st.integers(0, len(rows) - 1))
    was = rows[at]
    rows[at] = data.draw(
        st.sampled_from(
            [
                ShapeRow(was.count + 1, was.price, was.shape),
                ShapeRow(was.count, was.price + 1, was.shape),
                ShapeRow(was.count, was.price, (*was.shape, ())),
            ]
        )
        | shapes()
        .filter(lambda shape: shape != was.shape)
        .map(lambda shape: ShapeRow(was.count, was.price, shape))
    )
    assert ShapeTable(Shapes(tuple(rows))).root != table.root
    assert ShapeTable(Shapes((*table.shapes.rows, was))).root != table.root


def test_an_order_is_checked_against_its_table() -> None:
    table = table_of((3, 7, A), (2, 9, B))
    check_order(table, order_of(table))
    other = table_of((3, 7, A), (2, 9, A))
    assert reason_of(check_order, other, order_of(table)) is Reason.BAD_PROOF
    assert reason_of(check_order, table, order_of(table, items=4)) is Reason.OUT_OF_RANGE
    assert reason_of(check_order, table, order_of(table, price=38)) is Reason.PRICE_DIFFERS


def test_a_session_lists_kinds_of_call_dearest_first() -> None:
    table = ShapeTable(session_shapes_of([(7, A), (9, B), (7, ())]))
    assert [each.price for each in table.shapes.rows] == [9, 7, 7]
    assert decode(encode(table.shapes), Shapes) == table.shapes
    check_session_order(table, session_of(table))
    assert table.window_price(5) == 45
    assert table.call_price(A) == 7
    assert table.call_price(B) == 9
    assert reason_of(table.call_price, ((2, 3), (1,))) is Reason.INPUT_DEVIATES


@pytest.mark.parametrize(
    "rows",
    [
        [(1, 7, A), (1, 9, B)],
        [(1, 7, A), (1, 7, ())],
        [(2, 9, B), (1, 7, A)],
        [(1, 9, A), (1, 7, A)],
    ],
)
def test_a_session_table_in_another_order_is_refused(rows: list[tuple[int, int, Shape]]) -> None:
    table = table_of(*rows)
    assert reason_of(check_session_order, table, session_of(table)) is Reason.OUT_OF_RANGE


def test_a_session_order_is_checked_against_its_table() -> None:
    table = table_of((1, 9, B), (1, 7, A))
    wrong_price = session_of(table, window_price=44)
    assert reason_of(check_session_order, table, wrong_price) is Reason.PRICE_DIFFERS
    other = table_of((1, 9, B))
    assert reason_of(check_session_order, other, session_of(table)) is Reason.BAD_PROOF


def test_an_input_of_another_shape_is_refused_before_its_data_arrive() -> None:
    table = table_of((3, 7, A), (2, 9, B))
    check_input(table, 2, 1, ())
    check_input(table, 3, 1, (5,))
    for wrong in ((2, 1, (5,)), (2, 0, (3, 2)), (2, 2, ()), (2, -1, ()), (5, 0, ()), (-1, 0, ())):
        assert reason_of(check_input, table, *wrong) is Reason.INPUT_DEVIATES


def test_an_item_needs_all_its_inputs() -> None:
    table = table_of((3, 7, A))
    first = Tensor(ElementType.UINT8, (2, 3), bytes(6))
    second = Tensor(ElementType.UINT8, (), bytes(1))
    check_item(table, 0, [first, second])
    for item, wrong in ((0, [first]), (0, [second, first]), (0, [first, second, second])):
        assert reason_of(check_item, table, item, wrong) is Reason.INPUT_DEVIATES
    for nowhere in (3, -1):
        assert reason_of(check_item, table, nowhere, [first]) is Reason.INPUT_DEVIATES
        assert reason_of(check_item, table, nowhere, []) is Reason.INPUT_DEVIATES
