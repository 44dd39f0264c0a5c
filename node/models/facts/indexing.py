# SPDX-License-Identifier: MIT
"""Operators that take parts of tensors, or put parts together."""

from typing import Final

from node.models.facts.operation import Operation, Outputs, Rule, place_of
from node.models.facts.symbolic import Size, Unpriceable
from node.models.facts.tensors import Shaped, Value, checked_dims, followed
from node.models.facts.values import Place, arranged, flat, places
from protocol.tensors import ElementType

Dims = tuple[Size, ...]


def gather(operation: Operation) -> Outputs:
    """Take rows along an axis."""
    source, indices = operation.given(0), operation.given(1)
    axis = operation.axis(source.rank, 0)
    dims = (*source.dims[:axis], *indices.dims, *source.dims[axis + 1 :])
    plain = Shaped(source.element, dims)
    known, inner = followed(source.element, dims), followed(source.element, source.dims)
    wanted = followed(indices.element, indices.dims)
    if known is None or inner is None or wanted is None:
        return (plain,)
    if source.values is None or indices.values is None:
        return (plain,)
    values: list[Value] = []
    for place in places(known):
        index = indices.values[flat(place[axis : axis + len(wanted)], wanted)]
        if not isinstance(index, int):
            return (plain,)
        at = place_of(index, inner[axis])
        behind = place[axis + len(wanted) :]
        values.append(source.values[flat((*place[:axis], at, *behind), inner)])
    return (Shaped(source.element, dims, tuple(values)),)


def gather_elements(operation: Operation) -> Outputs:
    """Take single elements: as many as there are indices."""
    return (Shaped(operation.given(0).element, operation.given(1).dims),)


def gather_nd(operation: Operation) -> Outputs:
    """Take what places of several coordinates name."""
    source, indices = operation.given(0), operation.given(1)
    batch = operation.integer("batch_dims", 0)
    if not indices.rank or not 0 <= batch < min(source.rank, indices.rank):
        raise Unpriceable(f"{batch} axes of a batch of rank {source.rank}")
    depth = indices.dims[-1]
    if not isinstance(depth, int) or not 1 <= depth <= source.rank - batch:
        raise Unpriceable(f"places of {operation.space.text(depth)} coordinates")
    shared = zip(source.dims[:batch], indices.dims[:batch], strict=True)
    ahead = tuple(operation.space.same(*pair) for pair in shared)
    dims = (*ahead, *indices.dims[batch:-1], *source.dims[batch + depth :])
    return (Shaped(source.element, dims),)


def concat(operation: Operation) -> Outputs:
    """Put tensors one after another along an axis."""
    parts = [operation.given(place) for place in range(len(operation.inputs))]
    if not parts or any(part.rank != parts[0].rank for part in parts):
        raise Unpriceable("parts of different ranks")
    axis = operation.axis(parts[0].rank)
    dims = list(parts[0].dims)
    dims[axis] = 0
    unsure = False
    for part in parts:
        for place, dim in enumerate(part.dims):
            if place == axis:
                dims[axis] = dims[axis] + dim
            elif dims[place] != dim:
                unsure = unsure or operation.space.may_differ(dims[place], dim)
                dims[place] = operation.space.same(dims[place], dim)
    if unsure:
        _need_elements(operation, parts)
    element = parts[0].element
    if any(part.values is None for part in parts) or followed(element, tuple(dims)) is None:
        return (Shaped(element, tuple(dims)),)
    lookup: list[tuple[Shaped, int]] = []
    for part in parts:
        length = part.dims[axis]
        assert isinstance(length, int)
        lookup += [(part, at) for at in range(length)]
    return (_joined(element, tuple(dims), axis, lookup),)


def _need_elements(operation: Operation, parts: list[Shaped]) -> None:
    """Have something in each part: of an empty one no kernel looks whether it fits."""
    for part in parts:
        for dim in part.dims:
            operation.space.need_factors(dim)


def _joined(
    element: ElementType, dims: Dims, axis: int, lookup: list[tuple[Shaped, int]]
) -> Shaped:
    known = followed(element, dims)
    assert known is not None
    values = []
    for place in places(known):
        part, at = lookup[place[axis]]
        inner = followed(element, part.dims)
        assert inner is not None
        assert part.values is not None
        values.append(part.values[flat((*place[:axis], at, *place[axis + 1 :]), inner)])
    return Shaped(element, dims, tuple(values))


def split(operation: Operation) -> Outputs:
    """Take a tensor apart along an axis, into equal parts or as told."""
    source = operation.given()
    axis = operation.axis(source.rank, 0)
    whole = source.dims[axis]
    sizes: tuple[Size, ...] | None = operation.integers("split")
    if sizes is None and operation.maybe(1) is not None:
        sizes = operation.sizes(1)
    count = operation.outputs
    if sizes is None:
        if operation.integer("num_outputs", count) != count or not count:
            raise Unpriceable("another number of parts than of outputs")
        sizes = _equal_parts(operation, whole, count)
    if len(sizes) != count:
        raise Unpriceable(f"{len(sizes)} parts for {count} outputs")
    outputs = []
    start: Size = 0
    for part in checked_dims_of(sizes):
        outputs.append(_part(source, axis, start, part))
        start = start + part
    operation.space.same(start, whole)
    return outputs


def _equal_parts(operation: Operation, whole: Size, count: int) -> tuple[Size, ...]:
    """Only from opset 18 on the last part may be smaller."""
    space = operation.space
    if operation.opset < 18:
        return (space.floor(whole, count),) * count
    each = space.floor(whole + count - 1, count)
    last = whole - each * (count - 1)
    space.need(last)
    return (*((each,) * (count - 1)), last)


def checked_dims_of(sizes: tuple[Size, ...]) -> tuple[Size, ...]:
    """Refuse parts that no tensor can have; there may be more of them than dimensions."""
    for part in sizes:
        checked_dims((part,))
    return sizes


def _part(source: Shaped, axis: int, start: Size, length: Size) -> Shaped:
    dims = (*source.dims[:axis], length, *source.dims[axis + 1 :])
    known = source.dims[axis]
    if not isinstance(start, int) or not isinstance(length, int) or not isinstance(known, int):
        return Shaped(source.element, dims)
    if start + length > known:
        raise Unpriceable(f"a part that ends at {start + length}, of {known}")

    def where(place: Place) -> Place:
        return (*place[:axis], place[axis] + start, *place[axis + 1 :])

    return arranged(source, dims, where)


def top_k(operation: Operation) -> Outputs:
    """Give the largest elements along an axis, and where they were."""
    source = operation.given()
    axis = operation.axis(source.rank, -1)
    count: Size = operation.integer("k") if operation.has("k") else operation.size(1)
    dims = (*source.dims[:axis], count, *source.dims[axis + 1 :])
    return Shaped(source.element, dims), Shaped(ElementType.INT64, dims)


RULES: Final[dict[str, Rule]] = {
    "Gather": gather,
    "GatherElements": gather_elements,
    "GatherND": gather_nd,
    "Concat": concat,
    "Split": split,
    "TopK": top_k,
}
