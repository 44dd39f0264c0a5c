# SPDX-License-Identifier: MIT
"""Inputs from a seed: the same everywhere, of the declared form, and never nonsense."""

from array import array
from math import isfinite

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.models.samples import make_tensor, rows_symbol, sample, sizes, zero_state
from protocol.errors import Refused
from protocol.interface import Interface, PortShape
from protocol.ports import Derived
from protocol.tensors import ElementType


def port(name: str, *dims: tuple[int, int], element: ElementType = ElementType.FLOAT) -> PortShape:
    return PortShape(name, element, False, dims)


ROWS = Interface((port("x", (1, 0), (0, 4)),), (port("y", (1, 0)),), (), 1, ())
CACHE = Interface(
    (port("x", (1, 0)), port("past", (0, 2), (1, 1))),
    (port("y", (1, 0)), port("present", (0, 2), (1, 2))),
    ((1, 1),),
    2,
    (Derived(1, 1, 0, 1, 0, 0, 1),),
)


@given(st.sampled_from(list(ElementType)), st.lists(st.integers(0, 5), max_size=4), st.integers())
def test_a_made_tensor_keeps_every_rule_of_tensors(
    element: ElementType, dims: list[int], seed: int
) -> None:
    tensor = make_tensor(element, tuple(dims), seed, "x", most=100)
    assert tensor.broken_rule() == ""
    assert tensor == make_tensor(element, tuple(dims), seed, "x", most=100)


def test_another_seed_and_another_name_give_other_numbers() -> None:
    tensors = [
        make_tensor(ElementType.FLOAT, (8,), seed, name, most=9)
        for seed, name in ((0, "x"), (1, "x"), (0, "y"))
    ]
    assert len({bytes(each.data) for each in tensors}) == 3


def test_floats_look_like_a_normal_distribution() -> None:
    tensor = make_tensor(ElementType.FLOAT, (10_000,), 0, "x", most=1)
    numbers = array("f", bytes(tensor.data))
    assert all(map(isfinite, numbers))
    mean = sum(numbers) / len(numbers)
    assert abs(mean) < 0.05
    assert 0.9 < sum((each - mean) ** 2 for each in numbers) / len(numbers) < 1.1


def test_whole_numbers_stay_below_the_bound_and_masks_are_ones() -> None:
    numbers = array("q", bytes(make_tensor(ElementType.INT64, (99,), 0, "ids", most=8).data))
    assert set(numbers) <= set(range(8))
    mask = make_tensor(ElementType.INT64, (9,), 0, "attention_mask", most=8)
    assert list(array("q", bytes(mask.data))) == [1] * 9


def test_sizes_are_what_is_wanted_or_what_a_name_suggests() -> None:
    names = ("batch_size", "sequence_length", "n", "rows")
    assert sizes(names, {"n": 7}, rows=3) == (1, 128, 7, 1)


def test_a_size_that_the_model_does_not_have_is_named_with_those_it_has() -> None:
    with pytest.raises(Refused, match=r"no dimension is named 'm'; there are: n"):
        sizes(("n",), {"m": 3})


def test_an_item_and_its_first_state_fit_the_interface() -> None:
    item = sample(CACHE, (3, 5), 0)
    assert [each.dims for each in item] == [(3,), (2, 5)]
    assert CACHE.bind([each.dims for each in item]) == (3, 5, 8)
    (past,) = zero_state(CACHE, (3, 5))
    assert past.dims == (2, 5)
    assert not any(bytes(past.data))


def test_sizes_that_would_give_a_negative_dimension_are_refused() -> None:
    less_five = Derived(0, 1, 0, 0, 0, 5, 1)
    shrinks = Interface((port("x", (1, 0)),), (port("y", (1, 1)),), (), 1, (less_five,))
    with pytest.raises(Refused, match="a dimension of -2"):
        sample(shrinks, (3,), 0)


def test_the_symbol_of_rows_is_the_first_dimension_of_everything() -> None:
    assert rows_symbol(ROWS) == 0
    assert rows_symbol(CACHE) is None
