# SPDX-License-Identifier: MIT
"""How single fields are written: numbers, bytes, texts and lists. Whole messages are in `canon`.

Each codec packs a value into its raw form, an unsigned integer or bytes, and unpacks it
again; whatever does not fit raises ValueError with the value that broke the rule.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any, Protocol, cast

import msgpack

from protocol.limits import UINT_MAX

# Characters that can make one line of a log or a page look like another one.
_DECEPTIVE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]"
)


class Codec(Protocol):
    """How one field is written: as an unsigned integer or as bytes."""

    def pack(self, value: Any) -> int | bytes:  # noqa: ANN401 - each codec takes its own type
        """Give the raw form, or raise ValueError for a value that has none."""

    def unpack(self, raw: object) -> Any:  # noqa: ANN401 - each codec gives its own type
        """Give the value, or raise ValueError for a raw form that has none."""


class NotCanonicalError(ValueError):
    """A value that is fine, in bytes that are not."""


class OutOfRangeError(ValueError):
    """A number that is a number, and not one that the field allows."""


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
            raise OutOfRangeError(f"{raw} is not within {self.least}..{self.most}")
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
        if not value:
            return pack_cells([])
        # Column by column: a summary has hundreds of rows, and most of its cost is in this loop.
        columns = zip(self.columns, zip(*map(self.split, value), strict=True), strict=True)
        packed = [map(codec.pack, cells) for codec, cells in columns]
        return pack_cells(list(chain.from_iterable(zip(*packed, strict=True))))

    def unpack(self, raw: object) -> tuple[Any, ...]:
        """Read row after row; the list itself must be canonical too."""
        if type(raw) is not bytes:
            raise ValueError(f"expected a list, got {type(raw).__name__}")
        width = len(self.columns)
        cells = unpack_cells(raw, width * self.most)
        count, rest = divmod(len(cells), width)
        if rest or not self.least <= count <= self.most:
            raise ValueError(
                f"{len(cells)} cells are not {self.least}..{self.most} rows of {width}"
            )
        columns = [
            map(codec.unpack, cells[place::width]) for place, codec in enumerate(self.columns)
        ]
        rows = tuple(map(self.make, *columns))
        self._check_order(rows)
        if pack_cells(cells) != raw:
            raise NotCanonicalError("a list is not written in its shortest form")
        return rows

    def _check_order(self, rows: tuple[Any, ...]) -> None:
        if self.ascending and any(
            tuple(self.split(left)) >= tuple(self.split(right)) for left, right in pairwise(rows)
        ):
            raise ValueError("the rows of this list must strictly ascend")


def pack_cells(cells: list[Any]) -> bytes:
    """Write one array of cells in its shortest form."""
    return cast("bytes", msgpack.packb(cells, use_bin_type=True))


def unpack_cells(data: bytes, cells_max: int) -> list[object]:
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
