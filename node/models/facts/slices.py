# SPDX-License-Identifier: MIT
"""Slice: where it begins and ends when numbers are symbols, and may count from behind."""

from typing import Final

from node.models.facts.operation import Operation, Outputs, Rule, place_of
from node.models.facts.symbolic import Size, Unpriceable
from node.models.facts.tensors import Shaped
from node.models.facts.values import Place, arranged

# No tensor is that long: from here on a place is the end.
_ENDLESS: Final = 1 << 62

# The largest numbers are not compared with the axis: as an end they mean the end.
_END_OF_32_BITS: Final = (1 << 31) - 1
_ENDS: Final = (_END_OF_32_BITS, (1 << 63) - 1)


def slice_(operation: Operation) -> Outputs:
    """Take every so many elements between two places of each axis."""
    source = operation.given()
    if operation.has("starts"):
        starts: tuple[Size, ...] = operation.integers("starts") or ()
        ends: tuple[Size, ...] = operation.integers("ends") or ()
        axes = operation.integers("axes")
        steps: tuple[int, ...] = (1,) * len(starts)
    else:
        starts, ends = operation.sizes(1), operation.sizes(2)
        axes = None if operation.maybe(3) is None else operation.numbers(3)
        steps = (1,) * len(starts) if operation.maybe(4) is None else operation.numbers(4)
    axes = tuple(range(len(starts))) if axes is None else axes
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise Unpriceable(f"{len(starts)} starts, {len(ends)} ends, {len(axes)} axes")
    found: dict[int, tuple[Size, int]] = {}
    dims = list(source.dims)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        place = place_of(axis, source.rank)
        if place in found:
            raise Unpriceable(f"axis {place} is sliced twice")
        first, dims[place] = sliced(operation, source.dims[place], start, end, step)
        found[place] = (first, step)

    def where(place: Place) -> Place:
        at = []
        for axis, each in enumerate(place):
            first, step = found.get(axis, (0, 1))
            assert isinstance(first, int)  # an axis of known size begins at a known place
            at.append(first + each * step)
        return tuple(at)

    if not all(isinstance(first, int) for first, _ in found.values()):
        return (Shaped(source.element, tuple(dims)),)
    return (arranged(source, tuple(dims), where),)


def sliced(
    operation: Operation, whole: Size, start: Size, end: Size, step: int
) -> tuple[Size, Size]:
    """Give where a slice of an axis begins and how long it is."""
    if step == 0 or (step < 0 and end in _ENDS):
        raise Unpriceable(f"a slice to {operation.space.text(end)} in steps of {step}")
    if end in _ENDS:
        end = whole
    if isinstance(whole, int) and isinstance(start, int) and isinstance(end, int):
        taken = range(whole)[start:end:step] if step > 0 else _taken(whole, start, end, step)
        return (taken.start if len(taken) else 0), len(taken)
    if step < 0:
        return _backwards(operation, whole, start, end, step)
    space = operation.space
    first = _from_front(operation, whole, start)
    last = whole if isinstance(end, int) and end >= _ENDLESS else _from_front(operation, whole, end)
    space.need(last - first)
    # Not beyond the end: what does not follow, the interface has to hold.
    space.need(whole - last)
    return first, space.floor(last - first + step - 1, step)


def _taken(whole: int, start: int, end: int, step: int) -> range:
    """Slice backwards as ONNX does: what is negative counts from behind once, then is cut."""
    first = min(max(start + whole if start < 0 else start, 0), whole - 1)
    last = min(max(end + whole if end < 0 else end, -1), whole - 1)
    return range(first, last, step)


def _backwards(
    operation: Operation, whole: Size, start: Size, end: Size, step: int
) -> tuple[Size, Size]:
    """Slice backwards over an axis of unknown length: all of it."""
    space = operation.space
    if not (isinstance(end, int) and end <= -_END_OF_32_BITS):
        raise Unpriceable("a slice backwards to a place that is not known before the run")
    if end > -_ENDLESS:
        space.need(-end - 1 - whole)
    if isinstance(start, int) and start >= _END_OF_32_BITS:
        space.need(start - whole)
    elif start not in (-1, whole - 1):
        raise Unpriceable("a slice backwards from a place that is not known before the run")
    return whole - 1, space.floor(whole - step - 1, -step)


def _from_front(operation: Operation, whole: Size, place: Size) -> Size:
    """Count a place from the front, when it is known on which side of zero it is."""
    space = operation.space
    if space.proven(place):
        return place
    if space.proven(-place, 1):
        space.need(whole + place)
        return whole + place
    # Neither is known. If it may not be negative, the interface can say so.
    space.need(place)
    return place


RULES: Final[dict[str, Rule]] = {"Slice": slice_}
