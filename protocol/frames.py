# SPDX-License-Identifier: MIT
"""Single frames as bytes. Which frame may follow which, and how much, is in `channel`.

A frame is a header of four bytes - its kind, then the length of its payload as 24 bits -
and the payload: first numbers of fixed width, then at most one field of free length, its
**tail**. Numbers are big endian, except inside the header of a tensor, which is hashed as
it stands. Each kind has a shortest and a longest payload, so most broken headers are
refused before a byte of payload is taken in.

Data are never copied here: :func:`encode` gives the header and the caller's own memory,
:func:`decode` gives views into the payload. Statements and documents are the exception;
they are small, outlive the chunk they came in, and the canonical decoder wants bytes.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ClassVar, TypeVar, cast, dataclass_transform

from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.keys import SIGNATURE_BYTES
from protocol.limits import (
    FRAME_BYTES_MAX,
    HELLO_BYTES_MAX,
    PORTS_MAX,
    RANK_MAX,
    TTL_S_MAX,
    WINDOW_BYTES_MAX,
)
from protocol.reasons import Reason, is_code
from protocol.tensors import Buffer, TensorHeader, encode_header, flat, parse_header

_WORD = struct.Struct(">I")
HEADER_BYTES = 4
PAYLOAD_BYTES_MAX = FRAME_BYTES_MAX - HEADER_BYTES
# The longest data of one `TensorData`, and of one `BlobPiece`, whose place takes 40 bytes.
TENSOR_DATA_BYTES_MAX = PAYLOAD_BYTES_MAX
BLOB_DATA_BYTES_MAX = PAYLOAD_BYTES_MAX - 40


@dataclass(frozen=True, slots=True)
class Tail:
    """How the last field of a payload is written, and how many bytes it may have."""

    least: int
    most: int
    pack: Callable[[Any], Buffer]
    unpack: Callable[[memoryview], Any]


def _same(data: Any) -> Any:  # noqa: ANN401 - gives back what it got, whatever that is
    return data


def _code_of(view: memoryview) -> str:
    return str(view, "ascii")


NOTHING = Tail(0, 0, _same, _same)
STATEMENT = Tail(SIGNATURE_BYTES + 1, SIGNATURE_BYTES + HELLO_BYTES_MAX, _same, bytes)
DOCUMENT = Tail(1, PAYLOAD_BYTES_MAX, _same, bytes)
TENSOR_HEADER = Tail(10, 10 + 8 * RANK_MAX, encode_header, parse_header)
TENSOR_DATA = Tail(1, TENSOR_DATA_BYTES_MAX, _same, _same)
BLOB_DATA = Tail(1, BLOB_DATA_BYTES_MAX, _same, _same)
REASON = Tail(2, 40, str.encode, _code_of)


class Frame:
    """One frame; its kinds are declared with :func:`frame`."""

    __slots__ = ()
    KIND: ClassVar[int]
    LEAST: ClassVar[int]
    MOST: ClassVar[int]
    NUMBERS: ClassVar[struct.Struct]
    TAIL: ClassVar[Tail]
    NAMES: ClassVar[tuple[str, ...]]

    def broken_rule(self) -> str:
        """Name the first rule that this frame breaks by itself; empty when there is none."""
        return ""


FrameT = TypeVar("FrameT", bound=Frame)

# One entry per kind, made while this module loads and never changed afterwards.
FRAMES: dict[int, type[Frame]] = {}


@dataclass_transform(frozen_default=True)
def frame(kind: int, numbers: str, tail: Tail) -> Callable[[type[FrameT]], type[FrameT]]:
    """Make a class the frame of one kind: `numbers` packs its fields, but `tail` the last one."""

    def declare(cls: type[FrameT]) -> type[FrameT]:
        made = dataclass(frozen=True, slots=True)(cls)
        made.KIND, made.NUMBERS, made.TAIL = kind, struct.Struct(">" + numbers), tail
        made.LEAST, made.MOST = made.NUMBERS.size + tail.least, made.NUMBERS.size + tail.most
        made.NAMES = tuple(each.name for each in fields(cast("Any", made)))
        assert kind not in FRAMES, f"two frames of kind {kind}"
        FRAMES[kind] = made
        return made

    return declare


@frame(1, "", STATEMENT)
class StatementFrame(Frame):
    """A signed statement: its signature, then its body."""

    wire: bytes


@frame(2, "", DOCUMENT)
class DocumentFrame(Frame):
    """An unsigned message in canonical form, such as a table of shapes."""

    body: bytes


@frame(3, "IH", TENSOR_HEADER)
class TensorStart(Frame):
    """A tensor follows, in as many `TensorData` as it takes: input or output `port` of an item."""

    item: int
    port: int
    header: TensorHeader

    def broken_rule(self) -> str:
        """A model has so many inputs and outputs at most."""
        return "" if self.port < PORTS_MAX else f"port {self.port}, at most {PORTS_MAX - 1}"


@frame(4, "", TENSOR_DATA)
class TensorData(Frame):
    """The next bytes of the tensor that was started."""

    data: Buffer


@frame(5, "32sQ", BLOB_DATA)
class BlobPiece(Frame):
    """Bytes of a blob, from `offset` on."""

    digest: bytes
    offset: int
    data: Buffer

    def broken_rule(self) -> str:
        """Blobs are named by 32 bytes."""
        return _not_a_digest(self.digest)


@frame(6, "32sQI", NOTHING)
class BlobWant(Frame):
    """Send me `size_bytes` of a blob, from `offset` on."""

    digest: bytes
    offset: int
    size_bytes: int

    def broken_rule(self) -> str:
        """Blobs are named by 32 bytes, and nobody wants nothing."""
        return _not_a_digest(self.digest) or ("" if self.size_bytes else "wants no bytes")


@frame(7, "I", NOTHING)
class Window(Frame):
    """You may send `size_bytes` more of data."""

    size_bytes: int

    def broken_rule(self) -> str:
        """Something, but not more than anybody may have outstanding."""
        return "" if 0 < self.size_bytes <= WINDOW_BYTES_MAX else f"a window of {self.size_bytes}"


@frame(8, "Q", NOTHING)
class Ping(Frame):
    """Are you there? Say this token."""

    token: int


@frame(9, "Q", NOTHING)
class Pong(Frame):
    """I am: the token of your ping."""

    token: int


@frame(10, "", REASON)
class CancelFrame(Frame):
    """No more data from me, and I want no more of yours."""

    reason: str

    def broken_rule(self) -> str:
        """The reason is a code."""
        return _not_a_code(self.reason)


@frame(11, "I", REASON)
class Paused(Frame):
    """I do not work on this now; ask again in `retry_s` seconds, 0 when that is not known."""

    retry_s: int
    reason: str

    def broken_rule(self) -> str:
        """The reason is a code, and the wait ends before an order could."""
        too_long = "" if self.retry_s <= TTL_S_MAX else f"a pause of {self.retry_s} s"
        return _not_a_code(self.reason) or too_long


@frame(12, "", NOTHING)
class Resumed(Frame):
    """The pause is over."""


@frame(13, "", NOTHING)
class End(Frame):
    """I have said everything. A stream that ends without this word was lost."""


def encode(value: Frame) -> tuple[Buffer, ...]:
    """Write a frame as buffers to be sent one after the other; its data are not copied."""
    if broken := value.broken_rule():
        raise LocalProtocolError(f"{type(value).__name__}: {broken}")
    cells: list[Any] = [getattr(value, name) for name in value.NAMES]
    tail = flat(value.TAIL.pack(cells.pop() if value.TAIL is not NOTHING else b""))
    try:
        numbers = value.NUMBERS.pack(*cells)
    except struct.error as error:
        raise LocalProtocolError(f"{type(value).__name__}: {error}") from error
    length = len(numbers) + len(tail)
    if not value.LEAST <= length <= value.MOST:
        detail = f"{type(value).__name__}: a payload of {length} bytes"
        raise LocalProtocolError(detail, Reason.TOO_LARGE)
    head = _WORD.pack(value.KIND << 24 | length) + numbers
    return (head, tail) if tail else (head,)


def parse_frame_header(data: Buffer, at: int = 0) -> tuple[type[Frame], int]:
    """Read the four bytes before a payload: which kind it is of, and how long."""
    (word,) = _WORD.unpack_from(data, at)
    cls = FRAMES.get(word >> 24)
    if cls is None:
        raise RemoteProtocolError(Reason.UNKNOWN_KIND, f"a frame of kind {word >> 24}")
    length = word & 0xFFFFFF
    if not cls.LEAST <= length <= cls.MOST:
        reason = Reason.TOO_LARGE if length > cls.MOST else Reason.MALFORMED
        raise RemoteProtocolError(reason, f"{cls.__name__}: a payload of {length} bytes")
    return cls, length


def decode(cls: type[FrameT], payload: memoryview) -> FrameT:
    """Read a payload whose header was accepted, or raise RemoteProtocolError saying why not."""
    assert cls.LEAST <= len(payload) <= cls.MOST, "the header says which lengths there are"
    cells: tuple[Any, ...] = cls.NUMBERS.unpack_from(payload)
    if cls.TAIL is not NOTHING:
        try:
            cells += (cls.TAIL.unpack(payload[cls.NUMBERS.size :]),)
        except UnicodeDecodeError as error:
            raise RemoteProtocolError(Reason.MALFORMED, f"{cls.__name__}: {error}") from error
    value = cls(*cells)
    if broken := value.broken_rule():
        raise RemoteProtocolError(Reason.OUT_OF_RANGE, f"{cls.__name__}: {broken}")
    return value


def _not_a_digest(digest: bytes) -> str:
    return "" if len(digest) == 32 else f"a digest of {len(digest)} bytes"


def _not_a_code(reason: str) -> str:
    return "" if is_code(reason) else f"{reason!r} is not the code of a reason"
