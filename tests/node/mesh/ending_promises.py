# SPDX-License-Identifier: MIT
"""What every transport promises of how streams end: finished, reset, by handlers that fail.

How connections end is in `parting_promises`; who leaves a call is in `leaving_promises`.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio

from node.mesh.transport import (
    Lost,
    NotSpoken,
    Stream,
    TransportError,
)
from tests.node.mesh.scene import (
    ECHO,
    SINK,
    SOON_S,
    Pair,
    Scene,
    cannot_send,
    connected,
    ending,
    fill,
    read,
    read_some,
    until,
)

HELD = "/test/held/1"


class Holding:
    """Takes streams and keeps them until it is told to let them go."""

    def __init__(self) -> None:
        self.streams: list[Stream] = []
        self.over = trio.Event()

    async def handle(self, stream: Stream) -> None:
        self.streams.append(stream)
        await self.over.wait()


@asynccontextmanager
async def held(scene: Scene) -> AsyncIterator[tuple[Pair, Holding]]:
    """Connect two whose streams are held; afterwards nothing is left of them."""
    holding = Holding()
    async with connected(scene, {HELD: holding.handle}) as pair:
        yield pair, holding
        holding.over.set()
        await pair.forgets_all_streams()
        await pair.works()


async def both_ends(pair: Pair, holding: Holding) -> tuple[Stream, Stream]:
    """Open a stream and give both its ends."""
    before = len(holding.streams)
    stream = await pair.here.open(HELD)
    await until(lambda: len(holding.streams) > before)
    return stream, holding.streams[-1]


async def _nothing(_: Stream, __: Stream) -> None:
    pass


async def _one_has_sent(one: Stream, _: Stream) -> None:
    await one.send(bytes(1000))


async def _other_has_sent(_: Stream, other: Stream) -> None:
    await other.send(bytes(1000))


async def _one_has_finished(one: Stream, _: Stream) -> None:
    await one.finish()


async def _other_has_finished(_: Stream, other: Stream) -> None:
    await other.finish()


async def _both_have_finished(one: Stream, other: Stream) -> None:
    await one.finish()
    await other.finish()


STATES: tuple[Callable[[Stream, Stream], Awaitable[None]], ...] = (
    _nothing,
    _one_has_sent,
    _other_has_sent,
    _one_has_finished,
    _other_has_finished,
    _both_have_finished,
)


async def a_reset_ends_both_directions_for_both(scene: Scene) -> None:
    """From either side and in each state; who waits to receive hears of it."""
    async with held(scene) as (pair, holding):
        for prepare in STATES:
            for is_theirs in (False, True):
                one, other = await both_ends(pair, holding)
                if is_theirs:
                    one, other = other, one
                await prepare(one, other)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(ending, other)
                    await trio.lowlevel.checkpoint()
                    await one.reset()
                with pytest.raises(Lost):
                    await one.send(b"x")
                with pytest.raises(Lost):
                    await one.receive()
                await cannot_send(other)


async def a_reset_frees_whoever_waits_to_send(scene: Scene) -> None:
    """A writer that is held back would wait for ever; here and there."""
    async with held(scene) as (pair, holding):
        for is_theirs in (False, True):
            for resets_itself in (False, True):
                mine, theirs = await both_ends(pair, holding)
                one, other = (theirs, mine) if is_theirs else (mine, theirs)
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(fill, one)
                    await trio.sleep(0.05)
                    await (one if resets_itself else other).reset()


async def resetting_never_raises(scene: Scene) -> None:
    """Twice, by somebody who is cancelled, with a peer that has reset too, or without a peer."""
    async with held(scene) as (pair, holding):
        mine, theirs = await both_ends(pair, holding)
        with trio.CancelScope() as scope:
            scope.cancel()
            await mine.reset()
        assert not scope.cancelled_caught, "there may be more to end"
        with trio.fail_after(SOON_S):
            assert await ending(theirs) in ("", "Lost")
        await mine.reset()
        await theirs.reset()
        mine, theirs = await both_ends(pair, holding)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(mine.reset)
            nursery.start_soon(theirs.reset)
        other = await pair.alice.dial(pair.bob)
        stream = await other.open(ECHO)
        await other.close()
        await stream.reset()


async def finishing_leaves_the_other_direction_open(scene: Scene) -> None:
    """Whoever has said everything can still be answered, from either end."""

    async def finish_first(stream: Stream) -> None:
        await stream.send(b"that is all from here")
        await stream.finish()
        heard.append(await read(stream))

    heard: list[bytes] = []
    async with connected(scene, {"/test/first/1": finish_first}) as pair:
        stream = await pair.here.open(SINK)
        await stream.send(b"x" * 100_000)
        await stream.finish()
        assert await read(stream) == (100_000).to_bytes(8, "big")
        stream = await pair.here.open("/test/first/1")
        assert await read(stream) == b"that is all from here"
        data = bytes(range(256)) * 12_000
        await stream.send(data)
        await stream.finish()
        await until(lambda: heard)
        assert heard == [data]
        await pair.forgets_all_streams()


async def finishing_twice_is_fine_and_sending_afterwards_is_not(scene: Scene) -> None:
    """What is refused here does not hurt the stream; a lost one can be finished too."""
    async with connected(scene) as pair:
        stream = await pair.here.open(SINK)
        await stream.send(b"123")
        await stream.finish()
        await stream.finish()
        with pytest.raises(Lost):
            await stream.send(b"4")
        assert await read(stream) == (3).to_bytes(8, "big")
        assert await read(stream) == b"", "the end of data stays"
        await stream.finish()
        await stream.reset()
        await stream.finish()
        await pair.works()


async def whatever_a_handler_raises_ends_its_stream_only(scene: Scene) -> None:
    """Ours or another's mistake: the peer hears of an end, and everything else goes on."""
    raised: list[Exception] = [
        *(ValueError("x"), OSError(5, "x"), AssertionError(), RecursionError(), MemoryError()),
        *(StopAsyncIteration(), StopIteration(), EOFError(), trio.TooSlowError(), Lost("x")),
        *(NotSpoken("x"), trio.ClosedResourceError(), KeyError()),
        ExceptionGroup("x", [ValueError("x"), ExceptionGroup("y", [Lost("x")])]),
    ]

    async def fail(stream: Stream) -> None:
        number = (await stream.receive())[0]
        raise raised[number]

    async def fail_beside(stream: Stream) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            nursery.start_soon(fail, stream)

    async with connected(scene, {"/test/fail/1": fail, "/test/beside/1": fail_beside}) as pair:
        for protocol in ("/test/fail/1", "/test/beside/1"):
            for number in range(len(raised)):
                stream = await pair.here.open(protocol)
                await stream.send(bytes([number]))
                assert await ending(stream) in ("", "Lost")
                await stream.reset()
        await pair.forgets_all_streams()
        await pair.works()


async def a_handler_that_returns_has_finished(scene: Scene) -> None:
    """What it has sent is read, then comes the end; and the stream is forgotten."""
    data = bytes(range(256)) * 1000

    async def answer(stream: Stream) -> None:
        await stream.send(data)

    async with connected(scene, {"/test/answer/1": answer}) as pair:
        stream = await pair.here.open("/test/answer/1")
        assert await read(stream) == data
        await stream.finish()
        await pair.forgets_all_streams()
        await pair.works()


async def a_handler_may_return_before_it_has_read_everything(scene: Scene) -> None:
    """Its answer arrives, and whoever is still sending is told in time, or need not care."""
    answered = trio.Event()

    async def refuse(stream: Stream) -> None:
        await read_some(stream, 1)
        await stream.send(b"no, thank you")
        answered.set()

    async def send_on(stream: Stream) -> None:
        try:
            await stream.send(bytes(3 << 20))
            await stream.finish()
        except TransportError:
            pass

    async with connected(scene, {"/test/refuse/1": refuse}) as pair:
        stream = await pair.here.open("/test/refuse/1")
        await stream.send(b"?")
        await answered.wait()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send_on, stream)
            assert await read(stream) == b"no, thank you"
        await pair.forgets_all_streams()
        await pair.works()


async def a_protocol_that_nobody_speaks_is_refused(scene: Scene) -> None:
    """That costs neither the connection nor a stream."""
    async with connected(scene) as pair:
        for end in (pair.here, pair.there):
            for name in ("/test/unheard/1", "/test/echo/2", "/test/echo/1/", "/test/echo"):
                with pytest.raises(NotSpoken):
                    await end.open(name)
        await pair.forgets_all_streams()
        await pair.works()


PROMISES = (
    a_reset_ends_both_directions_for_both,
    a_reset_frees_whoever_waits_to_send,
    resetting_never_raises,
    finishing_leaves_the_other_direction_open,
    finishing_twice_is_fine_and_sending_afterwards_is_not,
    whatever_a_handler_raises_ends_its_stream_only,
    a_handler_that_returns_has_finished,
    a_handler_may_return_before_it_has_read_everything,
    a_protocol_that_nobody_speaks_is_refused,
)
