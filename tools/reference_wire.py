# SPDX-License-Identifier: MIT
"""The reference pages about the wire: messages with their fields, caps with their reasons."""

import ast
import dataclasses
import importlib
import pkgutil
from inspect import cleandoc
from pathlib import Path

import protocol
from protocol import advert, compare, hello, limits, model, price
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
from protocol.tensors import ElementType

MESSAGES_TEXT = """\
Every message is one msgpack array: its kind, the version 1, then these fields in this
order. How the array is written, signed and checked is in the
[specification](../design/protocol.md); real bytes of each kind are in the
[vectors](../vectors/README.md). A *signed* message is a statement: its first field is the key of
its signer, and on the wire its signature comes first."""

LIMITS_TEXT = """\
Every queue, list and message has a cap, and every cap a reason. These are the protocol's:
a node that sends more is wrong. What one owner allows is in the configuration instead."""

COMPARATORS = {
    compare.EXACT: "exact",
    compare.F32: "32-bit floats",
    compare.HALF: "16-bit floats",
    compare.TOKENS: "tokens",
}
ERROR = "relative L2 distance in units of 1e-9"
TOLERANCE = "units of 1e-9 of what the comparator measures"
PUBLIC = {0: "inputs are shown to nobody", 1: "single inputs may be shown as evidence"}

MEANINGS: dict[str, dict[int, str] | str] = {
    "accept.price": {0: "a gift"},
    "advert.gift": {
        advert.GIFT_NONE: "nobody gets gifts",
        advert.GIFT_MEMBERS: "members, and nodes that the owner listed",
        advert.GIFT_ANYONE: "anyone",
    },
    "advert.reach": {
        advert.REACH_UNKNOWN: "not known",
        advert.REACH_DIRECT: "directly",
        advert.REACH_RELAYED: "through a relay",
        advert.REACH_OUTBOUND: "not at all: it dials others",
    },
    "advert.models.warm": {0: "not loaded", 1: "loaded now"},
    "dispute.error": ERROR,
    "evidence.error": ERROR,
    "hello.role": {hello.DIALER: "the dialer", hello.LISTENER: "the listener"},
    "manifest.comparator": COMPARATORS,
    "manifest.dims.symbolic": {0: "`value` is the dimension", 1: "`value` is a symbol's index"},
    "manifest.files.role": {
        model.FILE_OTHER: "other",
        model.FILE_TOKENIZER: "tokenizer",
        model.FILE_TOKENIZER_CONFIG: "tokenizer's configuration",
        model.FILE_CHAT_TEMPLATE: "chat template",
        model.FILE_CONFIG: "configuration",
        model.FILE_GENERATION_CONFIG: "configuration of generation",
        model.FILE_LICENCE: "licence",
    },
    "manifest.kind": {
        model.MODEL: "a model",
        model.CUT: "another cut",
        model.QUANTISED: "a quantised variant",
        model.ADAPTER: "an adapter",
    },
    "manifest.ports.element": {each.value: each.name.lower() for each in ElementType},
    "manifest.ports.optional": {0: "needed", 1: "optional"},
    "manifest.ports.output": {0: "an input", 1: "an output"},
    "manifest.spread": ERROR,
    "manifest.terms.which": {price.FLOPS: "operations", price.BYTES: "bytes moved"},
    "manifest.tolerance": TOLERANCE,
    "order.comparator": COMPARATORS,
    "order.public": PUBLIC,
    "order.tolerance": TOLERANCE,
    "result.environment": "execution provider and version, in free text",
    "result.last": {0: "more results follow", 1: "the last one of the order"},
    "session.comparator": COMPARATORS,
    "session.public": PUBLIC,
    "session.tolerance": TOLERANCE,
    "summary.held.met": {0: "only told of", 1: "dialled and proved by the teller itself"},
}
"""What the numbers of a field mean where its range does not say it."""

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
    rows = [
        f"| `{name}` | {describe(codec)}{_meaning(f'{kind}.{name}')} |"
        for name, codec in _fields(cls)
    ]
    table = "\n".join(["| field | what it is |", "|---|---|", *rows])
    lists = [
        f"One row of `{name}`:\n\n"
        + "\n".join(
            f"- `{column}`: {describe(inner)}{_meaning(f'{kind}.{name}.{column}')}"
            for column, inner in _columns(codec)
        )
        for name, codec in _fields(cls)
        if isinstance(codec, ListCodec) and _columns(codec)
    ]
    head = f"## `{kind}`\n\n{summary}\n\n*{how.capitalize()}, at most {cls.BYTES_MAX:,} bytes.*"
    return "\n\n".join([head, table, *lists])


def _meaning(field: str) -> str:
    """What MEANINGS says of a field, named with its message and its list."""
    found = MEANINGS.get(field, "")
    if isinstance(found, dict):
        found = "; ".join(f"`{number}` {words}" for number, words in found.items())
    return f": {found}" if found else ""


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
