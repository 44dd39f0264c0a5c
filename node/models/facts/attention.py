# SPDX-License-Identifier: MIT
"""Attention as one operator, in ONNX's form and in the grouped form of ONNX Runtime."""

from dataclasses import dataclass
from typing import Final

from node.models.facts.operation import STEP_MAX, Operation, Outputs, Rule
from node.models.facts.symbolic import Size, Unpriceable
from node.models.facts.tensors import Shaped


@dataclass(frozen=True, slots=True)
class Heads:
    """What goes into an attention: `keys` counts those of a cache too."""

    batch: Size
    heads: Size
    groups: Size
    queries: Size
    keys: Size
    width: Size
    value_width: Size
    flat: bool


def heads_of(operation: Operation) -> Heads:
    """Read the shapes of an Attention: [batch, heads, length, width], or heads and width as one."""
    space = operation.space
    rank = operation.given().rank
    batch, heads, queries, width = _split(operation.ranked(0, rank), operation, "q_num_heads")
    keyed = _split(operation.ranked(1, rank), operation, "kv_num_heads")
    valued = _split(operation.ranked(2, rank), operation, "kv_num_heads")
    space.equal(keyed[3], width)
    for one, other in zip(keyed[:3], valued[:3], strict=True):
        space.equal(one, other)
    batch, keys = space.equal(batch, keyed[0]), keyed[2]
    if operation.maybe(4) is not None:
        keys = _cached(operation, 4) + keys
    return Heads(batch, heads, keyed[1], queries, keys, width, valued[3], rank == 3)


def _split(tensor: Shaped, operation: Operation, name: str) -> tuple[Size, Size, Size, Size]:
    """Give batch, heads, length and width of an operand."""
    if tensor.rank == 3:
        heads = _head_count(operation, name)
        batch, length, widths = tensor.dims
        return batch, heads, length, operation.space.floor(widths, heads)
    if tensor.rank != 4:
        raise Unpriceable(f"heads in a tensor of rank {tensor.rank}")
    batch, many, length, width = tensor.dims
    return batch, many, length, width


def _cached(operation: Operation, place: int) -> Size:
    """Give the length of a cache, which is one of keys and one of values."""
    keys, values = operation.ranked(place, 4), operation.ranked(place + 1, 4)
    for one, other in zip(keys.dims[:3], values.dims[:3], strict=True):
        operation.space.equal(one, other)
    return keys.dims[2]


def _head_count(operation: Operation, name: str) -> int:
    heads = operation.integer(name)
    if not 0 < heads < STEP_MAX:
        raise Unpriceable(f"{name} is {heads}")
    return heads


def attention(operation: Operation) -> Outputs:
    """Give the result, the caches with what was added, and the scores."""
    found = heads_of(operation)
    element = operation.given().element
    result: tuple[Size, ...] = (found.batch, found.heads, found.queries, found.value_width)
    if found.flat:
        result = (found.batch, found.queries, found.heads * found.value_width)
    key_cache = (found.batch, found.groups, found.keys, found.width)
    value_cache = (found.batch, found.groups, found.keys, found.value_width)
    scores = (found.batch, found.heads, found.queries, found.keys)
    if (operation.wants(1) or operation.wants(2)) and operation.maybe(4) is None:
        raise Unpriceable("a cache comes out that did not go in")
    return (
        Shaped(element, result),
        Shaped(operation.given(1).element, key_cache),
        Shaped(operation.given(2).element, value_cache),
        Shaped(element, scores),
    )


def grouped_heads_of(operation: Operation) -> Heads:
    """Read the shapes of a GroupQueryAttention, whose query may hold key and value as well."""
    space = operation.space
    query = operation.ranked(0, 3)
    heads, groups = (_head_count(operation, name) for name in ("num_heads", "kv_num_heads"))
    packed = operation.maybe(1) is None
    width = space.floor(query.dims[2], heads + 2 * groups if packed else heads)
    total = operation.size(6)
    keys: Size = query.dims[1]
    if operation.maybe(3) is not None:
        keys = _cached(operation, 3) + keys
    # The cache that comes out is as long as that number says, if it is not less.
    space.equal(keys, total)
    return Heads(query.dims[0], heads, groups, query.dims[1], keys, width, width, flat=True)


def grouped_attention(operation: Operation) -> Outputs:
    """Give the result and the caches with what was added."""
    found = grouped_heads_of(operation)
    element = operation.given().element
    cache = operation.maybe(3)
    kept = Shaped(
        element if cache is None else cache.element,
        (found.batch, found.groups, found.keys, found.width),
    )
    result = (found.batch, found.queries, found.heads * found.width)
    return (Shaped(element, result), kept, kept)


RULES: Final[dict[str, Rule]] = {
    "Attention": attention,
    "com.microsoft:GroupQueryAttention": grouped_attention,
}
