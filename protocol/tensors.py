# SPDX-License-Identifier: MIT
"""The canonical bytes of tensors and items, and their digests. How they travel is in `frames`.

A tensor is a header and its data. The header is one byte of element type (ONNX's own
number), one byte of rank, each dimension and then the size of the data as unsigned 64-bit
integers; the data are its elements in row-major order. All of it is little endian, because
that is how machines hold tensors: nothing is turned around on the way. A reader knows from
the header alone where the tensor ends, so no two tensors have the same bytes.

An **item** is what one call takes or gives: a tuple of tensors, in the order of the model's
interface.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256
from math import prod

from protocol.canon import domain_tag, tagged_hash
from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.limits import (
    PORTS_MAX,
    RANK_MAX,
    STRING_BYTES_MAX,
    STRINGS_PER_TENSOR_MAX,
    TENSOR_BYTES_MAX,
)
from protocol.reasons import Reason

Buffer = bytes | bytearray | memoryview

# Enough to be fast, little enough that looking at a large tensor takes no second copy of it.
_LOOK_BYTES = 1 << 16


class ElementType(IntEnum):
    """ONNX's number of an element type."""

    FLOAT = 1
    UINT8 = 2
    INT8 = 3
    UINT16 = 4
    INT16 = 5
    INT32 = 6
    INT64 = 7
    STRING = 8
    BOOL = 9
    FLOAT16 = 10
    DOUBLE = 11
    UINT32 = 12
    UINT64 = 13
    COMPLEX64 = 14
    COMPLEX128 = 15
    BFLOAT16 = 16
    FLOAT8E4M3FN = 17
    FLOAT8E4M3FNUZ = 18
    FLOAT8E5M2 = 19
    FLOAT8E5M2FNUZ = 20
    UINT4 = 21
    INT4 = 22
    FLOAT4E2M1 = 23
    FLOAT8E8M0 = 24
    UINT2 = 25
    INT2 = 26
    FLOAT6E2M3 = 27
    FLOAT6E3M2 = 28

    @property
    def bits(self) -> int:
        """What one element takes; 0 for strings, each of which says its own length."""
        return _BITS[self]


# Below eight bits elements are packed without gaps, the first in the lowest bits. A bool is a
# byte of 0 or 1; a complex number is its real part, then its imaginary part; a string is its
# length in four bytes, then its bytes.
_BITS = {
    ElementType[name]: bits
    for bits, names in {
        0: "STRING",
        2: "UINT2 INT2",
        4: "UINT4 INT4 FLOAT4E2M1",
        6: "FLOAT6E2M3 FLOAT6E3M2",
        8: "BOOL UINT8 INT8 FLOAT8E4M3FN FLOAT8E4M3FNUZ FLOAT8E5M2 FLOAT8E5M2FNUZ FLOAT8E8M0",
        16: "UINT16 INT16 FLOAT16 BFLOAT16",
        32: "UINT32 INT32 FLOAT",
        64: "UINT64 INT64 DOUBLE COMPLEX64",
        128: "COMPLEX128",
    }.items()
    for name in names.split()
}


@dataclass(frozen=True, slots=True)
class TensorHeader:
    """What is known of a tensor before its first byte of data."""

    element: ElementType
    dims: tuple[int, ...]
    size_bytes: int

    @property
    def elements(self) -> int:
        """How many elements the dimensions hold; one when there are no dimensions."""
        return prod(self.dims)

    def broken_rule(self) -> str:
        """Rank and size are capped, and the size is what type and dimensions say."""
        if len(self.dims) > RANK_MAX:
            return f"rank {len(self.dims)}, at most {RANK_MAX}"
        if any(dim < 0 for dim in self.dims):
            return f"a negative dimension in {self.dims}"
        # Zeros left out: readers compute strides, and those must not overflow in an empty tensor.
        span = prod(dim or 1 for dim in self.dims)
        if self.element is ElementType.STRING:
            least, most = 4 * self.elements, (4 + STRING_BYTES_MAX) * self.elements
            if span > STRINGS_PER_TENSOR_MAX:
                return f"{span} strings, at most {STRINGS_PER_TENSOR_MAX}"
        else:
            least = most = _bytes_of(self.element, self.elements)
        if max(_bytes_of(self.element, span), self.size_bytes) > TENSOR_BYTES_MAX:
            return f"dimensions {self.dims} span more than {TENSOR_BYTES_MAX} bytes"
        if not least <= self.size_bytes <= most:
            return f"{self.size_bytes} bytes do not hold {self.elements} of {self.element.name}"
        return ""


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor at rest. `data` may be a view of memory that belongs to somebody else."""

    element: ElementType
    dims: tuple[int, ...]
    data: Buffer

    @property
    def header(self) -> TensorHeader:
        """What goes before the data."""
        return TensorHeader(self.element, self.dims, len(flat(self.data)))

    def broken_rule(self) -> str:
        """The data are what the header says, bit by bit."""
        header = self.header
        return header.broken_rule() or _Look(header).look(flat(self.data))


class TensorHasher:
    """The digest of a tensor that arrives in pieces; a piece that breaks a rule is the peer's."""

    __slots__ = ("_hash", "_look")

    def __init__(self, header: TensorHeader) -> None:
        """Begin with the header, which must hold already."""
        self._hash = sha256(domain_tag("tensor") + encode_header(header))
        self._look = _Look(header)

    def update(self, piece: Buffer) -> None:
        """Take the next piece, of any length."""
        view = flat(piece)
        if broken := self._look.look(view):
            raise RemoteProtocolError(Reason.MALFORMED, f"a tensor: {broken}")
        self._hash.update(view)

    def digest(self) -> bytes:
        """Give the digest when every byte was there."""
        if self._look.left:
            raise LocalProtocolError(f"{self._look.left} bytes of the tensor are still to come")
        return self._hash.digest()


class _Look:
    """Looks at the data of one tensor as they come, in pieces cut anywhere."""

    __slots__ = ("_inside", "_length", "_strings", "_tail_bits", "_type", "left")

    def __init__(self, header: TensorHeader) -> None:
        self.left = header.size_bytes
        self._type = header.element
        self._tail_bits = header.elements * header.element.bits % 8
        self._strings = header.elements  # strings that have not begun
        self._inside = 0  # bytes that the current string still has
        self._length = b""  # what is there of the length of the next one

    def look(self, view: memoryview) -> str:
        """Name the first rule that the data break up to here, empty when there is none."""
        if len(view) > self.left:
            return f"{len(view) - self.left} bytes too many"
        self.left -= len(view)
        if self._type is ElementType.STRING:
            return self._look_at_strings(view)
        if self._type is ElementType.BOOL:
            for start in range(0, len(view), _LOOK_BYTES):
                if bytes(view[start : start + _LOOK_BYTES]).translate(None, b"\0\1"):
                    return "a bool is 0 or 1"
        elif self._tail_bits and view and not self.left and view[-1] >> self._tail_bits:
            return "the unused bits of the last byte are not zero"
        return ""

    def _look_at_strings(self, view: memoryview) -> str:
        at = 0
        while at < len(view):
            if self._inside:
                step = min(self._inside, len(view) - at)
                self._inside -= step
            else:
                step = min(4 - len(self._length), len(view) - at)
                self._length += view[at : at + step]
                if len(self._length) == 4:
                    self._inside = int.from_bytes(self._length, "little")
                    self._length = b""
                    self._strings -= 1
                    if self._inside > STRING_BYTES_MAX:
                        return f"a string of {self._inside} bytes, at most {STRING_BYTES_MAX}"
            at += step
        # Below zero there was one string too many, and it stays that way.
        unfinished = self._strings or self._inside or self._length
        return "the strings do not end with the data" if unfinished and not self.left else ""


def flat(data: Buffer) -> memoryview:
    """View data as a row of bytes; a view of anything else is a mistake of ours."""
    view = memoryview(data)
    if type(data) is bytes:  # the usual case, and this stands on the path of every piece
        return view
    if view.format != "B" or view.ndim != 1 or not view.c_contiguous:
        raise LocalProtocolError(f"expected plain bytes, got a view of {view.format!r}")
    return view


def encode_header(header: TensorHeader) -> bytes:
    """Write a header; one that breaks a rule is our own mistake."""
    if broken := header.broken_rule():
        raise LocalProtocolError(f"a tensor: {broken}")
    rank = len(header.dims)
    return struct.pack(f"<BB{rank + 1}Q", header.element, rank, *header.dims, header.size_bytes)


def parse_header(data: Buffer) -> TensorHeader:
    """Read a header that fills `data`; RemoteProtocolError says what is wrong with it."""
    if len(data) < 2 or len(data) != 10 + 8 * data[1]:
        raise RemoteProtocolError(Reason.MALFORMED, f"a tensor header of {len(data)} bytes")
    number, rank, *numbers = struct.unpack(f"<BB{data[1] + 1}Q", data)
    if number not in _BITS:
        raise RemoteProtocolError(Reason.OUT_OF_RANGE, f"element type {number}")
    header = TensorHeader(ElementType(number), tuple(numbers[:rank]), numbers[rank])
    if broken := header.broken_rule():
        raise RemoteProtocolError(Reason.OUT_OF_RANGE, f"a tensor: {broken}")
    return header


def encode_tensor(tensor: Tensor) -> bytes:
    """Write a whole tensor: header, then data."""
    _check_ours(tensor)
    return encode_header(tensor.header) + tensor.data


def parse_tensor(data: Buffer) -> Tensor:
    """Read a whole tensor; its data stay where they are."""
    view = flat(data)
    size = 10 + 8 * view[1] if len(view) > 1 else 0
    header = parse_header(view[:size])
    tensor = Tensor(header.element, header.dims, view[size:])
    if len(view) - size != header.size_bytes:
        detail = f"{len(view) - size} bytes of data, {header.size_bytes} promised"
        raise RemoteProtocolError(Reason.MALFORMED, f"a tensor: {detail}")
    if broken := tensor.broken_rule():
        raise RemoteProtocolError(Reason.MALFORMED, f"a tensor: {broken}")
    return tensor


def tensor_digest(tensor: Tensor) -> bytes:
    """Hash a tensor that is here whole; one that breaks a rule is our own mistake."""
    _check_ours(tensor)
    hasher = sha256(domain_tag("tensor") + encode_header(tensor.header))
    hasher.update(tensor.data)
    return hasher.digest()


def item_digest(tensors: Iterable[Tensor]) -> bytes:
    """Hash the inputs or outputs of one call, in the order of the interface."""
    return item_digest_from(tensor_digest(tensor) for tensor in tensors)


def item_digest_from(digests: Iterable[bytes]) -> bytes:
    """Hash an item of which only the digests of its tensors are here."""
    parts = tuple(digests)
    if len(parts) > PORTS_MAX or any(len(part) != 32 for part in parts):
        raise LocalProtocolError(f"an item is at most {PORTS_MAX} digests of 32 bytes")
    return tagged_hash("item", *parts)


def _check_ours(tensor: Tensor) -> None:
    if broken := tensor.broken_rule():
        raise LocalProtocolError(f"a tensor: {broken}")


def _bytes_of(element: ElementType, elements: int) -> int:
    return (elements * element.bits + 7) // 8
