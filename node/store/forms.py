# SPDX-License-Identifier: MIT
"""How an event is written: its kind, and its fields as one array. The rows are in `journal`.

A form is made from the fields of its class, so that no field can be forgotten. The array begins
with the version of the form. A field is only ever added, at the end and with a value for the
events that were written before it: :data:`ADDED` has these, version after version. Nothing may
be renamed, moved or removed; a golden test notices.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from math import isfinite
from typing import Any, get_args, get_type_hints

from protocol import events as ev
from protocol.codecs import pack_cells, unpack_cells
from protocol.events import Event, Instant, PeerEvent

Pass = Callable[[Any], Any]
"""Turns a value into a cell, or a cell into a value; ValueError for any other."""

Added = Sequence[tuple[object, ...]]

#: For each class the values of the fields that version 2 added, then of those of version 3.
ADDED: Mapping[type[Event], Added] = {}

# What has a column of its own.
_COLUMNS = ("at", "peer")


class Form:
    """How the events of one class are written."""

    def __init__(self, cls: type[Event], added: Added = ()) -> None:
        """Read the fields of the class; `added` is as in :data:`ADDED`."""
        self.kind = kind_of(cls)
        self._has_peer = issubclass(cls, PeerEvent)
        self._make: Callable[..., Event] = cls
        self._version = 1 + len(added)
        hints = get_type_hints(cls)
        self._names = [field.name for field in fields(cls) if field.name not in _COLUMNS]
        passes = [_passes(hints[name]) for name in self._names]
        self._give = [give for give, _ in passes]
        self._take = [take for _, take in passes]
        # What the events of each version lack, the oldest version first.
        self._lacks = [
            [value for more in added[at:] for value in more] for at in range(self._version)
        ]

    def body(self, event: Event) -> bytes:
        """Write all that has no column of its own; ValueError for what would not read back."""
        values = [getattr(event, name) for name in self._names]
        cells = [give(value) for give, value in zip(self._give, values, strict=True)]
        return pack_cells([self._version, *cells])

    def event(self, at: Instant, peer: object, body: bytes) -> Event:
        """Read an event; ValueError says what is wrong with it."""
        cells = unpack_cells(body, len(body))
        version = cells[0] if cells else None
        if type(version) is not int or not 1 <= version <= self._version:
            raise ValueError(f"version {version!r} of its form, and 1..{self._version} are known")
        if pack_cells(cells) != body:
            raise ValueError("not written in its shortest form")
        lacks = self._lacks[version - 1]
        count = len(self._names) - len(lacks)
        if len(cells) != 1 + count:
            raise ValueError(f"{len(cells) - 1} fields, expected {count}")
        values = [take(cell) for take, cell in zip(self._take[:count], cells[1:], strict=True)]
        if not self._has_peer:
            if peer is not None:
                raise ValueError("a peer, where none belongs")
            return self._make(at, *values, *lacks)
        return self._make(at, _BYTES(peer), *values, *lacks)


def kind_of(cls: type[Event]) -> str:
    """Give the kind by which rows name a class: `wrote_off` for `WroteOff`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()


def _passes(hint: object) -> tuple[Pass, Pass]:
    """Give the two ways for a type, from value to cell and back."""
    if hint is int:
        return _int, _int
    if hint is float:
        return _float, _exactly(float)
    if hint in (bytes, bool):
        return _exactly(hint), _exactly(hint)
    row, *rest = get_args(hint) or (None,)
    assert rest == [...], f"no event has had a field of type {hint} so far"
    assert is_dataclass(row), f"no event has had a field of type {hint} so far"
    assert isinstance(row, type)
    return _rows(row)


def _rows(row: type[Any]) -> tuple[Pass, Pass]:
    hints = get_type_hints(row)
    names = [field.name for field in fields(row)]
    passes = [_passes(hints[name]) for name in names]

    def give(values: object) -> list[list[object]]:
        return [
            [give(getattr(value, name)) for (give, _), name in zip(passes, names, strict=True)]
            for value in _TUPLE(values)
        ]

    def take(cells: object) -> tuple[object, ...]:
        return tuple(
            row(*[take(cell) for (_, take), cell in zip(passes, _LIST(each), strict=True)])
            for each in _LIST(cells)
        )

    return give, take


def _exactly(kind: Any) -> Pass:  # noqa: ANN401 - a class; what it makes is checked by the caller
    def check(value: object) -> object:
        if type(value) is not kind:
            raise ValueError(f"expected {kind.__name__}, got {type(value).__name__}")
        return value

    return check


_BYTES, _LIST, _TUPLE = _exactly(bytes), _exactly(list), _exactly(tuple)


def _int(value: object) -> int:
    """Take a number of 64 bits; the member of an enumeration is written as its number."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"expected int, got {type(value).__name__}")  # noqa: TRY004 - one way to say no
    if not -(1 << 63) <= value < 1 << 63:
        raise ValueError(f"{value} has more than 64 bits")
    return int(value)


def _float(value: object) -> float:
    """Take a finite number: SQLite and JSON have no other, and no time is one."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not isfinite(value):
        raise ValueError(f"expected a finite float, got {value!r}")
    return float(value)


def all_events() -> tuple[type[Event], ...]:
    """Give every class of event that can happen; those that only others build on do not."""
    bases = (Event, PeerEvent)
    found = [each for each in vars(ev).values() if isinstance(each, type) and each not in bases]
    return tuple(each for each in found if issubclass(each, Event))


FORMS = {kind_of(cls): Form(cls, ADDED.get(cls, ())) for cls in all_events()}
FORM_OF = {cls: FORMS[kind_of(cls)] for cls in all_events()}
