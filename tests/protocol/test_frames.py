# SPDX-License-Identifier: MIT
"""Tests of `protocol.frames`: each kind as bytes, strictly, and without a copy of data."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.frames import (
    BLOB_DATA_BYTES_MAX,
    FRAMES,
    HEADER_BYTES,
    TENSOR_DATA_BYTES_MAX,
    BlobPiece,
    BlobWant,
    CancelFrame,
    DocumentFrame,
    End,
    Frame,
    Paused,
    Ping,
    Pong,
    StatementFrame,
    TensorData,
    TensorStart,
    Window,
    decode,
    encode,
    parse_frame_header,
)
from protocol.limits import (
    FRAME_BYTES_MAX,
    HELLO_BYTES_MAX,
    PORTS_MAX,
    SHAPES_BYTES_MAX,
    TTL_S_MAX,
    WINDOW_BYTES_MAX,
)
from protocol.reasons import Reason
from protocol.tensors import ElementType, TensorHeader
from tests.strategies import frames

SCALAR = TensorHeader(ElementType.FLOAT, (), 4)


def wire_of(value: Frame) -> bytes:
    return b"".join(encode(value))


def read(wire: bytes) -> Frame:
    cls, length = parse_frame_header(wire[:HEADER_BYTES])
    assert length == len(wire) - HEADER_BYTES
    return decode(cls, memoryview(wire)[HEADER_BYTES:])


def raw(kind: int, payload: bytes) -> bytes:
    return bytes([kind]) + len(payload).to_bytes(3, "big") + payload


@given(frames())
def test_a_written_frame_is_read_back_and_written_again_alike(value: Frame) -> None:
    wire = wire_of(value)
    assert read(wire) == value
    assert type(read(wire)) is type(value)
    assert wire_of(read(wire)) == wire
    assert len(wire) <= FRAME_BYTES_MAX


@pytest.mark.parametrize(
    ("value", "wire"),
    [
        (TensorStart(1, 2, SCALAR), "03000010 00000001 0002 01 00 0400000000000000"),
        (TensorData(b"ab"), "04000002 6162"),
        (BlobPiece(bytes(32), 3, b"c"), "05000029" + "00" * 32 + "0000000000000003 63"),
        (BlobWant(bytes(32), 3, 4), "0600002c" + "00" * 32 + "0000000000000003 00000004"),
        (Window(65536), "07000004 00010000"),
        (Ping(5), "08000008 0000000000000005"),
        (Pong(5), "09000008 0000000000000005"),
        (CancelFrame("busy"), "0a000004 62757379"),
        (Paused(9, "busy"), "0b000008 00000009 62757379"),
        (End(), "0d000000"),
    ],
)
def test_frames_are_written_as_the_specification_says(value: Frame, wire: str) -> None:
    assert wire_of(value) == bytes.fromhex(wire)


def test_data_are_not_copied() -> None:
    memory = bytearray(b"0123456789")
    for value in (
        TensorData(memoryview(memory)[2:5]),
        BlobPiece(bytes(32), 0, memoryview(memory)[2:5]),
    ):
        _, data = encode(value)
        assert isinstance(data, memoryview)
        assert data.obj is memory
    wire = wire_of(BlobPiece(bytes(32), 0, b"abc"))
    piece = read(wire)
    assert isinstance(piece, BlobPiece)
    assert isinstance(piece.data, memoryview)
    assert piece.data.obj is wire
    kept = read(wire_of(DocumentFrame(b"body")))
    assert isinstance(kept, DocumentFrame)
    assert type(kept.body) is bytes


def test_a_frame_is_never_longer_than_one_record() -> None:
    for longest in (
        TensorData(bytes(TENSOR_DATA_BYTES_MAX)),
        BlobPiece(bytes(32), 0, bytes(BLOB_DATA_BYTES_MAX)),
    ):
        assert len(wire_of(longest)) == FRAME_BYTES_MAX
    table = DocumentFrame(bytes(SHAPES_BYTES_MAX))
    assert read(wire_of(table)) == table
    assert all(cls.MOST + HEADER_BYTES <= FRAME_BYTES_MAX for cls in FRAMES.values())


@pytest.mark.parametrize(
    "value",
    [
        StatementFrame(bytes(64)),
        StatementFrame(bytes(65 + HELLO_BYTES_MAX)),
        DocumentFrame(b""),
        TensorData(b""),
        TensorData(bytes(TENSOR_DATA_BYTES_MAX + 1)),
        BlobPiece(bytes(32), 0, b""),
        BlobPiece(bytes(32), 0, bytes(BLOB_DATA_BYTES_MAX + 1)),
        BlobPiece(bytes(31), 0, b"x"),
        BlobPiece(bytes(32), 2**64, b"x"),
        BlobWant(bytes(33), 0, 1),
        BlobWant(bytes(32), 0, 0),
        BlobWant(bytes(32), 0, 2**32),
        BlobWant(bytes(32), -1, 1),
        Window(0),
        Window(-1),
        Window(WINDOW_BYTES_MAX + 1),
        Ping(-1),
        Pong(2**64),
        CancelFrame("No Code"),
        CancelFrame("x" * 41),
        Paused(TTL_S_MAX + 1, "busy"),
        Paused(-1, "busy"),
        Paused(1, ""),
        TensorStart(2**32, 0, SCALAR),
        TensorStart(0, PORTS_MAX, SCALAR),
        TensorStart(0, -1, SCALAR),
        TensorStart(0, 0, TensorHeader(ElementType.FLOAT, (2,), 4)),
    ],
)
def test_our_own_frame_out_of_range_is_our_own_mistake(value: Frame) -> None:
    with pytest.raises(LocalProtocolError):
        encode(value)


@pytest.mark.parametrize(
    ("wire", "reason"),
    [
        (raw(0, b""), Reason.UNKNOWN_KIND),
        (raw(14, b""), Reason.UNKNOWN_KIND),
        (raw(255, b""), Reason.UNKNOWN_KIND),
        (raw(1, bytes(64)), Reason.MALFORMED),
        (raw(1, bytes(65 + HELLO_BYTES_MAX)), Reason.TOO_LARGE),
        (raw(2, b""), Reason.MALFORMED),
        (raw(3, bytes(15)), Reason.MALFORMED),
        (raw(3, bytes(16 + 8 * 16 + 1)), Reason.TOO_LARGE),
        (raw(3, bytes(17)), Reason.MALFORMED),
        (raw(3, bytes(16)), Reason.OUT_OF_RANGE),
        (raw(3, bytes.fromhex("00000001 0400 01 00 0400000000000000")), Reason.OUT_OF_RANGE),
        (raw(4, b""), Reason.MALFORMED),
        (raw(4, bytes(TENSOR_DATA_BYTES_MAX + 1)), Reason.TOO_LARGE),
        (raw(5, bytes(40)), Reason.MALFORMED),
        (raw(6, bytes(43)), Reason.MALFORMED),
        (raw(6, bytes(45)), Reason.TOO_LARGE),
        (raw(6, bytes(44)), Reason.OUT_OF_RANGE),
        (raw(7, bytes(4)), Reason.OUT_OF_RANGE),
        (raw(7, b"\xff" * 4), Reason.OUT_OF_RANGE),
        (raw(7, bytes(3)), Reason.MALFORMED),
        (raw(8, bytes(9)), Reason.TOO_LARGE),
        (raw(9, bytes(7)), Reason.MALFORMED),
        (raw(10, b"x"), Reason.MALFORMED),
        (raw(10, b"Busy"), Reason.OUT_OF_RANGE),
        (raw(10, b"b\xfcsy"), Reason.MALFORMED),
        (raw(10, b"busy\n"), Reason.OUT_OF_RANGE),
        (raw(10, b"x" * 41), Reason.TOO_LARGE),
        (raw(11, bytes(4) + b"x"), Reason.MALFORMED),
        (raw(11, b"\xff" * 4 + b"busy"), Reason.OUT_OF_RANGE),
        (raw(12, b"\0"), Reason.TOO_LARGE),
        (raw(13, b"\0"), Reason.TOO_LARGE),
    ],
)
def test_a_broken_frame_is_refused_with_its_reason(wire: bytes, reason: Reason) -> None:
    with pytest.raises(RemoteProtocolError) as remote:
        read(wire)
    assert remote.value.reason is reason


@given(frames(), st.data())
def test_a_frame_with_a_bit_turned_is_another_frame_or_refused(
    value: Frame, data: st.DataObject
) -> None:
    wire = bytearray(wire_of(value))
    bit = data.draw(st.integers(8 * HEADER_BYTES, max(8 * HEADER_BYTES, 8 * len(wire) - 1)))
    if bit // 8 < len(wire):
        wire[bit // 8] ^= 1 << bit % 8
        try:
            other = read(bytes(wire))
        except RemoteProtocolError:
            return
        assert other != value
        assert wire_of(other) == wire


def test_each_kind_has_one_number() -> None:
    assert sorted(FRAMES) == list(range(1, 14))
    assert len(set(FRAMES.values())) == 13
