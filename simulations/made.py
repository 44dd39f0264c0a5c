# SPDX-License-Identifier: MIT
"""Outputs made of hashes: what a simulated model gives for an input. Time and faults are elsewhere.

The bytes of an output are SHAKE-256 over the model, its adapter and the inputs, so two honest
machines agree without computing anything. They are then given the looks of real ones: floats
are finite, of both signs and between 2^-4 and 2 in size, integers are small, bools are 0 or 1.
All of that is done to a whole tensor at once, as one large integer.

Where the first axis of everything is the batch, each row is made of its own row of the inputs,
so neighbours change nothing. Elsewhere an output is made of all inputs together: a sequence
that is fed in two pieces gives other outputs than one that is fed whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256, shake_256
from math import frexp, prod

from node.executor.executor import Item
from node.executor.joining import is_batchable
from protocol.interface import Dims, Interface
from protocol.tensors import ElementType, Tensor, flat

#: Tokens and other whole numbers are below this, where their type allows it.
INTEGERS_BELOW = 1024

# Bits of the exponent and of the mantissa.
_FLOATS = {
    ElementType.FLOAT: (8, 23),
    ElementType.DOUBLE: (11, 52),
    ElementType.FLOAT16: (5, 10),
    ElementType.BFLOAT16: (8, 7),
    ElementType.COMPLEX64: (8, 23),
    ElementType.COMPLEX128: (11, 52),
    ElementType.FLOAT8E4M3FN: (4, 3),
    ElementType.FLOAT8E4M3FNUZ: (4, 3),
    ElementType.FLOAT8E5M2: (5, 2),
    ElementType.FLOAT8E5M2FNUZ: (5, 2),
    ElementType.FLOAT8E8M0: (8, 0),
}
_COMPLEX = {ElementType.COMPLEX64, ElementType.COMPLEX128}
# Every pattern of bits is a number here.
_SMALL = {each for each in ElementType if 0 < each.bits < 8}

_Part = tuple[ElementType, Dims, memoryview]


@dataclass(frozen=True, slots=True)
class Noise:
    """How the last bits of one kind of machine differ from the truth.

    Floats are off by less than `relative` of their size; machines of one `kind` all alike.
    """

    kind: str = ""
    relative: float = 0.0


def make_outputs(
    identity: bytes, interface: Interface, inputs: Item, values: Sequence[int], noise: Noise
) -> Item:
    """Give the outputs of one call. `identity` is whatever they depend on beside the inputs."""
    shapes = interface.output_shape(values)
    places = [(place, port.element) for place, port in enumerate(interface.outputs)]
    if not is_batchable(interface):
        seed = _seed(identity, [(each.element, each.dims, flat(each.data)) for each in inputs])
        return tuple(
            Tensor(element, dims, _piece(seed, place, element, prod(dims), noise))
            for (place, element), dims in zip(places, shapes, strict=True)
        )
    seeds = [_seed(identity, row) for row in _rows(inputs)]
    return tuple(
        Tensor(
            element,
            dims,
            b"".join(_piece(seed, place, element, prod(dims[1:]), noise) for seed in seeds),
        )
        for (place, element), dims in zip(places, shapes, strict=True)
    )


def remade(tensor: Tensor, rows: Sequence[int] | None = None) -> Tensor:
    """Put other values in the place of some rows, or of all: as good to look at, and wrong."""
    count = tensor.dims[0] if tensor.dims else 1
    size = len(tensor.data) // count if count else 0
    if rows is None or tensor.element is ElementType.STRING or size * count < len(tensor.data):
        seed = sha256(flat(tensor.data)).digest()
        elements = tensor.header.elements
        return Tensor(tensor.element, tensor.dims, _piece(seed, 0, tensor.element, elements))
    data = bytearray(tensor.data)
    for row in rows:
        old = data[row * size : (row + 1) * size]
        seed = sha256(old).digest()
        elements = prod(tensor.dims[1:])
        data[row * size : (row + 1) * size] = _piece(seed, 0, tensor.element, elements)
    return Tensor(tensor.element, tensor.dims, bytes(data))


def _rows(inputs: Item) -> list[list[_Part]]:
    """Cut the inputs into rows. The shapes have been held against the interface already."""
    cut = [(each, flat(each.data), len(each.data) // (each.dims[0] or 1)) for each in inputs]
    return [
        [(each.element, each.dims[1:], view[row * size :][:size]) for each, view, size in cut]
        for row in range(inputs[0].dims[0])
    ]


def _seed(identity: bytes, parts: Sequence[_Part]) -> bytes:
    """Hash what goes in: each part with its form, so that no two items are written alike."""
    hasher = sha256(identity)
    for element, dims, data in parts:
        hasher.update(f";{int(element)}:{dims}:{len(data)}:".encode())
        hasher.update(data)
    return hasher.digest()


def _piece(
    seed: bytes, place: int, element: ElementType, elements: int, noise: Noise | None = None
) -> bytes:
    """Make so many elements of the output at `place`."""
    seed += place.to_bytes(2, "little")
    if element is ElementType.STRING:
        words = [seed + index.to_bytes(4, "little") for index in range(elements)]
        return b"".join(b"\x06\0\0\0" + sha256(word).hexdigest()[:6].encode() for word in words)
    size_bytes = (elements * element.bits + 7) // 8
    drawn = int.from_bytes(shake_256(seed).digest(size_bytes), "little")
    keep, fixed, bits = _mask(element)
    count = elements * (element.bits // bits)
    made = drawn & _repeated(keep, bits, count) | _repeated(fixed, bits, count)
    if noise and noise.relative and element in _FLOATS:
        off = (1 << _noise_bits(noise.relative, _FLOATS[element][1])) - 1
        other = shake_256(seed + noise.kind.encode()).digest(size_bytes)
        made ^= int.from_bytes(other, "little") & _repeated(off, bits, count)
    return made.to_bytes(size_bytes, "little")


def _mask(element: ElementType) -> tuple[int, int, int]:
    """Say which bits of a number stay as they were drawn, which are one, and how many it has."""
    bits = element.bits // 2 if element in _COMPLEX else element.bits
    every = (1 << bits) - 1
    if element in _FLOATS:
        exponent, mantissa = _FLOATS[element]
        # The exponent is 0 1 .. 1 and two drawn bits: just below the one of the number 2.
        width, at = exponent - 2, mantissa + 2
        return every & ~(((1 << width) - 1) << at), ((1 << (width - 1)) - 1) << at, bits
    if element is ElementType.BOOL:
        return 1, 0, bits
    if element in _SMALL:
        return every, 0, bits
    return min(every >> 1, INTEGERS_BELOW - 1), 0, bits


def _repeated(pattern: int, bits: int, count: int) -> int:
    """Write a pattern so many times, one after the other."""
    if bits >= 8:
        return int.from_bytes(pattern.to_bytes(bits // 8, "little") * count, "little")
    return (pattern * ((1 << bits * count) - 1)) // ((1 << bits) - 1)


def _noise_bits(relative: float, mantissa: int) -> int:
    """Say how many of the last bits of a mantissa may be anything."""
    return max(0, min(frexp(relative)[1] - 1 + mantissa, mantissa))
