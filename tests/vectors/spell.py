# SPDX-License-Identifier: MIT
"""Messages in spellings that no honest node uses."""

from dataclasses import fields
from typing import Any

import msgpack

from protocol.canon import Message, domain_tag, encode
from protocol.frames import FRAMES, Frame
from protocol.keys import Keypair
from protocol.sealed import Statement
from tests.vectors.people import KEYPAIR_OF, NETWORK
from tests.vectors.plain import Plain


class Raw(bytes):
    """Bytes that stand for themselves, where a cell would be packed."""

    __slots__ = ()


def cell(value: object) -> bytes:
    """Write one cell in its shortest form, or as it was spelled."""
    packed: bytes = value if isinstance(value, Raw) else msgpack.packb(value, use_bin_type=True)
    return bytes(packed)


def array(cells: list[Any]) -> bytes:
    """Write an array of cells."""
    head: bytes = msgpack.Packer().pack_array_header(len(cells))
    return head + b"".join(cell(each) for each in cells)


def cells_of(value: Message) -> dict[str, Any]:
    """The cells of a message by their names, after its head."""
    names = ["head_kind", "head_version", *(each.name for each in fields(value))]  # type: ignore[arg-type]  # the decorator `message` makes each a dataclass
    return dict(zip(names, msgpack.unpackb(encode(value), raw=False), strict=True))


def body_with(value: Message, **changes: object) -> bytes:
    """Write a message with some of its cells changed, whatever they are."""
    cells = cells_of(value)
    assert changes.keys() <= cells.keys(), changes
    return array(list((cells | changes).values()))


def without_rules(value: Message) -> bytes:
    """Write a message that breaks a rule between its fields."""
    columns = zip(value.CODECS, type(value).CELLS(value), strict=True)
    return array([value.KIND, 1, *(codec.pack(each) for codec, each in columns)])


def signed(
    name: str,
    reason: str,
    value: Statement,
    body: bytes,
    *,
    keypair: Keypair | None = None,
    kind: str = "",
    network: bytes = NETWORK,
    expected: str = "",
) -> Plain:
    """Sign any body as a statement like `value`."""
    pair = keypair or KEYPAIR_OF[value.signer]
    signature = pair.sign(domain_tag(kind or value.KIND) + network + body)
    return {
        "name": name,
        "reason": reason,
        "feed": "statement",
        "expected": [expected or value.KIND],
        "network": NETWORK.hex(),
        "bytes": (signature + body).hex(),
    }


def document(name: str, reason: str, kind: str, body: bytes) -> Plain:
    """Feed a body as a document of one kind."""
    return {
        "name": name,
        "reason": reason,
        "feed": "document",
        "expected": [kind],
        "bytes": body.hex(),
    }


def frame(cls: type[Frame], payload: bytes) -> bytes:
    """Write a frame of any payload."""
    assert FRAMES[cls.KIND] is cls
    return bytes([cls.KIND]) + len(payload).to_bytes(3, "big") + payload
