# SPDX-License-Identifier: MIT
"""A line to one node: who opens the stream, what waits, and how it ends."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
import trio

from node.mesh.framed import TOGETHER_BYTES_MAX, Framed
from node.mesh.line import END_S_MAX, PATIENCE_S, SEND_S_MAX, Line
from node.mesh.transport import Lost, Unreachable
from protocol.channel import NoFrame
from protocol.errors import RemoteProtocolError
from protocol.frames import DocumentFrame, Frame
from protocol.reasons import Reason
from tests.node.executor.virtual_time import in_virtual_time

KEY = bytes(32)


class Wire:
    """A stream in frames that does what a test says: what is told to it is heard on it."""

    def __init__(self) -> None:
        self.tell, self._told = trio.open_memory_channel[Frame | NoFrame](10)
        self.said: list[Frame] = []
        self.writes: list[int] = []
        self.is_frozen = False
        self.is_ended = False
        self.is_reset = False
        self.stream = self

    async def send(self, *frames: Frame) -> None:
        await trio.lowlevel.checkpoint()
        if self.is_frozen:
            await trio.sleep_forever()
        self.said += frames
        self.writes.append(len(frames))

    async def receive(self) -> Frame | NoFrame:
        return await self._told.receive()

    async def end(self) -> None:
        await trio.lowlevel.checkpoint()
        self.is_ended = True

    async def reset(self) -> None:
        self.is_reset = True


class Place:
    """Where a line is made, with a stream that it may dial."""

    def __init__(self, *, patient: bool = False) -> None:
        self.mine = Wire()
        self.dials = 0
        self.heard: list[Frame] = []
        self.error: Exception | None = None
        self.line = Line(KEY, self.dial, self.hear, patient=patient)

    @asynccontextmanager
    async def dial(self) -> AsyncIterator[Framed]:
        self.dials += 1
        if self.error is not None:
            raise self.error
        yield as_framed(self.mine)

    def hear(self, _key: bytes, frame: Frame) -> None:
        if self.error is not None:
            raise self.error
        self.heard.append(frame)


def as_framed(wire: Wire) -> Framed:
    return cast("Any", wire)  # type: ignore[no-any-return]  # what a line uses of it is there


def words(number: int = 0) -> DocumentFrame:
    return DocumentFrame(bytes([number + 1]))


@in_virtual_time
async def test_a_stream_is_opened_when_there_is_something_to_say_and_not_before() -> None:
    place = Place()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(place.line.run)
        await trio.sleep(100)
        assert place.dials == 0
        place.line.say(words())
        await trio.sleep(0.1)
        assert (place.dials, place.mine.said) == (1, [words()])
        place.line.close()
    assert place.line.error is None
    assert place.mine.is_ended


@in_virtual_time
async def test_a_line_that_finishes_says_first_what_waits_unless_the_node_is_frozen() -> None:
    for is_frozen in (False, True):
        place = Place()
        place.mine.is_frozen = is_frozen
        async with trio.open_nursery() as nursery:
            nursery.start_soon(place.line.run)
            for number in range(5):
                place.line.say(words(number))
            begin_s = trio.current_time()
            await place.line.finish()
            assert trio.current_time() - begin_s == (END_S_MAX if is_frozen else 0)
        assert len(place.mine.said) == (0 if is_frozen else 5)
        assert place.line.is_over


@in_virtual_time
async def test_who_was_dialled_waits_for_the_stream_of_the_dialer() -> None:
    place, theirs = Place(patient=True), Wire()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(place.line.run)
        place.line.say(words())
        await trio.sleep(PATIENCE_S / 2)
        nursery.start_soon(place.line.serve, as_framed(theirs))
        await trio.sleep(PATIENCE_S)
        assert (place.dials, theirs.said) == (0, [words()])
        place.line.close()


@in_virtual_time
async def test_it_does_not_wait_for_ever() -> None:
    place = Place(patient=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(place.line.run)
        place.line.say(words())
        await trio.sleep(PATIENCE_S + 0.1)
        assert (place.dials, place.mine.said) == (1, [words()])
        place.line.close()


@in_virtual_time
async def test_a_node_that_takes_no_message_is_given_up() -> None:
    place = Place()
    place.mine.is_frozen = True
    place.line.say(words())
    await place.line.run()
    assert isinstance(place.line.error, Lost)
    assert SEND_S_MAX <= trio.current_time() < SEND_S_MAX + 5
    assert place.line.is_over


@in_virtual_time
async def test_what_is_said_comes_in_order() -> None:
    place = Place()
    for number in range(20):
        place.line.say(words(number))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(place.line.run)
        await trio.sleep(1)
        place.line.close()
    assert place.mine.said == [words(number) for number in range(20)]


@in_virtual_time
async def test_what_waits_leaves_together_as_far_as_a_slow_line_bears_it() -> None:
    place = Place()
    for size_bytes in (1, 2, 3, TOGETHER_BYTES_MAX + 1, 4, TOGETHER_BYTES_MAX - 4, 1):
        place.line.say(DocumentFrame(bytes(size_bytes)))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(place.line.run)
        await trio.sleep(1)
        place.line.close()
    assert place.mine.writes == [3, 1, 2, 1]


@pytest.mark.parametrize(
    "error", [Unreachable("no way"), RemoteProtocolError(Reason.UNEXPECTED, "broken hello")]
)
def test_a_stream_that_cannot_be_opened_ends_the_line(error: Exception) -> None:
    @in_virtual_time
    async def run() -> None:
        place = Place()
        place.error = error
        place.line.say(words())
        await place.line.run()
        assert place.line.error is error

    run()


@in_virtual_time
async def test_the_end_of_one_stream_is_the_end_of_all() -> None:
    place, theirs = Place(), Wire()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(place.line.run)
        place.line.say(words())
        await trio.sleep(0.1)
        nursery.start_soon(place.line.serve, as_framed(theirs))
        await trio.sleep(0.1)
        await theirs.tell.send(NoFrame.CLOSED)
    assert place.mine.is_ended
    assert isinstance(place.line.error, Lost)


@in_virtual_time
async def test_a_bug_that_a_message_finds_ends_the_line_of_its_sender_only() -> None:
    place = Place()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(place.line.run)
        place.line.say(words())
        await trio.sleep(0.1)
        place.error = ZeroDivisionError("a bug")
        await place.mine.tell.send(words())
    assert isinstance(place.line.error, Lost)


@in_virtual_time
async def test_a_broken_rule_is_the_reason_of_the_end() -> None:
    place, theirs = Place(), Wire()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(place.line.run)
        nursery.start_soon(place.line.serve, as_framed(theirs))
        await trio.sleep(0.1)
        place.error = RemoteProtocolError(Reason.MALFORMED, "nonsense")
        await theirs.tell.send(words())
    assert place.line.error is place.error


@in_virtual_time
async def test_one_who_talks_too_much_is_listened_to_more_slowly() -> None:
    place, theirs = Place(), Wire()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(place.line.run)
        nursery.start_soon(place.line.serve, as_framed(theirs))
        for _ in range(1000):
            await theirs.tell.send(words())
        assert trio.current_time() > 10
        place.line.close()
