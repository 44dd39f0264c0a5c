# SPDX-License-Identifier: MIT
"""A stream of a made network: one end of it. What it runs on is in `connection.py`.

As treacherous as the real thing: when a peer is gone, what it had sent can be read, and then
`b""` as if it had finished; whoever sends more than the window waits for the reader.
"""

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Protocol

import trio

from node.mesh.transport import PIECE_BYTES_MAX, Connection, Lost, NotSpoken
from protocol.tensors import Buffer
from simulations.traffic import Spoken

#: What a stream holds that nobody has read, in one direction: the window of Yamux.
WINDOW_BYTES = 256 * 1024

#: The other end hears that its bytes were read when it was so many, as in Yamux.
WIDEN_BYTES = WINDOW_BYTES // 2

Word = Callable[["SimulatedStream"], None]
"""What one end says: it is done to the other end when it arrives."""


class Tell(Protocol):
    """Says something to the other end: its kind, what it does there, and the data with it."""

    def __call__(self, kind: str, word: Word, content: bytes = b"", /) -> None:
        """Say it."""
        ...


class SimulatedStream:
    """One end. What is private here is done by the other end too, by the words that it says."""

    def __init__(
        self,
        connection: Connection,
        protocol: str,
        tell: Tell,
        forget: Callable[[], None],
        spoken: Spoken,
    ) -> None:
        """What is sent is counted in `spoken`."""
        self.connection = connection
        self.protocol = protocol
        self._tell = tell
        self._forget = forget
        self._spoken = spoken
        self._arrived = bytearray()
        self._window_bytes = WINDOW_BYTES  # what may be sent now
        self._read_bytes = 0  # and the other end has not heard of it
        self._is_sending = False
        self._cannot_send = ""  # why
        self._cannot_arrive = False  # nothing more will
        self._lost = ""  # why
        self._is_taken: bool | None = None  # by the peer, when it has said so
        self._readers = trio.lowlevel.ParkingLot()
        self._writers = trio.lowlevel.ParkingLot()

    async def send(self, *pieces: Buffer) -> None:
        """Put all these bytes on the stream, as its window allows."""
        assert not self._is_sending, "two tasks send on one stream"
        self._is_sending = True
        try:
            # The window holds back who says much; to let all others run for each small word would
            # cost more than the word.
            await trio.lowlevel.checkpoint_if_cancelled()
            self._check_can_send()
            self._spoken.sends += 1
            await self._send(deque(memoryview(each).cast("B") for each in pieces if len(each)))
        except trio.Cancelled:
            self.end("its sender was cancelled")
            raise
        finally:
            self._is_sending = False

    async def receive(self) -> bytes:
        """Give all that has arrived."""
        has_waited = False
        while not self._arrived:
            if self._lost or self._cannot_arrive:
                break
            await self._readers.park()
            has_waited = True
        if not has_waited:  # others have had their turn while it waited
            await trio.lowlevel.checkpoint()
        if not self._arrived:
            if self._lost:
                raise Lost(self._lost)
            return b""
        data = bytes(self._arrived)
        self._arrived.clear()
        self._read_bytes += len(data)
        if self._read_bytes >= WIDEN_BYTES and not self._cannot_arrive:
            count, self._read_bytes = self._read_bytes, 0
            self._tell(f"widen {count}", partial(SimulatedStream.widen, count=count))
        return data

    async def finish(self) -> None:
        """Say that nothing more will be sent."""
        if not self._cannot_send and not self._lost:
            self._finish()
        await trio.lowlevel.checkpoint()

    async def reset(self) -> None:
        """End both directions now."""
        self.end("it was reset here")
        await trio.lowlevel.cancel_shielded_checkpoint()

    async def _send(self, left: deque[memoryview]) -> None:
        while left:
            while not self._window_bytes:
                await self._writers.park()
                self._check_can_send()
            data = _taken(left, min(self._window_bytes, PIECE_BYTES_MAX))
            self._window_bytes -= len(data)
            self._spoken.messages += 1
            self._spoken.bytes += len(data)
            self._tell("data", partial(SimulatedStream.arrive, data=data), data)

    def _check_can_send(self) -> None:
        if why := self._lost or self._cannot_send:
            raise Lost(why)

    def _finish(self) -> None:
        self._cannot_send = "this side has finished"
        self._tell("finish", SimulatedStream.arrive_no_more)
        self._look_again()

    def _look_again(self) -> None:
        """Let whoever waits see what is new; a stream that has ended both ways is forgotten."""
        self._readers.unpark_all()
        self._writers.unpark_all()
        if self._lost or (self._cannot_send and self._cannot_arrive):
            self._forget()

    # --- what its connection does with it -----------------------------------------------------

    async def wait_taken(self) -> None:
        """Return when the peer has taken the stream; else NotSpoken, or Lost."""
        await trio.lowlevel.checkpoint()
        while self._is_taken is None and not self._lost and not self._cannot_send:
            await self._readers.park()
        if self._is_taken is False:
            raise NotSpoken(f"the peer does not speak {self.protocol}, or not with this node")
        if self._is_taken is None:
            self._check_can_send()

    def end(self, why: str) -> None:
        """End both directions; what has arrived and was not read is gone too."""
        if not self._lost:
            self._tell("reset", SimulatedStream.lose)
            self.lose(why)

    def let_go(self) -> None:
        """Finish it, and read nothing more: its handler has returned."""
        if self._lost:
            return
        if not self._cannot_send:
            self._finish()
        if not self._cannot_arrive:
            self._tell("stop", SimulatedStream.stop)
        self._cannot_arrive = True
        self._arrived.clear()
        self._look_again()

    # --- what the other end says --------------------------------------------------------------

    def answer(self, *, is_taken: bool) -> None:
        """Take the stream, or not."""
        self._is_taken = is_taken
        if not is_taken:
            self.lose("it was refused")
        self._look_again()

    def arrive(self, data: bytes) -> None:
        """Bring bytes."""
        self._arrived += data
        assert len(self._arrived) <= WINDOW_BYTES, "more was sent than the window allows"
        self._readers.unpark_all()

    def widen(self, count: int) -> None:
        """Say that so many bytes have been read."""
        self._window_bytes += count
        self._writers.unpark_all()

    def arrive_no_more(self) -> None:
        """Say that nothing more will be sent."""
        self._cannot_arrive = True
        self._look_again()

    def stop(self) -> None:
        """Say that nothing more will be read."""
        self._cannot_send = self._cannot_send or "the peer does not read any more"
        self._look_again()

    def lose(self, why: str = "the peer has reset it") -> None:
        """End the stream."""
        if not self._lost:
            self._lost = why
            self._arrived.clear()
            self._look_again()

    def be_left(self) -> None:
        """End as when the peer is gone, one way or another: nobody can tell."""
        self._cannot_send = "the connection has ended"
        self._cannot_arrive = True
        self._look_again()


def _taken(left: deque[memoryview], room: int) -> bytes:
    """Take as many bytes as fit into one message: pieces that are sent at once leave at once."""
    parts = []
    while left and room:
        piece = left.popleft()
        if len(piece) > room:
            left.appendleft(piece[room:])
            piece = piece[:room]
        parts.append(piece)
        room -= len(piece)
    return b"".join(parts)
