# SPDX-License-Identifier: MIT
"""Operators that make tensors out of numbers: constants, ranges, fillings."""

from math import prod
from typing import Final

from node.models.facts.operation import Operation, Outputs, Rule
from node.models.facts.symbolic import Size, Unpriceable
from node.models.facts.tensors import (
    Shaped,
    Value,
    checked_dims,
    constant,
    element_type,
    followed,
)
from protocol.tensors import ElementType

# No tensor is that long: numbers up to here have not wrapped around.
_LENGTH_MAX: Final = 1 << 62


def literal(operation: Operation) -> Outputs:
    """Give a constant, in one of the ways to write it."""
    tensor = operation.tensor("value")
    if tensor is not None:
        return (constant(tensor),)
    if operation.has("value_int"):
        return (Shaped(ElementType.INT64, (), (operation.integer("value_int"),)),)
    if operation.has("value_float"):
        return (Shaped(ElementType.FLOAT, ()),)
    for name, element in (("value_ints", ElementType.INT64), ("value_floats", ElementType.FLOAT)):
        if operation.has(name):
            whole = element is ElementType.INT64
            values: tuple[Value, ...] = (operation.integers if whole else operation.floats)(
                name
            ) or ()
            known = followed(element, (len(values),))
            return (Shaped(element, (len(values),), None if known is None else values),)
    raise Unpriceable("a constant that is no tensor of numbers")


def constant_of_shape(operation: Operation) -> Outputs:
    """Fill a shape with one value."""
    dims = checked_dims(operation.sizes(0))
    tensor = operation.tensor("value")
    filled = Shaped(ElementType.FLOAT, (1,)) if tensor is None else constant(tensor)
    known = followed(filled.element, dims)
    values = None
    if known is not None and filled.values:
        values = filled.values[:1] * prod(known)
    return (Shaped(filled.element, dims, values),)


def eye_like(operation: Operation) -> Outputs:
    """Give ones on a diagonal."""
    source = operation.ranked(0, 2)
    named = operation.integer("dtype", 0)
    return (Shaped(element_type(named) if named else source.element, source.dims),)


def span(operation: Operation) -> Outputs:
    """Count from a number to another one."""
    element = operation.given().element
    if element not in {ElementType.INT64, ElementType.INT32}:
        raise Unpriceable("a range whose steps are rounded")
    start, limit, step = (operation.size(place) for place in range(3))
    if not isinstance(step, int) or step == 0:
        raise Unpriceable("a range whose step is not known before the run")
    if isinstance(start, int) and isinstance(limit, int):
        length: Size = max(-((start - limit) // step), 0)
    else:
        room = (limit - start) if step > 0 else (start - limit)
        operation.space.need(room)
        if operation.space.most(room) >= _LENGTH_MAX:
            raise Unpriceable(f"a range of {operation.space.text(room)}")
        length = operation.space.floor(room + abs(step) - 1, abs(step))
    known = followed(element, (length,))
    values = None if known is None else tuple(start + step * at for at in range(known[0]))
    return (Shaped(element, (length,), values),)


def one_hot(operation: Operation) -> Outputs:
    """Put an axis in along which one element is another one."""
    indices, values = operation.given(0), operation.given(2)
    axis = operation.axis(indices.rank + 1, -1)
    depth = operation.size(1)
    return (Shaped(values.element, (*indices.dims[:axis], depth, *indices.dims[axis:])),)


RULES: Final[dict[str, Rule]] = {
    "Constant": literal,
    "ConstantOfShape": constant_of_shape,
    "EyeLike": eye_like,
    "Range": span,
    "OneHot": one_hot,
}
