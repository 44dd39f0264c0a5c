# SPDX-License-Identifier: MIT
"""Symbols as a manifest has them: free ones first, then derived ones, each with its rule.

The order of derived symbols comes from what they are, not from when they were met: those of
free symbols alone come first, and among equals their rules decide. So the same graph has the
same manifest, however its nodes were written down.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from node.models.facts.space import Space
from node.models.facts.symbolic import Expression, Size, Unpriceable
from protocol.limits import DERIVED_MAX, DIMENSION_MAX, SYMBOLS_MAX
from protocol.ports import Derived
from protocol.price import Polynomial, constant

# A sum of symbols (by their indices in the manifest, ascending), a number, and what divides them.
_Rule = tuple[tuple[tuple[int, int], ...], int, int]


@dataclass(frozen=True, slots=True)
class Exported:
    """The derived symbols, and the index in the manifest of everything that has one."""

    derived: tuple[Derived, ...]
    places: Mapping[int, int]
    sums: Mapping[Expression, int]


class Export:
    """Gathers what needs an index, then gives each its own."""

    __slots__ = ("_amounts", "_derived", "_free", "_places", "_rows", "_space", "_sums", "_used")

    def __init__(self, space: Space, free: Sequence[int]) -> None:
        """Take the free symbols in the order of the manifest."""
        if len(free) > SYMBOLS_MAX:
            raise Unpriceable(f"{len(free)} symbolic dimensions, at most {SYMBOLS_MAX}")
        self._space = space
        self._free = len(free)
        self._places = {symbol: place for place, symbol in enumerate(free)}
        self._sums: dict[Expression, int] = {}
        self._used: dict[int, int] = dict(self._places)
        self._amounts: dict[Expression, Polynomial] = {}
        self._derived: list[Derived] = []
        self._rows: dict[Derived, int] = {}

    def amount(self, size: Size) -> Polynomial:
        """Give a number of the price; its symbols are numbered as they come (see `renumbered`)."""
        if isinstance(size, int):
            return constant(size)
        if size not in self._amounts:
            terms: dict[bytes, int] = {}
            for symbols, factor in size.terms:
                powers = bytes(sorted(map(self._number, symbols)))
                terms[powers] = terms.get(powers, 0) + factor
            # Adding nothing has the price look whether it takes such a number.
            self._amounts[size] = Polynomial(tuple(sorted(terms.items()))) + 0
        return self._amounts[size]

    def _number(self, symbol: int) -> int:
        number = self._used.setdefault(symbol, len(self._used))
        if number >= SYMBOLS_MAX + DERIVED_MAX:
            raise Unpriceable("more derived dimensions than a manifest takes")
        return number

    def dimension(self, size: Size) -> None:
        """Note that a port has a dimension of this size."""
        if isinstance(size, Expression):
            if size.lone is None:
                self._sums[size] = -1
            else:
                self._number(size.lone)

    def finish(self) -> Exported:
        """Number everything: round by round, what depends only on what has its number already."""
        guards: list[Expression] = []
        for varying, least in self._space.lower.items():
            guards.append(_expression(varying - least))
        for varying, most in self._space.upper.items():
            # No dimension is above DIMENSION_MAX: this one is none if that exceeds its bound.
            guards.append(_expression(varying + (DIMENSION_MAX - most)))
        wanted = {symbol for symbol in self._used if symbol not in self._places}
        for size in (*self._sums, *guards):
            wanted |= size.symbols()
        floors = self._with_inner(wanted)
        sums = dict.fromkeys((*self._sums, *guards))
        while floors or sums:
            ready = [each for each in floors if self._known(self._numerator(each))]
            rules = {each: self._rule(self._numerator(each), self._over(each)) for each in ready}
            whole = {each: self._rule(each, 1) for each in sums if self._known(each)}
            for rule in sorted({*rules.values(), *whole.values()}):
                index = self._row(rule)
                self._places |= {each: index for each, mine in rules.items() if mine == rule}
                self._sums |= {each: index for each, mine in whole.items() if mine == rule}
            floors = [each for each in floors if each not in rules]
            sums = {each: None for each in sums if each not in whole}
        return Exported(tuple(self._derived), self._places, self._sums)

    def renumbered(self, polynomial: Polynomial) -> Polynomial:
        """Put the manifest's numbers into a number of the price, after `finish`."""
        final = {number: self._places[symbol] for symbol, number in self._used.items()}
        terms: dict[bytes, int] = {}
        for powers, factor in polynomial.terms:
            key = bytes(sorted(final[power] for power in powers))
            terms[key] = terms.get(key, 0) + factor
        return Polynomial(tuple(sorted(terms.items())))

    def _with_inner(self, wanted: set[int]) -> list[int]:
        """Add the floors inside floors."""
        found: set[int] = set()
        open_ = [each for each in wanted if each not in self._places]
        while open_:
            each = open_.pop()
            if each not in found:
                found.add(each)
                inner = self._numerator(each).symbols()
                open_ += [symbol for symbol in inner if symbol not in self._places]
        return sorted(found)

    def _numerator(self, symbol: int) -> Expression:
        numerator = self._space.symbols[symbol].numerator
        if numerator is None:
            raise Unpriceable(f"{self._space.symbols[symbol].name} is no dimension of an input")
        return numerator

    def _over(self, symbol: int) -> int:
        return self._space.symbols[symbol].over

    def _known(self, size: Expression) -> bool:
        return all(symbol in self._places for symbol in size.symbols())

    def _rule(self, size: Expression, over: int) -> _Rule:
        if not size.linear:
            raise Unpriceable(f"{self._space.text(size)} is a product: the interface knows sums")
        varying = tuple(sorted((self._places[s[0]], factor) for s, factor in size.varying))
        numbers = [factor for _, factor in varying]
        if min(numbers) < 0 or max(*numbers, abs(size.constant), over) > DIMENSION_MAX:
            raise Unpriceable(f"{self._space.text(size)} is no sum that the interface knows")
        return varying, size.constant, over

    def _row(self, rule: _Rule) -> int:
        """Write a rule; a row adds two symbols, so more of them take more rows."""
        varying, number, over = rule
        left = list(varying)
        while len(left) > 2:
            left[:2] = [(self._append(Derived(*left[0], *left[1], 0, 0, 1)), 1)]
        second = left[1] if len(left) > 1 else (0, 0)
        return self._append(Derived(*left[0], *second, max(number, 0), max(-number, 0), over))

    def _append(self, row: Derived) -> int:
        if row not in self._rows:
            if len(self._derived) >= DERIVED_MAX:
                raise Unpriceable(f"more than {DERIVED_MAX} derived dimensions")
            self._rows[row] = self._free + len(self._derived)
            self._derived.append(row)
        return self._rows[row]


def _expression(size: Size) -> Expression:
    assert isinstance(size, Expression)
    return size
