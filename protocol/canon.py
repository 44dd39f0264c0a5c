# SPDX-License-Identifier: MIT
"""The one way to write a message. What the messages mean is in `statements` and its neighbours.

Theory of operation
-------------------
A message is a class whose annotations are its schema::

    @message("ack")
    class Ack(Message):
        creditor: Key
        debtor: Key
        incarnation: Incarnation
        statement: Digest
        total: Uint

Its **body** is one flat msgpack array: kind, version, then the fields, each an unsigned
integer below 2^63 or a byte string. Texts are byte strings of UTF-8; a list is a byte
string that holds one flat array of its own, row after row. There are no maps, floats,
booleans, nils, extension types and no nesting: each of those is a second way to write a
thing, and signatures cannot live with second ways.

Decoding takes these steps, and each of them can only refuse: length, msgpack, kind and
version, number of fields, type and range of every field, rules between fields, and last
`encode(decoded) == received`, which catches longer spellings of the same numbers.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import lru_cache
from hashlib import sha256
from operator import attrgetter
from typing import Annotated, Any, ClassVar, TypeVar, cast, dataclass_transform, get_type_hints

from protocol.codecs import BytesCodec as BytesCodec
from protocol.codecs import Codec as Codec
from protocol.codecs import ListCodec as ListCodec
from protocol.codecs import NotCanonicalError, OutOfRangeError, pack_cells, unpack_cells
from protocol.codecs import TextCodec as TextCodec
from protocol.codecs import UintCodec as UintCodec
from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.limits import STATEMENT_BYTES_MAX
from protocol.reasons import CODE_PATTERN, Reason

VERSION = 1


class Row:
    """Base of the rows of a list; declare with :func:`row`."""

    __slots__ = ()
    CODECS: ClassVar[tuple[Codec, ...]]
    CELLS: ClassVar[Callable[[Any], tuple[Any, ...]]]


class Message(Row):
    """Base of everything that has a kind; declare with :func:`message`."""

    __slots__ = ()
    KIND: ClassVar[str]
    BYTES_MAX: ClassVar[int]

    def broken_rule(self) -> str:
        """Name the first rule between fields that this value breaks; empty when there is none."""
        return ""


RowT = TypeVar("RowT", bound=Row)
MessageT = TypeVar("MessageT", bound=Message)

# One entry per kind, made while modules load and never changed afterwards.
KINDS: dict[str, type[Message]] = {}


def _cells_of(cls: type[Row]) -> Callable[[Any], tuple[Any, ...]]:
    names = [field.name for field in fields(cast("Any", cls))]
    if len(names) == 1:
        only = attrgetter(names[0])
        return staticmethod(lambda value: (only(value),))
    return staticmethod(cast("Callable[[Any], tuple[Any, ...]]", attrgetter(*names)))


def _codecs_of(cls: type[Row]) -> tuple[Codec, ...]:
    hints = get_type_hints(cls, include_extras=True)
    return tuple(hints[field.name].__metadata__[0] for field in fields(cast("Any", cls)))


@dataclass_transform(frozen_default=True)
def row(cls: type[RowT]) -> type[RowT]:
    """Make a class of annotated fields into the row of a list."""
    made = dataclass(frozen=True, slots=True)(cls)
    made.CODECS = _codecs_of(made)
    made.CELLS = _cells_of(made)
    return made


@dataclass_transform(frozen_default=True)
def message(
    kind: str, *, most: int = STATEMENT_BYTES_MAX
) -> Callable[[type[MessageT]], type[MessageT]]:
    """Make a class of annotated fields into the message of one kind, of at most `most` bytes."""

    def declare(cls: type[MessageT]) -> type[MessageT]:
        made = row(cls)
        made.KIND = kind
        made.BYTES_MAX = most
        assert kind not in KINDS, f"two messages of kind {kind!r}"
        KINDS[kind] = made
        return made

    return declare


def encode(value: Message) -> bytes:
    """Write a message; a value outside its schema is our own mistake."""
    try:
        cells = [
            codec.pack(cell)
            for codec, cell in zip(value.CODECS, type(value).CELLS(value), strict=True)
        ]
    except (ValueError, TypeError, AttributeError) as error:
        raise LocalProtocolError(f"{value.KIND}: {error}") from error
    if broken := value.broken_rule():
        raise LocalProtocolError(f"{value.KIND}: {broken}")
    body = pack_cells([value.KIND, VERSION, *cells])
    if len(body) > value.BYTES_MAX:
        raise LocalProtocolError(
            f"{value.KIND}: {len(body)} bytes, at most {value.BYTES_MAX}", Reason.TOO_LARGE
        )
    return body


def decode(body: bytes, *expected: type[MessageT]) -> MessageT:
    """Read a message of one of the expected classes; RemoteProtocolError says why not."""
    most = max(cls.BYTES_MAX for cls in expected)
    if len(body) > most:
        raise RemoteProtocolError(
            Reason.TOO_LARGE, f"a message of {len(body)} bytes, at most {most}"
        )
    try:
        cells = unpack_cells(body, 64)
    except ValueError as error:
        raise RemoteProtocolError(Reason.MALFORMED, str(error)) from error
    cls = _class_of(cells, expected)
    if len(body) > cls.BYTES_MAX:
        raise RemoteProtocolError(
            Reason.TOO_LARGE, f"{cls.KIND}: {len(body)} bytes, at most {cls.BYTES_MAX}"
        )
    value = _value_of(cls, cells)
    if broken := value.broken_rule():
        raise RemoteProtocolError(Reason.OUT_OF_RANGE, f"{cls.KIND}: {broken}")
    if pack_cells(cells) != body:
        raise RemoteProtocolError(
            Reason.NOT_CANONICAL, f"{cls.KIND}: not written in its shortest form"
        )
    return value


def kind_of(body: bytes) -> str:
    """Read the kind of a message and nothing else of it; empty when it has none."""
    first = body[0] if body else 0
    at = 1 if first & 0xF0 == 0x90 else 3 if first == 0xDC else len(body)  # array, array16
    size = body[at] - 0xA0 if at < len(body) else 0  # a str of up to 31 bytes
    kind = body[at + 1 : at + 1 + size] if 0 < size < 32 else b""
    return kind.decode() if kind.isascii() else ""


def _class_of(cells: list[object], expected: tuple[type[MessageT], ...]) -> type[MessageT]:
    if len(cells) < 2 or type(cells[0]) is not str:
        raise RemoteProtocolError(Reason.MALFORMED, "a message begins with its kind and version")
    for cls in expected:
        if cells[0] == cls.KIND:
            break
    else:
        names = " or ".join(cls.KIND for cls in expected[:4])
        raise RemoteProtocolError(Reason.UNKNOWN_KIND, f"got kind {cells[0]!r}, expected {names}")
    if type(cells[1]) is not int or cells[1] != VERSION:
        raise RemoteProtocolError(
            Reason.UNKNOWN_VERSION, f"{cls.KIND}: version {cells[1]!r}, not {VERSION}"
        )
    return cls


def _value_of(cls: type[MessageT], cells: list[object]) -> MessageT:
    codecs = cls.CODECS
    if len(cells) != len(codecs) + 2:
        raise RemoteProtocolError(
            Reason.MALFORMED, f"{cls.KIND}: {len(cells) - 2} fields, expected {len(codecs)}"
        )
    try:
        return cls(*[codec.unpack(cell) for codec, cell in zip(codecs, cells[2:], strict=True)])
    except NotCanonicalError as error:
        raise RemoteProtocolError(Reason.NOT_CANONICAL, f"{cls.KIND}: {error}") from error
    except OutOfRangeError as error:
        raise RemoteProtocolError(Reason.OUT_OF_RANGE, f"{cls.KIND}: {error}") from error
    except ValueError as error:
        raise RemoteProtocolError(Reason.MALFORMED, f"{cls.KIND}: {error}") from error


@lru_cache(maxsize=256)  # a few dozen kinds exist; the bound is for callers that invent some
def domain_tag(kind: str) -> bytes:
    """Give the 32 bytes that keep a hash or signature of one kind from passing as another's."""
    return sha256(b"commons/v1/" + kind.encode()).digest()


def tagged_hash(kind: str, *parts: bytes) -> bytes:
    """Hash parts under a domain tag; all parts but the last must be of fixed length."""
    return sha256(domain_tag(kind) + b"".join(parts)).digest()


# --- the field types that messages are made of -----------------------------------------------

Uint = Annotated[int, UintCodec()]
Flag = Annotated[int, UintCodec(0, 1)]
Key = Annotated[bytes, BytesCodec(32, 32)]
Digest = Annotated[bytes, BytesCodec(32, 32)]
OptionalDigest = Annotated[bytes, BytesCodec(32, 32, or_empty=True)]
Nonce = Annotated[bytes, BytesCodec(32, 32)]
Incarnation = Annotated[bytes, BytesCodec(8, 8)]
NetworkId = Annotated[bytes, BytesCodec(16, 16)]
Code = Annotated[str, TextCodec(40, 2, CODE_PATTERN)]


def rows_of(cls: type[Row], least: int, most: int, *, ascending: bool = False) -> ListCodec:
    """Declare a list of rows; `ascending` where the order of rows means nothing."""
    return ListCodec(cls.CODECS, least, most, cls, cls.CELLS, ascending)


def values_of(codec: Codec, least: int, most: int, *, ascending: bool = False) -> ListCodec:
    """Declare a list of single values."""
    return ListCodec((codec,), least, most, lambda cell: cell, lambda cell: (cell,), ascending)
