# SPDX-License-Identifier: MIT
"""What every transport promises of how connections end: closed, left, killed, or standing still."""

from collections.abc import Awaitable, Callable
from functools import partial

import pytest
import trio

from node.mesh.transport import OPEN_S_MAX, Lost, Stream, TransportError, Unreachable
from tests.node.mesh.scene import (
    ECHO,
    SILENT,
    SOON_S,
    TALKS,
    Scene,
    cannot_send,
    connected,
    echoed,
    ending,
    exchanged,
    fill,
    joined,
    until,
)


async def a_closed_connection_ends_for_both(scene: Scene) -> None:
    """With all its streams, whoever closes it; closing again is fine. Others go on."""
    async with connected(scene) as pair:
        for is_theirs in (False, True):
            here = await pair.alice.dial(pair.bob)
            await until(lambda: len(pair.bob.met) > 1)
            there = pair.bob.met.pop()
            closing, other = (there, here) if is_theirs else (here, there)
            streams = [await closing.open(SILENT), await other.open(SILENT)]
            async with trio.open_nursery() as nursery:
                for stream in streams:
                    nursery.start_soon(fill, stream)
                for end in (closing, other):
                    nursery.start_soon(end.wait_closed)
                await trio.lowlevel.checkpoint()
                await closing.close()
            for end in (closing, other):
                with pytest.raises(Lost):
                    await end.open(ECHO)
                await end.close()
                await end.close()
                await end.wait_closed()
            for stream in streams:
                assert await ending(stream) in ("", "Lost")
                await cannot_send(stream)
        await pair.works()


async def whoever_leaves_closes_every_connection(scene: Scene) -> None:
    """Its handlers are cancelled, and what they raise then is nobody's; nobody has to be told."""
    cancelled = []

    async def stay(stream: Stream) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            try:
                await stream.receive()
                await trio.sleep_forever()
            finally:
                cancelled.append(stream)
                raise ValueError("x")

    async with joined(scene, "alice") as alice:
        with trio.fail_after(SOON_S):
            async with joined(scene, "bob", {**TALKS, "/test/stay/1": stay}) as bob:
                here = await alice.dial(bob)
                addresses = bob.addresses
                stream = await here.open("/test/stay/1")
                await stream.send(b"x")
                await until(lambda: bob.met)
                own = await bob.met[0].open(SILENT)
            assert len(cancelled) == 1
            await here.wait_closed()
        assert await ending(stream) in ("", "Lost")
        with pytest.raises(TransportError):
            await own.send(b"x")
        with pytest.raises(Lost):
            await here.open(ECHO)
        with pytest.raises(Unreachable):
            await alice.endpoint.dial(bob.key, addresses)


async def a_killed_peer_is_noticed_by_whoever_talks_to_it(scene: Scene) -> None:
    """Reads end and writes are lost, at once; then it can come back as the same peer."""
    async with joined(scene, "alice") as alice, joined(scene, "carol") as carol:
        async with joined(scene, "bob") as bob:
            here = await alice.dial(bob)
            other = await alice.dial(carol)
            addresses = list(bob.addresses)
            streams = [await here.open(ECHO), await here.open(SILENT)]
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ending, streams[0])
                nursery.start_soon(fill, streams[1])
                nursery.start_soon(here.wait_closed)
                await trio.sleep(0.02)
                await scene.kill(bob.endpoint)
            with pytest.raises(Lost):
                await here.open(ECHO)
            with pytest.raises(Unreachable):
                await alice.endpoint.dial(bob.key, addresses)
            assert await echoed(other, b"x") == b"x"
        async with joined(scene, "bob") as bob:
            assert await echoed(await alice.dial(bob), b"x") == b"x"


async def a_peer_that_stands_still_for_a_while_goes_on(scene: Scene) -> None:
    """Nothing is lost meanwhile, nothing fails, and nobody else is held up."""
    async with connected(scene) as pair, joined(scene, "carol") as carol:
        other = await pair.alice.dial(carol)
        stream = await pair.here.open(ECHO)
        await scene.freeze(pair.bob.endpoint)
        got: list[bytes] = []

        async def talk(work: Callable[[], Awaitable[bytes]]) -> None:
            got.append(await work())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(talk, partial(exchanged, stream, bytes(300_000)))
            nursery.start_soon(talk, partial(echoed, pair.here, bytes(300_000)))
            await trio.sleep(0.2)
            assert await echoed(other, b"x") == b"x"
            assert not got
            await scene.thaw(pair.bob.endpoint)
        assert got == [bytes(300_000)] * 2
        await pair.works()


async def a_peer_that_stands_still_is_given_up_in_time(scene: Scene) -> None:
    """By whoever opens a stream to it, or dials it."""
    async with connected(scene) as pair:
        await scene.freeze(pair.bob.endpoint)

        async def open_in_vain() -> None:
            with trio.fail_after(OPEN_S_MAX + 1), pytest.raises(Lost):
                await pair.here.open(ECHO)

        async def dial_in_vain() -> None:
            with trio.fail_after(OPEN_S_MAX + 1), pytest.raises(Unreachable):
                await pair.alice.dial(pair.bob)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(open_in_vain)
            nursery.start_soon(dial_in_vain)
        await scene.thaw(pair.bob.endpoint)
        assert await echoed(await pair.alice.dial(pair.bob), b"x") == b"x"
        await pair.works()
        await pair.forgets_all_streams()


PROMISES = (
    a_closed_connection_ends_for_both,
    whoever_leaves_closes_every_connection,
    a_killed_peer_is_noticed_by_whoever_talks_to_it,
    a_peer_that_stands_still_for_a_while_goes_on,
    a_peer_that_stands_still_is_given_up_in_time,
)
