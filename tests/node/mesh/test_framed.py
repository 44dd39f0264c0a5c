# SPDX-License-Identifier: MIT
"""Tests of `node.mesh.framed`: frames both ways, held back, cancelled, cut, and lied to."""

import random
from collections.abc import Iterator
from contextlib import suppress

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from node.mesh import waiting
from node.mesh.framed import FRAMES_IN_ONE_GO, STALL_S_MAX, Framed, framed, running
from node.mesh.transport import Lost, TransportError
from node.mesh.waiting import WAITING_BYTES_MAX, Room
from protocol.channel import NoFrame
from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.frames import (
    DocumentFrame,
    End,
    Frame,
    Ping,
    Pong,
    Resumed,
    StatementFrame,
    TensorData,
    TensorStart,
    encode,
)
from protocol.limits import WINDOW_BYTES_DEFAULT
from protocol.reasons import Reason
from protocol.tensors import ElementType, Tensor, TensorHeader
from simulations.transport import Net
from tests.node.executor.virtual_time import in_virtual_time
from tests.node.mesh.pairs import pair, streams

MIB = 1 << 20


def tensor(size: int, fill: int = 7) -> Tensor:
    return Tensor(ElementType.UINT8, (size,), bytes([fill]) * size)


def wire_of(*frames: Frame) -> bytes:
    return b"".join(bytes(each) for frame in frames for each in encode(frame))


async def taken_rest(wire: Framed) -> None:
    """Take data for as long as there is any."""
    with trio.fail_after(1):
        while True:
            await wire.take(TensorData)


async def taken(wire: Framed) -> int:
    """Take a whole tensor; tell how many bytes it had."""
    left = size = (await wire.take(TensorStart)).header.size_bytes
    while left:
        left -= len((await wire.take(TensorData)).data)
    return size


@pytest.mark.slow
@in_virtual_time
async def test_a_thousand_small_orders_go_one_after_another_on_one_stream() -> None:
    async with pair() as (one, other), trio.open_nursery() as nursery:

        async def answer() -> None:
            for number in range(1000):
                assert await other.take_document() == b"order %d" % number
                await other.send_tensor(0, number, tensor(4))
                await other.send(DocumentFrame(b"result"))

        nursery.start_soon(answer)
        for number in range(1000):
            await one.send(DocumentFrame(b"order %d" % number))
            assert await taken(one) == 4
            assert await one.take_document() == b"result"
        assert one.is_idle


@in_virtual_time
async def test_both_sides_send_8_mib_at_once() -> None:
    async with pair() as (one, other), trio.open_nursery() as nursery:
        sizes = []

        async def listen(wire: Framed) -> None:
            sizes.append(await taken(wire))

        for wire in (one, other):
            nursery.start_soon(wire.send_tensor, 0, 0, tensor(8 * MIB))
            nursery.start_soon(listen, wire)
        await trio.sleep(5)
        assert sizes == [8 * MIB] * 2


@in_virtual_time
async def test_who_has_said_the_end_still_takes_more_than_a_window() -> None:
    async with pair() as (one, other), trio.open_nursery() as nursery:
        await one.end()
        nursery.start_soon(other.send_tensor, 0, 0, tensor(8 * MIB))
        assert await taken(one) == 8 * MIB
        await other.end()
        assert await one.receive() is NoFrame.CLOSED
        assert await other.receive() is NoFrame.CLOSED
        assert not one.is_idle


@in_virtual_time
async def test_an_end_without_the_word_is_a_loss() -> None:
    async with streams() as (near, far), running(Framed(near)) as wire:
        await far.send(wire_of(DocumentFrame(b"so far")))
        await far.finish()
        assert await wire.take_document() == b"so far"
        assert await wire.receive() is NoFrame.LOST
        with pytest.raises(Lost):
            await wire.take_document()


@in_virtual_time
async def test_whoever_speaks_to_a_peer_that_is_gone_hears_that_and_is_not_blamed() -> None:
    async with streams() as (near, far), running(Framed(near)) as wire:
        await far.finish()
        assert await wire.receive() is NoFrame.LOST
        with pytest.raises(Lost):
            await wire.send(DocumentFrame(b"are you there"))


@in_virtual_time
async def test_a_ping_is_answered_while_nobody_listens() -> None:
    async with pair() as (one, _other):
        assert await one.ping(1) >= 0


@in_virtual_time
async def test_a_listener_is_not_woken_by_what_is_not_for_it() -> None:
    woken = 0

    class Count(trio.abc.Instrument):
        def task_scheduled(self, task: trio.lowlevel.Task) -> None:
            nonlocal woken
            woken += "receive" in task.name

    async with pair() as (one, _other), trio.open_nursery() as nursery:
        nursery.start_soon(one.receive)
        await trio.sleep(1)
        trio.lowlevel.add_instrument(Count())
        for _ in range(10):
            await one.ping(1)
        assert not woken
        nursery.cancel_scope.cancel()


@in_virtual_time
async def test_small_frames_of_one_call_arrive_as_one_piece() -> None:
    async with streams() as (near, far), running(Framed(near)) as wire:
        said = [DocumentFrame(b"a"), StatementFrame(bytes(100)), DocumentFrame(b"b")]
        await wire.send(*said)
        await trio.sleep(1)
        assert await far.receive() == wire_of(*said)


@in_virtual_time
async def test_a_frozen_peer_answers_no_ping_and_takes_no_data() -> None:
    net = Net()
    async with pair(net) as (one, _other):
        net.freeze("10.0.0.2")
        with pytest.raises(Lost, match="no answer to a ping within 10 s"):
            await one.ping(10)
        begin_s = trio.current_time()
        with pytest.raises(Lost):
            await one.send_tensor(0, 0, tensor(8 * MIB))
        assert trio.current_time() - begin_s < STALL_S_MAX + 1
        net.thaw("10.0.0.2")


@in_virtual_time
async def test_a_peer_that_grants_no_window_is_lost_though_it_goes_on_pinging() -> None:
    async with streams() as (near, far), trio.open_nursery() as nursery:

        async def read() -> None:
            with suppress(Lost):
                while await far.receive():
                    pass

        async def ping() -> None:
            for token in range(1, 8):
                await trio.sleep(10)
                with suppress(Lost):
                    await far.send(wire_of(Ping(token)))

        async with running(Framed(near)) as wire:
            nursery.start_soon(read)
            nursery.start_soon(ping)
            with pytest.raises(Lost, match="granted no window"):
                await wire.send_tensor(0, 0, tensor(WINDOW_BYTES_DEFAULT + 1))
        nursery.cancel_scope.cancel()


@in_virtual_time
async def test_more_statements_than_may_wait_break_a_rule() -> None:
    async with streams() as (near, far), running(Framed(near)) as wire:
        frame = wire_of(StatementFrame(b"s" * 4000))
        with suppress(TransportError):
            for _ in range(WAITING_BYTES_MAX // 4000 + 10):
                await far.send(frame)
                await trio.sleep(0.001)
        while wire._waiting:
            await wire.receive()
        with trio.fail_after(1), pytest.raises(RemoteProtocolError, match="too_large"):
            await wire.receive()


@in_virtual_time
async def test_a_flood_of_tiny_tensors_is_held_back_and_breaks_no_rule(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(waiting, "TENSOR_FRAMES_MAX", 200)
    count = 600

    def flood() -> Iterator[Frame]:
        for item in range(count):
            yield TensorStart(item, 0, TensorHeader(ElementType.UINT8, (1,), 1))
            yield TensorData(b"x")

    async with pair() as (one, other), trio.open_nursery() as nursery:
        nursery.start_soon(one.send, *flood())
        await trio.sleep(1)
        assert len(other._waiting) < 200 + 2 * FRAMES_IN_ONE_GO
        for _ in range(count):
            assert await taken(other) == 1


@in_virtual_time
async def test_a_room_that_is_full_holds_back_streams_on_which_something_waits() -> None:
    room = Room(MIB)
    async with streams() as (near, far), trio.open_nursery() as nursery:
        async with running(Framed(near, room=room)) as one, running(Framed(far)) as other:
            nursery.start_soon(other.send_tensor, 0, 0, tensor(3 * MIB))
            await trio.sleep(1)
            assert MIB <= room.used_bytes < 2 * MIB
            assert await taken(one) == 3 * MIB
            assert room.used_bytes == 0
            nursery.start_soon(other.send_tensor, 0, 1, tensor(MIB // 2))
            await trio.sleep(1)
            assert room.used_bytes > MIB // 2
        assert room.used_bytes == 0


@in_virtual_time
async def test_a_kind_that_has_no_place_is_refused_at_its_header() -> None:
    kinds = frozenset({StatementFrame, End})
    async with streams() as (near, far), running(Framed(near, kinds=kinds)) as wire:
        await far.send(wire_of(DocumentFrame(b"d" * 60_000))[:4])
        with pytest.raises(RemoteProtocolError, match="DocumentFrame has no place here"):
            await wire.receive()


@in_virtual_time
async def test_our_own_misuse_is_told_to_all_and_ends_the_stream_only() -> None:
    async with pair() as (one, other):
        with pytest.raises(LocalProtocolError):
            await one.send(TensorData(b"of no tensor"))
        with pytest.raises(LocalProtocolError):
            await one.receive()
        with pytest.raises(Lost):
            await other.receive()


@in_virtual_time
async def test_a_listener_that_is_cancelled_has_lost_nothing() -> None:
    async with pair() as (one, other):
        for number in range(20):
            with trio.move_on_after(0.001 * (number % 3)):
                await other.receive()
                raise AssertionError("nothing was said yet")
            await one.send(DocumentFrame(b"%d" % number))
            assert await other.take_document() == b"%d" % number


@pytest.mark.parametrize("after", range(12))
async def test_a_speaker_that_is_cancelled_loses_the_stream_or_has_said_nothing(
    after: int,
) -> None:
    async with pair() as (one, other), trio.open_nursery() as nursery:
        nursery.start_soon(_say_until_cancelled, one, after)
        seen: Frame | NoFrame | None = None
        with trio.fail_after(5):
            try:
                while not isinstance(seen, NoFrame | DocumentFrame):
                    seen = await other.receive()
            except (Lost, RemoteProtocolError):
                seen = NoFrame.LOST
        assert seen in (NoFrame.LOST, DocumentFrame(b"whole"))


async def _say_until_cancelled(wire: Framed, after: int) -> None:
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wire.send_tensor, 0, 0, tensor(MIB))
            for _ in range(after):
                await trio.lowlevel.checkpoint()
            scope.cancel()
    with suppress(TransportError, LocalProtocolError):
        await wire.send(DocumentFrame(b"whole"))


@in_virtual_time
async def test_a_speaker_that_is_cancelled_while_it_waits_for_a_window_loses_the_stream() -> None:
    async with pair() as (one, other):
        with trio.move_on_after(1):
            await one.send_tensor(0, 0, tensor(WINDOW_BYTES_DEFAULT + MIB))
        with pytest.raises(Lost, match="cancelled"):
            await one.send(DocumentFrame(b"in the middle of a tensor"))
        assert len((await other.take(TensorStart)).header.dims) == 1
        with pytest.raises(Lost):
            await taken_rest(other)


@pytest.mark.parametrize("steps", range(10))
@in_virtual_time
async def test_the_last_word_gets_out_though_its_speaker_leaves_amid_an_answer(
    steps: int,
) -> None:
    net = Net()
    async with streams(net) as (near, far), running(Framed(far)) as other:
        async with framed(near) as one:
            await other.send(*(Ping(n) for n in range(1, 9)))
            await trio.lowlevel.checkpoint()
            net.cut("10.0.0.1", "10.0.0.2")  # all that is said now arrives at once
            await one.send(DocumentFrame(b"the result"))
            await one.end()
            for _ in range(steps):
                await trio.lowlevel.checkpoint()
        net.heal("10.0.0.1", "10.0.0.2")
        assert await other.take_document() == b"the result"
        assert await other.receive() is NoFrame.CLOSED


@in_virtual_time
async def test_what_fails_inside_the_block_comes_out_as_it_is() -> None:
    async with streams() as (near, far):
        with pytest.raises(RemoteProtocolError):
            async with framed(near):
                raise RemoteProtocolError(Reason.UNEXPECTED, "no group around it")
        with pytest.raises(Lost):
            await far.receive()


async def test_tiny_frames_leave_other_tasks_their_turn() -> None:
    async with streams() as (near, far), running(Framed(near)) as wire:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                await trio.lowlevel.checkpoint()
                turns += 1

        async with trio.open_nursery() as nursery:
            size = 10_000
            header = TensorHeader(ElementType.UINT8, (size,), size)
            data = wire_of(TensorStart(0, 0, header)) + wire_of(TensorData(b"x")) * 3000
            await far.send(data)
            await wire.take(TensorStart)
            nursery.start_soon(count)
            with trio.fail_after(5):
                for _ in range(3000):
                    await wire.take(TensorData)
            nursery.cancel_scope.cancel()
        assert turns >= 3000 // FRAMES_IN_ONE_GO // 4


async def hears_out(data: bytes, step: int) -> None:
    """Feed a peer's bytes to a stream; whatever they are, it ends in one of the known ways."""
    async with streams() as (near, far), trio.open_nursery() as nursery:

        async def speak() -> None:
            with trio.move_on_after(60):
                try:
                    for at in range(0, len(data), step):
                        await far.send(data[at : at + step])
                    await far.finish()
                    while await far.receive():
                        pass
                except TransportError:
                    pass

        nursery.start_soon(speak)
        with trio.fail_after(300):
            try:
                async with running(Framed(near)) as wire:
                    while isinstance(await wire.receive(), Frame):
                        pass
            except (TransportError, RemoteProtocolError):
                pass
        nursery.cancel_scope.cancel()


_some = st.one_of(
    st.binary(max_size=200),
    st.sampled_from(
        [
            wire_of(frame)
            for frame in (
                End(),
                Ping(1),
                Pong(1),
                Resumed(),
                DocumentFrame(b"d"),
                StatementFrame(b"s" * 70),
                TensorStart(0, 0, TensorHeader(ElementType.UINT8, (3,), 3)),
                TensorData(b"xy"),
            )
        ]
    ),
)


@settings(max_examples=40)
@given(st.lists(_some, max_size=20), st.integers(1, 400))
def test_whatever_a_peer_sends_a_stream_ends_as_streams_do(parts: list[bytes], step: int) -> None:
    trio.run(hears_out, b"".join(parts), step, clock=MockClock(autojump_threshold=0))


@pytest.mark.slow
def test_random_streams_end_as_streams_do() -> None:
    die = random.Random(4)
    for _ in range(150):
        data = die.randbytes(die.randrange(1, 300))
        trio.run(hears_out, data, 100, clock=MockClock(autojump_threshold=0))
