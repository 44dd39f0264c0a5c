# SPDX-License-Identifier: MIT
"""Frames on a stream. Which frames make sense together is for those who speak and listen.

A :class:`Framed` reads all the time, whether anybody listens or not: a transport may kill a
writer whose bytes nobody reads. What has arrived waits in a queue whose bounds are in
`waiting.py`. It answers pings by itself, and grants the window again as data is taken.

**The end.** :meth:`Framed.end` says that this side has said everything; both directions stay
open below, since the other side's data still want windows. When both have said it, the stream is
finished. What the peer did wrong is raised as RemoteProtocolError by whoever listens or speaks
next, what happened to the line as TransportError.

**Cancelling.** Being cancelled while listening loses nothing; while speaking, the stream.
"""

from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Protocol, TypeVar

import trio

from node.mesh.meter import Meter
from node.mesh.tally import Tally
from node.mesh.transport import Lost, Stream, TransportError
from node.mesh.turn import Turn
from node.mesh.waiting import Room, Waiting
from node.nurseries import plain_nursery
from protocol.channel import Channel, NoFrame
from protocol.errors import ProtocolError, RemoteProtocolError
from protocol.frames import (
    TENSOR_DATA_BYTES_MAX,
    BlobPiece,
    CancelFrame,
    DocumentFrame,
    End,
    Frame,
    Ping,
    Pong,
    StatementFrame,
    TensorData,
    TensorStart,
    Window,
)
from protocol.limits import PINGS_UNANSWERED_MAX
from protocol.reasons import Reason
from protocol.tensors import Buffer, Tensor, flat

#: A peer that takes data for so long, and grants no more window, is frozen or plays with us.
STALL_S_MAX = 60.0

#: Small frames of one call are put together up to this size: each write costs a record of Noise.
TOGETHER_BYTES_MAX = 16_384

#: What a frame without data counts for in that; a document is rarely larger.
SMALL_BYTES = 1024

#: An answer that is being written has so long to get out before its stream is let go.
SETTLE_S_MAX = 5.0

#: After so many frames in one go the other tasks have their turn: a peer may send tiny ones.
FRAMES_IN_ONE_GO = 64

FrameT = TypeVar("FrameT", bound=Frame)


class Pace(Protocol):
    """Holds back what moves bytes, so that the owner's line is not filled."""

    async def take(self, size_bytes: int) -> None:
        """Wait until so many bytes may be moved."""
        ...


class Framed:
    """One stream, as frames in both directions. Works while :meth:`run` does."""

    def __init__(
        self,
        stream: Stream,
        *,
        room: Room | None = None,
        up: Pace | None = None,
        down: Pace | None = None,
        kinds: frozenset[type[Frame]] | None = None,
        stall_s: float = STALL_S_MAX,
        meter: Meter | None = None,
        tally: Tally | None = None,
    ) -> None:
        """Take over a stream on which nothing was said yet.

        The peer may say these `kinds` of frames only; anything else ends the stream at its header.
        """
        self.stream = stream
        self.stall_s = stall_s
        self._channel = Channel(kinds)
        self._waiting = Waiting(room)
        self._up, self._down = up, down
        self._meter = meter
        self._tally = tally or Tally()
        self._speaking = Turn()  # for all of what one call says
        self._writing = Turn()  # for one write; answers come between those of others
        self._answers: deque[Frame] = deque()
        self._pings: deque[tuple[int, trio.Event]] = deque()
        self._pinged = 0
        self.asked_s = float("-inf")
        """When the peer has pinged last."""
        self._end: NoFrame | None = None
        self._error: Exception | None = None
        # A frame is news to listeners only; windows, pongs and the end are to all others.
        self._listeners = trio.lowlevel.ParkingLot()
        self._others = trio.lowlevel.ParkingLot()
        self._answerer = trio.lowlevel.ParkingLot()
        self._tasks: trio.Nursery | None = None
        self._is_answering = False
        self._said_end = self._heard_end = False
        self._in_tensor_bytes = 0

    # --- listening ------------------------------------------------------------------------------

    async def receive(self) -> Frame | NoFrame:
        """Give the next frame; CLOSED when the peer has said all, LOST when it is gone.

        Data are views that stay good. Being cancelled here loses nothing.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        while not self._waiting:
            if self._heard_end and not isinstance(self._error, ProtocolError):
                return NoFrame.CLOSED
            if self._error is not None:
                raise self._error
            if self._end is not None:
                return self._end
            await self._listeners.park()
        frame = self._waiting.take()
        if isinstance(frame, TensorData | BlobPiece) and not self._is_over:
            window = self._channel.consumed(len(frame.data))
            if window is not None:
                self._answer(window)
        return frame

    async def take(self, *kinds: type[FrameT]) -> FrameT:
        """Give the next frame, which must be of one of these kinds."""
        frame = await self.receive()
        if isinstance(frame, NoFrame):
            raise Lost("the peer has ended the stream before it had said what was due")
        if not isinstance(frame, kinds):
            wanted = " or ".join(kind.__name__ for kind in kinds)
            detail = f"{type(frame).__name__} where {wanted} is due"
            raise RemoteProtocolError(Reason.UNEXPECTED, detail)
        return frame

    async def take_statement(self) -> bytes:
        """Give the wire of the next frame, which must be a statement."""
        return (await self.take(StatementFrame)).wire

    async def take_document(self) -> bytes:
        """Give the body of the next frame, which must be a document."""
        return (await self.take(DocumentFrame)).body

    # --- speaking -------------------------------------------------------------------------------

    async def send(self, *frames: Frame) -> None:
        """Say these frames, one after the other. Data wait until the peer has room for them."""
        await self._say_all(frames)

    async def send_tensor(self, item: int, port: int, tensor: Tensor) -> None:
        """Say a tensor, in as many frames as it takes."""
        await self._say_all(frames_of(item, port, tensor))

    async def send_all(self, frames: Iterable[Frame]) -> None:
        """Say many frames as one call; each is made when it is its turn."""
        await self._say_all(frames)

    async def end(self) -> None:
        """Say that this was all. Listening goes on."""
        if not self._said_end:
            await self.send(End())

    async def ping(self, deadline_s: float) -> float:
        """Ask whether the peer is there; give the round trip in seconds, or raise Lost."""
        if len(self._pings) == PINGS_UNANSWERED_MAX:
            raise Lost(f"{PINGS_UNANSWERED_MAX} pings are not answered")
        answered = trio.Event()
        self._pinged += 1
        begin_s = trio.current_time()
        with trio.move_on_after(deadline_s):
            self._pings.append((self._pinged, answered))
            await self.send(Ping(self._pinged))
            while not answered.is_set():
                if self._error is not None or self._end is not None:
                    raise self._error or Lost("the peer is gone")
                await self._others.park()
            return trio.current_time() - begin_s
        raise Lost(f"no answer to a ping within {deadline_s:g} s")

    @property
    def is_idle(self) -> bool:
        """Whether both sides could begin something new here."""
        ended = self._is_over or self._said_end or self._heard_end
        busy = self._speaking.locked() or self._waiting or self._in_tensor_bytes
        return not ended and not busy

    # --- working --------------------------------------------------------------------------------

    async def run(self) -> None:
        """Read, and answer, until the peer says no more; those who listen hear how it ended."""
        try:
            async with trio.open_nursery() as nursery:
                self._tasks = nursery
                try:
                    await self._keep_reading()
                except (TransportError, ProtocolError) as error:
                    await self._fail(error)
                # After a clean end what was asked before it is still answered.
                while self._answers and self._error is None:
                    await self._others.park()
                nursery.cancel_scope.cancel()
        finally:
            self._tasks = None
            if not self._is_over:
                self._error = Lost("the stream was given up here")
            self._waiting.close()
            self._tell()

    def lose(self, why: str) -> None:
        """Take note that the connection is gone. What has arrived can still be taken."""
        if not self._is_over:
            self._error = Lost(why)
        self._waiting.close()
        self._tell()

    async def settle(self, nursery: trio.Nursery) -> None:
        """Stop running, but not within a frame: a cancelled write would take back what was said."""
        with trio.move_on_after(SETTLE_S_MAX):
            async with self._writing:
                nursery.cancel_scope.cancel()
        nursery.cancel_scope.cancel()

    @property
    def _is_over(self) -> bool:
        """Whether nothing is read any more."""
        return self._end is not None or self._error is not None

    async def _keep_reading(self) -> None:
        frames = 0
        while not self._is_over:
            await self._waiting.wait_for_room()
            data = await self.stream.receive()
            if data and self._down is not None:
                await self._down.take(len(data))
            if data:
                self._tally.received_bytes += len(data)
                self._channel.receive_data(data)
            else:
                self._channel.receive_eof()
            while not isinstance(event := self._channel.next_event(), NoFrame):
                self._take_in(event)
                frames += 1
                if frames % FRAMES_IN_ONE_GO == 0:
                    self._tell_listeners()
                    await trio.lowlevel.checkpoint()
                    await self._waiting.wait_for_room()
            if event is not NoFrame.NEED_DATA:
                self._end = event
                self._tell()
            self._tell_listeners()

    def _take_in(self, frame: Frame) -> None:
        self._tally.received_frames += 1
        match frame:
            case Ping(token):
                self.asked_s = trio.current_time()
                self._answer(Pong(token))
            case Pong(token):
                while self._pings:
                    asked, answered = self._pings.popleft()
                    if asked == token:
                        answered.set()
                        break
                self._others.unpark_all()
            case Window():
                self._others.unpark_all()  # the channel has noted it
            case End():
                self._heard_end = True
                self._tell()
                if self._said_end:
                    self._ask()
            case _:
                if self._meter is not None and isinstance(frame, TensorData | BlobPiece):
                    self._meter.came(len(frame.data), trio.current_time())
                self._waiting.put(frame)

    async def _keep_answering(self) -> None:
        """Say what is due without anybody's wish: pongs, windows, and the end of the stream."""
        try:
            while True:
                while self._answers:
                    await self._write([self._answers[0]])
                    self._answers.popleft()
                await self._finish_when_said()
                if not self._answers:
                    self._others.unpark_all()
                    await self._answerer.park()
        except (TransportError, ProtocolError) as error:
            if self._end is None:  # else the peer is gone, and needs no answer
                await self._fail(error)
            self._answers.clear()
            self._tell()

    async def _say_all(self, frames: Iterable[Frame]) -> None:
        has_begun = False
        await trio.lowlevel.checkpoint_if_cancelled()
        try:
            async with self._speaking:
                together: list[Frame] = []  # small frames that leave in one write
                size_bytes = 0
                for frame in frames:
                    data_bytes = len(frame.data) if isinstance(frame, TensorData | BlobPiece) else 0
                    room_bytes = self._channel.send_room - size_bytes
                    is_stuck = bool(data_bytes) and room_bytes < data_bytes
                    if together and (is_stuck or size_bytes + data_bytes > TOGETHER_BYTES_MAX):
                        has_begun = True
                        await self._write(together)
                        together, size_bytes = [], 0
                    if is_stuck:
                        await self._wait_for_window(data_bytes)
                    together.append(frame)
                    size_bytes += data_bytes or SMALL_BYTES
                has_begun = True
                await self._write(together)
                await self._finish_when_said()
        except trio.Cancelled:
            if has_begun:
                await self._fail(Lost("a sender was cancelled before all was said"))
            raise
        except (TransportError, ProtocolError) as error:
            await self._fail(error)
            raise

    async def _write(self, frames: Sequence[Frame]) -> None:
        async with self._writing:
            # An answer that was due when its speaker left: begun, it would take the stream with it.
            await trio.lowlevel.checkpoint_if_cancelled()
            if self._error is not None:
                raise self._error
            if self._end is NoFrame.LOST:
                raise Lost("the peer is gone")
            buffers = [each for frame in frames for each in self._encoded(frame)]
            size_bytes = sum(map(len, buffers))
            if len(buffers) > 1 and size_bytes <= TOGETHER_BYTES_MAX:
                buffers = [b"".join(buffers)]  # to copy little is cheaper than to move two pieces
            if self._up is not None:
                await self._up.take(size_bytes)
            with trio.move_on_after(self.stall_s):
                await self.stream.send(*buffers)
                self._tally.sent_frames += len(frames)
                self._tally.sent_bytes += size_bytes
                if self._meter is not None:
                    self._meter.went(size_bytes)
                return
            raise Lost(f"the peer took nothing for {self.stall_s:g} s")

    def _encoded(self, frame: Frame) -> tuple[Buffer, ...]:
        buffers = self._channel.send(frame)
        match frame:
            case TensorStart(_, _, header):
                self._in_tensor_bytes = header.size_bytes
            case TensorData(data):
                self._in_tensor_bytes -= len(data)
            case CancelFrame():
                self._in_tensor_bytes = 0
            case End():
                self._said_end = True
        return buffers

    async def _finish_when_said(self) -> None:
        """Finish the stream below as soon as both sides have said all: no window is due now."""
        if self._said_end and self._heard_end and not self._answers:
            async with self._writing:
                with suppress(TransportError):  # whoever has said all may go first
                    await self.stream.finish()

    async def _wait_for_window(self, size_bytes: int) -> None:
        with trio.move_on_after(self.stall_s):
            while self._channel.send_room < size_bytes:
                if self._error is not None:
                    raise self._error
                if self._end is not None:
                    raise Lost("the peer has ended the stream and takes no more data")
                await self._others.park()
            if self._meter is not None:
                self._meter.granted(trio.current_time())
            return
        raise Lost(f"the peer granted no window for {self.stall_s:g} s")

    def _answer(self, frame: Frame) -> None:
        self._answers.append(frame)
        self._ask()

    def _ask(self) -> None:
        """Have what is due said, by a task of its own: many streams never need one."""
        if self._answerer:
            self._answerer.unpark_all()
        elif self._tasks is not None and not self._is_answering:
            self._is_answering = True
            self._tasks.start_soon(self._keep_answering)

    async def _fail(self, error: Exception) -> None:
        if self._error is None:
            self._error = error
        self._tell()
        await self.stream.reset()

    def _tell(self) -> None:
        """Let all who wait see what is different."""
        self._listeners.unpark_all()
        self._others.unpark_all()

    def _tell_listeners(self) -> None:
        if self._waiting and self._listeners:
            self._listeners.unpark_all()


@asynccontextmanager
async def running(wire: Framed) -> AsyncIterator[Framed]:
    """Run a stream of frames inside the block; when the block fails the stream is reset."""
    async with plain_nursery() as nursery:
        nursery.start_soon(wire.run)
        try:
            yield wire
            await wire.settle(nursery)
        except BaseException:
            await wire.stream.reset()
            raise
        finally:
            nursery.cancel_scope.cancel()


def framed(stream: Stream) -> AbstractAsyncContextManager[Framed]:
    """Speak in frames on a stream inside the block; when the block fails the stream is reset."""
    return running(Framed(stream))


def frames_of(item: int, port: int, tensor: Tensor) -> Iterator[Frame]:
    """Make the frames of a tensor, which share its memory."""
    yield TensorStart(item, port, tensor.header)
    data = flat(tensor.data)
    for at in range(0, len(data), TENSOR_DATA_BYTES_MAX):
        yield TensorData(data[at : at + TENSOR_DATA_BYTES_MAX])
