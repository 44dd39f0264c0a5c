# SPDX-License-Identifier: MIT
"""What every transport promises of bytes: order, sizes, many streams, slow readers.

How streams and connections end is in `ending_promises`, who meets whom in `meeting_promises`.
"""

from array import array
from functools import partial
from random import Random

import pytest
import trio

from node.mesh.transport import Lost, Stream
from tests.node.mesh.scene import (
    ECHO,
    SILENT,
    Scene,
    connected,
    echoed,
    ending,
    exchanged,
    read,
    read_some,
    until,
)

SIZES = (0, 1, 65_000, 65_001, 1 << 20, (1 << 20) + 1)
LARGE_BYTES = 16 << 20

#: What may be on its way when nobody reads: windows, queues and what the system holds of them.
HELD_BYTES_MAX = 4 << 20


def numbered(size: int) -> bytes:
    """Make bytes of which no part looks like another one."""
    return array("I", range(size // 4 + 1)).tobytes()[:size]


async def bytes_arrive_in_order_and_whole(scene: Scene) -> None:
    """However many there are, and in both directions."""
    async with connected(scene) as pair:
        for size in SIZES:
            data = Random(size).randbytes(size)
            assert await echoed(pair.here, data) == data, size
            assert await echoed(pair.there, data) == data, size
        await pair.forgets_all_streams()


async def much_arrives_in_order_and_whole(scene: Scene) -> None:
    """Many times of what any window or buffer holds."""
    data = numbered(LARGE_BYTES)
    async with connected(scene) as pair:
        assert await echoed(pair.here, data) == data


async def pieces_arrive_in_their_order(scene: Scene) -> None:
    """Whatever kind of buffer each of them is, and however long; an empty one is nothing."""
    rng = Random(1)
    whole = rng.randbytes(300_000)
    async with connected(scene) as pair:
        stream = await pair.here.open(ECHO)
        await stream.send()
        await stream.send(b"", bytearray(), memoryview(b""))
        await stream.send(b"1", bytearray(b"22"), b"", memoryview(b"x333x")[1:-1])
        assert await read_some(stream, 6) == b"122333"
        ends = sorted(rng.sample(range(len(whole)), 200))
        pieces = [whole[a:b] for a, b in zip([0, *ends], [*ends, len(whole)], strict=True)]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(stream.send, *pieces))
            assert await read_some(stream, len(whole)) == whole
        for each in pieces[:50]:
            await stream.send(each)
        count = sum(map(len, pieces[:50]))
        assert await read_some(stream, count) == whole[:count]
        await stream.reset()


async def what_was_sent_may_change_afterwards(scene: Scene) -> None:
    """A buffer is the sender's again as soon as `send` has returned."""
    buffer = bytearray(5000)
    async with connected(scene) as pair:
        stream = await pair.here.open(ECHO)
        for each in range(20):
            buffer[:] = bytes([each]) * len(buffer)
            await stream.send(buffer)
            buffer[:] = b"\xff" * len(buffer)
        got = await read_some(stream, 20 * len(buffer))
        assert got == b"".join(bytes([each]) * len(buffer) for each in range(20))
        await stream.reset()


async def both_directions_run_at_once(scene: Scene) -> None:
    """Two ends that both send much, and then read, would otherwise wait for each other."""
    data = numbered(3 << 20)

    async def send_and_read(stream: Stream) -> None:
        assert await exchanged(stream, data) == data

    async with connected(scene, {"/test/both/1": send_and_read}) as pair:
        stream = await pair.here.open("/test/both/1")
        await send_and_read(stream)
        await pair.forgets_all_streams()


async def an_answer_comes_without_an_end(scene: Scene) -> None:
    """A word is sent when it is said: nobody has to finish first, or to say more."""
    async with connected(scene) as pair:
        stream = await pair.here.open(ECHO)
        for word in (b"a", b"bc", b"d" * 1000) * 20:
            await stream.send(word)
            assert await read_some(stream, len(word)) == word
        await stream.finish()
        assert await read(stream) == b""


async def streams_do_not_mix(scene: Scene) -> None:
    """Many at once, which either side has opened."""
    done: list[int] = []

    async def talk(number: int) -> None:
        end = pair.here if number % 2 else pair.there
        data = Random(number).randbytes(number * 1000)
        assert await echoed(end, data) == data
        done.append(number)

    async with connected(scene) as pair:
        async with trio.open_nursery() as nursery:
            for number in range(64):
                nursery.start_soon(talk, number)
        assert sorted(done) == list(range(64))
        await pair.forgets_all_streams()


async def a_thousand_streams_are_open_at_once(scene: Scene) -> None:
    """And each is forgotten afterwards."""
    streams: list[Stream] = []

    async def open_one(number: int) -> None:
        stream = await pair.here.open(ECHO)
        await stream.send(number.to_bytes(2, "big"))
        assert await read_some(stream, 2) == number.to_bytes(2, "big")
        streams.append(stream)

    async def end_one(stream: Stream) -> None:
        await stream.finish()
        assert await read(stream) == b""

    async with connected(scene) as pair:
        async with trio.open_nursery() as nursery:
            for number in range(1000):
                nursery.start_soon(open_one, number)
        assert len(streams) == 1000
        assert scene.streams(pair.here) == 1000
        async with trio.open_nursery() as nursery:
            for stream in streams:
                nursery.start_soon(end_one, stream)
        await pair.forgets_all_streams()
        await pair.works()


async def a_stream_knows_where_it_runs(scene: Scene) -> None:
    """Its connection and its protocol, on both ends."""
    seen = []

    async def look(stream: Stream) -> None:
        seen.append(stream)

    async with connected(scene, {"/test/look/1": look}) as pair:
        for here, there in ((pair.here, pair.there), (pair.there, pair.here)):
            stream = await here.open("/test/look/1")
            assert await read(stream) == b""
            assert stream.connection is here
            assert seen[-1].connection is there
            assert stream.protocol == seen[-1].protocol == "/test/look/1"


async def a_writer_is_held_back_by_a_reader_that_does_not_read(scene: Scene) -> None:
    """What was taken and not read stays bounded; nothing of it is lost when it is read at last."""
    left = bytearray(numbered(LARGE_BYTES))
    taken, got = 0, b""
    reads = trio.Event()

    async def wait_and_read(stream: Stream) -> None:
        nonlocal got
        await reads.wait()
        got = await read(stream)

    async def write(stream: Stream) -> None:
        nonlocal taken
        for at in range(0, LARGE_BYTES, 65_000):
            await stream.send(left[at : at + 65_000])
            taken += 65_000
        await stream.finish()

    async def stands_still() -> None:
        still = 0
        while still < 5:
            before = taken
            await trio.sleep(0.05)
            still = still + 1 if taken == before else 0

    async with connected(scene, {"/test/late/1": wait_and_read}) as pair:
        stream = await pair.here.open("/test/late/1")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(write, stream)
            await stands_still()
            assert 0 < taken <= HELD_BYTES_MAX
            await pair.works()
            reads.set()
        await until(lambda: got)
        assert got == left


async def a_slow_reader_gets_everything(scene: Scene) -> None:
    """Each reads in its own time, and its writer keeps step."""
    data = numbered(1 << 20)
    got = bytearray()

    async def read_slowly(stream: Stream) -> None:
        while piece := await stream.receive():
            got.extend(piece)
            await trio.sleep(0.005)
        await stream.send(b"done")

    async with connected(scene, {"/test/slow/1": read_slowly}) as pair:
        stream = await pair.here.open("/test/slow/1")
        for at in range(0, len(data), 20_000):
            await stream.send(data[at : at + 20_000])
        await stream.finish()
        assert await read(stream) == b"done"
        assert got == data


async def a_stream_that_nobody_reads_holds_up_no_other(scene: Scene) -> None:
    """In either direction, and however much waits on it."""

    async def fill(stream: Stream) -> None:
        with pytest.raises(Lost):
            await stream.send(bytes(LARGE_BYTES))

    async def pour(stream: Stream) -> None:
        while True:
            await stream.send(bytes(65_000))

    async with connected(scene, {"/test/pour/1": pour}) as pair:
        stuck = [await pair.here.open(SILENT) for _ in range(3)]
        poured = [await pair.here.open("/test/pour/1") for _ in range(3)]
        async with trio.open_nursery() as nursery:
            for stream in stuck:
                nursery.start_soon(fill, stream)
            for size in (1, 300_000):
                assert await echoed(pair.here, bytes(size)) == bytes(size)
                assert await echoed(pair.there, bytes(size)) == bytes(size)
            for stream in (*stuck, *poured):
                await stream.reset()
        await pair.works()


async def what_came_before_anybody_looked_is_not_lost(scene: Scene) -> None:
    """A handler that is busy first finds it all, and the end too."""
    go = trio.Event()
    got = []

    async def late(stream: Stream) -> None:
        await go.wait()
        got.append(await read(stream))

    async with connected(scene, {"/test/late/1": late}) as pair:
        stream = await pair.here.open("/test/late/1")
        await stream.send(b"early")
        await stream.finish()
        await pair.works()
        go.set()
        assert await ending(stream) == ""
        assert got == [b"early"]
        await pair.forgets_all_streams()


PROMISES = (
    bytes_arrive_in_order_and_whole,
    much_arrives_in_order_and_whole,
    pieces_arrive_in_their_order,
    what_was_sent_may_change_afterwards,
    both_directions_run_at_once,
    an_answer_comes_without_an_end,
    streams_do_not_mix,
    a_thousand_streams_are_open_at_once,
    a_stream_knows_where_it_runs,
    a_writer_is_held_back_by_a_reader_that_does_not_read,
    a_slow_reader_gets_everything,
    a_stream_that_nobody_reads_holds_up_no_other,
    what_came_before_anybody_looked_is_not_lost,
)
