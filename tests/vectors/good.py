# SPDX-License-Identifier: MIT
"""The families of good vectors: statements, documents, frames, tensors, trees and names."""

from dataclasses import fields
from math import prod
from typing import Any

from protocol.canon import domain_tag, encode
from protocol.channel import Channel
from protocol.cid import cid_of
from protocol.frames import (
    FRAMES,
    BlobPiece,
    BlobWant,
    CancelFrame,
    DocumentFrame,
    End,
    Frame,
    Paused,
    Ping,
    Pong,
    Resumed,
    StatementFrame,
    TensorData,
    TensorStart,
    Window,
)
from protocol.frames import encode as encode_frame
from protocol.hello import Hello, membership_proof, network_id
from protocol.invite import format_invite
from protocol.keys import peer_id
from protocol.limits import TTL_S_MAX, WINDOW_BYTES_MAX
from protocol.merkle import leaf, leaf_salt, merkle_path, merkle_root
from protocol.model import Manifest, model_cid, model_digest
from protocol.shapes import Shapes, ShapeTable
from protocol.tensors import ElementType, Tensor, encode_tensor, item_digest, tensor_digest
from tests.vectors.people import (
    KEYPAIR_OF,
    NETWORK,
    NETWORK_NAME,
    NETWORK_SALT,
    NOW_S,
    SECRET,
    SEED_OF,
    digest,
    stream,
)
from tests.vectors.plain import Plain, all_kinds, plain
from tests.vectors.said import (
    ACK,
    DOCUMENTS,
    LISTENER_HELLO,
    OPEN_INVITE,
    ORDER,
    SECOND_HELLO,
    SECRET_INVITE,
    STATEMENTS,
    WANTED,
    sealed,
)


def statements() -> list[Plain]:
    """Every kind of signed statement."""
    made = []
    for name, value in STATEMENTS.items():
        one = sealed(value)
        made.append(
            {
                "name": name,
                "kind": value.KIND,
                "fields": plain(value),
                "body": one.body.hex(),
                "signature": one.signature.hex(),
                "id": one.id.hex(),
                "network": NETWORK.hex(),
                "seed": SEED_OF[value.signer].hex(),
            }
        )
    return made


def documents() -> list[Plain]:
    """Every kind of unsigned message, with the names that some of them have."""
    made = []
    for name, value in DOCUMENTS.items():
        body = encode(value)
        one = {"name": name, "kind": value.KIND, "fields": plain(value), "body": body.hex()}
        if isinstance(value, Shapes):
            one["root"] = ShapeTable(value).root.hex()
        if isinstance(value, Manifest):
            one |= {"digest": model_digest(body).hex(), "cid": model_cid(body)}
        made.append(one)
    return made


# --- frames ---------------------------------------------------------------------------------------

_NUMBERS = Tensor(ElementType.INT16, (2, 1), bytes([1, 0, 255, 255]))
_EMPTY = Tensor(ElementType.FLOAT, (0, 3), b"")
_SCALAR = Tensor(ElementType.DOUBLE, (), bytes(8))

FRAME_VALUES: dict[str, Frame] = {
    "statement": StatementFrame(sealed(ACK).wire),
    "document": DocumentFrame(encode(WANTED)),
    "tensor_start": TensorStart(65_535, 1023, _NUMBERS.header),
    "tensor_start_of_a_scalar": TensorStart(0, 0, _SCALAR.header),
    "tensor_start_of_strings": TensorStart(
        2**32 - 1, 0, Tensor(ElementType.STRING, (1,), b"\x02\0\0\0hi").header
    ),
    "tensor_data": TensorData(b"\x01\0\xff\xff"),
    "blob_piece": BlobPiece(digest("blob"), 2**64 - 1, b"some bytes of a blob"),
    "blob_want": BlobWant(digest("blob"), 1 << 40, 2**32 - 1),
    "window": Window(1),
    "window_of_all": Window(WINDOW_BYTES_MAX),
    "ping": Ping(2**64 - 1),
    "pong": Pong(2**64 - 1),
    "cancel": CancelFrame("ok"),
    "cancel_with_the_longest_code": CancelFrame("a_code_of_a_newer_node_0123456789_456789"),
    "paused": Paused(TTL_S_MAX, "shutting_down"),
    "resumed": Resumed(),
    "end": End(),
}
STREAMS: dict[str, tuple[str, list[Frame]]] = {
    "an_item_of_three_tensors": (
        "closed",
        [
            StatementFrame(sealed(ACK).wire),
            TensorStart(0, 0, _NUMBERS.header),
            TensorData(b"\x01"),
            Ping(7),
            TensorData(b"\0\xff\xff"),
            TensorStart(0, 2, _EMPTY.header),
            TensorStart(1, 0, _SCALAR.header),
            TensorData(bytes(8)),
            End(),
            Window(5),
            CancelFrame("deadline"),
        ],
    ),
    "cancelled_within_a_tensor": (
        "closed",
        [
            TensorStart(0, 0, _NUMBERS.header),
            TensorData(b"\x01"),
            CancelFrame("busy"),
            Paused(0, "busy"),
            Resumed(),
            DocumentFrame(b"\x90"),
            End(),
        ],
    ),
    "blobs_between_pieces_of_a_tensor": (
        "closed",
        [
            TensorStart(0, 0, _NUMBERS.header),
            BlobPiece(digest("blob"), 0, b"piece"),
            TensorData(b"\x01\0\xff\xff"),
            End(),
        ],
    ),
    "two_orders_of_which_one_is_cancelled": (
        "closed",
        [
            StatementFrame(sealed(ORDER).wire),
            TensorStart(3, 1, _NUMBERS.header),
            CancelFrame("busy"),
            StatementFrame(sealed(ORDER).wire),
            TensorStart(0, 0, _NUMBERS.header),
            TensorData(b"\x01\0\xff\xff"),
            CancelFrame("deadline"),
            End(),
        ],
    ),
    "no_end": ("lost", [Ping(1)]),
}


def _bytes_of(frame: Frame) -> bytes:
    return b"".join(bytes(part) for part in encode_frame(frame))


def _frame_fields(frame: Frame) -> Plain:
    return {each.name: plain(getattr(frame, each.name)) for each in fields(frame)}  # type: ignore[arg-type]  # the decorator `frame` makes each a dataclass


def frames() -> Plain:
    """Every kind of frame by itself, and what one side may say on a stream."""
    single = [
        {
            "name": name,
            "kind": value.KIND,
            "fields": _frame_fields(value),
            "frame": _bytes_of(value).hex(),
        }
        for name, value in FRAME_VALUES.items()
    ]
    conversations = []
    for name, (end, said) in STREAMS.items():
        channel = Channel()
        parts = [b"".join(bytes(part) for part in channel.send(frame)) for frame in said]
        conversations.append(
            {
                "name": name,
                "stream": b"".join(parts).hex(),
                "kinds": [frame.KIND for frame in said],
                "end": end,
            }
        )
    return {"frames": single, "streams": conversations}


# --- tensors --------------------------------------------------------------------------------------


def _data(element: ElementType, dims: tuple[int, ...]) -> bytes:
    """Canonical data without a pattern."""
    count = prod(dims)
    if element is ElementType.STRING:
        texts = [stream("text", length).hex()[:length].encode() for length in range(count)]
        return b"".join(len(text).to_bytes(4, "little") + text for text in texts)
    if element is ElementType.BOOL:
        return bytes(byte & 1 for byte in stream("bool", count))
    size_bits = count * element.bits
    number = int.from_bytes(stream(element.name, (size_bits + 7) // 8), "little")
    return (number & ((1 << size_bits) - 1)).to_bytes((size_bits + 7) // 8, "little")


def _packed(element: ElementType, values: list[int]) -> Tensor:
    number = sum(value << place * element.bits for place, value in enumerate(values))
    size = (len(values) * element.bits + 7) // 8
    return Tensor(element, (len(values),), number.to_bytes(size, "little"))


TENSORS: dict[str, Tensor] = {
    **{
        f"three_of_{element.name.lower()}": Tensor(element, (1, 3), _data(element, (1, 3)))
        for element in ElementType
    },
    "scalar": Tensor(ElementType.FLOAT, (), bytes.fromhex("0000c03f")),
    "scalar_string": Tensor(ElementType.STRING, (), b"\x03\0\0\0" + "né".encode()),
    "empty": _EMPTY,
    "empty_of_strings": Tensor(ElementType.STRING, (0,), b""),
    "empty_of_four_bits": Tensor(ElementType.INT4, (5, 0), b""),
    "empty_strings": Tensor(ElementType.STRING, (2,), bytes(8)),
    "strings_need_not_be_text": Tensor(ElementType.STRING, (1,), b"\x02\0\0\0\xff\0"),
    "rank_16": Tensor(ElementType.UINT8, (1,) * 16, b"\x07"),
    "four_bits_1_to_5": _packed(ElementType.UINT4, [1, 2, 3, 4, 5]),
    "two_bits_1_to_3": _packed(ElementType.UINT2, [1, 2, 3, 0, 1]),
    "six_bits_1_to_5": _packed(ElementType.FLOAT6E2M3, [1, 2, 3, 4, 5]),
    "minus_zero_is_not_zero": Tensor(ElementType.FLOAT16, (2,), bytes.fromhex("00000080")),
    "nan_keeps_its_bits": Tensor(ElementType.FLOAT, (1,), bytes.fromhex("0100c0ff")),
}
ITEMS: dict[str, tuple[str, ...]] = {
    "of_nothing": (),
    "of_one": ("scalar",),
    "of_two": ("three_of_int64", "scalar"),
    "of_two_in_the_other_order": ("scalar", "three_of_int64"),
}


def tensors() -> Plain:
    """Every element type, and digests of items."""
    return {
        "tensors": [
            {
                "name": name,
                "element": tensor.element.value,
                "dims": list(tensor.dims),
                "data": plain(tensor.data),
                "bytes": encode_tensor(tensor).hex(),
                "digest": tensor_digest(tensor).hex(),
            }
            for name, tensor in TENSORS.items()
        ],
        "items": [
            {
                "name": name,
                "tensors": list(names),
                "digest": item_digest(TENSORS[each] for each in names).hex(),
            }
            for name, names in ITEMS.items()
        ],
    }


# --- trees and names ------------------------------------------------------------------------------


def merkle() -> Plain:
    """Trees of a few sizes, with the path of every leaf."""
    secret = digest("a secret of an order")
    trees = []
    for count in (1, 2, 3, 4, 5, 6, 7, 9):
        side = count % 2
        digests = [digest(f"item {item}") for item in range(count)]
        salts = [leaf_salt(secret, side, item) for item in range(count)]
        leaves = [leaf(item, salts[item], digests[item]) for item in range(count)]
        trees.append(
            {
                "name": f"of_{count}",
                "secret": secret.hex(),
                "side": side,
                "items": plain(digests),
                "salts": plain(salts),
                "leaves": plain(leaves),
                "root": merkle_root(leaves).hex(),
                "paths": [merkle_path(leaves, index).hex() for index in range(count)],
            }
        )
    return {"trees": trees}


def _proof(hello: Hello) -> Plain:
    return {
        "hello": plain(hello),
        "peer_nonce": hello.answers.hex(),
        "secret": SECRET.hex(),
        "proof": membership_proof(SECRET, hello, hello.answers).hex(),
    }


def _invite_texts() -> list[Plain]:
    made: list[Plain] = []
    for name, invite in (("open", OPEN_INVITE), ("with_a_secret", SECRET_INVITE)):
        text = format_invite(invite)
        scheme, code = text.split("//")
        groups = "-".join(code[at : at + 5] for at in range(0, len(code), 5))
        lines = "\n\t ".join(code[at : at + 40] for at in range(0, len(code), 40))
        swaps = code.replace("0", "O").replace("1", "l", 2).replace("1", "I")
        made.append(
            {
                "name": name,
                "text": text,
                "spellings": [
                    text.upper(),
                    f"  {scheme}//{groups}\r\n",
                    f"{scheme}//{lines}",
                    f"{scheme}//{swaps}",
                    f"Com mons:/\u00a0/{code[:9]}\u3000{code[9:]}",
                ],
                "now_s": NOW_S - 1,
                "fields": plain(invite),
            }
        )
    return made


_NETWORK_NAMES: list[tuple[str, bytes]] = [
    (NETWORK_NAME, NETWORK_SALT),
    ("größer", bytes(16)),
    ("größer", b"\xff" * 16),
    ("gro\u0308\u00dfer", bytes(16)),  # looks like the one above, and is another: bytes count
]


def names() -> Plain:
    """Everything that is named by a hash or written as a text."""
    tags = [*sorted(all_kinds()), "network", "membership", "invite-text", "tensor", "item"]
    tags += ["leaf", "leaf-salt", "merkle-inner", "merkle-root", "shape-row"]
    blobs: list[Any] = [b"", b"abc", stream("a blob", 100)]
    return {
        "tags": [{"name": kind, "tag": domain_tag(kind).hex()} for kind in tags],
        "networks": [
            {"name": name, "salt": salt.hex(), "id": network_id(name, salt).hex()}
            for name, salt in _NETWORK_NAMES
        ],
        "peers": [
            {"seed": SEED_OF[key].hex(), "key": key.hex(), "peer_id": peer_id(key)}
            for key in KEYPAIR_OF
        ],
        "cids": [{"data": blob.hex(), "cid": cid_of(blob)} for blob in blobs],
        "proofs": [_proof(SECOND_HELLO), _proof(LISTENER_HELLO)],
        "invites": _invite_texts(),
    }


assert {value.KIND for value in FRAME_VALUES.values()} == set(FRAMES), "a kind of frame is missing"
