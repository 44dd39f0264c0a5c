# SPDX-License-Identifier: MIT
"""Inputs made from a seed, for models whose real inputs are not at hand.

They serve to calibrate and to measure: the same seed gives the same bytes on every machine.
Floats look like a normal distribution, whole numbers are small (most are indices of something),
and what is called a mask is all ones.
"""

import struct
from array import array
from collections.abc import Callable, Mapping, Sequence
from hashlib import shake_256
from math import prod
from statistics import NormalDist

from protocol.errors import Refused
from protocol.interface import Dims, Interface, PortShape
from protocol.limits import DIMENSION_MAX
from protocol.reasons import Reason
from protocol.tensors import ElementType, Tensor

#: How large the whole numbers get, one attempt after the other: a model may look things up with
#: them, in a table whose size nobody wrote down.
RANGES = (1000, 100, 8, 2, 1)

#: What a dimension probably is, by a part of its name, and how large it is then by itself.
_USUAL = (
    ("batch", 1),
    ("past", 16),
    ("seq", 128),
    ("length", 128),
    ("height", 224),
    ("width", 224),
    ("channel", 3),
)
_USUAL_OTHERWISE = 16
_TABLE_BITS = 12
_NORMAL = [
    NormalDist().inv_cdf((step + 0.5) / (1 << _TABLE_BITS)) for step in range(1 << _TABLE_BITS)
]
_WORDS = ("", "commons", "a", "spare machine", "Ünïcödé")


def sizes(
    symbols: Sequence[str], wanted: Mapping[str, int] | None = None, *, rows: int | None = None
) -> tuple[int, ...]:
    """Choose a size for each free symbol: what is wanted, or what its name suggests.

    `rows` is the symbol that counts items, if there is one: it is 1 by itself.
    """
    wanted = dict(wanted or {})
    chosen = tuple(
        wanted.pop(name, 1 if index == rows else _usual(name)) for index, name in enumerate(symbols)
    )
    if wanted:
        there = ", ".join(symbols) or "none at all"
        raise Refused(
            Reason.INPUT_DEVIATES,
            f"no dimension is named {next(iter(wanted))!r}; there are: {there}",
        )
    return chosen


def rows_symbol(interface: Interface) -> int | None:
    """Find the free symbol that is the first dimension of everything: the number of items."""
    ports = [*(port for port in interface.inputs if not port.optional), *interface.outputs]
    first = {port.dims[0] if port.dims else (0, 0) for port in ports}
    symbolic, value = first.pop() if len(first) == 1 else (0, 0)
    return value if symbolic and value < interface.free else None


def sample(
    interface: Interface, free: Sequence[int], seed: int, *, most: int = RANGES[0]
) -> tuple[Tensor, ...]:
    """Make one item whose free symbols have these sizes; whole numbers stay below `most`."""
    values = _with_derived(interface, free)
    return tuple(
        make_tensor(port.element, port.at(values), seed, port.name, most=most)
        for port in interface.inputs
        if not port.optional
    )


def zero_state(interface: Interface, free: Sequence[int]) -> tuple[Tensor, ...]:
    """Make the state that a session begins with: nothing has been yet."""
    values = _with_derived(interface, free)
    ports = [interface.inputs[pair[0]] for pair in interface.states]
    return tuple(_zeros(port, port.at(values)) for port in ports)


def make_tensor(element: ElementType, dims: Dims, seed: int, name: str, *, most: int) -> Tensor:
    """Make one tensor; its name is part of the seed, so that two inputs are not the same."""
    count = prod(dims)
    bits = shake_256(f"{seed} {name}".encode()).digest(2 * count)
    numbers = array("H", bits)
    if element is ElementType.STRING:
        words = [_WORDS[each % len(_WORDS)].encode() for each in numbers]
        data = b"".join(len(word).to_bytes(4, "little") + word for word in words)
    elif element in _FLOATS:
        data = _FLOATS[element]([_NORMAL[each >> 16 - _TABLE_BITS] for each in numbers])
    elif element in _WHOLE:
        most = min(most, 1 << min(element.bits - 1, 16))
        ones = "mask" in name.lower()
        data = array(_WHOLE[element], [1 if ones else each % most for each in numbers]).tobytes()
    elif element is ElementType.BOOL:
        data = bytes(each & 1 for each in numbers)
    else:
        # small floats and packed numbers: any bits are a value; few of them, and never NaN
        data = bytes(each & 0x33 for each in numbers[: (count * element.bits + 7) // 8])
        data = data.ljust((count * element.bits + 7) // 8, b"\0")
        spare = count * element.bits % 8
        if spare and data:
            data = data[:-1] + bytes([data[-1] & (1 << spare) - 1])
    return Tensor(element, dims, data)


def _usual(name: str) -> int:
    low = name.lower()
    return next((size for part, size in _USUAL if part in low), _USUAL_OTHERWISE)


def _with_derived(interface: Interface, free: Sequence[int]) -> Dims:
    """Complete the sizes; a combination that the model cannot have is refused."""
    values = [*free, *(0 for _ in interface.derived)]
    known = interface.known()
    for index, rule in enumerate(interface.derived, interface.free):
        if index in known:
            values[index] = rule.at(values)
            if not 0 <= values[index] <= DIMENSION_MAX:
                detail = f"sizes {list(free)} would give a dimension of {values[index]}"
                raise Refused(Reason.INPUT_DEVIATES, f"{detail}: choose others, as with --dim")
    return tuple(values)


def _zeros(port: PortShape, dims: Dims) -> Tensor:
    count = prod(dims)
    size_bytes = 4 * count if port.element is ElementType.STRING else None
    bits = count * port.element.bits
    return Tensor(port.element, dims, bytes((bits + 7) // 8 if size_bytes is None else size_bytes))


def _packed(code: str) -> Callable[[list[float]], bytes]:
    return lambda numbers: array(code, numbers).tobytes()


def _half(numbers: list[float]) -> bytes:
    return struct.pack(f"<{len(numbers)}e", *numbers)


def _upper_half(numbers: list[float]) -> bytes:
    """A bfloat16 is the upper half of a float32."""
    wide = array("f", numbers).tobytes()
    data = bytearray(len(wide) // 2)
    data[0::2], data[1::2] = wide[2::4], wide[3::4]
    return bytes(data)


def _pairs(code: str) -> Callable[[list[float]], bytes]:
    return lambda numbers: array(
        code, [each for number in numbers for each in (number, 0)]
    ).tobytes()


_FLOATS: dict[ElementType, Callable[[list[float]], bytes]] = {
    ElementType.FLOAT: _packed("f"),
    ElementType.DOUBLE: _packed("d"),
    ElementType.FLOAT16: _half,
    ElementType.BFLOAT16: _upper_half,
    ElementType.COMPLEX64: _pairs("f"),
    ElementType.COMPLEX128: _pairs("d"),
}
_WHOLE = {
    ElementType.UINT8: "B",
    ElementType.INT8: "b",
    ElementType.UINT16: "H",
    ElementType.INT16: "h",
    ElementType.INT32: "i",
    ElementType.INT64: "q",
    ElementType.UINT32: "I",
    ElementType.UINT64: "Q",
}
