# SPDX-License-Identifier: MIT
"""What every transport promises to whoever leaves in the middle of a call, at any point of it."""

from itertools import count

import pytest
import trio

from node.mesh.transport import Connection, Lost, Stream, TransportError
from tests.node.leaving import leave_after
from tests.node.mesh.scene import (
    ECHO,
    SINK,
    Scene,
    connected,
    ending,
    joined,
    read_some,
    until,
)

#: No call comes so often to a point at which it waits: then it would never be done.
STEPS_MAX = 2000

#: Beyond the first points, the next one to leave at is so much further on.
GROWTH = 1.3


async def leaving_while_a_stream_is_opened_leaves_nothing(scene: Scene) -> None:
    """Neither here nor there: whoever tries often and leaves would else use up all streams."""
    opened: list[Stream] = []
    async with connected(scene) as pair:

        async def open_one() -> None:
            opened.append(await pair.here.open(ECHO))

        for steps in count(1):
            assert steps < STEPS_MAX
            if await leave_after(steps, open_one):
                break
        for stream in opened:
            await stream.reset()
        await pair.forgets_all_streams()
        await pair.works()


async def leaving_while_sending_loses_the_stream_alone(scene: Scene) -> None:
    """Nobody knows how much of it has left. The peer hears of an end, others go on."""
    data = bytes(400_000)
    async with connected(scene) as pair:
        other = await pair.here.open(ECHO)
        steps = 0
        while True:
            steps += 1 + int(steps * (GROWTH - 1))
            assert steps < STEPS_MAX
            stream = await pair.here.open(SINK)

            async def send(stream: Stream = stream) -> None:
                await stream.send(data)

            if await leave_after(steps, send):
                await stream.finish()
                assert await read_some(stream, 8) == len(data).to_bytes(8, "big")
                break
            with pytest.raises(Lost):
                await stream.send(b"x")
            assert await ending(stream) in ("", "Lost")
            await other.send(b"x")
            assert await read_some(other, 1) == b"x"
        await other.reset()
        await stream.reset()
        await pair.forgets_all_streams()
        await pair.works()


async def leaving_while_held_back_loses_the_stream_alone(scene: Scene) -> None:
    """A sender that waits for a reader can go; what it had queued is the stream's affair."""
    ended: list[str] = []

    async def read_when_told(stream: Stream) -> None:
        await go.wait()
        ended.append(await ending(stream))

    go = trio.Event()
    async with connected(scene, {"/test/late/1": read_when_told}) as pair:
        stream = await pair.here.open("/test/late/1")
        with trio.move_on_after(0.1) as scope:
            await stream.send(bytes(16 << 20))
        assert scope.cancelled_caught
        await pair.works()
        go.set()
        await until(lambda: ended)
        await pair.forgets_all_streams()


async def leaving_while_receiving_loses_nothing(scene: Scene) -> None:
    """Whoever comes back goes on where he was."""
    data = bytes(range(256)) * 1200

    async def pour(stream: Stream) -> None:
        for at in range(0, len(data), 1000):
            await stream.send(data[at : at + 1000])
            await trio.lowlevel.checkpoint()

    async with connected(scene, {"/test/pour/1": pour}) as pair:
        stream = await pair.here.open("/test/pour/1")
        got: list[bytes] = []

        async def receive() -> None:
            got.append(await stream.receive())

        for turn in count():
            if await leave_after(1 + turn % 4, receive) and not got[-1]:
                break
        assert b"".join(got) == data
        await stream.finish()
        await pair.forgets_all_streams()


async def leaving_while_finishing_leaves_a_stream_that_can_be_ended(scene: Scene) -> None:
    """Whether or not the peer has heard of it."""
    async with connected(scene) as pair:
        for steps in count(1):
            assert steps < STEPS_MAX
            stream = await pair.here.open(SINK)
            await stream.send(b"12345")
            done = await leave_after(steps, stream.finish)
            if done:
                assert await read_some(stream, 8) == (5).to_bytes(8, "big")
            await stream.reset()
            await pair.works()
            if done:
                break
        await pair.forgets_all_streams()


async def leaving_while_dialling_leaves_no_connection(scene: Scene) -> None:
    """On neither side; and the next dial is like the first."""
    async with joined(scene, "alice") as alice, joined(scene, "bob") as bob:
        made: list[Connection] = []

        async def dial() -> None:
            made.append(await alice.dial(bob))

        steps = 0
        while True:
            steps += 1 + int(steps * (GROWTH - 1))
            assert steps < STEPS_MAX
            if await leave_after(steps, dial):
                break
        open_now = len(made)
        stream = await made[-1].open(ECHO)
        await stream.send(b"x")
        assert await read_some(stream, 1) == b"x"
        await until(lambda: alice.connected == bob.connected == open_now)
        await trio.sleep(0.05)
        assert alice.connected == bob.connected == open_now


async def whoever_closes_and_leaves_has_closed(scene: Scene) -> None:
    """It is what cancelled tasks do last."""
    async with connected(scene) as pair:
        stream = await pair.there.open(ECHO)
        with trio.CancelScope() as scope:
            scope.cancel()
            await pair.here.close()
        assert not scope.cancelled_caught, "there may be more to close"
        await pair.here.wait_closed()
        await pair.there.wait_closed()
        with pytest.raises(TransportError):
            await stream.send(b"x")


async def leaving_the_wait_for_an_end_ends_nothing(scene: Scene) -> None:
    """Many may wait, and go, and come back."""
    async with connected(scene) as pair:
        for end in (pair.here, pair.there):
            with trio.move_on_after(0.01) as scope:
                await end.wait_closed()
            assert scope.cancelled_caught
        await pair.works()


PROMISES = (
    leaving_while_a_stream_is_opened_leaves_nothing,
    leaving_while_sending_loses_the_stream_alone,
    leaving_while_held_back_loses_the_stream_alone,
    leaving_while_receiving_loses_nothing,
    leaving_while_finishing_leaves_a_stream_that_can_be_ended,
    leaving_while_dialling_leaves_no_connection,
    whoever_closes_and_leaves_has_closed,
    leaving_the_wait_for_an_end_ends_nothing,
)
