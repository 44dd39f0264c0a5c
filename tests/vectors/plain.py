# SPDX-License-Identifier: MIT
"""Values of the protocol as plain JSON, which every language reads alike."""

from dataclasses import fields, is_dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import protocol
from protocol.canon import KINDS, Message

#: A JSON reader that keeps numbers as doubles has every integer up to here.
EXACT_MAX = 2**53 - 1

Plain = dict[str, Any]


def plain(value: Any) -> Any:
    """Bytes as hex, larger integers as decimal text, rows as objects, lists as arrays."""
    if is_dataclass(value):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, int):
        return int(value) if value <= EXACT_MAX else str(int(value))
    if isinstance(value, tuple | list):
        return [plain(each) for each in value]
    assert isinstance(value, str), value
    return value


def all_kinds() -> dict[str, type[Message]]:
    """Every kind of message, of every module there is."""
    for module in iter_modules(protocol.__path__):
        import_module(f"protocol.{module.name}")
    # Tests of other files invent kinds; those are not the protocol's.
    return {kind: cls for kind, cls in KINDS.items() if cls.__module__.startswith("protocol.")}
