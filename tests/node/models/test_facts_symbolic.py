# SPDX-License-Identifier: MIT
"""Sizes that depend on symbols are the numbers that they stand for, and their bounds hold."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.models.facts.space import Space
from node.models.facts.symbolic import (
    TERMS_MAX,
    Expression,
    Size,
    Unpriceable,
    exact_quotient,
    made,
    product,
    symbol,
)
from protocol.limits import DIMENSION_MAX, UINT_MAX

COUNT = 3
VALUES = st.tuples(*(st.integers(0, 40) for _ in range(COUNT)))
SIZES = st.lists(
    st.tuples(
        st.lists(st.integers(0, COUNT - 1), max_size=2).map(lambda s: tuple(sorted(s))),
        st.integers(-30, 30),
    ),
    max_size=4,
).map(made)


def space_of(count: int = COUNT, *, solvable: bool = True) -> Space:
    """Free symbols called a, b, c and so on."""
    space = Space()
    for index in range(count):
        space.free("abcdefgh"[index], solvable=solvable)
    return space


def at(space: Space, size: Size, values: tuple[int, ...]) -> int:
    """The number that a size is."""
    if isinstance(size, int):
        return size
    total = 0
    for symbols, factor in size.terms:
        one = factor
        for each in symbols:
            mine = space.symbols[each]
            inner = mine.numerator
            one *= values[each] if inner is None else at(space, inner, values) // mine.over
        total += one
    return total


def holds(space: Space, values: tuple[int, ...]) -> bool:
    """Whether all needs of a space are met."""
    low = all(at(space, size, values) >= least for size, least in space.lower.items())
    return low and all(at(space, size, values) <= most for size, most in space.upper.items())


@given(SIZES, SIZES, VALUES)
def test_sizes_are_the_numbers_that_they_stand_for(
    one: Size, other: Size, values: tuple[int, ...]
) -> None:
    space = space_of()
    for result, expected in (
        (one + other, at(space, one, values) + at(space, other, values)),
        (one - other, at(space, one, values) - at(space, other, values)),
        (one * other, at(space, one, values) * at(space, other, values)),
    ):
        assert at(space, result, values) == expected
    assert one - one == 0
    assert one + other == other + one


@given(SIZES, SIZES)
def test_what_was_multiplied_can_be_divided_again(one: Size, other: Size) -> None:
    if other != 0:
        assert exact_quotient(one * other, other) == one
    else:
        assert exact_quotient(one, other) is None


def test_what_leaves_a_rest_is_not_divided() -> None:
    a, b = symbol(0), symbol(1)
    for dividend, divisor in ((a * b + 1, a), (a, b), (a * 3, 2), (a * a + b, a + b), (6, a)):
        assert exact_quotient(dividend, divisor) is None


@given(SIZES, st.integers(1, 12), st.integers(1, 12), VALUES)
def test_a_floor_is_a_floor_however_it_is_written(
    size: Size, over: int, again: int, values: tuple[int, ...]
) -> None:
    space = space_of()
    once = space.floor(size, over)
    assert at(space, once, values) == at(space, size, values) // over
    twice = space.floor(once * 3 + size + 1, again)
    expected = (at(space, once, values) * 3 + at(space, size, values) + 1) // again
    assert at(space, twice, values) == expected


def test_equal_floors_are_one_symbol() -> None:
    space = space_of()
    a, b = symbol(0), symbol(1)
    half = space.floor(a + 1, 2)
    assert space.floor(a - 1, 2) + 1 == half
    assert space.floor(a * 2 + 2, 4) == half
    assert space.floor(half + b * 3, 3) == space.floor(half, 3) + b
    assert space.floor(half + 1, 2) == space.floor(a + 3, 4)  # a floor of a floor is one floor
    assert space.floor(a * 6 + 4, 2) == a * 3 + 2
    assert -space.floor(-a, 2) == half  # rounded up
    assert len(space.symbols) == COUNT + 3


@given(SIZES, st.integers(1, 6), st.integers(-5, 5), VALUES)
def test_what_is_proven_is_so(size: Size, over: int, least: int, values: tuple[int, ...]) -> None:
    space = space_of()
    floor = space.floor(size, over)
    for claim in (size, floor, size - floor * over, floor * over - size + over - 1, floor - size):
        if space.proven(claim, least):
            assert at(space, claim, values) >= least


def test_twice_a_half_is_proven_not_to_be_more() -> None:
    space = space_of()
    a = symbol(0)
    for over in (2, 3, 4):
        assert space.proven(a - space.floor(a, over) * over)
        assert space.proven(space.floor(a + over - 1, over) * over - a)
    quarter, half = space.floor(a + 3, 4), space.floor(a + 1, 2)
    assert space.proven(quarter * 2 - half)
    assert not space.proven(half - quarter * 2)


@given(SIZES, st.integers(1, 6), VALUES)
def test_what_is_needed_is_what_the_needs_say(
    size: Size, over: int, values: tuple[int, ...]
) -> None:
    """If a need can be said at all, then it is met if and only if it is so."""
    space = space_of()
    floor = space.floor(size, over)
    try:
        space.need(floor)
    except Unpriceable:
        return
    assert holds(space, values) == (at(space, floor, values) >= 0)


def test_a_need_that_is_never_met_is_refused() -> None:
    space = space_of()
    a, b = symbol(0), symbol(1)
    for size, why in (
        (-1, "where at least 0 is needed"),
        (a - b, "is not known before"),
        (a * b - 3, "is a product"),
        (a - DIMENSION_MAX * 2, "has a number above"),
    ):
        with pytest.raises(Unpriceable, match=why):
            space.need(size)
    with pytest.raises(Unpriceable, match="may be absent"):
        space_of(solvable=False).need(a - 1)


def test_a_product_is_positive_when_its_factors_are() -> None:
    space = space_of()
    a, b, c = (symbol(index) for index in range(COUNT))
    space.need_factors(a * (b + c) * 2)
    assert space.lower == {a: 1, b + c: 1}
    space.need_factors(a * b + 1)
    assert space.lower == {a: 1, b + c: 1}


def test_a_sum_of_products_is_positive_when_one_of_them_is() -> None:
    space = space_of()
    a, b, c = (symbol(index) for index in range(COUNT))
    space.need_factors(a * b + b * c + c)
    assert space.lower == {c: 1}
    with pytest.raises(Unpriceable, match="is a product"):
        space.need_factors(a * b + b * c + c - 1)


def test_conflicts_are_solved_for_the_last_symbol_that_came() -> None:
    space = space_of(5)
    a, b, c, d, e = (symbol(index) for index in range(5))
    for one, other in ((c, a + b), (d, a), (e, space.floor(d + 1, 2)), (b, 7)):
        space.same(one, other)
    assert space.solve()
    assert space.rewrite(c) == a + 7
    assert space.rewrite(d) == a
    assert space.rewrite(e) == space.floor(a + 1, 2)
    assert space.rewrite(c * e) == (a + 7) * space.floor(a + 1, 2)
    space.forget()
    assert not space.solve()


@pytest.mark.parametrize("turned", [False, True])
def test_what_cannot_be_equal_is_not_solved(*, turned: bool) -> None:
    space = space_of()
    a, b = symbol(0), symbol(1)
    pairs: list[tuple[Size, Size]] = [
        (a, a + 1),
        (a, a * 2),
        (a, space.floor(a + 1, 2)),
        (a + 7, 3),
        (a * b, 6),
        (a * 2, b * 3),
    ]
    for pair in pairs:
        space.same(*(reversed(pair) if turned else pair))
    assert not space.solve()
    with pytest.raises(Unpriceable):
        space.equal(a, a + 1)


def test_what_meets_in_a_broadcast() -> None:
    space = space_of()
    a, b = symbol(0), symbol(1)
    assert space.meet(a, 1) == space.meet(1, a) == a
    assert space.meet(a * b, 5) == 5
    assert space.meet(0, a * b) == 0
    assert space.meet(a + b, a * 2 + b) == a * 2 + b  # and the smaller one is at least 1
    assert space.lower == {a + b: 1}
    for one, other in ((a * b, a + b), (a * 2, b * 3)):
        with pytest.raises(Unpriceable, match="meets"):
            space.meet(one, other)
    with pytest.raises(Unpriceable, match="3 and 4 should be equal"):
        space.meet(3, 4)


def test_symbols_of_what_may_be_absent_are_never_replaced() -> None:
    space = Space()
    a = space.free("a", solvable=True)
    rank = space.free("rank", solvable=False)
    assert space.same(rank, 8) == 8
    space.same(a, rank)
    assert not space.solve()
    with pytest.raises(Unpriceable, match="meets"):
        space.meet(a, rank)


def test_sizes_have_an_end() -> None:
    big = symbol(0) * UINT_MAX
    with pytest.raises(Unpriceable, match="largest integer"):
        big + big
    with pytest.raises(Unpriceable, match="product of more than"):
        product([symbol(0)] * 17)
    with pytest.raises(Unpriceable, match="sum of"):
        made(((index,), 1) for index in range(TERMS_MAX + 1))
    with pytest.raises(Unpriceable, match="divided by"):
        space_of().floor(symbol(0), 0)


def test_a_name_does_not_depend_on_when_something_was_met() -> None:
    def keys(order: tuple[int, ...]) -> Mapping[int, bytes]:
        space = space_of()
        sizes = {place: space.floor(symbol(place) + place + 1, 2 + place) for place in order}
        return {place: space.order(size) for place, size in sizes.items()}

    assert keys((0, 1, 2)) == keys((2, 0, 1))
    assert len(set(keys((0, 1, 2)).values())) == COUNT


def test_a_size_can_be_read() -> None:
    space = space_of()
    a, b = symbol(0), symbol(1)
    assert space.text(a * b * 2 + 3) == "3 + 2*a*b"
    assert space.text(space.floor(a + 1, 2)) == "(1 + a) // 2"
    assert space.text(0) == "0"
    assert isinstance(a + b, Expression)
