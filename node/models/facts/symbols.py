# SPDX-License-Identifier: MIT
"""The symbols of one graph: free ones, and floors made of others. What they must be is in `space`.

A symbol is **free**, a dimension that an item brings along, or a **floor**, another number
divided and rounded down. Both are numbers to the expressions that are made of them.
"""

from dataclasses import dataclass
from hashlib import sha256
from math import gcd
from typing import Final

from node.models.facts.symbolic import (
    Expression,
    Size,
    Unpriceable,
    coefficients,
    made,
    product,
    symbol,
    terms_of,
)
from protocol.limits import DERIVED_MAX, DIMENSION_MAX

# Far above what the manifest takes, because unnamed dimensions turn out to be equal to others.
FREE_MAX: Final = 1024
FLOORS_MAX: Final = 1024
# A floor of a sum with another floor is bounded step by step; real ones are done in three.
_STEPS_MAX: Final = 16
# What one question takes, for each term of what it is about.
_STEPS: Final = 10


@dataclass(frozen=True, slots=True)
class Symbol:
    """A free symbol, or a floor with its numerator.

    `digest` names it by what it is, not by when it was met. `solvable`: every item brings it
    along, so that the interface can hold it to be equal to something else.
    """

    name: str
    digest: bytes
    solvable: bool
    most: int
    level: int
    free: frozenset[int]
    numerator: Expression | None = None
    over: int = 1


class Symbols:
    """The symbols of one graph, and what follows from what they are made of."""

    __slots__ = ("_elements", "_floors", "steps", "symbols")

    def __init__(self) -> None:
        """Begin without any symbol."""
        self.symbols: list[Symbol] = []
        self._floors: dict[tuple[Expression, int], int] = {}
        self._elements: dict[tuple[Size, ...], Size] = {}
        #: How much was asked here, in units of about a microsecond.
        self.steps = 0

    # --- symbols -----------------------------------------------------------------------------

    def free(self, name: str, *, solvable: bool) -> Expression:
        """Make a free symbol."""
        index = len(self.symbols)
        if index >= FREE_MAX:
            raise Unpriceable(f"more than {FREE_MAX} symbolic dimensions")
        digest = sha256(b"free %d" % index).digest()
        own = frozenset((index,))
        self.symbols.append(Symbol(name, digest, solvable, DIMENSION_MAX, 0, own))
        return symbol(index)

    def floor(self, numerator: Size, over: int) -> Size:
        """Divide by a positive number and round down, written in the one way that there is."""
        self.steps += _STEPS * len(terms_of(numerator))
        if over < 1 or over > DIMENSION_MAX:
            raise Unpriceable(f"a size divided by {over}")
        whole: Size = 0
        rest: Size = 0
        for term in terms_of(numerator):
            if term[1] % over:
                rest = rest + made([term])
            else:
                whole = whole + made([(term[0], term[1] // over)])
        if isinstance(rest, int):
            return whole + rest // over
        if all(factor < 0 for _, factor in rest.varying):
            return whole - self.floor(over - 1 - rest, over)
        below = made((symbols, factor % over) for symbols, factor in rest.terms)
        whole = whole + made((s, factor // over) for s, factor in rest.terms)
        assert isinstance(below, Expression)
        return whole + self._proper_floor(below, over)

    def _proper_floor(self, numerator: Expression, over: int) -> Size:
        """Divide when all factors are between 0 and the divisor: shorten, flatten, intern."""
        shared = over
        for _, factor in numerator.varying:
            shared = gcd(shared, factor)
        if shared > 1:
            constant = numerator.constant // shared
            varying = made((s, factor // shared) for s, factor in numerator.varying)
            return self.floor(varying + constant, over // shared)
        for symbols, factor in numerator.varying:
            inner = self.symbols[symbols[0]]
            if len(symbols) == factor == 1 and inner.numerator and inner.over * over <= 1 << 32:
                # floor((floor(r / k) + x) / m) = floor((r + k x) / (k m))
                outside = numerator - symbol(symbols[0])
                return self.floor(inner.numerator + outside * inner.over, inner.over * over)
        key = (numerator, over)
        if key not in self._floors:
            self._floors[key] = self._new_floor(numerator, over)
        return symbol(self._floors[key])

    def _new_floor(self, numerator: Expression, over: int) -> int:
        parts = [self.symbols[each] for each in sorted(numerator.symbols())]
        level = 1 + max(part.level for part in parts)
        if len(self._floors) >= FLOORS_MAX or level > DERIVED_MAX:
            raise Unpriceable(f"more than {FLOORS_MAX} quotients of dimensions")
        self.symbols.append(
            Symbol(
                f"({self.text(numerator)}) // {over}",
                sha256(b"floor %d " % over + self.order(numerator)).digest(),
                solvable=all(part.solvable for part in parts),
                most=self.most(numerator) // over,
                level=level,
                free=frozenset().union(*(part.free for part in parts)),
                numerator=numerator,
                over=over,
            )
        )
        return len(self.symbols) - 1

    def counted(self, size: Size) -> Size:
        """Give a size without any minus, to be multiplied with others: a price has none.

        What has one becomes a symbol as it is, which is never below zero.
        """
        if isinstance(size, int) or min(coefficients(size)) >= 0:
            return size
        key = (size, 1)
        if key not in self._floors:
            self._floors[key] = self._new_floor(size, 1)
        return symbol(self._floors[key])

    def elements(self, dims: tuple[Size, ...]) -> Size:
        """Count the elements of a tensor, for a price."""
        if dims not in self._elements:
            self._elements[dims] = product(self.counted(dim) for dim in dims)
        return self._elements[dims]

    def order(self, size: Size) -> bytes:
        """Give a key to sort by that depends only on what a size is."""
        if isinstance(size, int):
            return b"" if size == 0 else b"%d" % size
        parts = [
            b"".join(sorted(self.symbols[each].digest for each in symbols)) + b"*%d" % factor
            for symbols, factor in size.terms
        ]
        return sha256(b"+".join(sorted(parts))).digest()

    def text(self, size: Size) -> str:
        """Write a size for people, not longer than a line."""
        parts = []
        for symbols, factor in terms_of(size):
            names = [self.symbols[each].name for each in symbols]
            parts.append("*".join([str(factor), *names] if factor != 1 or not names else names))
        return " + ".join(parts)[:200] or "0"

    # --- bounds ------------------------------------------------------------------------------

    def most(self, size: Size) -> int:
        """Give a number that a size never exceeds."""
        total = 0
        for symbols, factor in terms_of(size):
            bound = factor if factor > 0 or not symbols else 0
            for each in symbols:
                bound *= self.symbols[each].most
            total += bound
        return total

    def least(self, size: Size) -> int:
        """Give a number that a size is never below."""
        return -self.most(-size)

    def proven(self, size: Size, least: int = 0) -> bool:
        """Tell whether a size is at least so much whatever the inputs are."""
        left: Size = size - least
        scale = 1
        for _ in range(_STEPS_MAX):
            self.steps += _STEPS * len(terms_of(left))
            # A whole number above -1 is not below zero.
            if self.least(left) > -scale:
                return True
            if isinstance(left, int):
                return False
            floors = [each for each in left.symbols() if self.symbols[each].numerator]
            if not floors:
                return False
            top = max(floors, key=lambda each: (self.symbols[each].level, each))
            try:
                left = self._without_floor(left, top)
            except Unpriceable:  # a bound that is too long to write down proves nothing
                return False
            scale *= self.symbols[top].over
        return False

    def _without_floor(self, size: Expression, top: int) -> Size:
        """Bound a multiple of `size` from below by something without the floor `top`."""
        inner = self.symbols[top]
        assert inner.numerator
        total: Size = 0
        for symbols, factor in size.terms:
            if top not in symbols:
                total = total + made([(symbols, factor * inner.over)])
                continue
            at = symbols.index(top)
            others = made([(symbols[:at] + symbols[at + 1 :], factor)])
            # r / k >= floor(r / k) >= (r - k + 1) / k
            total = total + others * (inner.numerator - (inner.over - 1 if factor > 0 else 0))
        return total
