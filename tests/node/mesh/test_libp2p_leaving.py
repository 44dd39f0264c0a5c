# SPDX-License-Identifier: MIT
"""What a session keeps when somebody is cancelled, closes it, or is gone. No network, no cipher."""

from functools import partial

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from node.mesh.libp2p.yamux import Flag, Kind
from node.mesh.transport import Lost
from tests.node.leaving import leave_after
from tests.node.mesh.raw_peer import Alone, accepted, alone


async def test_a_cancelled_sender_loses_its_stream_and_cuts_no_frame() -> None:
    """Wherever it is cancelled (fact 4: in the library the whole connection dies)."""
    steps, done = 0, False
    while not done:
        steps += 1
        async with alone(lockstep=True) as scene:
            stream, other = scene.session.start(), scene.session.start()
            heard: dict[int, bytes] = {1: b"", 3: b""}
            reset = False

            async def listen(scene: Alone, heard: dict[int, bytes]) -> bool:
                """Hear everything up to the other stream's end; tell whether this one was reset."""
                was_reset = False
                while True:
                    frame = await scene.peer.hear()
                    heard[frame.stream] = heard[frame.stream] + frame.data
                    was_reset |= frame.stream == 1 and bool(frame.flags & Flag.RST)
                    if frame.stream == 3 and frame.flags & Flag.FIN:
                        return was_reset

            async with trio.open_nursery() as nursery:

                async def check() -> None:
                    nonlocal reset
                    reset = await listen(scene, heard)  # noqa: B023 - it ends within this round

                nursery.start_soon(check)
                done = await leave_after(steps, partial(stream.send, b"x" * 200_000))
                await other.send(b"unharmed")
                await other.finish()
            assert heard[3] == b"unharmed"
            assert set(heard[1]) <= set(b"x")
            assert reset is not done
            if not done:
                with pytest.raises(Lost, match="cancelled"):
                    await stream.send(b"more")
    assert steps > 4, "there was something to cancel"


async def test_a_cancelled_reader_loses_nothing() -> None:
    async with alone() as scene:
        stream = await accepted(scene)
        got = b""
        for number in range(200):
            await scene.peer.data(2, bytes([number]))
            with trio.move_on_after(0) as scope:
                got += await stream.receive()
            if number % 3 == 0 and scope.cancelled_caught:
                await trio.lowlevel.checkpoint()
        await wait_all_tasks_blocked()
        got += await stream.receive()
        assert got == bytes(range(200))


async def test_closing_sends_first_what_was_queued_and_then_waits_for_nothing(
    autojump_clock: MockClock,  # noqa: ARG001 - time is virtual
) -> None:
    async with alone() as scene:
        stream = scene.session.start()
        await stream.send(b"last words")
        began = trio.current_time()
        await scene.session.close()
        assert trio.current_time() == began
        heard = [await scene.peer.hear() for _ in range(3)]
        assert [each.data for each in heard] == [b"", b"last words", b""]
        assert heard[-1].kind == Kind.GO_AWAY
        await scene.session.close()


async def test_closing_does_not_wait_for_a_peer_that_reads_nothing(
    autojump_clock: MockClock,  # noqa: ARG001 - time is virtual
) -> None:
    async with alone(lockstep=True) as scene:
        stream = scene.session.start()
        await stream.send(b"never read")
        began = trio.current_time()
        with trio.CancelScope() as scope:
            scope.cancel()  # also when whoever closes is being cancelled
            await scene.session.close()
        assert trio.current_time() - began <= 1
        assert scene.session.over.is_set()


async def test_what_came_before_the_end_can_still_be_read() -> None:
    async with alone() as scene:
        stream, finished = await accepted(scene), await accepted(scene, 4)
        await scene.peer.data(2, b"before")
        await scene.peer.say(Kind.DATA, Flag.FIN, 4, 3, b"all")
        await scene.peer.say(Kind.GO_AWAY, 0, 0, 0)
        await scene.session.over.wait()
        assert await stream.receive() == b"before"
        with pytest.raises(Lost, match="goodbye"):
            await stream.receive()
        assert [await finished.receive(), await finished.receive()] == [b"all", b""]


@pytest.mark.parametrize("here", [False, True])
async def test_after_a_reset_nothing_looks_like_a_good_end(*, here: bool) -> None:
    """What had come was dropped, so the end of data that had come as well is behind a hole."""
    async with alone() as scene:
        stream = await accepted(scene)
        await scene.peer.say(Kind.DATA, Flag.FIN, 2, 3, b"all")
        if not here:
            await scene.peer.say(Kind.WINDOW, Flag.RST, 2, 0)
        await wait_all_tasks_blocked()
        if here:
            await stream.reset()
        with pytest.raises(Lost, match="reset"):
            await stream.receive()
