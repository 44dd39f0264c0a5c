# SPDX-License-Identifier: MIT
"""Frames, tensors, paths and texts that no honest node sends."""

import struct
from collections.abc import Iterator

from protocol.cid import cid_of
from protocol.frames import (
    BLOB_DATA_BYTES_MAX,
    HEADER_BYTES,
    BlobPiece,
    BlobWant,
    CancelFrame,
    DocumentFrame,
    End,
    Paused,
    Ping,
    Pong,
    Resumed,
    StatementFrame,
    TensorData,
    TensorStart,
    Window,
)
from protocol.invite import _checksum, _to_base32, format_invite
from protocol.keys import peer_id
from protocol.limits import RANK_MAX, STRINGS_PER_TENSOR_MAX, TENSOR_BYTES_MAX, WINDOW_BYTES_MAX
from protocol.merkle import _inner, _root, merkle_path, merkle_root
from protocol.tensors import ElementType
from tests.vectors.people import NOW_S, digest
from tests.vectors.plain import Plain
from tests.vectors.said import ACK, OPEN_INVITE, ORDER, SECRET_INVITE, R, sealed
from tests.vectors.spell import frame, without_rules

MALFORMED, OUT_OF_RANGE, TOO_LARGE = "malformed", "out_of_range", "too_large"
BROKEN_FRAME, UNEXPECTED = "broken_frame", "unexpected"

_HEAD = struct.pack("<BBQQ", ElementType.UINT8, 1, 4, 4)
_START = frame(TensorStart, struct.pack(">IH", 1, 1) + _HEAD)
_END, _PING = frame(End, b""), frame(Ping, bytes(8))


def _start(item: int, port: int, head: bytes = _HEAD) -> bytes:
    return frame(TensorStart, struct.pack(">IH", item, port) + head)


def _head(element: int, dims: tuple[int, ...], size: int) -> bytes:
    return struct.pack(f"<BB{len(dims) + 1}Q", element, len(dims), *dims, size)


_EMPTY = _start(1, 1, _head(2, (0,), 0))

_FRAMES: dict[str, tuple[str, bytes]] = {
    "kind_0": ("unknown_kind", bytes(4)),
    "kind_14": ("unknown_kind", b"\x0e\0\0\0"),
    "kind_255": ("unknown_kind", b"\xff\0\0\0"),
    "statement_of_64_bytes": (MALFORMED, frame(StatementFrame, bytes(64))),
    "statement_over_its_cap": (TOO_LARGE, b"\x01" + (64 + 6144 + 1).to_bytes(3, "big")),
    "document_of_nothing": (MALFORMED, frame(DocumentFrame, b"")),
    "document_over_its_cap": (TOO_LARGE, b"\x02" + (65_000 - 3).to_bytes(3, "big")),
    "tensor_data_of_nothing": (MALFORMED, frame(TensorData, b"")),
    "tensor_data_over_its_cap": (TOO_LARGE, b"\x04" + (65_000 - 3).to_bytes(3, "big")),
    "tensor_data_of_16_mib": (TOO_LARGE, b"\x04\xff\xff\xff"),
    "blob_piece_of_nothing": (MALFORMED, frame(BlobPiece, bytes(40))),
    "blob_want_of_nothing": (OUT_OF_RANGE, frame(BlobWant, bytes(44))),
    "blob_want_with_a_trailing_byte": (TOO_LARGE, frame(BlobWant, bytes(45))),
    "blob_want_cut": (MALFORMED, frame(BlobWant, bytes(43))),
    "window_of_nothing": (OUT_OF_RANGE, frame(Window, bytes(4))),
    "window_over_its_cap": (
        OUT_OF_RANGE,
        frame(Window, (WINDOW_BYTES_MAX + 1).to_bytes(4, "big")),
    ),
    "windows_over_the_cap": (BROKEN_FRAME, frame(Window, WINDOW_BYTES_MAX.to_bytes(4, "big"))),
    "window_with_a_trailing_byte": (TOO_LARGE, frame(Window, b"\0\0\0\x01\0")),
    "ping_of_7_bytes": (MALFORMED, frame(Ping, bytes(7))),
    "ping_with_a_trailing_byte": (TOO_LARGE, frame(Ping, bytes(9))),
    "nine_pings": (BROKEN_FRAME, _PING * 9),
    "pong_without_a_ping": (BROKEN_FRAME, frame(Pong, bytes(8))),
    "cancel_in_capitals": (OUT_OF_RANGE, frame(CancelFrame, b"Busy")),
    "cancel_with_a_letter_beyond_ascii": (MALFORMED, frame(CancelFrame, "größe".encode())),
    "cancel_with_a_newline": (OUT_OF_RANGE, frame(CancelFrame, b"busy\n")),
    "cancel_of_one_letter": (MALFORMED, frame(CancelFrame, b"x")),
    "cancel_of_41_letters": (TOO_LARGE, frame(CancelFrame, b"x" * 41)),
    "cancelled_twice": (UNEXPECTED, frame(CancelFrame, b"busy") * 2),
    "paused_for_too_long": (
        OUT_OF_RANGE,
        frame(Paused, (7 * 86_400 + 1).to_bytes(4, "big") + b"busy"),
    ),
    "resumed_without_a_pause": (UNEXPECTED, frame(Resumed, b"")),
    "resumed_with_a_byte": (TOO_LARGE, frame(Resumed, b"\0")),
    "end_with_a_byte": (TOO_LARGE, frame(End, b"\0")),
    "end_twice": (UNEXPECTED, _END * 2),
    "document_after_the_end": (UNEXPECTED, _END + frame(DocumentFrame, b"\x90")),
    "end_within_a_tensor": (UNEXPECTED, _START + _END),
    "data_without_a_tensor": (BROKEN_FRAME, frame(TensorData, b"x")),
    "data_beyond_the_tensor": (BROKEN_FRAME, _START + frame(TensorData, bytes(5))),
    "data_after_the_tensor": (BROKEN_FRAME, _START + frame(TensorData, b"x") * 5),
    "data_after_cancelling": (
        BROKEN_FRAME,
        _START + frame(CancelFrame, b"busy") + frame(TensorData, b"x"),
    ),
    "blob_after_cancelling": (
        UNEXPECTED,
        frame(CancelFrame, b"busy") + frame(BlobPiece, bytes(41)),
    ),
    "tensor_within_a_tensor": (UNEXPECTED, _START + _start(1, 2)),
    "tensor_after_cancelling": (UNEXPECTED, frame(CancelFrame, b"busy") + _START),
    "tensor_twice": (UNEXPECTED, _EMPTY * 2),
    "tensor_twice_with_an_ack_between": (
        UNEXPECTED,
        _EMPTY + frame(StatementFrame, sealed(ACK).wire) + _EMPTY,
    ),
    "order_within_a_tensor": (UNEXPECTED, _START + frame(StatementFrame, sealed(ORDER).wire)),
    "tensor_of_an_earlier_port": (UNEXPECTED, _start(1, 1, _head(2, (0,), 0)) + _start(1, 0)),
    "tensor_of_an_earlier_item": (UNEXPECTED, _start(1, 1, _head(2, (0,), 0)) + _start(0, 2)),
    "tensor_of_port_1024": (OUT_OF_RANGE, _start(0, 1024)),
    "tensor_header_too_long_for_its_rank": (MALFORMED, _start(0, 0, _HEAD + bytes(8))),
    "tensor_header_too_short_for_its_rank": (MALFORMED, _start(0, 0, b"\x02\x02" + _HEAD[2:])),
    "tensor_header_of_9_bytes": (MALFORMED, _start(0, 0, bytes(9))),
    "tensor_header_of_element_0": (OUT_OF_RANGE, _start(0, 0, _head(0, (), 1))),
    "a_size_in_big_endian": (
        OUT_OF_RANGE,
        _start(0, 0, struct.pack("<BB", 2, 1) + struct.pack(">QQ", 4, 4)),
    ),
}

_STRING, _BOOL, _INT4, _U8 = ElementType.STRING, ElementType.BOOL, ElementType.INT4, 2
_MANY = STRINGS_PER_TENSOR_MAX + 1
_TENSORS: dict[str, tuple[str, bytes]] = {
    "of_nothing": (MALFORMED, b""),
    "of_one_byte": (MALFORMED, b"\x02"),
    "with_a_cut_header": (MALFORMED, _HEAD[:-1]),
    "of_element_29": (OUT_OF_RANGE, _head(29, (), 1) + b"x"),
    "of_rank_17": (OUT_OF_RANGE, _head(_U8, (1,) * (RANK_MAX + 1), 1) + b"x"),
    "a_byte_short": (MALFORMED, _head(_U8, (3,), 3) + b"xx"),
    "a_byte_long": (MALFORMED, _head(_U8, (3,), 3) + b"xxxx"),
    "with_a_size_that_is_not_its_own": (OUT_OF_RANGE, _head(_U8, (3,), 4) + b"xxxx"),
    "empty_with_a_size": (OUT_OF_RANGE, _head(_U8, (0,), 1) + b"x"),
    "over_2_gib": (OUT_OF_RANGE, _head(_U8, (TENSOR_BYTES_MAX + 1,), TENSOR_BYTES_MAX + 1)),
    "whose_elements_overflow": (OUT_OF_RANGE, _head(_U8, (2**32, 2**32), 0)),
    "whose_bytes_overflow": (OUT_OF_RANGE, _head(ElementType.DOUBLE, (2**61,), 0)),
    "empty_and_overflowing": (OUT_OF_RANGE, _head(_U8, (0, 2**32, 2**32), 0)),
    "with_a_dimension_of_all_ones": (OUT_OF_RANGE, _head(_U8, (2**64 - 1,), 2**64 - 1)),
    "of_bool_2": (MALFORMED, _head(_BOOL, (3,), 3) + b"\0\1\2"),
    "of_bool_255": (MALFORMED, _head(_BOOL, (1,), 1) + b"\xff"),
    "with_a_nibble_behind_its_end": (MALFORMED, _head(_INT4, (3,), 2) + b"\x21\x13"),
    "with_a_crumb_behind_its_end": (
        MALFORMED,
        _head(ElementType.UINT2, (3,), 1) + b"\x40",
    ),
    "of_six_bits_with_padding": (
        MALFORMED,
        _head(ElementType.FLOAT6E2M3, (1,), 1) + b"\x40",
    ),
    "of_four_bits_in_whole_bytes": (OUT_OF_RANGE, _head(_INT4, (2,), 2) + b"\x01\x02"),
    "of_too_many_strings": (OUT_OF_RANGE, _head(_STRING, (_MANY,), 4 * _MANY)),
    "of_no_strings_in_too_many_rows": (OUT_OF_RANGE, _head(_STRING, (_MANY, 0), 0)),
    "of_strings_without_lengths": (OUT_OF_RANGE, _head(_STRING, (2,), 7) + bytes(7)),
    "of_a_string_that_is_too_short": (MALFORMED, _head(_STRING, (1,), 6) + b"\3\0\0\0hi"),
    "of_a_string_too_few": (MALFORMED, _head(_STRING, (2,), 8) + b"\4\0\0\0\0\0\0\0"),
    "of_a_string_too_many": (MALFORMED, _head(_STRING, (1,), 8) + bytes(8)),
    "of_a_cut_length": (MALFORMED, _head(_STRING, (1,), 6) + bytes(6)),
    "of_a_length_in_big_endian": (MALFORMED, _head(_STRING, (1,), 5) + b"\0\0\0\1x"),
    "of_a_string_over_64_kib": (MALFORMED, _head(_STRING, (1,), 9) + b"\1\0\1\0" + b"x" * 5),
}


def frames() -> Iterator[Plain]:
    """Streams that break the rules of frames, or of what may follow what."""
    for name, (reason, said) in _FRAMES.items():
        yield {"name": f"frame_{name}", "feed": "stream", "reason": reason, "bytes": said.hex()}

    # One piece more than the window lets in: 4 MiB of zeros, in 65 pieces.
    piece = frame(BlobPiece, bytes(40 + BLOB_DATA_BYTES_MAX))
    yield {
        "name": "frame_blobs_beyond_the_window",
        "feed": "stream",
        "reason": "window_exceeded",
        "bytes": piece[:HEADER_BYTES].hex(),
        "zeros": len(piece) - HEADER_BYTES,
        "times": 65,
    }


def tensors() -> Iterator[Plain]:
    """Tensors that are not the one way to write what they hold."""
    long = _head(_STRING, (2,), 4 + 65_537 + 4) + b"\1\0\1\0"
    one = {"name": "tensor_of_a_long_and_an_empty_string", "feed": "tensor"}
    yield one | {"reason": MALFORMED, "bytes": long.hex(), "zeros": 65_537 + 4}
    for name, (reason, data) in _TENSORS.items():
        yield {"name": f"tensor_{name}", "feed": "tensor", "reason": reason, "bytes": data.hex()}


def paths() -> Iterator[Plain]:
    """Merkle paths that lead elsewhere."""
    leaves = [digest(f"leaf {index}") for index in range(5)]
    root, path, last = merkle_root(leaves), merkle_path(leaves, 1), merkle_path(leaves, 4)
    flipped = bytes([path[0] ^ 1]) + path[1:]
    turned = path[32:64] + path[:32] + path[64:]
    large = _root(65_537, _inner(leaves[0], leaves[1]))  # the last leaf rises to the very top
    cases: list[tuple[str, int, int, bytes, bytes, bytes]] = [
        ("too_long", 5, 1, leaves[1], path + bytes(32), root),
        ("too_short", 5, 1, leaves[1], path[:-32], root),
        ("of_nothing", 5, 1, leaves[1], b"", root),
        ("with_half_a_digest", 5, 1, leaves[1], path[:-16], root),
        ("with_a_trailing_byte", 5, 1, leaves[1], path + b"\0", root),
        ("with_a_flipped_bit", 5, 1, leaves[1], flipped, root),
        ("in_another_order", 5, 1, leaves[1], turned, root),
        ("of_another_leaf", 5, 1, leaves[0], path, root),
        ("of_another_place", 5, 0, leaves[1], path, root),
        ("of_another_count", 6, 1, leaves[1], path, root),
        ("to_another_root", 5, 1, leaves[1], path, digest("root")),
        ("of_a_leaf_that_rose_and_was_paired", 5, 4, leaves[4], leaves[4] + last, root),
        ("beyond_the_count", 5, 5, leaves[4], last, root),
        ("of_no_leaves", 0, 0, leaves[0], b"", root),
        ("of_too_many_leaves", 65_537, 0, leaves[0], bytes(32 * 17), root),
        ("where_the_root_is_a_leaf", 1, 0, root, b"", root),
        ("of_another_place_in_a_tree_of_one", 1, 7, leaves[0], b"", merkle_root(leaves[:1])),
        ("in_a_tree_that_is_too_large", 65_537, 65_536, leaves[1], leaves[0], large),
    ]
    for name, count, index, leaf, cut, top in cases:
        yield {
            "name": f"path_{name}",
            "feed": "merkle_path",
            "reason": "bad_proof",
            "count": count,
            "index": index,
            "leaf": leaf.hex(),
            "path": cut.hex(),
            "root": top.hex(),
        }


def _invite(name: str, reason: str, text: str) -> Plain:
    return {
        "name": f"invite_{name}",
        "feed": "invite",
        "reason": reason,
        "text": text,
        "now_s": NOW_S - 1,
    }


def _padded(text: str) -> str:
    """Set a bit that no byte uses in the last character of a text in base32."""
    digits = "0123456789abcdefghjkmnpqrstvwxyz"
    assert digits.index(text[-1]) % 2 == 0, "the last character has a spare bit"
    return text[:-1] + digits[digits.index(text[-1]) + 1]


def texts() -> Iterator[Plain]:
    """Invites, peer ids and CIDs that were not copied whole, or never were any."""
    text = format_invite(OPEN_INVITE)
    at = 40
    slip = text[:at] + ("x" if text[at] != "x" else "y") + text[at + 1 :]
    swap = at + next(n for n in range(9) if text[at + n] != text[at + n + 1])
    swapped = text[:swap] + text[swap + 1] + text[swap] + text[swap + 2 :]
    bad_body = without_rules(OPEN_INVITE)[:-1]
    cut_body = "commons://" + _to_base32(bad_body + _checksum(bad_body))
    broken: dict[str, str] = {
        "with_a_slip": slip,
        "with_two_characters_swapped": swapped,
        "with_a_u": text[:at] + "u" + text[at + 1 :],
        "with_a_character_of_no_alphabet": text[:at] + "!" + text[at + 1 :],
        "with_a_letter_beyond_ascii": text[:at] + "é" + text[at + 1 :],
        "without_its_last_character": text[:-1],
        "with_one_character_more": text + "0",
        "without_its_scheme": text.removeprefix("commons://"),
        "of_another_scheme": text.replace("commons", "https"),
        "of_nothing": "",
        "of_a_scheme_only": "commons://",
        "with_a_spare_bit_set": _padded(text),
    }
    for name, spelled in broken.items():
        yield _invite(name, "invite_broken", spelled)
    yield _invite("whose_body_is_cut", MALFORMED, cut_body)
    secret = format_invite(SECRET_INVITE)
    yield _invite("at_the_second_it_ends", "expired", secret) | {"now_s": NOW_S}
    name = peer_id(R)
    peers = {
        "with_a_0": name[:20] + "0" + name[21:],
        "with_an_l": name[:20] + "l" + name[21:],
        "with_a_leading_1": "1" + name,
        "with_a_slip": name[:4] + ("x" if name[4] != "x" else "y") + name[5:],
        "cut": name[:-1],
        "twice": name + name,
        "of_nothing": "",
        "with_a_space": name + " ",
        "as_a_cid": cid_of(R),
    }
    for title, spelled in peers.items():
        yield {
            "name": f"peer_id_{title}",
            "feed": "peer_id",
            "reason": MALFORMED,
            "text": spelled,
        }
    yield {
        "name": "peer_id_of_a_weak_key",
        "feed": "peer_id",
        "reason": "weak_key",
        "text": peer_id(bytes(32)),
    }
    cid = cid_of(b"abc")
    cids = {
        "in_capitals": cid.upper(),
        "with_a_capital": cid[:-1] + cid[-1].upper(),
        "without_its_multibase": cid[1:],
        "of_another_multibase": "z" + cid[1:],
        "cut": cid[:-1],
        "padded": cid + "======",
        "with_a_1": cid[:20] + "1" + cid[21:],
        "of_another_codec": cid[:3] + "y" + cid[4:],
        "of_version_0": "QmPZ9gcCEpqKTo6aq61g2nXGUhM4iCL3ewB6LDXZCtioEB",
        "with_spare_bits_set": cid[:-1]
        + "abcdefghijklmnopqrstuvwxyz234567"["abcdefghijklmnopqrstuvwxyz234567".index(cid[-1]) + 1],
    }
    for title, spelled in cids.items():
        yield {"name": f"cid_{title}", "feed": "cid", "reason": MALFORMED, "text": spelled}
