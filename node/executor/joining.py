# SPDX-License-Identifier: MIT
"""Items joined into one and taken apart again, row by row. When that is done is in `batches`.

It is possible where the first axis of everything is one symbol that occurs nowhere else. Whether
rows then keep their bits is found out by calibration, and the manifest says so.
"""

from collections.abc import Sequence
from math import prod

from node.executor.executor import Item
from protocol.interface import Interface
from protocol.tensors import ElementType, Tensor

#: More rows than this gain nothing; a call that has as many goes by itself.
ROWS_MAX = 64

#: Joining copies: what is larger costs more to copy than it gains.
JOINED_BYTES_MAX = 8 << 20


def is_batchable(interface: Interface) -> bool:
    """Tell whether the first axis of all that goes in and comes out is one free symbol.

    It may occur nowhere else, and rows must end where bytes do.
    """
    items = [port for port in interface.inputs if not port.optional]
    ports = [*items, *interface.outputs]
    first = {port.dims[0] if port.dims else (0, 0) for port in ports}
    if not items or interface.states or len(first) > 1:
        return False
    symbolic, axis = first.pop()
    elsewhere = {value for port in ports for is_symbol, value in port.dims[1:] if is_symbol}
    for port in interface.inputs:
        if port.optional:
            elsewhere |= port.symbols()
    for rule in interface.derived:
        elsewhere |= {rule.first, rule.second} if rule.second_times else {rule.first}
    whole = all(port.element.bits and port.element.bits % 8 == 0 for port in ports)
    return bool(symbolic) and axis < interface.free and axis not in elsewhere and whole


def join(items: Sequence[Item]) -> Item:
    """Put the rows of several items one after the other: their bytes are, too."""
    if len(items) == 1:
        return items[0]
    return tuple(
        Tensor(
            parts[0].element,
            (sum(part.dims[0] for part in parts), *parts[0].dims[1:]),
            b"".join(part.data for part in parts),
        )
        for parts in zip(*items, strict=True)
    )


def split(tensors: Item, rows: Sequence[int]) -> list[Item]:
    """Take the rows of each item out again."""
    if len(rows) == 1:
        return [tensors]
    parts: list[list[Tensor]] = [[] for _ in rows]
    for tensor in tensors:
        row_bytes = prod(tensor.dims[1:]) * tensor.element.bits // 8
        at = 0
        for part, count in zip(parts, rows, strict=True):
            end = at + count * row_bytes
            data = bytes(memoryview(tensor.data)[at:end])
            part.append(Tensor(tensor.element, (count, *tensor.dims[1:]), data))
            at = end
    return [tuple(part) for part in parts]


def can_join(inputs: Sequence[Tensor]) -> bool:
    """Leave alone what is large enough by itself, and what is not rows of the same number."""
    counts = {each.dims[0] if each.dims else 0 for each in inputs}
    strings = any(each.element is ElementType.STRING for each in inputs)
    count = next(iter(counts), 0)
    return len(counts) == 1 and not strings and 0 < count < ROWS_MAX
