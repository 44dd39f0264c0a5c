# SPDX-License-Identifier: MIT
"""Operators about shapes themselves: asking for one, and changing one.

What they do to the elements of small tensors is followed, because exporters write the shapes
of tensors as chains of these.
"""

from math import prod
from typing import Final

from node.models.facts.elementwise import broadcast_dims
from node.models.facts.operation import Operation, Outputs, Rule, place_of, places_of
from node.models.facts.symbolic import Size, Unpriceable, exact_quotient, product
from node.models.facts.tensors import (
    Shaped,
    checked_dims,
    followed,
)
from node.models.facts.values import Place, arranged
from protocol.limits import RANK_MAX
from protocol.tensors import ElementType

Dims = tuple[Size, ...]


def shape(operation: Operation) -> Outputs:
    """Give the dimensions, or some of them."""
    dims = operation.given().dims
    rank = len(dims)
    start, end = operation.integer("start", 0), operation.integer("end", rank)
    asked = dims[slice(*(min(max(at + rank if at < 0 else at, 0), rank) for at in (start, end)))]
    return (Shaped(ElementType.INT64, (len(asked),), asked),)


def size(operation: Operation) -> Outputs:
    """Give the number of elements."""
    return (Shaped(ElementType.INT64, (), (product(operation.given().dims),)),)


def identity(operation: Operation) -> Outputs:
    """Give the same."""
    return (operation.given(),)


def reshape(operation: Operation) -> Outputs:
    """Give the same elements another shape; 0 keeps a dimension, -1 takes what is left."""
    source = operation.given()
    if operation.has("shape"):
        asked: Dims = operation.integers("shape") or ()
    else:
        asked = operation.sizes(1)
    if len(asked) > RANK_MAX:
        raise Unpriceable(f"a shape of {len(asked)} dimensions")
    keeps_zero = operation.flag("allowzero")
    dims: list[Size] = []
    for place, wanted in enumerate(asked):
        if isinstance(wanted, int):
            if wanted == 0 and not keeps_zero:
                if place >= source.rank:
                    raise Unpriceable(f"dimension {place} is kept, of {source.rank}")
                dims.append(source.dims[place])
            elif wanted < -1:
                raise Unpriceable(f"a dimension of {wanted}")
            else:
                dims.append(wanted)
            continue
        # If it could be 0 or -1 in the run, it would mean something else there.
        if place >= source.rank or source.dims[place] != wanted:
            operation.space.need_factors(wanted)
        dims.append(wanted)
    if -1 in dims:
        dims[dims.index(-1)] = _left_over(operation, source.dims, dims)
    return (arranged_as(source, tuple(dims)),)


def _left_over(operation: Operation, source: Dims, dims: list[Size]) -> Size:
    """Give the dimension that makes the number of elements the same."""
    others = [dim for dim in dims if dim != -1]
    if len(others) != len(dims) - 1:
        raise Unpriceable("two dimensions are left over")
    total = list(source)
    for dim in tuple(others):  # what stands on both sides need not be multiplied out
        if dim in total and not isinstance(dim, int):
            total.remove(dim)
            others.remove(dim)
    elements, known = product(total), product(others)
    if isinstance(known, int):
        if known < 1:
            raise Unpriceable("the rest of an empty shape")
        return operation.space.floor(elements, known)
    quotient = exact_quotient(elements, known)
    if quotient is None:
        text = operation.space.text
        raise Unpriceable(f"{text(elements)} elements divided by {text(known)}")
    return quotient


def arranged_as(source: Shaped, dims: Dims) -> Shaped:
    """Give the same elements in another shape."""
    known = followed(source.element, dims)
    fits = known is not None and source.values is not None and prod(known) == len(source.values)
    return Shaped(source.element, dims, source.values if fits else None)


def flatten(operation: Operation) -> Outputs:
    """Make a matrix of anything."""
    source = operation.given()
    axis = operation.integer("axis", 1)
    place = axis if axis == source.rank else place_of(axis, source.rank)
    dims = (product(source.dims[:place]), product(source.dims[place:]))
    return (arranged_as(source, dims),)


def squeeze(operation: Operation) -> Outputs:
    """Drop axes of size 1."""
    source = operation.given()
    axes = operation.axes(source.rank, 1)
    if not axes:
        if any(not isinstance(dim, int) for dim in source.dims):
            raise Unpriceable("which axes have size 1 is not known before the run")
        axes = tuple(place for place, dim in enumerate(source.dims) if dim == 1)
    for axis in axes:
        operation.space.same(source.dims[axis], 1)
    dims = tuple(dim for place, dim in enumerate(source.dims) if place not in axes)
    return (arranged_as(source, dims),)


def unsqueeze(operation: Operation) -> Outputs:
    """Put in axes of size 1."""
    source = operation.given()
    listed = operation.integers("axes") or operation.numbers(1)
    rank = source.rank + len(listed)
    if rank > RANK_MAX:
        raise Unpriceable(f"a tensor of rank {rank}")
    axes = places_of(listed, rank)
    left = iter(source.dims)
    dims = tuple(1 if place in axes else next(left) for place in range(rank))
    return (arranged_as(source, dims),)


def transpose(operation: Operation) -> Outputs:
    """Change the order of the axes."""
    source = operation.given()
    listed = operation.integers("perm")
    order = tuple(reversed(range(source.rank))) if listed is None else listed
    if sorted(order) != list(range(source.rank)):
        raise Unpriceable(f"{list(order[:16])} is no order of {source.rank} axes")
    back = [order.index(place) for place in range(source.rank)]
    dims = tuple(source.dims[place] for place in order)
    return (arranged(source, dims, lambda place: tuple(place[each] for each in back)),)


def expand(operation: Operation) -> Outputs:
    """Repeat along axes of size 1."""
    source = operation.given()
    asked = checked_dims(operation.sizes(1))
    for wanted in asked:
        operation.space.need(wanted)
    dims = broadcast_dims(operation, (source.dims, asked))
    ahead = len(dims) - source.rank

    def where(place: Place) -> Place:
        pairs = zip(place[ahead:], source.dims, strict=True)
        return tuple(0 if dim == 1 else each for each, dim in pairs)

    return (arranged(source, dims, where),)


def tile(operation: Operation) -> Outputs:
    """Repeat the whole, so many times along each axis."""
    source = operation.given()
    repeats = operation.sizes(1)
    if len(repeats) != source.rank:
        raise Unpriceable(f"{len(repeats)} repeats for {source.rank} axes")
    for each in repeats:
        operation.space.need(each)
    dims = tuple(dim * times for dim, times in zip(source.dims, repeats, strict=True))

    def where(place: Place) -> Place:
        pairs = zip(place, source.dims, strict=True)
        return tuple(each % dim for each, dim in pairs if isinstance(dim, int))

    return (arranged(source, dims, where),)


RULES: Final[dict[str, Rule]] = {
    "Shape": shape,
    "Size": size,
    "Identity": identity,
    "Reshape": reshape,
    "Flatten": flatten,
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
    "Transpose": transpose,
    "Expand": expand,
    "Tile": tile,
}
