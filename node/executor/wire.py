# SPDX-License-Identifier: MIT
"""What the daemon and a runner say to each other, byte by byte. Nothing here does any I/O.

Both sides of a socketpair import this file. The runner may have been taken over by the
model that it runs, so the daemon reads its words as those of an enemy: every size is capped
before anything is allocated, and every tensor header passes the rules of `protocol.tensors`.

::

    message   = head, table, inline
    head      = table_bytes u32, op u8, flags u8, count u16, session u32, inline_bytes u64, us u64
    table     = count x (place u8, header_bytes u16, offset u64), then the headers;
                or, where count is 0, what the op says: a JSON document or a reason
    inline    = the data of tensors that stand in the message, one after the other

All numbers are little endian. A tensor's data is inline, or at an offset in shared memory. A
request lists its inputs, and after them either nothing or all outputs: where each shall be
written, and in which form.
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

from protocol.errors import RemoteProtocolError
from protocol.limits import PORTS_MAX
from protocol.reasons import Reason
from protocol.tensors import (
    Buffer,
    ElementType,
    Tensor,
    TensorHeader,
    encode_header,
    flat,
    parse_header,
)

HEAD = struct.Struct("<IBBHIQQ")
_ROW = struct.Struct("<BHQ")
_REMEMBERED_BYTES = 1 << 10

#: A table of PORTS_MAX rows of the highest rank is smaller than this; so is every document.
TABLE_BYTES_MAX = 1 << 20

#: Up to here a copy through the socket is cheaper than telling the other side where to look.
INLINE_BYTES_MAX = 1 << 17

#: Where a tensor may begin in shared memory: a cache line, and what vector units like.
ALIGNMENT = 64

FINITE = 1


class Op(IntEnum):
    """What a message is. The first ones go to the runner, the others come back from it."""

    RUN = 1
    OPEN = 2
    STEP = 3
    READ = 4
    CLOSE = 5
    ROOM_IN = 6
    ROOM_OUT = 7
    ADAPT = 8
    AGAIN = 9
    DONE = 64
    FAILED = 65
    READY = 66
    NEEDS = 67


class Place(IntEnum):
    """Where the data of a tensor stands."""

    INLINE = 0
    SHARED = 1


@dataclass(frozen=True, slots=True)
class Head:
    """The first bytes of each message."""

    table_bytes: int
    op: int
    flags: int
    count: int
    session: int
    inline_bytes: int
    busy_us: int


@dataclass(frozen=True, slots=True)
class Placed:
    """A tensor's form and the place of its data: `offset` counts in its own kind of place."""

    place: Place
    header: TensorHeader
    offset: int

    @property
    def end(self) -> int:
        """The first byte after the data."""
        return self.offset + self.header.size_bytes


def head_bytes(
    op: Op,
    table: bytes = b"",
    *,
    count: int = 0,
    inline_bytes: int = 0,
    session: int = 0,
    flags: int = 0,
    busy_us: int = 0,
) -> bytes:
    """Write head and table."""
    head = HEAD.pack(len(table), op, flags, count, session, inline_bytes, busy_us)
    return head + table if table else head


def parse_head(data: Buffer, inline_bytes_max: int = INLINE_BYTES_MAX) -> Head:
    """Read a head; what it announces is capped here, before anybody allocates for it."""
    head = Head(*HEAD.unpack(data))
    if head.table_bytes > TABLE_BYTES_MAX or head.count > 2 * PORTS_MAX:
        raise _broken(f"a table of {head.table_bytes} bytes and {head.count} rows")
    if head.inline_bytes > inline_bytes_max:
        raise _broken(f"{head.inline_bytes} bytes inline, at most {inline_bytes_max}")
    return head


def table_bytes(tensors: Sequence[Placed]) -> bytes:
    """Write the table of some tensors."""
    headers = [_header_bytes(each.header) for each in tensors]
    rows = [
        _ROW.pack(each.place, len(header), each.offset)
        for each, header in zip(tensors, headers, strict=True)
    ]
    return b"".join(rows) + b"".join(headers)


def parse_table(head: Head, table: Buffer, shared_bytes: int) -> tuple[Placed, ...]:
    """Read a table and check that every tensor lies where there is something."""
    if len(table) > _REMEMBERED_BYTES:
        return _read_table(head.count, head.inline_bytes, bytes(table), shared_bytes)
    return _remembered_table(head.count, head.inline_bytes, bytes(table), shared_bytes)


def _read_table(
    count: int, inline_bytes: int, table: bytes, shared_bytes: int
) -> tuple[Placed, ...]:
    view = memoryview(table)
    at = count * _ROW.size
    if at > len(view):
        raise _broken(f"{count} rows in a table of {len(view)} bytes")
    placed = []
    inline = 0
    for row in range(count):
        place, size, offset = _ROW.unpack_from(view, row * _ROW.size)
        header = _header_of(bytes(view[at : at + size]))
        at += size
        if place == Place.INLINE:
            offset, inline = inline, inline + header.size_bytes
        elif place != Place.SHARED or offset + header.size_bytes > shared_bytes:
            raise _broken(f"a tensor at {offset} of {shared_bytes} shared bytes, place {place}")
        placed.append(Placed(Place(place), header, offset))
    if at != len(view) or inline != inline_bytes:
        raise _broken(f"a table of {len(view)} bytes and {inline_bytes} inline: not what adds up")
    return tuple(placed)


def layout(headers: Iterable[TensorHeader]) -> tuple[list[Placed], int]:
    """Place tensors one after the other in shared memory; the second number is where they end."""
    placed = []
    at = 0
    for header in headers:
        placed.append(Placed(Place.SHARED, header, at))
        at += -(-header.size_bytes // ALIGNMENT) * ALIGNMENT
    return placed, at


def inline_table(tensors: Sequence[Tensor]) -> tuple[bytes, list[memoryview], int]:
    """Give the table of tensors that travel inside the message, their data, and its size."""
    data = [flat(each.data) for each in tensors]
    sizes = tuple(map(len, data))
    forms = tuple((each.element, each.dims) for each in tensors)
    return _inline_table(forms, sizes), data, sum(sizes)


@lru_cache(maxsize=256)
def _inline_table(
    forms: tuple[tuple[ElementType, tuple[int, ...]], ...], sizes: tuple[int, ...]
) -> bytes:
    return table_bytes(
        [
            Placed(Place.INLINE, TensorHeader(element, dims, size), 0)
            for (element, dims), size in zip(forms, sizes, strict=True)
        ]
    )


def failure_table(reason: Reason, detail: str) -> bytes:
    """Write a reason and its detail."""
    return f"{reason.value}\n{detail}".encode("utf-8", "replace")[:2000]


def parse_failure(table: Buffer, allowed: frozenset[Reason]) -> tuple[Reason, str]:
    """Read a reason; a runner may only give those that are its business to give."""
    code, _, detail = bytes(table[:2000]).decode("utf-8", "replace").partition("\n")
    try:
        reason = Reason(code)
    except ValueError:
        raise _broken(f"a reason {code[:40]!r}") from None
    if reason not in allowed:
        raise _broken(f"a reason that is not its business: {code}")
    return reason, "".join(each if each.isprintable() else " " for each in detail)[:500]


# What a model says about its tensors is little, and comes again with every call.
_remembered_table = lru_cache(maxsize=256)(_read_table)


@lru_cache(maxsize=512)
def _header_bytes(header: TensorHeader) -> bytes:
    return encode_header(header)


@lru_cache(maxsize=512)
def _header_of(data: bytes) -> TensorHeader:
    return parse_header(data)


@lru_cache(maxsize=512)
def header_of(element: ElementType, dims: tuple[int, ...], size_bytes: int) -> TensorHeader:
    """Make a header, or give the one that was made before."""
    return TensorHeader(element, dims, size_bytes)


def _broken(detail: str) -> RemoteProtocolError:
    return RemoteProtocolError(Reason.BROKEN_FRAME, f"the runner said {detail}")
