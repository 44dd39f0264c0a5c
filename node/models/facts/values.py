# SPDX-License-Identifier: MIT
"""Arithmetic on the elements of small tensors, as far as it has one answer before the run.

Machines compute with 64 bits and wrap around; expressions do not. Sums and products of
expressions wrap to what the machine has, and a size that large has no price. All else
(quotients, comparisons, narrower types) is followed only where nothing can have wrapped.
What cannot be followed is None, which harms nobody until it becomes a shape.
"""

from collections.abc import Callable, Iterator
from itertools import product as every
from math import isfinite, prod, trunc
from typing import Final, TypeAlias

from node.models.facts.space import Space
from node.models.facts.symbolic import Expression, Size, Unpriceable, exact_quotient
from node.models.facts.tensors import RANGES, Shaped, Value, followed
from protocol.tensors import ElementType

Place: TypeAlias = tuple[int, ...]
Step: TypeAlias = Callable[[Space, Size, Size], Value]

_INT64 = RANGES[ElementType.INT64]
# Floats count to here without a gap.
_FLOAT_EXACT = 1 << 24


def fitted(space: Space, element: ElementType, value: Value) -> Value:
    """Give what a type makes of a value; None where it might wrap around."""
    if value is None or isinstance(value, float) or element not in RANGES:
        return None
    low, high = RANGES[element]
    if isinstance(value, int):
        return value if low <= value <= high else None
    if element is ElementType.INT64:
        return value
    if element is ElementType.INT32 and space.proven(value):
        space.need(high - value)
        return value
    return None


def arranged(source: Shaped, dims: tuple[Size, ...], where: Callable[[Place], Place]) -> Shaped:
    """Give a tensor whose elements come from places of another one, if both are known by value."""
    known = followed(source.element, dims)
    inner = followed(source.element, source.dims)
    if known is None or inner is None or source.values is None:
        return Shaped(source.element, dims)
    values = tuple(source.values[flat(where(place), inner)] for place in places(known))
    return Shaped(source.element, dims, values)


def places(dims: Place) -> Iterator[Place]:
    """Walk over all places of a tensor, row by row."""
    return every(*map(range, dims))


def flat(place: Place, dims: Place) -> int:
    """Give the position of an element in row-major order."""
    index = 0
    for each, dim in zip(place, dims, strict=True):
        index = index * dim + each
    return index


def broadcast(operand: Shaped, dims: Place) -> tuple[Value, ...] | None:
    """Repeat the elements of an operand over a larger shape."""
    inner = followed(operand.element, operand.dims)
    if inner is None or operand.values is None:
        return None
    if inner == dims:
        return operand.values
    if len(operand.values) == 1:
        return operand.values * prod(dims)
    ahead = len(dims) - len(inner)

    def source(place: Place) -> int:
        pairs = zip(place[ahead:], inner, strict=True)
        return flat(tuple(0 if dim == 1 else each for each, dim in pairs), inner)

    return tuple(operand.values[source(place)] for place in places(dims))


def combined(
    space: Space, step: Step, result: Shaped, operands: tuple[Shaped, ...]
) -> tuple[Value, ...] | None:
    """Apply an operator to the elements of its operands, two at a time."""
    known = followed(result.element, result.dims)
    if known is None or any(each.values is None for each in operands):
        return None
    first, *others = (broadcast(each, known) for each in operands)
    if first is None:
        return None
    for other in others:
        if other is None:
            return None
        pairs = zip(first, other, strict=True)
        first = tuple(_stepped(space, step, result.element, *pair) for pair in pairs)
    return first


def _stepped(space: Space, step: Step, element: ElementType, one: Value, other: Value) -> Value:
    if not isinstance(one, int | Expression) or not isinstance(other, int | Expression):
        return None
    try:
        return fitted(space, element, step(space, one, other))
    except Unpriceable:
        return None


# --- one element with another ----------------------------------------------------------------


def _plain(space: Space, *sizes: Size) -> bool:
    """Whether no size can have wrapped around."""
    return all(_INT64[0] <= space.least(size) and space.most(size) <= _INT64[1] for size in sizes)


def divide(space: Space, one: Size, other: Size) -> Value:
    """Divide towards zero, as machines do."""
    if other == 0:
        return None
    if isinstance(one, int) and isinstance(other, int):
        return abs(one) // abs(other) * (1 if (one < 0) == (other < 0) else -1)
    if not _plain(space, one, other) or not space.proven(one):
        return None
    if isinstance(other, int):
        return space.floor(one, other) if other > 0 else None
    return exact_quotient(one, other)


def remainder(space: Space, one: Size, other: Size) -> Value:
    """Take the rest, with the sign of the divisor."""
    if not isinstance(other, int) or other == 0:
        return None
    if isinstance(one, int):
        return one % other
    if other < 0 or not _plain(space, one) or not space.proven(one):
        return None
    return one - space.floor(one, other) * other


def equal(space: Space, one: Size, other: Size) -> Value:
    """Compare for equality."""
    if one == other:
        return 1
    apart = space.proven(one - other, 1) or space.proven(other - one, 1)
    return 0 if apart and _plain(space, one, other) else None


def less(space: Space, one: Size, other: Size) -> Value:
    """Tell whether the first is smaller."""
    if not _plain(space, one, other):
        return None
    if space.proven(other - one, 1):
        return 1
    return 0 if space.proven(one - other) else None


def less_or_equal(space: Space, one: Size, other: Size) -> Value:
    """Tell whether the first is not larger."""
    return _opposite(less(space, other, one))


def smaller(space: Space, one: Size, other: Size) -> Value:
    """Give the smaller one."""
    return _either(less_or_equal(space, one, other), one, other)


def larger(space: Space, one: Size, other: Size) -> Value:
    """Give the larger one."""
    return _either(less_or_equal(space, other, one), one, other)


def _opposite(known: Value) -> Value:
    return 1 - known if isinstance(known, int) else None


def _either(known: Value, one: Size, other: Size) -> Value:
    return None if known is None else (one if known else other)


STEPS: Final[dict[str, Step]] = {
    "Add": lambda _, one, other: one + other,
    "Sub": lambda _, one, other: one - other,
    "Mul": lambda _, one, other: one * other,
    "Sum": lambda _, one, other: one + other,
    "Div": divide,
    "Mod": remainder,
    "Min": smaller,
    "Max": larger,
    "Equal": equal,
    "Less": less,
    "LessOrEqual": less_or_equal,
    "Greater": lambda space, one, other: less(space, other, one),
    "GreaterOrEqual": lambda space, one, other: less_or_equal(space, other, one),
    # Of bools: a number that is 0 or 1.
    "And": lambda _, one, other: one * other,
    "Or": larger,
    "Xor": lambda space, one, other: _opposite(equal(space, one, other)),
}


# --- one element alone -----------------------------------------------------------------------


def cast(space: Space, value: Value, element: ElementType) -> Value:
    """Give a value in another type."""
    if isinstance(value, float):
        whole = isfinite(value) and element in RANGES and element is not ElementType.BOOL
        return fitted(space, element, trunc(value)) if whole else None
    if element is ElementType.FLOAT:
        return float(value) if isinstance(value, int) and abs(value) < _FLOAT_EXACT else None
    if element is ElementType.BOOL and value is not None:
        nonzero = equal(space, value, 0)
        return _opposite(nonzero)
    try:
        return fitted(space, element, value)
    except Unpriceable:
        return None


def alone(space: Space, op: str, value: Value) -> Value:
    """Apply an operator of one operand."""
    if not isinstance(value, int | Expression):
        return None
    if op == "Not":
        return _opposite(value)
    if op == "Abs" and not space.proven(value):
        return abs(value) if isinstance(value, int) else None
    return -value if op == "Neg" else value


ALONE: Final = frozenset({"Neg", "Abs", "Not"})


def chosen(condition: Value, one: Value, other: Value) -> Value:
    """Give one of two values, or both when they are the same."""
    if one == other:
        return one
    if not isinstance(condition, int):
        return None
    return one if condition else other
