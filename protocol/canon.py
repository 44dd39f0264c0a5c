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

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from functools import lru_cache
from hashlib import sha256
from operator import attrgetter
from typing import Annotated, Any, ClassVar, Protocol, TypeVar, cast, dataclass_transform, get_type_hints

import msgpack

from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.limits import STATEMENT_BYTES_MAX, UINT_MAX
from protocol.reasons import CODE_PATTERN, Reason

VERSION = 1

# Characters that can make one line of a log or a page look like another one.
_DECEPTIVE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff]")


class Codec(Protocol):
    """How one field is written: as an unsigned integer or as bytes."""

    def pack(self, value: Any) -> int | bytes:  # noqa: ANN401 - each codec takes its own type
        """Give the raw form, or raise ValueError for a value that has none."""

    def unpack(self, raw: object) -> Any:  # noqa: ANN401 - each codec gives its own type
        """Give the value, or raise ValueError for a raw form that has none."""


@dataclass(frozen=True, slots=True)
class UintCodec:
    """An unsigned integer within bounds."""

    least: int = 0
    most: int = UINT_MAX

    def pack(self, value: int) -> int:
        """Check the bounds."""
        return self.unpack(value)

    def unpack(self, raw: object) -> int:
        """Check type and bounds; a bool is no integer here."""
        if type(raw) is not int:
            raise ValueError(f"expected an integer, got {type(raw).__name__}")
        if not self.least <= raw <= self.most:
            raise ValueError(f"{raw} is not within {self.least}..{self.most}")
        return raw


@dataclass(frozen=True, slots=True)
class BytesCodec:
    """Bytes whose length is within bounds, or none at all where that is allowed."""

    least: int
    most: int
    or_empty: bool = False

    def pack(self, value: bytes) -> bytes:
        """Check the length."""
        return self.unpack(value)

    def unpack(self, raw: object) -> bytes:
        """Check type and length."""
        if type(raw) is not bytes:
            raise ValueError(f"expected bytes, got {type(raw).__name__}")
        if not self.least <= len(raw) <= self.most and (raw or not self.or_empty):
            raise ValueError(f"{len(raw)} bytes are not within {self.least}..{self.most}")
        return raw


@dataclass(frozen=True, slots=True)
class TextCodec:
    """UTF-8 text of bounded size, without characters that deceive a reader."""

    most: int
    least: int = 0
    pattern: re.Pattern[str] | None = None

    def pack(self, value: str) -> bytes:
        """Encode and check."""
        raw = value.encode()
        self.unpack(raw)
        return raw

    def unpack(self, raw: object) -> str:
        """Check type, size, encoding and characters."""
        if type(raw) is not bytes:
            raise ValueError(f"expected text, got {type(raw).__name__}")
        if not self.least <= len(raw) <= self.most:
            raise ValueError(f"text of {len(raw)} bytes is not within {self.least}..{self.most}")
        text = raw.decode()
        if _DECEPTIVE.search(text):
            raise ValueError("text with control or direction characters")
        if self.pattern is not None and not self.pattern.fullmatch(text):
            raise ValueError(f"text {text!r} is not of the form {self.pattern.pattern}")
        return text


@dataclass(frozen=True, slots=True)
class ListCodec:
    """A list of rows (or of single values), written flat into one byte string.

    `make` builds a row from its raw columns, `split` takes it apart again.
    """

    columns: tuple[Codec, ...]
    least: int
    most: int
    make: Callable[..., Any]
    split: Callable[[Any], Iterable[Any]]
    ascending: bool = False

    def pack(self, value: tuple[Any, ...]) -> bytes:
        """Write row after row."""
        self._check_order(value)
        if not self.least <= len(value) <= self.most:
            raise ValueError(f"{len(value)} rows are not within {self.least}..{self.most}")
        return _packed(
            [codec.pack(cell) for row in value for codec, cell in zip(self.columns, self.split(row), strict=True)]
        )

    def unpack(self, raw: object) -> tuple[Any, ...]:
        """Read row after row; the list itself must be canonical too."""
        if type(raw) is not bytes:
            raise ValueError(f"expected a list, got {type(raw).__name__}")
        width = len(self.columns)
        cells = _unpacked(raw, width * self.most)
        count, rest = divmod(len(cells), width)
        if rest or not self.least <= count <= self.most:
            raise ValueError(f"{len(cells)} cells are not {self.least}..{self.most} rows of {width}")
        values = [codec.unpack(cell) for codec, cell in zip(self.columns * count, cells, strict=True)]
        rows = tuple(self.make(*values[start : start + width]) for start in range(0, len(values), width))
        self._check_order(rows)
        if _packed(cells) != raw:
            raise _NotCanonicalError("a list is not written in its shortest form")
        return rows

    def _check_order(self, rows: tuple[Any, ...]) -> None:
        if self.ascending and any(
            tuple(self.split(left)) >= tuple(self.split(right))
            for left, right in zip(rows, rows[1:], strict=False)
        ):
            raise ValueError("the rows of this list must strictly ascend")


class _NotCanonicalError(ValueError):
    """A value that is fine, in bytes that are not."""


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
def message(kind: str, *, most: int = STATEMENT_BYTES_MAX) -> Callable[[type[MessageT]], type[MessageT]]:
    """Make a class of annotated fields into the message of one kind, of at most `most` bytes."""

    def declare(cls: type[MessageT]) -> type[MessageT]:
        made = row(cls)
        made.KIND = kind
        made.BYTES_MAX = most
        assert kind not in KINDS, f"two messages of kind {kind!r}"
        KINDS[kind] = made
        return made

    return declare


def _packed(cells: list[Any]) -> bytes:
    return cast("bytes", msgpack.packb(cells, use_bin_type=True))


def _unpacked(data: bytes, cells_max: int) -> list[object]:
    """Read one array; anything but an array of at most `cells_max` cells is a ValueError."""
    try:
        cells = msgpack.unpackb(
            data,
            raw=False,
            max_array_len=cells_max,
            max_map_len=0,
            max_ext_len=0,
            max_str_len=64,
            max_bin_len=len(data),
        )
    except (ValueError, msgpack.UnpackException) as error:
        raise ValueError(f"not the msgpack array of this protocol ({error})") from error
    if type(cells) is not list:
        raise ValueError(f"expected an array, got {type(cells).__name__}")
    return cells


def encode(value: Message) -> bytes:
    """Write a message; a value outside its schema is our own mistake."""
    try:
        cells = [codec.pack(cell) for codec, cell in zip(value.CODECS, type(value).CELLS(value), strict=True)]
    except (ValueError, TypeError, AttributeError) as error:
        raise LocalProtocolError(f"{value.KIND}: {error}") from error
    if broken := value.broken_rule():
        raise LocalProtocolError(f"{value.KIND}: {broken}")
    body = _packed([value.KIND, VERSION, *cells])
    if len(body) > value.BYTES_MAX:
        raise LocalProtocolError(f"{value.KIND}: {len(body)} bytes, at most {value.BYTES_MAX}", Reason.TOO_LARGE)
    return body


def decode(body: bytes, *expected: type[MessageT]) -> MessageT:
    """Read a message of one of the expected classes, or raise RemoteProtocolError saying why not."""
    most = max(cls.BYTES_MAX for cls in expected)
    if len(body) > most:
        raise RemoteProtocolError(Reason.TOO_LARGE, f"a message of {len(body)} bytes, at most {most}")
    try:
        cells = _unpacked(body, 64)
    except ValueError as error:
        raise RemoteProtocolError(Reason.MALFORMED, str(error)) from error
    cls = _class_of(cells, expected)
    if len(body) > cls.BYTES_MAX:
        raise RemoteProtocolError(Reason.TOO_LARGE, f"{cls.KIND}: {len(body)} bytes, at most {cls.BYTES_MAX}")
    value = _value_of(cls, cells)
    if broken := value.broken_rule():
        raise RemoteProtocolError(Reason.OUT_OF_RANGE, f"{cls.KIND}: {broken}")
    if _packed(cells) != body:
        raise RemoteProtocolError(Reason.NOT_CANONICAL, f"{cls.KIND}: not written in its shortest form")
    return value


def _class_of(cells: list[object], expected: tuple[type[MessageT], ...]) -> type[MessageT]:
    if len(cells) < 2 or type(cells[0]) is not str:
        raise RemoteProtocolError(Reason.MALFORMED, "a message begins with its kind and version")
    for cls in expected:
        if cls.KIND == cells[0]:
            break
    else:
        names = " or ".join(cls.KIND for cls in expected[:4])
        raise RemoteProtocolError(Reason.UNKNOWN_KIND, f"got kind {cells[0]!r}, expected {names}")
    if type(cells[1]) is not int or cells[1] != VERSION:
        raise RemoteProtocolError(Reason.UNKNOWN_VERSION, f"{cls.KIND}: version {cells[1]!r}, not {VERSION}")
    return cls


def _value_of(cls: type[MessageT], cells: list[object]) -> MessageT:
    codecs = cls.CODECS
    if len(cells) != len(codecs) + 2:
        raise RemoteProtocolError(
            Reason.MALFORMED, f"{cls.KIND}: {len(cells) - 2} fields, expected {len(codecs)}"
        )
    try:
        return cls(*[codec.unpack(cell) for codec, cell in zip(codecs, cells[2:], strict=True)])
    except _NotCanonicalError as error:
        raise RemoteProtocolError(Reason.NOT_CANONICAL, f"{cls.KIND}: {error}") from error
    except ValueError as error:
        raise RemoteProtocolError(Reason.MALFORMED, f"{cls.KIND}: {error}") from error


@lru_cache(maxsize=256)  # a few dozen kinds exist; the bound is for callers that invent some
def domain_tag(kind: str) -> bytes:
    """Give the 32 bytes that keep a hash or signature of one kind from passing as another's."""
    return sha256(b"commons/v1/" + kind.encode()).digest()


def tagged_hash(kind: str, *parts: bytes) -> bytes:
    """Hash parts under a domain tag; all parts but the last must be of fixed length."""
    return sha256(domain_tag(kind) + b"".join(parts)).digest()


# --- the field types that messages are made of ---------------------------------------------------

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
