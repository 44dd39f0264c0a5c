# SPDX-License-Identifier: MIT
"""A tensor as far as it is known before a run, and the constants that stand in a graph.

Small tensors of integers are known by value, because shapes are computed with them.
"""

import struct
from dataclasses import dataclass
from math import prod
from typing import Final, TypeAlias

from onnx import TensorProto

from node.models.constants import raw_bytes
from node.models.facts.symbolic import Size, Unpriceable
from protocol.errors import Refused
from protocol.limits import DIMENSION_MAX, RANK_MAX
from protocol.tensors import ElementType

#: An element that is known: a size, a constant of a float type, or None: not known before the run.
Value: TypeAlias = Size | float | None

#: Shapes have at most as many elements as a tensor has dimensions; ranges of positions are longer.
VALUES_MAX: Final = 1024

# Floats are followed only from where they stand to where they scale an image.
_FLOATS_MAX: Final = 16

# How Python's `struct` reads the types that can be known by value.
_CODES: Final = {
    ElementType.INT64: "q",
    ElementType.INT32: "i",
    ElementType.INT16: "h",
    ElementType.INT8: "b",
    ElementType.UINT64: "Q",
    ElementType.UINT32: "I",
    ElementType.UINT16: "H",
    ElementType.UINT8: "B",
    ElementType.BOOL: "B",
    ElementType.FLOAT: "f",
}

#: The least and the largest number of each type that is followed by value.
RANGES: Final = {
    ElementType.BOOL: (0, 1),
    **{
        ElementType[f"{sign}INT{bits}"]: (low << (bits - 1), (1 << (bits - bool(low))) - 1)
        for bits in (8, 16, 32, 64)
        for sign, low in (("", -1), ("U", 0))
    },
}


@dataclass(frozen=True, slots=True)
class Shaped:
    """Element type, dimensions and, for a small tensor, its elements in row-major order."""

    element: ElementType
    dims: tuple[Size, ...]
    values: tuple[Value, ...] | None = None

    @property
    def rank(self) -> int:
        """How many dimensions there are."""
        return len(self.dims)


def element_type(number: int) -> ElementType:
    """Give the element type with a number of ONNX."""
    try:
        return ElementType(number)
    except ValueError:
        raise Unpriceable(f"no element type has the number {number}") from None


def checked_dims(dims: tuple[Size, ...]) -> tuple[Size, ...]:
    """Refuse a shape that no tensor can have."""
    if len(dims) > RANK_MAX:
        raise Unpriceable(f"a tensor of rank {len(dims)}, at most {RANK_MAX}")
    for dim in dims:
        if isinstance(dim, int) and not 0 <= dim <= DIMENSION_MAX:
            raise Unpriceable(f"a dimension of {dim}")
    return dims


def static(dims: tuple[Size, ...]) -> tuple[int, ...] | None:
    """Give dimensions that are all numbers; None when one is not."""
    known = tuple(dim for dim in dims if isinstance(dim, int))
    return known if len(known) == len(dims) else None


def followed(element: ElementType, dims: tuple[Size, ...]) -> tuple[int, ...] | None:
    """Give the dimensions of a tensor that is small enough to be known by value."""
    known = static(dims)
    most = _FLOATS_MAX if element is ElementType.FLOAT else VALUES_MAX
    if known is None or element not in _CODES or prod(known) > most:
        return None
    return known


def constant(tensor: TensorProto) -> Shaped:
    """Describe a tensor that stands in the graph; its bytes may be elsewhere."""
    element = element_type(tensor.data_type)
    dims = checked_dims(tuple(int(dim) for dim in tensor.dims))
    known = followed(element, dims)
    if known is None or tensor.data_location == TensorProto.EXTERNAL:
        return Shaped(element, dims)
    try:
        data = raw_bytes(tensor)
    except Refused as error:
        raise Unpriceable(error.detail) from error
    form = f"<{prod(known)}{_CODES[element]}"
    if len(data) != struct.calcsize(form):
        raise Unpriceable(f"a constant of {len(data)} bytes does not fill {list(known)}")
    return Shaped(element, dims, struct.unpack(form, data))
