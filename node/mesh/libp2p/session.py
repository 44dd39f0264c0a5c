# SPDX-License-Identifier: MIT
"""A Yamux session: one task reads frames and hands them to streams, one writes what is queued.

The library's session is not used, for what was seen in 0.8.1 (docs/design/transport.md): a
stream takes more than its window without bound; its reader waits for its own writes, so that two
ends which both send much stop each other for good; a cancelled write ends the connection; a
writer looks every 10 ms whether it may go on, and gives up after 5 s.
"""

from collections import deque
from collections.abc import Awaitable, Callable

import trio

from node.log import Log
from node.mesh.libp2p.holding import Holding, Share
from node.mesh.libp2p.limits import (
    ANSWERS_MAX,
    FAREWELL_S,
    FRAMES_IN_ONE_GO,
    QUEUE_BYTES,
    RECORD_BYTES_MAX,
    STALL_S,
    WINDOW_BYTES,
)
from node.mesh.libp2p.noise import Records
from node.mesh.libp2p.streams import Breach, MuxedStream
from node.mesh.libp2p.yamux import FIRST_WINDOW_BYTES, HEADER, Flag, Kind, header
from node.mesh.transport import Connection, Lost, TransportError

_LAST_NUMBER = (1 << 31) - 1

log = Log()


class Session:
    """All streams of one connection."""

    def __init__(
        self,
        records: Records,
        connection: Connection,
        *,
        dialled: bool,
        holding: Holding | None = None,
    ) -> None:
        """Begin when :meth:`run` does; whoever dialled numbers its streams oddly."""
        self._records = records
        self._connection = connection
        self._streams: dict[int, MuxedStream] = {}
        self._next = 1 if dialled else 2
        # what leaves
        self._first: deque[bytes] = deque()
        self._rest: deque[bytes] = deque()
        self._queued_bytes = 0
        self._turn = trio.Lock()
        self._room = trio.Event()
        self._wake = trio.Event()
        # what arrives
        self._head = bytearray()
        self._body_bytes = 0
        self._body_of: MuxedStream | None = None
        self._body_flags = 0
        self._share = Share(holding or Holding(), self._cut)
        # how it ends
        self.ended = ""
        self._parting = False
        self._scope = trio.CancelScope()
        self.over = trio.Event()

    # --- life ---------------------------------------------------------------------------------

    async def run(self, arrived: Callable[[MuxedStream], bool]) -> None:
        """Serve until either side ends it. `arrived` says whether a peer's stream is taken."""
        self._arrived = arrived
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._until_end, self._read)
                    nursery.start_soon(self._until_end, self._write)
        finally:
            self.end("this node left the network")
            with trio.CancelScope(shield=True):  # closes the socket; waits for nothing
                await trio.aclose_forcefully(self._records.wire.stream)
            self.over.set()

    async def _until_end(self, part: Callable[[], Awaitable[None]]) -> None:
        try:
            await part()
        except TransportError as error:
            self.end(str(error))
        except Exception as error:  # our mistake costs one connection, not the node
            log.exception("connection_failed")
            self.end(f"this node failed: {type(error).__name__}")
        self._scope.cancel()

    def end(self, reason: str) -> None:
        """Lose every stream, now and in one step; the tasks and the socket follow."""
        if self.ended:
            return
        self.ended = reason
        for stream in list(self._streams.values()):
            stream.lose(reason)
        self._streams.clear()
        self._share.end()
        self._room.set()

    def _cut(self) -> None:
        """End it at once: it holds too much."""
        self.end("the peer has sent more than there is room for")
        self._scope.cancel()

    async def close(self) -> None:
        """Send what is queued and a goodbye, for a moment; then end it in any case."""
        self.end("this node closed the connection")
        self._rest.append(header(Kind.GO_AWAY, 0, 0, 0))
        self._parting = True
        self._wake.set()
        with trio.CancelScope(shield=True, deadline=trio.current_time() + FAREWELL_S):
            await self.over.wait()
        self._scope.cancel()
        with trio.CancelScope(shield=True):
            await self.over.wait()

    # --- streams ------------------------------------------------------------------------------

    def start(self) -> MuxedStream:
        """Open a stream to the peer; what it is for is agreed on the stream itself."""
        self._check()
        if self._next > _LAST_NUMBER:
            raise Lost("this connection has no numbers left; make a new one")
        stream = self._add(self._next)
        self._next += 2
        self.put_first(header(Kind.WINDOW, Flag.SYN, stream.number, _MORE_WINDOW))
        return stream

    @property
    def streams(self) -> int:
        """How many there are."""
        return len(self._streams)

    def forget(self, stream: MuxedStream) -> None:
        """Expect no more frames of this stream; its number may be another one's by now."""
        if self._streams.get(stream.number) is stream:
            del self._streams[stream.number]

    def hold(self, length: int) -> None:
        """Count what has arrived, or, below 0, what was read."""
        self._share.more(length)

    def _add(self, number: int) -> MuxedStream:
        stream = self._streams[number] = MuxedStream(self, number, self._connection)
        return stream

    def _check(self) -> None:
        if self.ended:
            raise Lost(self.ended)

    # --- what leaves --------------------------------------------------------------------------

    async def put_data(self, frame: bytes) -> None:
        """Queue data when there is room, in turn with all others who wait."""
        if self._queued_bytes >= QUEUE_BYTES or self._turn.locked():
            async with self._turn:
                while self._queued_bytes >= QUEUE_BYTES and not self.ended:
                    self._room = trio.Event()
                    await self._room.wait()
                self._queue_data(frame)
        else:
            self._queue_data(frame)
            await trio.lowlevel.checkpoint()  # the writer takes it meanwhile

    def _queue_data(self, frame: bytes) -> None:
        self._check()
        self._queued_bytes += len(frame)
        self._rest.append(frame)
        self._wake.set()

    def put_last(self, frame: bytes) -> None:
        """Queue behind the data: the end of a stream, one or two a stream."""
        if not self.ended:
            self._queued_bytes += len(frame)
            self._rest.append(frame)
            self._wake.set()

    def put_first(self, frame: bytes) -> None:
        """Queue before the data what others wait for: never blocks, so that reading goes on."""
        if self.ended:
            return
        self._first.append(frame)
        self._wake.set()

    async def _write(self) -> None:
        while True:
            record = self._next_record()
            if record:
                with trio.move_on_after(STALL_S) as scope:
                    await self._records.put(record)
                if scope.cancelled_caught:
                    raise Lost(f"the peer took nothing for {STALL_S:.0f} s")
            elif self._parting:
                return
            else:
                self._wake = trio.Event()
                await self._wake.wait()

    def _next_record(self) -> bytes:
        """Put as many frames into one record as it holds."""
        first, rest = self._first, self._rest
        frames, length = [], 0
        while first and length + len(first[0]) <= RECORD_BYTES_MAX:
            frames.append(first.popleft())
            length += len(frames[-1])
        while not first and rest and length + len(rest[0]) <= RECORD_BYTES_MAX:
            frames.append(rest.popleft())
            length += len(frames[-1])
            self._queued_bytes -= len(frames[-1])
        if self._queued_bytes < QUEUE_BYTES:
            self._room.set()
        return frames[0] if len(frames) == 1 else b"".join(frames)

    # --- what arrives -------------------------------------------------------------------------

    async def _read(self) -> None:
        data = self._records.rest()
        while True:
            at = self._take_in(data, 0)
            while at < len(data):
                await trio.lowlevel.checkpoint()
                at = self._take_in(data, at)
            data = await self._records.more()

    def _take_in(self, data: bytes, at: int) -> int:
        """Take in what there is from here on, or so many frames of it; give where that ends."""
        view, left = memoryview(data), FRAMES_IN_ONE_GO
        while at < len(data) and left:
            if self._body_bytes:
                piece = view[at : at + self._body_bytes]
                at += len(piece)
                self._body(piece)
            else:
                missing = HEADER.size - len(self._head)
                self._head += view[at : at + missing]
                at += missing
                if len(self._head) == HEADER.size:
                    fields = HEADER.unpack(self._head)
                    self._head.clear()
                    self._frame(*fields)
                    left -= 1
        return at

    def _frame(self, version: int, kind: int, flags: int, number: int, length: int) -> None:
        if version or kind > Kind.GO_AWAY:
            raise Breach(f"the peer sent a frame of version {version} and kind {kind}")
        if kind == Kind.GO_AWAY:
            raise Lost("the peer said goodbye" if not length else f"the peer gave up: {length}")
        if kind == Kind.PING:
            if flags & Flag.SYN:
                self._reply(header(Kind.PING, Flag.ACK, 0, length))
            return
        if flags & Flag.SYN:
            self._accept(number)
        stream = self._streams.get(number)  # None: it was reset here, and the peer has yet to hear
        if kind == Kind.WINDOW:
            if stream:
                stream.credit(length)
                stream.flagged(flags)
            return
        if stream:
            stream.charge(length)
        self._body_bytes, self._body_of, self._body_flags = length, stream, flags
        if not length:
            self._body(memoryview(b""))

    def _body(self, piece: memoryview) -> None:
        self._body_bytes -= len(piece)
        stream = self._body_of
        if stream:
            stream.arrive(piece)
            if not self._body_bytes:
                stream.flagged(self._body_flags)
                self._body_of = None

    def _accept(self, number: int) -> None:
        if not number or number % 2 == self._next % 2 or number in self._streams:
            raise Breach(f"the peer opened stream {number}, which it may not")
        if self.ended:
            return
        stream = self._add(number)
        if self._arrived(stream):
            self._reply(header(Kind.WINDOW, Flag.ACK, number, _MORE_WINDOW))
        else:
            self.forget(stream)
            self._reply(header(Kind.WINDOW, Flag.RST, number, 0))

    def _reply(self, frame: bytes) -> None:
        if len(self._first) >= ANSWERS_MAX:
            raise Breach("the peer asks and does not read the answers")
        self.put_first(frame)


_MORE_WINDOW = WINDOW_BYTES - FIRST_WINDOW_BYTES
