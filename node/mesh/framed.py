# SPDX-License-Identifier: MIT
"""Frames on a stream. Which frames make sense together is for those who speak and listen.

A :class:`Framed` reads all the time, whether anybody listens or not: a transport may kill a
writer whose bytes nobody reads. What has arrived waits in a queue with a bound: data in the
window that was granted, all else in `WAITING_BYTES_MAX`; a peer that sends more has broken
a rule. It answers pings by itself, and grants the window again as data is taken.

What the peer did wrong is raised as RemoteProtocolError, by whoever listens or speaks next.
"""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from node.mesh.transport import Lost, Stream, TransportError
from protocol.channel import Channel, NoFrame
from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.frames import (
    TENSOR_DATA_BYTES_MAX,
    BlobPiece,
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
from protocol.reasons import Reason
from protocol.tensors import Tensor, flat

#: Statements, documents and news that nobody has taken yet: a table of shapes and its order,
#: or a whole exchange of adverts with the next one behind it.
WAITING_BYTES_MAX = 1 << 19

#: What a frame without a tail counts for in the queue: it is an object of Python all the same.
_FRAME_BYTES = 256

#: A peer that takes data for so long, and grants no more window, is frozen or plays with us.
STALL_S_MAX = 60.0


class Framed:
    """One stream, as frames in both directions. Works while :meth:`run` does."""

    def __init__(self, stream: Stream) -> None:
        """Take over a stream on which nothing was said yet."""
        self.stream = stream
        self._channel = Channel()
        self._speaking = trio.Lock()
        self._waiting: deque[Frame] = deque()
        self._waiting_bytes = 0
        self._answers: deque[Frame] = deque()
        self._pings: deque[tuple[int, trio.Event]] = deque()
        self._pinged = 0
        self._end: NoFrame | None = None
        self._error: Exception | None = None
        self._changed = trio.Event()
        self._asked = trio.Event()
        self._said_end = False
        self._in_tensor_bytes = 0

    # --- listening ------------------------------------------------------------------------------

    async def receive(self) -> Frame | NoFrame:
        """Give the next frame; CLOSED when the peer has said all, LOST when it is gone.

        Data are views that stay good. Being cancelled here loses nothing.
        """
        while not self._waiting:
            if self._error is not None:
                raise self._error
            if self._end is not None:
                return self._end
            await self._change()
        await trio.lowlevel.checkpoint_if_cancelled()
        frame = self._waiting.popleft()
        if isinstance(frame, TensorData | BlobPiece):
            if self._end is None and self._error is None:
                window = self._channel.consumed(len(frame.data))
                if window is not None:
                    self._answer(window)
        else:
            self._waiting_bytes -= _weight(frame)
        return frame

    async def take(self, *kinds: type[Frame]) -> Frame:
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
        frame = await self.take(StatementFrame)
        assert isinstance(frame, StatementFrame)
        return frame.wire

    async def take_document(self) -> bytes:
        """Give the body of the next frame, which must be a document."""
        frame = await self.take(DocumentFrame)
        assert isinstance(frame, DocumentFrame)
        return frame.body

    # --- speaking -------------------------------------------------------------------------------

    async def send(self, *frames: Frame) -> None:
        """Say these frames, one after the other. Data wait until the peer has room for them.

        Whoever is cancelled here loses the stream.
        """
        try:
            async with self._speaking:
                for frame in frames:
                    await self._say(frame)
        except TransportError as error:
            self._fail(error)
            raise

    async def send_tensor(self, item: int, port: int, tensor: Tensor) -> None:
        """Say a tensor, in as many frames as it takes."""
        await self.send(TensorStart(item, port, tensor.header))
        data = flat(tensor.data)
        for at in range(0, len(data), TENSOR_DATA_BYTES_MAX):
            await self.send(TensorData(data[at : at + TENSOR_DATA_BYTES_MAX]))

    async def end(self) -> None:
        """Say that this was all. Listening goes on."""
        if not self._said_end:
            self._said_end = True
            await self.send(End())
            await self.stream.finish()

    async def ping(self, deadline_s: float) -> float:
        """Ask whether the peer is there; give the round trip in seconds, or raise Lost."""
        answered = trio.Event()
        self._pinged += 1
        begin_s = trio.current_time()
        with trio.move_on_after(deadline_s):
            self._pings.append((self._pinged, answered))
            await self.send(Ping(self._pinged))
            while not answered.is_set():
                if self._error is not None or self._end is not None:
                    raise self._error or Lost("the peer is gone")
                await self._change()
            return trio.current_time() - begin_s
        raise Lost(f"no answer to a ping within {deadline_s:g} s")

    @property
    def is_idle(self) -> bool:
        """Whether both sides could begin something new here."""
        ended = self._end is not None or self._error is not None or self._said_end
        return not ended and not self._waiting and not self._in_tensor_bytes

    # --- working --------------------------------------------------------------------------------

    async def run(self) -> None:
        """Read, and answer, until the stream ends; what ended it is told to those who listen."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_answering)
            try:
                await self._keep_reading()
            except (TransportError, RemoteProtocolError) as error:
                self._fail(error)
                await self.stream.reset()
            except trio.Cancelled:
                self._fail(Lost("the stream was given up here"))
                raise
            if self._error is not None:
                nursery.cancel_scope.cancel()
            # After a clean end what was asked before it is still answered.
            while self._answers and self._error is None:
                await self._change()
            nursery.cancel_scope.cancel()

    async def _keep_reading(self) -> None:
        while self._end is None:
            data = await self.stream.receive()
            if data:
                self._channel.receive_data(data)
            else:
                self._channel.receive_eof()
            while True:
                event = self._channel.next_event()
                if isinstance(event, NoFrame):
                    break
                self._take_in(event)
            if event is not NoFrame.NEED_DATA:
                self._end = event
            self._tell()

    def _take_in(self, frame: Frame) -> None:
        match frame:
            case Ping(token):
                self._answer(Pong(token))
            case Pong(token):
                while self._pings:
                    asked, answered = self._pings.popleft()
                    if asked == token:
                        answered.set()
                        break
            case Window():
                pass  # the channel has noted it
            case TensorData() | BlobPiece():
                self._waiting.append(frame)
            case _:
                self._waiting_bytes += _weight(frame)
                if self._waiting_bytes > WAITING_BYTES_MAX:
                    detail = f"more than {WAITING_BYTES_MAX} bytes that nobody asked for yet"
                    raise RemoteProtocolError(Reason.TOO_LARGE, detail)
                self._waiting.append(frame)

    async def _keep_answering(self) -> None:
        while True:
            while self._answers:
                try:
                    await self.send(self._answers[0])
                except (TransportError, RemoteProtocolError, LocalProtocolError) as error:
                    self._fail(error)
                    return
                self._answers.popleft()
            self._tell()
            self._asked = trio.Event()
            await self._asked.wait()

    async def _say(self, frame: Frame) -> None:
        if isinstance(frame, TensorData | BlobPiece):
            await self._wait_for_room(len(frame.data))
        if self._error is not None:
            raise self._error
        try:
            await self.stream.send(*self._channel.send(frame))
        except trio.Cancelled:
            self._fail(Lost("a sender was cancelled within a frame"))
            raise
        if isinstance(frame, TensorStart):
            self._in_tensor_bytes = frame.header.size_bytes
        elif isinstance(frame, TensorData):
            self._in_tensor_bytes -= len(frame.data)

    async def _wait_for_room(self, size_bytes: int) -> None:
        """Wait for the peer's window. Meanwhile answers go out, or both sides would wait."""
        while self._channel.send_room < size_bytes:
            if self._error is not None:
                raise self._error
            if self._end is not None:
                raise Lost("the peer has ended the stream and takes no more data")
            self._speaking.release()
            try:
                with trio.move_on_after(STALL_S_MAX) as waiting:
                    await self._change()
            finally:
                with trio.CancelScope(shield=True):
                    await self._speaking.acquire()
            if waiting.cancelled_caught:
                raise Lost(f"the peer granted no window for {STALL_S_MAX:g} s")

    def _answer(self, frame: Frame) -> None:
        self._answers.append(frame)
        self._asked.set()

    def _fail(self, error: Exception) -> None:
        if self._error is None:
            self._error = error
        self._tell()

    def _tell(self) -> None:
        changed, self._changed = self._changed, trio.Event()
        changed.set()

    async def _change(self) -> None:
        await self._changed.wait()


@asynccontextmanager
async def framed(stream: Stream) -> AsyncIterator[Framed]:
    """Speak in frames on a stream inside the block; when it fails the stream is reset."""
    async with trio.open_nursery() as nursery:
        wire = Framed(stream)
        nursery.start_soon(wire.run)
        try:
            yield wire
        except BaseException:
            await stream.reset()
            raise
        finally:
            nursery.cancel_scope.cancel()


def _weight(frame: Frame) -> int:
    """Tell how much of the queue a frame takes."""
    match frame:
        case StatementFrame(wire):
            return _FRAME_BYTES + len(wire)
        case DocumentFrame(body):
            return _FRAME_BYTES + len(body)
    return _FRAME_BYTES
