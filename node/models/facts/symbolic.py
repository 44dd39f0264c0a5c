# SPDX-License-Identifier: MIT
"""Numbers that depend on symbols: how they are added, multiplied and divided. Nothing of ONNX.

A dimension is an int, or an :class:`Expression`: a polynomial with whole coefficients, which
here may be negative, because `past + length - past` has to be `length` again. What a symbol
means, and what is known of its value, is in `space`.

An expression is never constant and has no zero coefficients, so that equal numbers are equal
objects: :func:`made` gives back an int where an expression would be one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import gcd
from typing import Final, TypeAlias

from protocol.limits import UINT_MAX

#: Symbols whose product this is, ascending; a square names its symbol twice.
Monomial: TypeAlias = tuple[int, ...]

# More terms come from multiplying sums of dimensions, which no operator does; a tensor of so many
# symbolic dimensions as to need a higher degree could not be priced either.
TERMS_MAX: Final = 32
DEGREE_MAX: Final = 16


class Unpriceable(Exception):
    """A dimension or a cost cannot be known before the run; the text says why."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A sum of terms, each a coefficient times a product of symbols; sorted by their products."""

    terms: tuple[tuple[Monomial, int], ...]

    def __add__(self, other: "Size") -> "Size":
        """Add; equal products become one term."""
        return made([*self.terms, *terms_of(other)])

    def __radd__(self, other: int) -> "Size":
        """Add to an int."""
        return self + other

    def __neg__(self) -> "Size":
        """Turn all signs."""
        return Expression(tuple((symbols, -factor) for symbols, factor in self.terms))

    def __sub__(self, other: "Size") -> "Size":
        """Take away."""
        return self + -other

    def __rsub__(self, other: int) -> "Size":
        """Take away from an int."""
        return -self + other

    def __mul__(self, other: "Size") -> "Size":
        """Multiply each term with each."""
        return made(
            [
                (tuple(sorted(left + right)), one * two)
                for left, one in self.terms
                for right, two in terms_of(other)
            ]
        )

    def __rmul__(self, other: int) -> "Size":
        """Multiply an int."""
        return self * other

    @property
    def constant(self) -> int:
        """The part that depends on nothing."""
        symbols, factor = self.terms[0]
        return 0 if symbols else factor

    @property
    def varying(self) -> "tuple[tuple[Monomial, int], ...]":
        """The terms that depend on something."""
        return self.terms if self.terms[0][0] else self.terms[1:]

    @property
    def linear(self) -> bool:
        """Whether no two symbols are multiplied."""
        return all(len(symbols) <= 1 for symbols, _ in self.terms)

    @property
    def lone(self) -> int | None:
        """The symbol that this is, and nothing more."""
        symbols, factor = self.terms[0]
        return symbols[0] if len(self.terms) == factor == len(symbols) == 1 else None

    def symbols(self) -> set[int]:
        """The symbols that occur here."""
        return {symbol for symbols, _ in self.terms for symbol in symbols}


Size: TypeAlias = int | Expression


def made(terms: Iterable[tuple[Monomial, int]]) -> Size:
    """Sum up equal products; refuse what would not fit into price facts."""
    sums: dict[Monomial, int] = {}
    for symbols, factor in terms:
        sums[symbols] = sums.get(symbols, 0) + factor
    kept = sorted(term for term in sums.items() if term[1])
    if not kept:
        return 0
    if len(kept) == 1 and not kept[0][0]:
        return kept[0][1]
    if len(kept) > TERMS_MAX:
        raise Unpriceable(f"a size that is a sum of {len(kept)} terms")
    if any(len(symbols) > DEGREE_MAX for symbols, _ in kept):
        raise Unpriceable(f"a product of more than {DEGREE_MAX} dimensions")
    if any(abs(factor) > UINT_MAX for _, factor in kept):
        raise Unpriceable("a coefficient above the largest integer")
    return Expression(tuple(kept))


def terms_of(size: Size) -> tuple[tuple[Monomial, int], ...]:
    """Give the terms of an int too."""
    return (((), size),) if isinstance(size, int) else size.terms


def symbol(index: int) -> Expression:
    """Give the expression that is one symbol."""
    return Expression((((index,), 1),))


def product(sizes: Iterable[Size]) -> Size:
    """Multiply; 1 for none."""
    total: Size = 1
    for size in sizes:
        total = total * size
    return total


def coefficients(size: Size) -> list[int]:
    """Give the factors of all terms, the constant one too."""
    return [factor for _, factor in terms_of(size)]


def exact_quotient(dividend: Size, divisor: Size) -> Size | None:
    """Divide without a rest as polynomials; None where that is not possible.

    Long division by one divisor: it is exact if and only if the leading term of what is left
    can be divided each time. Products are ordered by degree first, which every product keeps.
    """
    if divisor == 0:
        return None
    lead_symbols, lead_factor = max(terms_of(divisor), key=_degree_first)
    left = dividend
    quotient: Size = 0
    for _ in range(TERMS_MAX):
        if left == 0:
            return quotient
        symbols, factor = max(terms_of(left), key=_degree_first)
        rest = without(symbols, lead_symbols)
        if rest is None or factor % lead_factor:
            return None
        part = made([(rest, factor // lead_factor)])
        quotient = quotient + part
        left = left - part * divisor
    return None


def without(symbols: Monomial, taken: Monomial) -> Monomial | None:
    """Divide a product of symbols by another one; None where that is not possible."""
    left = list(symbols)
    for each in taken:
        if each not in left:
            return None
        left.remove(each)
    return tuple(left)


def common_factor(size: Expression) -> tuple[Monomial, int]:
    """Give the largest product of symbols, and the largest number, that divide every term."""
    (shared, number), *others = size.terms
    for symbols, factor in others:
        left = list(symbols)
        kept = []
        for each in shared:
            if each in left:
                left.remove(each)
                kept.append(each)
        shared, number = tuple(kept), gcd(number, factor)
    return shared, abs(number)


def _degree_first(term: tuple[Monomial, int]) -> tuple[int, Monomial]:
    return len(term[0]), term[0]
