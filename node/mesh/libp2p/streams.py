# SPDX-License-Identifier: MIT
"""One stream of a connection: what arrives is kept in order and bounded, what leaves is cut.

Resetting and finishing only queue a frame, so no cancellation can come between: the connection's
writer sends each frame whole (fact 4: a cancelled write of the library's cuts a record, and the
connection dies with all its streams).
"""

from collections import deque
from typing import Protocol

import trio

from node.mesh.libp2p.bytes_in import Source
from node.mesh.libp2p.limits import RECEIVE_BYTES_MAX, STALL_S, WINDOW_BYTES
from node.mesh.libp2p.yamux import FIRST_WINDOW_BYTES, Flag, Kind, header
from node.mesh.transport import PIECE_BYTES_MAX, Connection, Lost
from protocol.tensors import Buffer, flat

#: Smaller pieces are copied together: a piece keeps the whole record alive in which it came.
_KEPT_BYTES_MIN = 1 << 15

#: The window is opened again when so much of it was read.
_GRANT_BYTES = WINDOW_BYTES // 4

_CREDIT_BYTES_MAX = 1 << 40


class Breach(Lost):
    """The peer broke a rule of Yamux; its connection ends."""


class Way(Protocol):
    """The connection's frames, as its streams need them."""

    async def put_data(self, frame: bytes) -> None:
        """Queue data when there is room; Lost when the connection is."""
        ...

    def put_last(self, frame: bytes) -> None:
        """Queue behind the data."""
        ...

    def put_first(self, frame: bytes) -> None:
        """Queue before the data."""
        ...

    def forget(self, stream: "MuxedStream") -> None:
        """Expect no more frames of this stream."""
        ...

    def hold(self, length: int) -> None:
        """Count what has arrived, or, below 0, what was read."""
        ...


class MuxedStream:
    """The seam's Stream on Yamux."""

    def __init__(self, way: Way, number: int, connection: Connection) -> None:
        """Begin with both directions open."""
        self.number = number
        self.protocol = ""
        self._way = way
        self._connection = connection
        self._chunks: deque[bytearray | memoryview] = deque()
        self._arrived = trio.Event()
        self._may_receive = WINDOW_BYTES  # how much more the peer may send
        self._to_grant = 0
        self._may_send = FIRST_WINDOW_BYTES
        self._opened = trio.Event()
        self._finished = False
        self._peer_finished = False
        self._lost = ""

    @property
    def connection(self) -> Connection:
        """The connection that it runs on."""
        return self._connection

    @property
    def over(self) -> bool:
        """Whether neither side has anything more to say."""
        return bool(self._lost) or (self._finished and self._peer_finished)

    # --- what leaves --------------------------------------------------------------------------

    async def send(self, *pieces: Buffer) -> None:
        """Put all these bytes on the stream; whoever is cancelled meanwhile loses it."""
        try:
            await trio.lowlevel.checkpoint_if_cancelled()
            await self._send(deque(flat(each) for each in pieces if len(each)))
        except trio.Cancelled:
            self.abandon("its sender was cancelled")
            raise

    async def _send(self, views: deque[memoryview]) -> None:
        while views:
            self._check_sending()
            if not self._may_send:
                await self._wait_for_credit()
            room = min(PIECE_BYTES_MAX, self._may_send)
            parts, length = [], 0
            while views and length < room:
                view = views.popleft()
                if len(view) > room - length:
                    views.appendleft(view[room - length :])
                    view = view[: room - length]
                parts.append(view)
                length += len(view)
            self._may_send -= length
            head = header(Kind.DATA, 0, self.number, length)
            await self._way.put_data(b"".join((head, *parts)))

    def _check_sending(self) -> None:
        if self._lost:
            raise Lost(self._lost)
        if self._finished:
            raise Lost("this stream was finished here")

    async def _wait_for_credit(self) -> None:
        """Be held back by a peer that does not read: half a minute, then the stream is lost."""
        with trio.move_on_after(STALL_S):
            while not self._may_send and not self._lost:
                self._opened = trio.Event()
                await self._opened.wait()
        if not self._may_send and not self._lost:
            self.abandon(f"the peer read nothing for {STALL_S:.0f} s")
        self._check_sending()

    async def finish(self) -> None:
        """Say that nothing more will be sent; receiving goes on."""
        if not self._finished and not self._lost:
            self._finished = True
            self._way.put_last(header(Kind.WINDOW, Flag.FIN, self.number, 0))
            self._forget_when_over()
        await trio.lowlevel.checkpoint()

    async def reset(self) -> None:
        """End both directions now."""
        self.abandon("this stream was reset here")

    def abandon(self, reason: str) -> None:
        """End both directions and tell the peer, in one step."""
        if not self.over:
            self._way.put_last(header(Kind.WINDOW, Flag.RST, self.number, 0))
        self._let_go(reason)

    # --- what arrives -------------------------------------------------------------------------

    async def receive(self) -> bytes:
        """Give the next bytes, as many as there are; `b""` when the peer has finished."""
        if self._chunks or self._lost or self._peer_finished:
            await trio.lowlevel.checkpoint()
        while not self._chunks:
            if self._peer_finished:
                return b""
            if self._lost:
                raise Lost(self._lost)
            self._arrived = trio.Event()
            await self._arrived.wait()
        parts = [self._chunks.popleft()]
        length = len(parts[0])
        while self._chunks and length + len(self._chunks[0]) <= RECEIVE_BYTES_MAX:
            parts.append(self._chunks.popleft())
            length += len(parts[-1])
        self._way.hold(-length)
        self._grant(length)
        return b"".join(parts)

    def _grant(self, length: int) -> None:
        self._to_grant += length
        if self._to_grant >= _GRANT_BYTES and not self._peer_finished and not self._lost:
            self._may_receive += self._to_grant
            self._way.put_first(header(Kind.WINDOW, 0, self.number, self._to_grant))
            self._to_grant = 0

    def unread(self, data: bytes) -> None:
        """Put back what was read too far, before anything else."""
        if data:
            self._chunks.appendleft(memoryview(data))
            self._way.hold(len(data))

    # --- what the connection's reader tells ---------------------------------------------------

    def charge(self, length: int) -> None:
        """Count announced data against the window: the library only logs who overruns it (run)."""
        self._may_receive -= length
        if self._may_receive < 0:
            raise Breach(f"the peer sent {-self._may_receive} bytes more than it may")

    def arrive(self, piece: memoryview) -> None:
        """Keep some data until it is received."""
        if self._lost or not piece:
            return
        last = self._chunks[-1] if self._chunks else None
        if len(piece) >= _KEPT_BYTES_MIN:
            self._chunks.append(piece)
        elif isinstance(last, bytearray) and len(last) < PIECE_BYTES_MAX:
            last += piece
        else:
            self._chunks.append(bytearray(piece))
        self._arrived.set()
        self._way.hold(len(piece))

    def credit(self, length: int) -> None:
        """Let so much more be sent."""
        self._may_send = min(self._may_send + length, _CREDIT_BYTES_MAX)
        self._opened.set()

    def flagged(self, flags: int) -> None:
        """Heed the peer's FIN or RST."""
        if flags & Flag.RST:
            self._let_go("the peer reset this stream")
        elif flags & Flag.FIN and not self._lost:  # else an end of data behind a hole
            self._peer_finished = True
            self._arrived.set()
            self._forget_when_over()

    def lose(self, reason: str) -> None:
        """Let go: what has arrived can still be received, then Lost is raised."""
        self._lost = self._lost or reason
        self._arrived.set()
        self._opened.set()

    def _let_go(self, reason: str) -> None:
        """Give up what has arrived as well: an end of data would now stand behind a hole."""
        self.lose(reason)
        self._peer_finished = False
        self._way.hold(-sum(map(len, self._chunks)))
        self._chunks.clear()
        self._way.forget(self)

    def _forget_when_over(self) -> None:
        if self.over:
            self._way.forget(self)


class Negotiated(Source):
    """A stream while its protocol is agreed upon."""

    def __init__(self, stream: MuxedStream) -> None:
        """Read from and write to this stream."""
        super().__init__()
        self._stream = stream

    async def more(self) -> bytes:
        """Receive; the end of data is no answer."""
        data = await self._stream.receive()
        if not data:
            raise Lost("the peer finished the stream before anything was agreed")
        return data

    async def put(self, data: bytes) -> None:
        """Send."""
        await self._stream.send(data)
