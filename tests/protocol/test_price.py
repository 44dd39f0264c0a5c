# SPDX-License-Identifier: MIT
"""What an item costs: exact, bounded, and the same however the graph is written down."""

from collections.abc import Callable
from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import LocalProtocolError, Refused
from protocol.limits import COSTS_MAX, DEGREE_MAX, DIMENSION_MAX, NODES_MAX, PRICE_MAX, UINT_MAX
from protocol.price import (
    Cost,
    NodeCost,
    Polynomial,
    Term,
    constant,
    facts_from_rows,
    facts_of,
    price_v1,
    rows_of_facts,
    symbol,
)
from protocol.reasons import Reason
from protocol.roofline import (
    FLOPS_PER_OUTPUT,
    NOT_PRICEABLE,
    VIEWS,
    attention_flops,
    conv_flops,
    elementwise_flops,
    live_nodes,
    matmul_flops,
    recurrent_flops,
)

SYMBOLS = 3
polynomials = st.dictionaries(
    st.lists(st.integers(0, SYMBOLS - 1), max_size=3).map(lambda powers: bytes(sorted(powers))),
    st.integers(1, 10**9),
    max_size=4,
).map(lambda terms: Polynomial(tuple(sorted(terms.items()))))
nodes = st.lists(st.tuples(polynomials, polynomials), max_size=6)
values = st.tuples(*(st.integers(0, 1000) for _ in range(SYMBOLS)))


@given(polynomials, polynomials, values)
def test_polynomials_are_the_numbers_that_they_stand_for(
    one: Polynomial, other: Polynomial, at: tuple[int, ...]
) -> None:
    assert (one + other).at(at) == one.at(at) + other.at(at)
    assert (one * other).at(at) == one.at(at) * other.at(at)
    assert one + other == other + one
    assert one * other == other * one
    assert (one * 3 + 4).at(at) == one.at(at) * 3 + 4
    assert one * 0 == constant(0)


@given(nodes, values, st.integers(0, 10**9))
def test_a_price_is_the_formula_in_exact_fractions(
    listed: list[tuple[Polynomial, Polynomial]], at: tuple[int, ...], io_bytes: int
) -> None:
    seconds = sum(
        max(Fraction(flops.at(at), 10**12), Fraction(moved.at(at), 10**11))
        for flops, moved in listed
    )
    expected = 1 + ceil(seconds * 10**6) + ceil(Fraction(io_bytes, 1000))
    if expected > PRICE_MAX:
        with pytest.raises(Refused):
            price_v1(facts_of(listed), at, io_bytes)
    else:
        assert price_v1(facts_of(listed), at, io_bytes) == expected


@given(nodes, values, st.permutations(range(SYMBOLS)), st.data())
def test_names_and_order_of_nodes_and_symbols_do_not_matter(
    listed: list[tuple[Polynomial, Polynomial]],
    at: tuple[int, ...],
    places: list[int],
    data: st.DataObject,
) -> None:
    def renamed(polynomial: Polynomial) -> Polynomial:
        terms = [
            (bytes(sorted(places[factor] for factor in powers)), coefficient)
            for powers, coefficient in polynomial.terms
        ]
        return Polynomial(tuple(sorted(terms)))

    shuffled = data.draw(st.permutations(listed))
    assert facts_of(shuffled) == facts_of(listed)
    moved = facts_of((renamed(flops), renamed(size)) for flops, size in shuffled)
    at_new_places = tuple(at[places.index(place)] for place in range(SYMBOLS))

    def priced(facts: tuple[NodeCost, ...], dims: tuple[int, ...]) -> int | Reason:
        try:
            return price_v1(facts, dims, 0)
        except Refused as refused:
            return refused.reason

    assert priced(moved, at_new_places) == priced(facts_of(listed), at)


@pytest.mark.slow
@given(nodes, nodes)
def test_price_facts_survive_the_way_through_rows(
    whole: list[tuple[Polynomial, Polynomial]], stage: list[tuple[Polynomial, Polynomial]]
) -> None:
    facts = (facts_of(whole), facts_of(stage))
    assert facts_from_rows(*rows_of_facts(facts), 1) == facts


def test_a_product_of_two_matrices_costs_what_the_table_says() -> None:
    rows, inner, columns = 64, 384, 1536
    flops = 2 * rows * inner * columns
    moved = 4 * (rows * inner + inner * columns + rows * columns)
    # 75.5 MFLOP take 75.5 us, 2.85 MB take 28.5 us; 100 bytes of wire round up to one.
    facts = facts_of([(constant(flops), constant(moved))])
    assert price_v1(facts, (), 100) == 1 + 76 + 1
    # A batch of one row is a matter of memory: 2.4 MB take 23.7 us.
    one = facts_of([(constant(2 * inner * columns), constant(4 * 591_744))])
    assert price_v1(one, (), 0) == 1 + 24


def test_the_cheapest_item_costs_one() -> None:
    assert price_v1((), (), 0) == 1


def test_equal_layers_take_the_room_of_one() -> None:
    layer = (symbol(0) * 7, symbol(0))
    facts = facts_of([layer] * 30)
    assert facts == (NodeCost(*layer, 30),)
    assert price_v1(facts, (10**6,), 0) == 1 + 300  # 10 ps for a byte outweigh 7 for operations


def test_a_price_above_the_cap_is_no_price() -> None:
    dear = facts_of([(symbol(0) * 10**9, constant(0))])
    assert price_v1(dear, ((PRICE_MAX - 1) // 1000,), 999_000) == PRICE_MAX
    with pytest.raises(Refused) as caught:
        price_v1(dear, ((PRICE_MAX - 1) // 1000,), 999_001)
    assert caught.value.reason is Reason.NOT_PRICEABLE


def test_the_largest_numbers_that_fit_are_computed_without_harm() -> None:
    product = bytes(DEGREE_MAX)
    facts = (NodeCost(Polynomial(((product, UINT_MAX),)), Polynomial(()), NODES_MAX),) * 1000
    with pytest.raises(Refused):
        price_v1(facts, (DIMENSION_MAX,), UINT_MAX)


@pytest.mark.parametrize(
    "build",
    [
        lambda: symbol(0) * Polynomial(((bytes(DEGREE_MAX), 1),)),
        lambda: constant(UINT_MAX) + 1,
        lambda: Polynomial(tuple((bytes([each]), 1) for each in range(64))) + symbol(64),
        lambda: facts_of([(constant(1), constant(1))] * (NODES_MAX + 1)),
        lambda: rows_of_facts([facts_of((constant(n), constant(1)) for n in range(COSTS_MAX + 1))]),
    ],
)
def test_what_does_not_fit_into_price_facts_is_refused(build: Callable[[], object]) -> None:
    with pytest.raises(Refused) as caught:
        build()
    assert caught.value.reason is Reason.NOT_PRICEABLE


@pytest.mark.parametrize(
    "misuse",
    [
        lambda: constant(-1),
        lambda: price_v1((), (-1,), 0),
        lambda: price_v1((), (DIMENSION_MAX + 1,), 0),
        lambda: price_v1((), (), -1),
    ],
)
def test_negative_costs_and_shapes_are_our_mistake(misuse: Callable[[], object]) -> None:
    with pytest.raises(LocalProtocolError):
        misuse()


@pytest.mark.parametrize(
    ("costs", "terms", "complaint"),
    [
        ([Cost(0, 1)], [Term(1, 0, b"", 1)], "a term of cost 1"),
        ([Cost(2, 1)], [Term(0, 0, b"", 1)], "a cost of stage 2"),
        ([Cost(0, 1)], [], "canonical"),  # a node that costs nothing
        ([Cost(0, 1)], [Term(0, 0, b"\1\0", 1)], "canonical"),
        ([Cost(0, 1)], [Term(0, 1, b"", 1), Term(0, 0, b"", 1)], "canonical"),
        ([Cost(0, 1)], [Term(0, 0, b"", 1), Term(0, 0, b"", 1)], "canonical"),
        ([Cost(0, 1)] * 2, [Term(0, 0, b"", 1), Term(1, 0, b"", 1)], "canonical"),
        ([Cost(0, 1)] * 2, [Term(0, 0, b"", 2), Term(1, 0, b"", 1)], "canonical"),
        ([Cost(1, 1), Cost(0, 1)], [Term(0, 0, b"", 1), Term(1, 0, b"", 1)], "canonical"),
        ([Cost(0, NODES_MAX)] * 2, [Term(0, 0, b"", 1), Term(1, 0, b"", 1)], "at most"),
        ([Cost(0, 1)], [Term(0, 0, bytes([n]), 1) for n in range(65)], "65 terms"),
        ([Cost(0, 1)], [Term(0, 0, b"", UINT_MAX), Term(0, 0, b"", 1)], "coefficient"),
    ],
)
def test_rows_have_one_way_to_say_what_nodes_cost(
    costs: list[Cost], terms: list[Term], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        facts_from_rows(costs, terms, 1)


# --- the table of operators -----------------------------------------------------------------------


def test_operators_cost_what_version_1_of_the_table_says() -> None:
    assert matmul_flops(2, 3, 5) == 60
    assert conv_flops(1000, 64, 1, [3, 3]) == 1000 * 64 * 9 * 2
    assert conv_flops(1000, 64, 64, [3, 3]) == 1000 * 9 * 2
    assert attention_flops(12, 7, 9, 64) == 12 * 7 * 9 * (4 * 64 + 5)
    assert recurrent_flops(4, 10, 32, 64) == 10 * 64 * 96 * 8
    assert elementwise_flops("Softmax", 10) == 50
    assert elementwise_flops("Add", 10) == 10
    assert elementwise_flops("Reshape", 10) == 0


def test_costs_of_operators_are_polynomials_when_dimensions_are() -> None:
    batch, length = symbol(0), symbol(1)
    flops = matmul_flops(batch * length, constant(1536), constant(384))
    assert flops == Polynomial(((b"\0\1", 2 * 1536 * 384),))
    assert attention_flops(batch * 12, length, length, constant(64)).at((2, 10)) == 24 * 100 * 261
    assert elementwise_flops("Gelu", batch).at((3, 0)) == 24
    assert recurrent_flops(1, batch, constant(2), constant(3)).at((1, 0)) == 30
    assert conv_flops(batch, 4, 2, [5]).at((1, 0)) == 20


def test_no_operator_is_both_free_and_without_a_price() -> None:
    assert {"Reshape", "Identity"} <= VIEWS
    assert not NOT_PRICEABLE & FLOPS_PER_OUTPUT.keys()


NAMES = st.sampled_from(["", "x", "w", "a", "b", "c", "d", "y"])


@given(st.lists(st.tuples(st.lists(NAMES, max_size=3), st.lists(NAMES, max_size=2)), max_size=8))
def test_a_node_is_live_only_if_changing_an_input_can_change_an_output(
    graph: list[tuple[list[str], list[str]]],
) -> None:
    live = live_nodes(graph, ["x"], ["y"])
    assert list(live) == sorted(set(live))
    if not any("x" in inputs for inputs, _ in graph):
        assert live == ()
    if not any("y" in outputs for _, outputs in graph):
        assert live == ()


def test_work_on_constants_and_work_that_nobody_reads_is_free() -> None:
    graph = [
        (["x"], ["unread", ""]),
        (["w", "v"], ["c"]),  # constant by constant: folded
        (["c", "w"], ["d"]),
        (["x", ""], ["a", ""]),
        (["", "w"], ["e"]),  # two absent names connect nothing
        (["a", "d"], ["y"]),
        (["e"], ["z"]),
    ]
    assert live_nodes(graph, ["x"], ["y", "z"]) == (3, 5)
