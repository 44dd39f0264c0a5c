# SPDX-License-Identifier: MIT
"""The line of the view to one node: its streams, and what waits to be said. Meaning is `viewing`'s.

Whoever has something to say opens a stream, and both sides speak on it. The side that was
dialled first waits a moment for the other's, so that there is mostly one; two are no harm.
Any end of any of them is the end of the line.

What cannot be said at once waits, up to a bound. Beyond it messages are lost, and that is
well: exchange repeats what matters, and a slow neighbour costs only itself.
"""

from collections import deque
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from itertools import count

import trio

from node.leaves import innermost
from node.log import Log
from node.mesh.framed import TOGETHER_BYTES_MAX, Framed
from node.mesh.transport import Lost, TransportError
from protocol.bounded import Allowance
from protocol.canon import Message, encode
from protocol.channel import NoFrame
from protocol.errors import LocalProtocolError, Refused, RemoteProtocolError
from protocol.frames import DocumentFrame, Frame, StatementFrame
from protocol.keys import peer_id

#: An answer, a summary and a whole exchange of adverts, twice over.
WAITING_FRAMES_MAX = 80

#: The same in bytes: two answers, two summaries and two exchanges of the largest adverts.
WAITING_BYTES_MAX = 512 * 1024

#: How long the dialled side waits for the dialer's stream before it opens one itself.
PATIENCE_S = 2.0

#: A node that takes no message for so long is frozen, or wants to hold us up.
SEND_S_MAX = 30.0

#: For the last words; whoever does not take them has gone already.
END_S_MAX = 2.0

#: A whole answer to a restarted neighbour comes at once; then some dozen messages a second are
#: far more than exchange ever needs. Who says more is not listened to meanwhile.
HEARD_BURST, HEARD_REFILL_S = 256, 0.02

#: After so many messages in one go the other tasks have their turn: a burst waits already.
HEARD_IN_ONE_GO = 8

#: What may end a line: the way to the node, what it said, that it is banned, a late word of ours.
ENDS = (TransportError, RemoteProtocolError, Refused, LocalProtocolError)

log = Log()


class Line:
    """What is said to and heard from one node about the view, while :meth:`run` runs."""

    def __init__(
        self,
        key: bytes,
        dial: Callable[[], AbstractAsyncContextManager[Framed]],
        hear: Callable[[bytes, Frame], None],
        *,
        patient: bool,
    ) -> None:
        """Begin without a stream; `dial` opens one, `hear` is told each frame."""
        self.key = key
        self.lost_count = 0
        self.used_at_s = trio.current_time()
        self.error: Exception | None = None
        self._dial = dial
        self._hear = hear
        self._patient = patient
        self._waiting: deque[Frame] = deque()
        self._waiting_bytes = 0
        self._wires: list[Framed] = []
        self._changes = trio.lowlevel.ParkingLot()
        self._scope = trio.CancelScope()
        self._over = trio.Event()
        self._allowance = Allowance(HEARD_BURST, HEARD_REFILL_S, trio.current_time())

    @property
    def is_over(self) -> bool:
        """Whether nothing more is said or heard here."""
        return self._over.is_set() or self._scope.cancel_called

    def tell(self, what: Message | bytes) -> None:
        """Say a message of the view, or a sealed advert."""
        self.say(StatementFrame(what) if isinstance(what, bytes) else DocumentFrame(encode(what)))

    def say(self, frame: Frame) -> None:
        """Say this when the node is ready to hear it; lost where too much waits already."""
        size_bytes = _size_of(frame)
        too_many = len(self._waiting) >= WAITING_FRAMES_MAX
        if too_many or self._waiting_bytes + size_bytes > WAITING_BYTES_MAX:
            self.lost_count += 1
            return
        self._waiting.append(frame)
        self._waiting_bytes += size_bytes
        self._tell()

    def close(self) -> None:
        """End the line now."""
        self._scope.cancel()

    async def finish(self) -> None:
        """End the line when all is said that waits, or the node takes no more of it."""
        with trio.move_on_after(END_S_MAX):
            while self._waiting and not self.is_over:
                await self._changes.park()
        self.close()

    async def run(self) -> None:
        """Keep the line until it ends; why it ended is in `error`, None when we closed it."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._keep_a_stream)
                    await self._keep_speaking()
        except* ENDS as group:
            self.fail(_first(group))
        finally:
            self._over.set()
            self._tell()

    async def serve(self, wire: Framed) -> None:
        """Hear what comes on a stream that the node has opened, until the line ends."""
        self._attach(wire)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._until_over, nursery.cancel_scope)
                await self._listen(wire)
        except* ENDS as group:
            self.fail(_first(group))
        finally:
            self._wires.remove(wire)
            self.close()
        with trio.move_on_after(END_S_MAX):
            await _end(wire)

    def fail(self, error: Exception) -> None:
        """End the line because of this; the first reason is the one that is kept."""
        if self.error is None and not self._scope.cancel_called:
            self.error = error
        self._scope.cancel()

    # --- inside -------------------------------------------------------------------------------

    async def _keep_a_stream(self) -> None:
        """Open a stream as soon as there is something to say and none to say it on."""
        while not self._waiting:
            await self._changes.park()
        if self._patient:
            with trio.move_on_after(PATIENCE_S):
                while not self._wires:
                    await self._changes.park()
        if self._wires:
            return
        async with self._dial() as wire:
            self._attach(wire)
            try:
                await self._listen(wire)
            finally:
                self._wires.remove(wire)
                with trio.move_on_after(END_S_MAX) as last:
                    last.shield = True
                    await _end(wire)

    async def _keep_speaking(self) -> None:
        while True:
            while not self._waiting or not self._wires:
                await self._changes.park()
            frames = self._next()
            with trio.move_on_after(SEND_S_MAX) as sending:
                await self._wires[0].send(*frames)
            if sending.cancelled_caught:
                raise Lost(f"the node took no message for {SEND_S_MAX:g} s")
            for frame in frames:  # they have their place until they are said
                self._waiting.popleft()
                self._waiting_bytes -= _size_of(frame)
            self.used_at_s = trio.current_time()
            if not self._waiting:
                self._tell()

    def _next(self) -> list[Frame]:
        """Give what may leave in one write, one frame at least; a slow line has to bear it."""
        frames: list[Frame] = []
        size_bytes = 0
        for frame in self._waiting:
            size_bytes += _size_of(frame)
            if frames and size_bytes > TOGETHER_BYTES_MAX:
                break
            frames.append(frame)
        return frames

    async def _listen(self, wire: Framed) -> None:
        for number in count(1):
            if number % HEARD_IN_ONE_GO == 0:
                await trio.lowlevel.checkpoint()
            frame = await wire.receive()
            if isinstance(frame, NoFrame):
                raise Lost("the node has ended its stream")
            if not self._allowance.take(trio.current_time()):
                await trio.sleep(HEARD_REFILL_S)
                self._allowance.take(trio.current_time())
            self.used_at_s = trio.current_time()
            try:
                self._hear(self.key, frame)
            except RemoteProtocolError:
                raise
            except Exception as error:
                # A bug of ours that a message has found costs the one who sent it, and no other.
                log.exception("view_message_failed", peer=peer_id(self.key))
                raise Lost("a message could not be taken in") from error

    async def _until_over(self, scope: trio.CancelScope) -> None:
        await self._over.wait()
        scope.cancel()

    def _attach(self, wire: Framed) -> None:
        self._wires.append(wire)
        self._tell()

    def _tell(self) -> None:
        if self._changes:
            self._changes.unpark_all()


async def _end(wire: Framed) -> None:
    """Say goodbye, if anybody still hears it."""
    try:
        await wire.end()
    except ENDS:
        await wire.stream.reset()


def _first(group: BaseExceptionGroup[Exception]) -> Exception:
    """Give one of the errors that ended the streams; they have one cause mostly."""
    error = innermost(group)
    assert isinstance(error, Exception)
    return error


def _size_of(frame: Frame) -> int:
    match frame:
        case DocumentFrame(body):
            return len(body)
        case StatementFrame(wire):
            return len(wire)
    return 0
