# SPDX-License-Identifier: MIT
"""Items are joined and split without a trace, and only where that means anything."""

from array import array
from collections.abc import Sequence
from dataclasses import replace
from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.executor.executor import Item
from node.executor.joining import ROWS_MAX, can_join, is_batchable, join, split
from protocol.interface import Interface, PortShape
from protocol.ports import Derived
from protocol.tensors import ElementType, Tensor

FLOAT = ElementType.FLOAT


def rows(count: int, width: int = 1) -> Tensor:
    return Tensor(FLOAT, (count, width), array("f", range(count * width)).tobytes())


# --- joining and splitting ------------------------------------------------------------------------

WHOLE = [each for each in ElementType if each.bits and each.bits % 8 == 0]


@st.composite
def same_forms(draw: st.DrawFn) -> list[Item]:
    """Draw items that differ in nothing but their rows."""
    forms = draw(
        st.lists(
            st.tuples(st.sampled_from(WHOLE), st.lists(st.integers(0, 3), max_size=2)),
            min_size=1,
            max_size=3,
        )
    )
    items = []
    for count in draw(st.lists(st.integers(0, 4), min_size=1, max_size=5)):
        tensors = []
        for element, dims in forms:
            size = count * prod(dims) * element.bits // 8
            data = draw(st.binary(min_size=size, max_size=size))
            if element is ElementType.BOOL:
                data = bytes(byte & 1 for byte in data)
            tensors.append(Tensor(element, (count, *dims), data))
        items.append(tuple(tensors))
    return items


@given(same_forms())
def test_what_was_joined_is_split_into_what_it_was(items: list[Item]) -> None:
    joined = join(items)
    assert [each.broken_rule() for each in joined] == [""] * len(joined)
    counts = [item[0].dims[0] for item in items]
    assert {each.dims[0] for each in joined} == {sum(counts)}
    assert split(joined, counts) == items


@given(same_forms())
def test_views_are_joined_and_split_like_bytes(items: list[Item]) -> None:
    """What a runner lends is a view, and what is handed out is nobody else's."""
    counts = [item[0].dims[0] for item in items]
    lent = tuple(replace(each, data=memoryview(each.data)) for each in join(items))
    assert split(lent, counts) == items


@pytest.mark.parametrize(
    ("inputs", "may"),
    [
        ((rows(1),), True),
        ((rows(2), rows(2, 2)), True),
        ((rows(ROWS_MAX - 1),), True),
        ((rows(ROWS_MAX),), False),
        ((rows(0),), False),
        ((), False),
        ((rows(1), rows(2)), False),
        ((Tensor(FLOAT, (), bytes(4)),), False),
        ((Tensor(ElementType.STRING, (1,), bytes(4)),), False),
    ],
)
def test_only_few_rows_of_one_number_are_joined(inputs: Item, may: bool) -> None:
    assert can_join(inputs) == may


# --- which models ---------------------------------------------------------------------------------

BATCH, LENGTH, DERIVED = (1, 0), (1, 1), (1, 2)


def port(*dims: tuple[int, int], element: ElementType = FLOAT, optional: bool = False) -> PortShape:
    return PortShape("p", element, optional, dims)


def derived(first: int, second: int = 0, second_times: int = 0) -> tuple[Derived, ...]:
    return (Derived(first, 1, second, second_times, 0, 0, 1),)


def interface(
    inputs: Sequence[PortShape],
    outputs: Sequence[PortShape],
    *,
    states: tuple[tuple[int, int], ...] = (),
    rules: tuple[Derived, ...] = (),
) -> Interface:
    return Interface(tuple(inputs), tuple(outputs), states, 2, rules)


ROW = port(BATCH, (0, 4))
HALF = ElementType.FLOAT16


@pytest.mark.parametrize(
    "one",
    [
        interface([ROW], [ROW]),
        interface([port(BATCH)], [ROW, port(BATCH, LENGTH)]),
        interface([ROW, port(BATCH, LENGTH, element=HALF)], [ROW]),
        interface([port(LENGTH)], [port(LENGTH, (0, 3))]),
        interface([port(BATCH, element=ElementType.BOOL)], [port(BATCH, element=HALF)]),
        interface([port(BATCH, LENGTH)], [port(BATCH, DERIVED)], rules=derived(1)),
        interface([ROW, port((0, 4), LENGTH, optional=True)], [ROW]),
    ],
)
def test_a_model_whose_first_axis_is_the_batch_can_be_joined(one: Interface) -> None:
    assert is_batchable(one)


@pytest.mark.parametrize(
    "one",
    [
        pytest.param(interface([], [ROW]), id="nothing goes in"),
        pytest.param(interface([port((0, 1), (0, 4))], [port((0, 1))]), id="fixed"),
        pytest.param(interface([ROW], [port((0, 1))]), id="a fixed output"),
        pytest.param(interface([ROW], [port()]), id="a scalar comes out"),
        pytest.param(interface([port(), ROW], [ROW]), id="a scalar goes in"),
        pytest.param(interface([port()], [port()]), id="scalars only"),
        pytest.param(interface([ROW, port(LENGTH)], [ROW]), id="two axes go in"),
        pytest.param(interface([ROW], [port(LENGTH)]), id="another axis comes out"),
        pytest.param(interface([ROW], [port((0, 4), BATCH)]), id="it comes out turned"),
        pytest.param(interface([ROW], [port(BATCH, BATCH)]), id="each row with each"),
        pytest.param(interface([port(BATCH, BATCH)], [ROW]), id="each row with each, given"),
        pytest.param(
            interface([ROW, port(BATCH, (0, 4), optional=True)], [ROW]), id="an adapter by rows"
        ),
        pytest.param(interface([ROW], [port(DERIVED)], rules=derived(0)), id="derived outputs"),
        pytest.param(
            interface([ROW], [port(BATCH, DERIVED)], rules=derived(0)),
            id="something derived from it",
        ),
        pytest.param(
            interface([port(BATCH, LENGTH)], [port(BATCH, DERIVED)], rules=derived(1, 0, 1)),
            id="something derived from it too",
        ),
        pytest.param(interface([port(DERIVED)], [port(DERIVED)], rules=derived(1)), id="derived"),
        pytest.param(interface([ROW, ROW], [ROW, ROW], states=((1, 1),)), id="state"),
        pytest.param(
            interface([port(BATCH, element=ElementType.INT4)], [ROW]), id="rows end within a byte"
        ),
        pytest.param(
            interface([ROW], [port(BATCH, element=ElementType.FLOAT6E2M3)]),
            id="rows that come out end within a byte",
        ),
        pytest.param(interface([port(BATCH, element=ElementType.STRING)], [ROW]), id="strings"),
    ],
)
def test_any_other_model_is_not_joined(one: Interface) -> None:
    assert not is_batchable(one)
