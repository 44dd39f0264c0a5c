# SPDX-License-Identifier: MIT
"""What the sizes of one graph have to be: at least so much, or equal. Symbols are in `symbols`.

Theory of operation
-------------------
What is said of a shape has to be exact, or the interface has to refuse the item: a size that
is a little off can be subtracted from the true one, multiplied, and become work that nobody
pays for. Three tools keep it exact:

- A **need** says that a number is not below zero. What does not follow from itself becomes a
  derived symbol of the manifest, which the interface holds to be a dimension (see `export`).
- Two sizes that have to be equal are a **conflict**. After a walk over the graph each one is
  solved for a free symbol, which then is the other side everywhere, and the walk begins anew.
- What neither follows nor can be said there is :class:`~.symbolic.Unpriceable`.

Nothing here depends on the order in which nodes are looked at: conflicts are gathered, then
solved in an order that comes from what they say.
"""

from typing import Final

from node.models.facts.symbolic import (
    Expression,
    Size,
    Unpriceable,
    coefficients,
    common_factor,
    exact_quotient,
    made,
    product,
    symbol,
    terms_of,
)
from node.models.facts.symbols import Symbols
from protocol.limits import DIMENSION_MAX

_CONFLICTS_MAX: Final = 4096


class Space(Symbols):
    """The symbols of one graph, with the needs and conflicts of one walk."""

    __slots__ = ("_conflicts", "_rewritten", "_solved", "lower", "upper")

    def __init__(self) -> None:
        """Begin without any symbol."""
        super().__init__()
        self._solved: dict[int, Size] = {}
        self._rewritten: dict[int, Size] = {}
        self.forget()

    def forget(self) -> None:
        """Begin a new walk: needs and conflicts are found again."""
        self._conflicts: set[tuple[Size, Size]] = set()
        # Sums of symbols without their constant, and what they are at least, or at most.
        self.lower: dict[Expression, int] = {}
        self.upper: dict[Expression, int] = {}

    # --- needs -------------------------------------------------------------------------------

    def need(self, size: Size, least: int = 0) -> None:
        """Have the interface see to it that a size is at least so much."""
        left: Size = size - least
        if isinstance(left, int) or self.proven(left):
            if not isinstance(left, int) or left >= 0:
                return
            raise Unpriceable(f"{self.text(size)} where at least {least} is needed")
        inside = self._inside_floor(left)
        if inside is not None:
            self.need(inside)
            return
        self._expressible(left)
        factors = [factor for _, factor in left.varying]
        varying = left - left.constant
        if min(factors) > 0:
            assert isinstance(varying, Expression)
            self.lower[varying] = max(self.lower.get(varying, 0), -left.constant)
        elif max(factors) < 0:
            opposite = -varying
            assert isinstance(opposite, Expression)
            if not 0 <= left.constant <= DIMENSION_MAX:
                raise Unpriceable(f"{self.text(opposite)} at most {left.constant}")
            self.upper[opposite] = min(self.upper.get(opposite, DIMENSION_MAX), left.constant)
        else:
            raise Unpriceable(f"whether {self.text(size)} is at least {least} is not known before")

    def _inside_floor(self, size: Expression) -> Size | None:
        """Say the same of what a floor divides, so that one symbol has one bound, not many."""
        ((symbols, factor), *others) = size.varying
        inner = self.symbols[symbols[0]]
        if others or len(symbols) > 1 or factor not in {1, -1} or inner.numerator is None:
            return None
        if factor > 0:  # floor(r / k) >= c where r >= c k
            return inner.numerator + size.constant * inner.over
        # floor(r / k) <= c where r <= c k + k - 1
        return size.constant * inner.over + inner.over - 1 - inner.numerator

    def need_factors(self, size: Size) -> None:
        """Have the interface see to it that a size is positive, also one that is a product."""
        self.steps += 10 * len(terms_of(size))
        if isinstance(size, int) or self.proven(size, 1):
            self.need(size, 1)
            return
        shared, number = common_factor(size)
        for each in set(shared):
            self.need(symbol(each), 1)
        cofactor = exact_quotient(size, product([number, *map(symbol, shared)]))
        assert cofactor is not None
        if isinstance(cofactor, int) or cofactor.linear or min(coefficients(cofactor)) < 0:
            self.need(cofactor, 1)
            return
        # A sum of products: one of them is enough, the one of the fewest symbols.
        terms = [
            (len(symbols), self.order(made([(symbols, 1)])), symbols)
            for symbols, _ in cofactor.varying
        ]
        for each in set(min(terms)[2]):
            self.need(symbol(each), 1)

    def _expressible(self, size: Expression) -> None:
        """Refuse what no derived symbol of a manifest can say."""
        if not size.linear:
            raise Unpriceable(f"{self.text(size)} is a product: the interface knows sums")
        if not all(self.symbols[each].solvable for each in size.symbols()):
            raise Unpriceable(f"{self.text(size)} depends on an input that may be absent")
        if max(map(abs, coefficients(size))) > DIMENSION_MAX:
            raise Unpriceable(f"{self.text(size)} has a number above {DIMENSION_MAX}")

    # --- conflicts ---------------------------------------------------------------------------

    def same(self, one: Size, other: Size) -> Size:
        """Give the size of two that a node wants to be equal; where they differ, it fails."""
        if one == other:
            return one
        if isinstance(one, int) and isinstance(other, int):
            raise Unpriceable(f"{one} and {other} should be equal")
        if self._solution(one, other):
            self._conflict(one, other)
        return self._chosen(one, other)

    def may_differ(self, one: Size, other: Size) -> bool:
        """Tell whether two sizes may differ and nothing can be done about it."""
        return one != other and self._solution(one, other) is None

    def equal(self, one: Size, other: Size) -> Size:
        """Have two sizes be equal of which no node says that it fails when they differ."""
        if self.may_differ(one, other):
            raise Unpriceable(f"whether {self.text(one)} is {self.text(other)} is not known before")
        return self.same(one, other)

    def meet(self, one: Size, other: Size) -> Size:
        """Give the size that two become in a broadcast: equal, or one of them is 1."""
        if one in (other, 1):
            return other
        if other == 1:
            return one
        if self._solution(one, other):
            self._conflict(one, other)
            return self._chosen(one, other)
        if isinstance(one, int) or isinstance(other, int):
            # A number other than 1 is what comes out, whichever of the two cases holds.
            return self.same(one, other)
        for small, large in ((one, other), (other, one)):
            if self.proven(large - small):
                # Equal, or 1 below another number: only 0 beside 1 would give 0, so it is at
                # least 1. Any other pair fails in the run. So halves meet what they are half of.
                self.need_factors(small)
                return large
        raise Unpriceable(f"{self.text(one)} meets {self.text(other)}")

    def _conflict(self, one: Size, other: Size) -> None:
        pair = (one, other) if self.order(one) <= self.order(other) else (other, one)
        self._conflicts.add(pair)
        if len(self._conflicts) > _CONFLICTS_MAX:
            raise Unpriceable(f"more than {_CONFLICTS_MAX} dimensions should be equal and differ")

    def _chosen(self, one: Size, other: Size) -> Size:
        if isinstance(one, int):
            return one
        return other if isinstance(other, int) else min(one, other, key=self.order)

    def _solution(self, one: Size, other: Size) -> tuple[int, Size] | None:
        """Solve `one = other` for the last free symbol for which that is possible."""
        difference = one - other
        if isinstance(difference, int):
            return None
        self.steps += 10 * len(difference.terms)
        for each in sorted(difference.symbols(), reverse=True):
            mine = self.symbols[each]
            if mine.numerator or not mine.solvable:
                continue
            factor = next((f for symbols, f in difference.terms if symbols == (each,)), 0)
            rest = (difference - symbol(each) * factor) * -factor
            if factor in (1, -1) and self._may_replace(rest, each):
                return each, rest
        return None

    def _may_replace(self, rest: Size, index: int) -> bool:
        """Whether every dimension that was a symbol may be `rest` instead; 0 is no help to it."""
        if isinstance(rest, int):
            return 0 < rest <= DIMENSION_MAX
        return (
            rest.linear
            and min(coefficients(rest)) >= 0
            and all(self.symbols[each].solvable for each in rest.symbols())
            and not self._mentions(rest, index)
        )

    def solve(self) -> bool:
        """Solve the conflicts of a walk; tell whether anything changed, so that one more is due."""
        pairs = sorted(self._conflicts, key=lambda pair: tuple(map(self.order, pair)))
        changed = False
        for one, other in pairs:
            found = self._solution(self.rewrite(one), self.rewrite(other))
            if found:
                self._solve_for(*found)
                changed = True
        return changed

    def _solve_for(self, index: int, solution: Size) -> None:
        self._solved[index] = solution
        self._rewritten = {}
        for each, earlier in self._solved.items():
            if isinstance(earlier, Expression) and self._mentions(earlier, index):
                self._solved[each] = self.rewrite(earlier)

    def _mentions(self, size: Expression, index: int) -> bool:
        return any(index in self.symbols[each].free for each in size.symbols())

    def rewrite(self, size: Size) -> Size:
        """Put the solutions in place of the symbols that were solved."""
        total: Size = 0
        for symbols, factor in terms_of(size):
            total = total + product([factor, *(self._rewrite(each) for each in symbols)])
        return total

    def _rewrite(self, index: int) -> Size:
        if index not in self._rewritten:
            mine = self.symbols[index]
            if mine.numerator:
                new = self.floor(self.rewrite(mine.numerator), mine.over)
            else:
                new = self._solved.get(index, symbol(index))
            self._rewritten[index] = new
        return self._rewritten[index]
