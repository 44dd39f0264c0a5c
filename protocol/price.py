# SPDX-License-Identifier: MIT
"""What an item costs, in integers. How the costs of a graph are found is the node's intake.

Theory of operation
-------------------
1 CU is one microsecond of a reference machine that exists on paper only. It computes 10^12
floating point operations a second, moves 10^11 bytes a second through its memory and 10^9
bytes a second over its wire. A node of a graph takes the longer of its two times (a
"roofline"), and the nodes run one after another::

    price = 1 + ceil(sum over live nodes of max(F / F0, B / B0) / tau) + ceil(io / C0)

F and B are polynomials over the **symbols** of the model, the dimensions that an item
brings along: `2 * batch * length * 384 * 1536`. In picoseconds the reference machine's
numbers are integers (1 ps for an operation, 10 ps for a byte), so nothing is ever rounded
but the two sums, upwards.

C0 is 1,000 bytes per CU, chosen so that moving data pays a real machine about as well as
computing does: a real core needs 4 to 11 us for one CU of computing, and in that time the
transport moves 85 to 295 bytes a us, that is 340 to 3,245 bytes; 1,000 is the middle, and
a wire of 1 GB/s on paper.

Wall time never enters: the same work earns the same on a slow and on a fast machine. Names
and order of nodes and symbols do not enter either: nodes of equal cost are counted, not
listed, so that thirty equal layers take the room of one.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated

from protocol.canon import BytesCodec, Flag, Row, UintCodec, row
from protocol.errors import LocalProtocolError, Refused
from protocol.limits import (
    COSTS_MAX,
    DEGREE_MAX,
    DIMENSION_MAX,
    NODES_MAX,
    PRICE_MAX,
    STAGES_MAX,
    TERMS_MAX,
    UINT_MAX,
)
from protocol.reasons import Reason

PRICE_VERSION = 1

PS_PER_CU = 10**6
PS_PER_FLOP = 1
PS_PER_BYTE = 10
IO_BYTES_PER_CU = 1000

FLOPS, BYTES = 0, 1

# More terms than this come from multiplying sums of dimensions, which no operator does.
_POLYNOMIAL_TERMS_MAX = 64


@dataclass(frozen=True, slots=True, order=True)
class Polynomial:
    r"""A number that depends on symbols: the sum of coefficients times powers of symbols.

    A power is written as bytes, one for each factor, ascending: b"\x00\x00\x03" is the
    square of symbol 0 times symbol 3. Build one from :func:`constant` and :func:`symbol`.
    """

    terms: tuple[tuple[bytes, int], ...]

    def __add__(self, other: "Polynomial | int") -> "Polynomial":
        """Add; equal powers become one term."""
        return _polynomial([*self.terms, *_terms_of(other)])

    def __mul__(self, other: "Polynomial | int") -> "Polynomial":
        """Multiply each term with each."""
        return _polynomial(
            [
                (bytes(sorted(left + right)), one * two)
                for left, one in self.terms
                for right, two in _terms_of(other)
            ]
        )

    def at(self, values: Sequence[int]) -> int:
        """Evaluate with the value of each symbol."""
        total = 0
        for powers, coefficient in self.terms:
            product = coefficient
            for factor in powers:
                product *= values[factor]
            total += product
        return total


def constant(value: int) -> Polynomial:
    """Give a polynomial that depends on nothing."""
    return _polynomial([(b"", value)])


def symbol(index: int) -> Polynomial:
    """Give the polynomial that is one symbol."""
    return _polynomial([(bytes([index]), 1)])


def _terms_of(value: Polynomial | int) -> tuple[tuple[bytes, int], ...]:
    return ((b"", value),) if isinstance(value, int) else value.terms


def _polynomial(terms: Iterable[tuple[bytes, int]]) -> Polynomial:
    """Sum up equal powers; refuse what would not fit into price facts."""
    sums: Counter[bytes] = Counter()
    for powers, coefficient in terms:
        if coefficient < 0:
            raise LocalProtocolError(f"a cost of {coefficient}: nothing costs less than nothing")
        if coefficient:
            sums[powers] += coefficient
    if len(sums) > _POLYNOMIAL_TERMS_MAX:
        raise Refused(Reason.NOT_PRICEABLE, f"{len(sums)} terms for one node")
    if any(len(powers) > DEGREE_MAX for powers in sums):
        raise Refused(Reason.NOT_PRICEABLE, f"a product of more than {DEGREE_MAX} dimensions")
    if any(coefficient > UINT_MAX for coefficient in sums.values()):
        raise Refused(Reason.NOT_PRICEABLE, "a coefficient above the largest integer")
    return Polynomial(tuple(sorted(sums.items())))


@dataclass(frozen=True, slots=True, order=True)
class NodeCost:
    """What each of `count` equal nodes costs: operations, and bytes of inputs and outputs."""

    flops: Polynomial
    bytes_moved: Polynomial
    count: int


PriceFacts = tuple[NodeCost, ...]


def facts_of(nodes: Iterable[tuple[Polynomial, Polynomial]]) -> PriceFacts:
    """Put the live nodes of one graph into canonical order, equal ones together."""
    return _gathered((flops, moved, 1) for flops, moved in nodes)


def _gathered(nodes: Iterable[tuple[Polynomial, Polynomial, int]]) -> PriceFacts:
    counted: Counter[tuple[Polynomial, Polynomial]] = Counter()
    for flops, moved, count in nodes:
        counted[flops, moved] += count
    del counted[Polynomial(()), Polynomial(())]  # what costs nothing need not be written
    if counted.total() > NODES_MAX:
        raise Refused(Reason.NOT_PRICEABLE, f"{counted.total()} nodes, at most {NODES_MAX}")
    return tuple(sorted(NodeCost(flops, moved, count) for (flops, moved), count in counted.items()))


def price_v1(facts: PriceFacts, values: Sequence[int], io_bytes: int) -> int:
    """Price one item, or raise Refused when it would cost more than an order may.

    `values` are those of the symbols (see `interface`), `io_bytes` the sizes of all inputs
    and outputs together.
    """
    if any(not 0 <= value <= DIMENSION_MAX for value in values) or io_bytes < 0:
        raise LocalProtocolError(f"dimensions {list(values)} and {io_bytes} bytes are no shapes")
    picoseconds = 0
    for cost in facts:
        flops_ps = cost.flops.at(values) * PS_PER_FLOP
        bytes_ps = cost.bytes_moved.at(values) * PS_PER_BYTE
        picoseconds += cost.count * max(flops_ps, bytes_ps)
    price = 1 - -picoseconds // PS_PER_CU - -io_bytes // IO_BYTES_PER_CU
    if price > PRICE_MAX:
        raise Refused(Reason.NOT_PRICEABLE, f"an item of {price} CU, at most {PRICE_MAX}")
    return price


# --- price facts as rows of a manifest ------------------------------------------------------------


@row
class Cost(Row):
    """So many equal nodes in one stage; stage 0 is the whole model. Its terms name this row."""

    stage: Annotated[int, UintCodec(0, STAGES_MAX)]
    count: Annotated[int, UintCodec(1, NODES_MAX)]


@row
class Term(Row):
    """One term of a cost: `coefficient` times the product of the symbols that `powers` lists."""

    cost: Annotated[int, UintCodec(0, COSTS_MAX - 1)]
    which: Flag
    powers: Annotated[bytes, BytesCodec(0, DEGREE_MAX)]
    coefficient: Annotated[int, UintCodec(1)]


def rows_of_facts(stages: Sequence[PriceFacts]) -> tuple[tuple[Cost, ...], tuple[Term, ...]]:
    """Write the facts of the whole model and of its stages as rows."""
    costs: list[Cost] = []
    terms: list[Term] = []
    for stage, facts in enumerate(stages):
        for cost in facts:
            for which, polynomial in ((FLOPS, cost.flops), (BYTES, cost.bytes_moved)):
                terms += [Term(len(costs), which, *term) for term in polynomial.terms]
            costs.append(Cost(stage, cost.count))
    if len(costs) > COSTS_MAX or len(terms) > TERMS_MAX:
        raise Refused(Reason.NOT_PRICEABLE, f"{len(costs)} costs of {len(terms)} terms")
    return tuple(costs), tuple(terms)


def facts_from_rows(
    costs: Sequence[Cost], terms: Sequence[Term], stages: int
) -> tuple[PriceFacts, ...]:
    """Read rows back; ValueError unless they are written in the one canonical way."""
    parts: list[tuple[list[tuple[bytes, int]], list[tuple[bytes, int]]]] = [([], []) for _ in costs]
    for term in terms:
        if term.cost >= len(costs):
            raise ValueError(f"a term of cost {term.cost}, of {len(costs)}")
        parts[term.cost][term.which].append((term.powers, term.coefficient))
    facts: list[list[NodeCost]] = [[] for _ in range(stages + 1)]
    for cost, (flops, moved) in zip(costs, parts, strict=True):
        if cost.stage > stages:
            raise ValueError(f"a cost of stage {cost.stage}, of {stages}")
        facts[cost.stage].append(
            NodeCost(Polynomial(tuple(flops)), Polynomial(tuple(moved)), cost.count)
        )
    read = tuple(tuple(stage) for stage in facts)
    try:
        canonical = rows_of_facts([_canonical(stage) for stage in read])
    except Refused as error:
        raise ValueError(error.detail) from error
    if canonical != (tuple(costs), tuple(terms)):
        raise ValueError("price facts are not in their canonical order")
    return read


def _canonical(facts: PriceFacts) -> PriceFacts:
    """Write facts anew, as :func:`facts_of` would have written them."""
    return _gathered((_sorted(cost.flops), _sorted(cost.bytes_moved), cost.count) for cost in facts)


def _sorted(polynomial: Polynomial) -> Polynomial:
    return _polynomial((bytes(sorted(powers)), factor) for powers, factor in polynomial.terms)
