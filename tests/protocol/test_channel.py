# SPDX-License-Identifier: MIT
"""Tests of `protocol.channel`: bytes become frames, memory stays small, no loss is an end."""

import tracemalloc
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.channel import Channel, NoFrame
from protocol.errors import LocalProtocolError, ProtocolError, RemoteProtocolError
from protocol.frames import (
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
    TensorData,
    TensorStart,
    Window,
    encode,
)
from protocol.limits import FRAME_BYTES_MAX, WINDOW_BYTES_DEFAULT
from protocol.reasons import Reason
from protocol.tensors import Buffer, ElementType, TensorHeader
from tests.strategies import conversations

HALF = WINDOW_BYTES_DEFAULT // 2


def start(size: int, item: int = 0, port: int = 0) -> TensorStart:
    return TensorStart(item, port, TensorHeader(ElementType.UINT8, (size,), size))


def wire_of(*said: Frame) -> bytes:
    return b"".join(b"".join(encode(each)) for each in said)


def take(channel: Channel) -> tuple[list[Frame], NoFrame]:
    """Everything that the channel gives now, and why it gives no more."""
    taken: list[Frame] = []
    while not isinstance(event := channel.next_event(), NoFrame):
        taken.append(event)
    return taken, event


def feed(channel: Channel, *said: Frame) -> list[Frame]:
    channel.receive_data(wire_of(*said))
    return take(channel)[0]


def is_dead(channel: Channel) -> bool:
    """Every further use is our own mistake, and says what happened before."""
    uses: list[Any] = [
        lambda: channel.send(End()),
        lambda: channel.receive_data(b"x"),
        channel.next_event,
        channel.receive_eof,
        lambda: channel.consumed(0),
    ]
    for use in uses:
        with pytest.raises(LocalProtocolError, match="this channel is dead: "):
            use()
    return True


# --- bytes to frames ------------------------------------------------------------------------------


@given(conversations())
def test_what_one_side_says_the_other_side_hears(said: list[Frame]) -> None:
    sender, receiver = Channel(), Channel()
    for each in said:
        receiver.receive_data(b"".join(sender.send(each)))
        assert take(receiver) == ([each], NoFrame.NEED_DATA)
    receiver.receive_eof()
    assert take(receiver) == ([], NoFrame.CLOSED)
    assert receiver.next_event() is NoFrame.CLOSED


@given(conversations(), st.data())
def test_it_does_not_matter_where_a_stream_is_cut(said: list[Frame], data: st.DataObject) -> None:
    wire = wire_of(*said)
    cuts = data.draw(st.sets(st.integers(1, len(wire) - 1), max_size=9).map(sorted))
    for places in ([0, len(wire)], [0, *cuts, len(wire)], range(len(wire) + 1)):
        channel, heard = Channel(), list[Frame]()
        for begin, end in pairwise(places):
            channel.receive_data(wire[begin:end])
            heard += take(channel)[0]
        assert heard == said


def test_a_whole_frame_is_a_view_of_the_chunk_and_a_cut_one_of_its_own_buffer() -> None:
    channel = Channel()
    wire = wire_of(start(8), TensorData(b"abcd"), TensorData(b"efgh"))
    channel.receive_data(wire[:-2])
    (_, whole), _ = take(channel)
    channel.receive_data(chunk := wire[-2:])
    ((cut,), _) = take(channel)
    assert isinstance(whole, TensorData)
    assert isinstance(whole.data, memoryview)
    assert whole.data.obj == wire[:-2]
    assert isinstance(cut, TensorData)
    assert isinstance(cut.data, memoryview)
    assert cut.data.obj == b"efgh"
    assert cut.data.obj is not chunk
    assert cut.data.readonly


def test_views_of_a_writable_chunk_cannot_be_written() -> None:
    channel = Channel()
    channel.receive_data(bytearray(wire_of(start(1), TensorData(b"a"))))
    (_, piece), _ = take(channel)
    assert isinstance(piece, TensorData)
    assert memoryview(piece.data).readonly


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (b"\x0e\0\0\0", Reason.UNKNOWN_KIND),
        (b"\x04\xff\xff\xff", Reason.TOO_LARGE),
        (b"\x08\0\0\x07", Reason.MALFORMED),
    ],
)
def test_a_broken_header_is_refused_when_its_four_bytes_are_there(
    header: bytes, reason: Reason
) -> None:
    for pieces in ([header], [header[:1], header[1:3], header[3:]]):
        channel = Channel()
        for piece in pieces[:-1]:
            channel.receive_data(piece)
            assert channel.next_event() is NoFrame.NEED_DATA
        channel.receive_data(pieces[-1])
        with pytest.raises(RemoteProtocolError) as remote:
            channel.next_event()
        assert remote.value.reason is reason
        assert is_dead(channel)


def test_memory_is_bounded_by_one_frame_and_the_chunk_just_fed() -> None:
    size, chunk_bytes = 2 << 20, 16_384
    piece = bytes(TENSOR_DATA_BYTES_MAX)
    data = [TensorData(piece[: size - at]) for at in range(0, size, len(piece))]
    wire = wire_of(start(size), *data)
    channel = Channel()
    tracemalloc.start()
    try:
        for at in range(0, len(wire), chunk_bytes):
            channel.receive_data(bytes(wire[at : at + chunk_bytes]))
            while channel.next_event() is not NoFrame.NEED_DATA:
                pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # The last chunk is still in the caller's hand while the next one is made: hence two.
    assert peak < FRAME_BYTES_MAX + 2 * chunk_bytes + 8192


def test_a_chunk_is_used_up_before_the_next_one_is_taken() -> None:
    channel = Channel()
    channel.receive_data(wire_of(Ping(1), Ping(2)))
    assert channel.next_event() == Ping(1)
    with pytest.raises(LocalProtocolError, match="take the frames"):
        channel.receive_data(b"x")
    assert is_dead(channel)


# --- flow control ---------------------------------------------------------------------------------


def test_a_sender_stops_at_its_window_and_goes_on_when_it_is_widened() -> None:
    channel = Channel()
    channel.send(start(WINDOW_BYTES_DEFAULT + 10))
    piece = bytes(TENSOR_DATA_BYTES_MAX)
    while channel.send_room >= len(piece):
        channel.send(TensorData(piece))
    channel.send(TensorData(piece[: channel.send_room]))
    assert channel.send_room == 0
    feed(channel, Window(10))
    assert channel.send_room == 10
    channel.send(TensorData(piece[:10]))
    with pytest.raises(LocalProtocolError, match="1 bytes into a window of 0") as local:
        channel.send(BlobPiece(bytes(32), 0, b"x"))
    assert local.value.reason is Reason.WINDOW_EXCEEDED
    assert is_dead(channel)


def test_a_peer_that_ignores_the_window_is_refused() -> None:
    channel = Channel()
    piece = BlobPiece(bytes(32), 0, bytes(64_000))
    for _ in range(WINDOW_BYTES_DEFAULT // 64_000):
        assert feed(channel, piece) == [piece]
    with pytest.raises(RemoteProtocolError) as remote:
        feed(channel, piece)
    assert remote.value.reason is Reason.WINDOW_EXCEEDED
    assert is_dead(channel)


def test_a_slow_reader_stalls_the_sender_and_not_its_own_memory() -> None:
    sender, receiver = Channel(), Channel()
    piece = BlobPiece(bytes(32), 0, bytes(64_000))
    waiting = 0
    for _ in range(3):
        while sender.send_room >= 64_000:
            waiting += len(feed(receiver, piece)) * 64_000
            sender.send(piece)
        assert waiting <= WINDOW_BYTES_DEFAULT
        while waiting:
            waiting -= 64_000
            if window := receiver.consumed(64_000):
                assert window.size_bytes >= HALF
                sender.receive_data(b"".join(receiver.send(window)))
                assert take(sender)[0] == [window]
        assert sender.send_room >= HALF


def test_a_window_comes_back_when_half_of_it_was_used() -> None:
    channel = Channel()
    for _ in range(HALF // 64_000 + 1):
        feed(channel, BlobPiece(bytes(32), 0, bytes(64_000)))
    assert channel.consumed(HALF - 1) is None
    assert channel.consumed(1) == Window(HALF)
    assert channel.consumed(1) is None


@pytest.mark.parametrize("size", [-1, 6])
def test_what_was_not_given_out_cannot_be_consumed(size: int) -> None:
    channel = Channel()
    feed(channel, start(5), TensorData(b"abcde"))
    with pytest.raises(LocalProtocolError, match=f"consumed {size} bytes of 5"):
        channel.consumed(size)
    assert is_dead(channel)


# --- both directions ------------------------------------------------------------------------------


def test_a_ping_is_answered_with_its_token() -> None:
    one, other = Channel(), Channel()
    other.receive_data(b"".join(one.send(Ping(7))))
    assert take(other)[0] == [Ping(7)]
    one.receive_data(b"".join(other.send(Pong(7))))
    assert take(one)[0] == [Pong(7)]
    with pytest.raises(RemoteProtocolError) as remote:
        feed(one, Pong(7))
    assert remote.value.reason is Reason.BROKEN_FRAME


def test_the_same_breach_is_our_bug_or_the_peers_fault() -> None:
    breach = [End(), DocumentFrame(b"x")]
    ours, theirs = Channel(), Channel()
    ours.send(breach[0])
    with pytest.raises(LocalProtocolError) as local:
        ours.send(breach[1])
    with pytest.raises(RemoteProtocolError) as remote:
        feed(theirs, *breach)
    errors: list[ProtocolError] = [local.value, remote.value]
    assert {error.reason for error in errors} == {Reason.UNEXPECTED}
    assert len({error.detail for error in errors}) == 1
    assert is_dead(ours)
    assert is_dead(theirs)


def test_one_direction_goes_on_when_the_other_has_ended() -> None:
    channel = Channel()
    feed(channel, End())
    channel.receive_eof()
    assert channel.next_event() is NoFrame.CLOSED
    channel.send(BlobPiece(bytes(32), 0, b"x"))
    channel.send(End())


def test_our_own_frame_that_has_no_bytes_kills_the_channel_too() -> None:
    channel = Channel()
    with pytest.raises(LocalProtocolError):
        channel.send(Window(0))
    assert is_dead(channel)


# --- ends -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wire",
    [
        b"",
        wire_of(Ping(1)),
        wire_of(start(4), TensorData(b"abc")),
        wire_of(CancelFrame("busy")),
        wire_of(Paused(1, "paused"))[:2],
        wire_of(BlobWant(bytes(32), 0, 1))[:-1],
        wire_of(End()) + wire_of(Ping(1))[:3],
        wire_of(End()) + wire_of(Ping(1))[:-1],
    ],
)
def test_an_end_of_stream_without_the_last_word_is_a_loss_and_never_success(wire: bytes) -> None:
    channel = Channel()
    if wire:
        channel.receive_data(wire)
    channel.receive_eof()
    assert take(channel)[1] is NoFrame.LOST
    assert is_dead(channel)


def test_frames_that_came_before_the_end_of_the_stream_are_still_given() -> None:
    channel = Channel()
    channel.receive_data(wire_of(Ping(1), End()))
    channel.receive_eof()
    assert take(channel) == ([Ping(1), End()], NoFrame.CLOSED)


@pytest.mark.parametrize("data", [b"", bytearray(), wire_of(Ping(1))])
def test_nothing_is_no_data_and_nothing_comes_after_the_end(data: Buffer) -> None:
    channel = Channel()
    if data:
        channel.receive_eof()
    with pytest.raises(LocalProtocolError, match="receive_eof"):
        channel.receive_data(data)
    assert is_dead(channel)


def test_a_kind_that_has_no_place_is_refused_at_its_header() -> None:
    channel = Channel(frozenset({Ping}))
    channel.receive_data(b"".join(encode(Ping(1))))
    assert channel.next_event() == Ping(1)
    assert channel.next_event() is NoFrame.NEED_DATA
    (head, _) = encode(DocumentFrame(b"d" * 60_000))
    channel.receive_data(head)
    with pytest.raises(RemoteProtocolError) as caught:
        channel.next_event()
    assert caught.value.reason is Reason.UNEXPECTED
