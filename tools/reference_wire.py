# SPDX-License-Identifier: MIT
"""The reference pages about the wire: messages with their fields, caps with their reasons."""

import ast
import dataclasses
import importlib
import pkgutil
from inspect import cleandoc
from pathlib import Path

import protocol
from protocol import limits
from protocol.canon import (
    KINDS,
    BytesCodec,
    Codec,
    ListCodec,
    Message,
    Row,
    TextCodec,
    UintCodec,
)
from protocol.sealed import Statement
from protocol.shapes import ShapeCodec

MESSAGES_TEXT = """\
Every message is one msgpack array: its kind, the version 1, then these fields in this
order. How the array is written, signed and checked is in the
[specification](../design/protocol.md); real bytes of each kind are in the
[vectors](../vectors/README.md). A *signed* message is a statement: its first field is the key of
its signer, and on the wire its signature comes first."""

LIMITS_TEXT = """\
Every queue, list and message has a cap, and every cap a reason. These are the protocol's:
a node that sends more is wrong. What one owner allows is in the configuration instead."""

UINT_TOP = {2**63 - 1: "2^63-1"}


def messages_page(note: str) -> str:
    """Describe every kind of message."""
    for module in pkgutil.iter_modules(protocol.__path__, "protocol."):
        importlib.import_module(module.name)
    signed = {kind: cls for kind, cls in sorted(KINDS.items()) if issubclass(cls, Statement)}
    unsigned = {kind: cls for kind, cls in sorted(KINDS.items()) if kind not in signed}
    parts = ["# Messages", note, MESSAGES_TEXT]
    parts += [_message(kind, cls, "signed") for kind, cls in signed.items()]
    parts += [_message(kind, cls, "not signed") for kind, cls in unsigned.items()]
    return "\n\n".join(parts) + "\n"


def _message(kind: str, cls: type[Message], how: str) -> str:
    summary = cleandoc(cls.__doc__ or "")
    rows = [f"| `{name}` | {describe(codec)} |" for name, codec in _fields(cls)]
    table = "\n".join(["| field | what it is |", "|---|---|", *rows])
    lists = [
        f"One row of `{name}`:\n\n"
        + "\n".join(f"- `{column}`: {describe(inner)}" for column, inner in _columns(codec))
        for name, codec in _fields(cls)
        if isinstance(codec, ListCodec) and _columns(codec)
    ]
    head = f"## `{kind}`\n\n{summary}\n\n*{how.capitalize()}, at most {cls.BYTES_MAX:,} bytes.*"
    return "\n\n".join([head, table, *lists])


def _fields(cls: type[Row]) -> list[tuple[str, Codec]]:
    names = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type] # declared by @message
    return list(zip(names, cls.CODECS, strict=True))


def _columns(codec: ListCodec) -> list[tuple[str, Codec]]:
    return _fields(codec.make) if isinstance(codec.make, type) else []


def describe(codec: Codec) -> str:
    """Say in a few words what a field may hold."""
    match codec:
        case UintCodec(least, most):
            return f"integer, {least:,} to {UINT_TOP.get(most, f'{most:,}')}"
        case BytesCodec(least, most, or_empty):
            size = f"{least:,}" if least == most else f"{least:,} to {most:,}"
            return f"{size} bytes{', or none' if or_empty else ''}"
        case TextCodec(most, least, pattern):
            form = f" of the form `{pattern.pattern}`" if pattern else ""
            return f"text of {least} to {most} bytes{form}"
        case ListCodec(columns, least, most, ascending=ascending):
            what = describe(columns[0]) if not _columns(codec) else f"rows of {len(columns)}"
            order = ", strictly ascending" if ascending else ""
            return f"list of {least:,} to {most:,}: {what}{order}"
        case ShapeCodec():
            return "shapes: one flat list, for each input its rank and then its dimensions"
        case _:
            return cleandoc(type(codec).__doc__ or "").splitlines()[0].rstrip(".")


def limits_page(note: str) -> str:
    """Describe every cap; the reasons are the comments in the source."""
    lines = Path(limits.__file__).read_text(encoding="utf-8").splitlines()
    parts = ["# Limits", note, LIMITS_TEXT]
    for node in ast.parse("\n".join(lines)).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            reason: list[str] = []
            at = node.lineno - 2
            while lines[at].startswith("#:"):
                reason.insert(0, lines[at].removeprefix("#:").strip())
                at -= 1
            value = getattr(limits, name)
            parts.append(f"## `{name}` = {UINT_TOP.get(value, f'{value:,}')}\n\n{' '.join(reason)}")
    return "\n\n".join(parts) + "\n"
