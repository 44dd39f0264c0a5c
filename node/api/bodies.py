# SPDX-License-Identifier: MIT
"""What a client sends, read strictly: bounded, and refused when a field is unknown or wrong.

A body is one JSON object of known fields. A client of a newer version that asks for more than
this node knows is told so; it would otherwise believe that it was done.
"""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

import trio
from starlette.requests import Request

from node.api.failures import BadRequest, ClientLeft
from protocol.errors import RemoteProtocolError
from protocol.keys import parse_peer_id
from protocol.reasons import Reason

#: An invite is the longest text that is sent, with a few KiB; models are named by their path.
BODY_BYTES_MAX = 64 * 1024

#: No body has more than an object of objects.
DEPTH_MAX = 4

#: Its client is on the same machine.
BODY_S_MAX = 10.0

#: What Linux takes.
PATH_CHARACTERS_MAX = 4096

#: As many as there are keys, and some.
CHANGES_MAX = 64

_SHOWN_MAX = 60

Reader = Callable[[Any], Any]
"""Takes what JSON gave; a ValueError ends a sentence that begins with the name of the field."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a body or of a query; without default it must be there."""

    read: Reader
    required: bool = True
    default: object = None


Form = Mapping[str, Field]


def optional(read: Reader, default: object = None) -> Field:
    """A field that may be left out; null means the same."""
    return Field(read, required=False, default=default)


async def read_body(request: Request, form: Form) -> dict[str, Any]:
    """Read the one JSON object that a request carries; no body is an empty object."""
    data = await _bytes_of(request)
    if not data:
        return _fields({}, form)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        _refuse(f"the body is {_shown(kind)}", "Send application/json, and say so.", status=415)
    return _fields(_document(data), form)


def read_query(request: Request, form: Form) -> dict[str, Any]:
    """Read what stands behind the question mark, where everything is text."""
    pairs = request.query_params.multi_items()
    if len({name for name, _ in pairs}) != len(pairs):
        _refuse("a parameter stands twice behind the question mark", "Say each one once.")
    return _fields(dict(pairs), form)


async def _bytes_of(request: Request) -> bytes:
    # Not `request.stream()`: trio complains of a generator that nobody reads to its end.
    data = bytearray()
    with trio.move_on_after(BODY_S_MAX):
        while True:
            message = await request.receive()
            if message["type"] == "http.disconnect":
                raise ClientLeft
            data += message.get("body", b"")
            if len(data) > BODY_BYTES_MAX:
                raise BadRequest(
                    Reason.TOO_LARGE,
                    f"a body of more than {BODY_BYTES_MAX} bytes",
                    "Send less; a model is named by its path.",
                    status=413,
                )
            if not message.get("more_body", False):
                return bytes(data)
    raise BadRequest(
        Reason.DEADLINE, f"the body took more than {BODY_S_MAX:.0f} s", "Send it whole.", 408
    )


def _document(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data.decode(), object_pairs_hook=_pairs, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        says = str(error) if not isinstance(error, RecursionError) else "it is nested too deep"
        _refuse(f"the body is no JSON: {says[:200]}", "Send one JSON object, in UTF-8.")
    if not isinstance(found, dict):
        _refuse(f"the body is {_shown(found)}", "Send one JSON object.")
    if _depth(found) > DEPTH_MAX:
        _refuse(f"the body is nested deeper than {DEPTH_MAX}", "Look up the endpoint.")
    return found


def _fields(found: Mapping[str, Any], form: Form) -> dict[str, Any]:
    for name in found:
        if name not in form:
            near = get_close_matches(name, form, n=1)
            hint = (
                f"Did you mean `{near[0]}`?" if near else f"There are: {', '.join(form) or 'none'}."
            )
            raise BadRequest(Reason.UNKNOWN_KIND, f"there is no field {_shown(name)} here", hint)
    read = {}
    for name, field in form.items():
        value = found.get(name)
        if value is None and not field.required:
            read[name] = field.default
            continue
        if value is None:
            _refuse(f"`{name}` is missing", f"Send `{name}`.")
        try:
            read[name] = field.read(value)
        except UnicodeError:
            _refuse(f"`{name}` is no text: {_shown(value)}", "Send whole characters.")
        except ValueError as error:
            raise BadRequest(
                Reason.OUT_OF_RANGE, f"`{name}` is {_shown(value)}", f"It takes {error}."
            ) from None
    return read


def whole(low: int, high: int) -> Reader:
    """Take a whole number of this range; in a query, its digits."""

    def read(value: object) -> int:
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
            value = int(value)
        if type(value) is int and low <= value <= high:
            return value
        raise ValueError(f"a whole number from {low} to {high}")

    return read


def number(low: float, high: float) -> Reader:
    """Take a number of this range."""

    def read(value: object) -> float:
        if type(value) in {int, float} and low <= value <= high:  # type: ignore[operator]  # mypy does not narrow by a set of types
            return float(value)  # type: ignore[arg-type]  # the same
        raise ValueError(f"a number from {low:g} to {high:g}")

    return read


def text(characters_max: int, characters_min: int = 1) -> Reader:
    """Take a text of bounded length."""

    def read(value: object) -> str:
        if isinstance(value, str) and characters_min <= len(value) <= characters_max:
            value.encode()  # half a character of UTF-16, which JSON can say, is a ValueError
            return value
        raise ValueError(f"a text of {characters_min} to {characters_max} characters")

    return read


def flag(value: object) -> bool:
    """Take true or false; in a query, 1 or 0."""
    known = {True: True, False: False} if isinstance(value, bool) else {"1": True, "0": False}
    if isinstance(value, bool | str) and value in known:
        return known[value]  # type: ignore[index]  # one of the two dictionaries has such keys
    raise ValueError("true or false, or 1 or 0 in a query")


def peer(value: object) -> bytes:
    """Take a peer id, and give its key."""
    try:
        return parse_peer_id(str(value))
    except RemoteProtocolError:
        raise ValueError("a peer id such as 12D3KooW...") from None


def path(value: object) -> Path:
    """Take the whole path of a file; it may have bytes in it that are no text."""
    if isinstance(value, str) and 0 < len(value) <= PATH_CHARACTERS_MAX and "\0" not in value:
        os.fsencode(value)
        if Path(value).is_absolute():
            return Path(value)
    raise ValueError("the whole path of a file")


def sizes(count_max: int, size_max: int) -> Reader:
    """Take an object of names and whole numbers from 1."""

    def read(value: object) -> dict[str, int]:
        if isinstance(value, dict) and len(value) <= count_max:
            one = whole(1, size_max)
            return {name[:200]: one(size) for name, size in value.items()}
        raise ValueError(f"an object of at most {count_max} names and their sizes")

    return read


def changes(value: object) -> dict[str, object]:
    """Take an object of names and values; the rules of the names say more about the values."""
    if isinstance(value, dict) and 0 < len(value) <= CHANGES_MAX:
        return value
    raise ValueError(f"an object of 1 to {CHANGES_MAX} names and their values")


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):  # the last would win here, and another reader may take the first
        raise ValueError("a name stands twice in an object")
    return made


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _depth(value: object) -> int:
    deepest, row = 0, [value]
    while row:
        deepest += 1
        inner: list[object] = []
        for each in row:
            if isinstance(each, dict):
                inner += each.values()
            elif isinstance(each, list):
                inner += each
        row = [each for each in inner if isinstance(each, dict | list)]
    return deepest


def _shown(value: object) -> str:
    shown = json.dumps(value)
    return shown if len(shown) <= _SHOWN_MAX else f"{shown[:_SHOWN_MAX]}..."


def _refuse(detail: str, next_step: str, status: int = 400) -> NoReturn:
    raise BadRequest(Reason.MALFORMED, detail, next_step, status)
