# SPDX-License-Identifier: MIT
"""What the streams of a connection promise when the peer breaks rules. No network, no cipher."""

from contextlib import suppress
from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from node.mesh.libp2p.limits import (
    ANSWERS_MAX,
    FRAMES_IN_ONE_GO,
    QUEUE_BYTES,
    STALL_S,
    WINDOW_BYTES,
)
from node.mesh.libp2p.streams import MuxedStream
from node.mesh.libp2p.yamux import FIRST_WINDOW_BYTES, Flag, Kind, header
from node.mesh.transport import Lost
from tests.node.mesh.raw_peer import Alone, accepted, alone
from tests.node.mesh.scene import read_some


async def test_who_sends_more_than_its_window_loses_its_connection() -> None:
    """The library only logs it and keeps all that comes: any peer could fill the memory."""
    async with alone() as scene:
        stream = await accepted(scene)
        for _ in range(WINDOW_BYTES // 0x8000):
            await scene.peer.data(2, bytes(0x8000))
        await wait_all_tasks_blocked()
        assert not scene.session.ended
        await scene.peer.data(2, b"!")
        assert await scene.peer.is_cut_off()
        assert "more than it may" in scene.session.ended
        assert len(await read_some(stream, WINDOW_BYTES)) == WINDOW_BYTES, "it came by right"
        with pytest.raises(Lost, match="more than it may"):
            await stream.receive()


async def test_an_announced_frame_of_any_size_takes_no_memory() -> None:
    async with alone() as scene:
        await accepted(scene)
        await scene.peer.say(Kind.DATA, 0, 2, 0xFFFFFFFF)
        assert await scene.peer.is_cut_off()


async def test_reading_opens_the_window_again() -> None:
    piece = bytes(0x8000)
    async with alone() as scene:
        stream = await accepted(scene)
        sent = got = 0
        allowed = WINDOW_BYTES
        while sent < 4 * WINDOW_BYTES:
            while allowed >= len(piece):
                await scene.peer.data(2, piece)
                allowed -= len(piece)
                sent += len(piece)
            while got < sent:
                got += len(await stream.receive())
            frame = await scene.peer.hear()
            assert (frame.kind, frame.flags, frame.stream) == (Kind.WINDOW, 0, 2)
            allowed += frame.length
            assert sent + allowed <= got + WINDOW_BYTES, "no more than was read is granted"


async def test_many_small_pieces_take_little_more_memory_than_their_bytes() -> None:
    """A piece must not keep the record alive in which it came, nor be an object of its own."""
    async with alone() as scene:
        stream = await accepted(scene)
        filler = header(Kind.DATA, 0, 99, 60_000) + bytes(60_000)
        for _ in range(200):
            await scene.peer.send(header(Kind.DATA, 0, 2, 1) + b"x" + filler)
        await scene.peer.send((header(Kind.DATA, 0, 2, 1) + b"y") * 4000)
        await wait_all_tasks_blocked()
        assert [type(each) for each in stream._chunks] == [bytearray]
        assert await stream.receive() == b"x" * 200 + b"y" * 4000


async def test_frames_may_be_cut_anywhere() -> None:
    said = b"".join(
        (
            header(Kind.WINDOW, Flag.SYN, 2, 0),
            header(Kind.DATA, 0, 2, 5) + b"hello",
            header(Kind.PING, Flag.SYN, 0, 7),
            header(Kind.DATA, Flag.FIN, 2, 6) + b" world",
        )
    )
    for step in (1, 2, 5, 11, 12, 13, 29, len(said)):
        async with alone() as scene:
            for at in range(0, len(said), step):
                await scene.peer.send(said[at : at + step])
            replies = [await scene.peer.hear() for _ in range(2)]
            assert [(each.kind, each.flags) for each in replies] == [(1, Flag.ACK), (2, Flag.ACK)]
            await wait_all_tasks_blocked()
            got = b""
            while data := await scene.arrived[0].receive():
                got += data
            assert got == b"hello world", step


async def test_a_stream_can_begin_with_data_and_an_end() -> None:
    async with alone() as scene:
        flags = Flag.SYN | Flag.FIN
        await scene.peer.say(Kind.DATA, flags, 2, 3, b"all")
        await scene.peer.hear()
        stream = scene.arrived[0]
        assert [await stream.receive(), await stream.receive()] == [b"all", b""]


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        (header(Kind.WINDOW, Flag.SYN, 0, 0), "opened stream 0"),
        (header(Kind.WINDOW, Flag.SYN, 3, 0), "opened stream 3"),
        (header(Kind.WINDOW, Flag.SYN, 2, 0) * 2, "opened stream 2"),
        (b"\x01" + header(Kind.PING, 0, 0, 0)[1:], "version 1"),
        (b"\x00\x04" + bytes(10), "kind 4"),
        (header(Kind.GO_AWAY, 0, 0, 1), "gave up: 1"),
        (header(Kind.GO_AWAY, 0, 0, 0), "said goodbye"),
    ],
)
async def test_a_broken_rule_ends_the_connection_and_says_which(
    said: bytes, complaint: str
) -> None:
    async with alone() as scene:
        stream = scene.session.start()
        await scene.peer.send(said)
        assert await scene.peer.is_cut_off()
        assert complaint in scene.session.ended
        with pytest.raises(Lost, match=complaint):
            await stream.receive()
        with pytest.raises(Lost, match=complaint):
            await stream.send(b"x")
        with pytest.raises(Lost, match=complaint):
            scene.session.start()


async def test_what_is_said_about_a_forgotten_stream_is_passed_over() -> None:
    """The peer cannot know yet that it was reset here."""
    async with alone() as scene:
        stream = scene.session.start()
        await stream.reset()
        for kind in (Kind.DATA, Kind.WINDOW):
            await scene.peer.say(kind, 0, 1, 3 * (kind == Kind.DATA), b"123" * (kind == 0))
        await scene.peer.say(Kind.WINDOW, Flag.FIN, 1, 0)
        await accepted_after_noise(scene)


async def accepted_after_noise(scene: Alone) -> None:
    """See that the session still works, whatever it had to say before."""
    await scene.peer.opened(100)
    while (await scene.peer.hear()).stream != 100:
        pass
    assert scene.arrived[-1].number == 100


async def test_a_stream_that_is_not_taken_is_reset() -> None:
    async with alone(takes=False) as scene:
        await scene.peer.opened(2)
        frame = await scene.peer.hear()
        assert (frame.stream, frame.flags) == (2, Flag.RST)
        assert scene.session.streams == 0


async def test_who_asks_and_never_reads_loses_its_connection() -> None:
    """Its answers wait for it, 12 bytes each, and not without bound."""
    async with alone(lockstep=True) as scene:
        with suppress(Lost):
            for _ in range(6):
                await scene.peer.send(header(Kind.PING, Flag.SYN, 0, 1) * (ANSWERS_MAX // 4))
        await wait_all_tasks_blocked()
        assert "does not read the answers" in scene.session.ended


async def test_a_peer_that_takes_nothing_is_lost_after_a_while(
    autojump_clock: MockClock,  # noqa: ARG001 - time is virtual
) -> None:
    """Fact 8: a stopped peer holds a write for ever."""
    async with alone(lockstep=True) as scene:
        stream = scene.session.start()
        began = trio.current_time()
        with pytest.raises(Lost, match="took nothing"):
            await stream.send(bytes(FIRST_WINDOW_BYTES))
        assert trio.current_time() - began == pytest.approx(STALL_S)
        await scene.session.over.wait()


async def test_a_stream_that_is_not_read_is_lost_and_no_other(
    autojump_clock: MockClock,  # noqa: ARG001 - time is virtual
) -> None:
    """Half a minute, where the library gives up after five seconds."""
    async with alone() as scene:
        stuck, other = scene.session.start(), scene.session.start()
        began = trio.current_time()
        with pytest.raises(Lost, match="read nothing"):
            await stuck.send(bytes(FIRST_WINDOW_BYTES + 1))
        assert trio.current_time() - began == pytest.approx(STALL_S)
        await other.send(b"still here")
        heard = [await scene.peer.hear() for _ in range(9)]
        assert heard[-1].data == b"still here"
        assert any(each.flags & Flag.RST and each.stream == stuck.number for each in heard)


async def test_a_writer_goes_on_as_soon_as_it_may(
    autojump_clock: MockClock,  # noqa: ARG001 - time is virtual
) -> None:
    """The library looks every 10 ms; here no time passes."""
    async with alone() as scene:
        stream = scene.session.start()
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.send, bytes(FIRST_WINDOW_BYTES + 7))
            await wait_all_tasks_blocked()
            await scene.peer.say(Kind.WINDOW, 0, stream.number, 3)
            await scene.peer.say(Kind.WINDOW, 0, stream.number, 4)
        assert trio.current_time() == began
        sizes = [each.length for each in [await scene.peer.hear() for _ in range(8)]]
        assert sum(sizes[1:]) == FIRST_WINDOW_BYTES + 7


async def test_reading_goes_on_while_writing_waits() -> None:
    """The library's reader waits for its own answers: two ends that both send much stop for good.

    In lockstep nothing is written before the peer reads. It does not, and is heard all the same.
    """
    async with alone(lockstep=True) as scene:
        stream = scene.session.start()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.send, bytes(QUEUE_BYTES * 2))
            await wait_all_tasks_blocked()
            for number in range(2, 200, 2):
                await scene.peer.opened(number)
                await scene.peer.say(Kind.PING, Flag.SYN, 0, number)
            await wait_all_tasks_blocked()
            assert len(scene.arrived) == 99
            nursery.cancel_scope.cancel()


async def test_a_record_full_of_frames_leaves_others_their_turn() -> None:
    """Once 5,000 streams that were opened in one record held up the whole node for 30 ms."""
    async with alone(takes=False) as scene:
        counts = []

        async def look() -> None:
            while True:
                counts.append(len(seen))
                await trio.lowlevel.checkpoint()

        seen: list[int] = []

        def refuse(stream: MuxedStream) -> bool:
            seen.append(stream.number)
            return False

        scene.session._arrived = refuse
        async with trio.open_nursery() as nursery:
            nursery.start_soon(look)
            frames = [header(Kind.WINDOW, Flag.SYN, each, 0) for each in range(2, 4002, 2)]
            await scene.peer.send(b"".join(frames))
            with trio.fail_after(5):
                while len(seen) < 2000:
                    await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
        steps = [after - before for before, after in pairwise(counts)]
        assert max(steps) <= 2 * FRAMES_IN_ONE_GO
