# SPDX-License-Identifier: MIT
"""One stream between two nodes, as bytes in and frames out. Moving the bytes is the caller's part.

Theory of operation
-------------------
The caller feeds what the stream gives (:meth:`Channel.receive_data`, then :meth:`next_event`
until there is no frame) and puts on the stream what :meth:`Channel.send` gives. Each frame
of either side goes through the rules of its direction, which are in `direction`: one that
breaks them is a `LocalProtocolError` when we send it, and a `RemoteProtocolError` when it
arrives.

**Flow control.** Tensor and blob data may be sent only into the window that the receiver
granted. It starts at `WINDOW_BYTES_DEFAULT` both ways. The receiver calls :meth:`consumed`
when it is done with data, and gets a `Window` to send whenever half a window came together:
so a slow reader stalls the sender instead of filling memory, and the stream below is read
at once all the same, as Yamux needs it.

**Memory.** A frame that lies whole in a chunk comes out as views of that chunk. One that is
cut is put together in a buffer of exactly its length, and each byte is copied once. A chunk
must be used up before the next one is taken, so the channel holds at most the chunk just
fed and one frame: `FRAME_BYTES_MAX`.

**The end.** A stream that ends is only `CLOSED` if `End` was said; any other end is `LOST`,
which is nobody's breach - power fails - and never success. After an error, or when the peer
is lost, the channel is dead: every further use is our own mistake.
"""

from enum import Enum, auto

from protocol.direction import BrokenRuleError, Direction
from protocol.errors import LocalProtocolError, ProtocolError, RemoteProtocolError
from protocol.frames import (
    HEADER_BYTES,
    BlobPiece,
    Frame,
    TensorData,
    Window,
    decode,
    encode,
    parse_frame_header,
)
from protocol.limits import WINDOW_BYTES_DEFAULT
from protocol.reasons import Reason
from protocol.tensors import Buffer, flat

_DATA = (TensorData, BlobPiece)  # what flow control counts


class NoFrame(Enum):
    """Why `next_event` has no frame to give."""

    NEED_DATA = auto()  #: the peer may say more; feed the next chunk
    CLOSED = auto()  #: the peer has said everything
    LOST = auto()  #: the stream ended before the peer had said everything


class _Cutter:
    """Cuts chunks into payloads; the two memory rules of the channel are kept here."""

    __slots__ = ("_at", "_chunk", "_cls", "_filled", "_header", "_kinds", "_payload")

    def __init__(self, kinds: frozenset[type[Frame]] | None) -> None:
        self._kinds = kinds
        self._chunk = memoryview(b"")
        self._at = 0
        self._header = b""  # the first bytes of a header that was cut
        self._cls: type[Frame] = Frame
        self._payload: memoryview | None = None  # a payload that was cut ...
        self._filled = 0  # ... and how much of it is there

    def feed(self, chunk: memoryview) -> None:
        """Take the next chunk."""
        if self._at < len(self._chunk):
            raise LocalProtocolError("take the frames of the last chunk before feeding another")
        self._chunk, self._at = chunk, 0

    @property
    def within_frame(self) -> bool:
        """Whether the bytes so far end inside a frame."""
        return bool(self._header) or self._payload is not None

    def next_payload(self) -> tuple[type[Frame], memoryview] | None:
        """Give the next whole payload and its kind, or None when the chunk is used up."""
        chunk, start = self._chunk, self._at + HEADER_BYTES
        if self._at == len(chunk):
            self._drop_chunk()
            return None
        if self._payload is not None:
            return self._fill(self._payload)
        if self._header or start > len(chunk):
            start -= len(self._header)
            self._header += chunk[self._at : start]
            if len(self._header) < HEADER_BYTES:
                self._drop_chunk()
                return None
            cls, length = parse_frame_header(self._header)
            self._header = b""
        else:
            cls, length = parse_frame_header(chunk, self._at)
        if self._kinds is not None and cls not in self._kinds:
            raise RemoteProtocolError(Reason.UNEXPECTED, f"a {cls.__name__} has no place here")
        self._at = start + length
        if self._at <= len(chunk):
            return cls, chunk[start : self._at]
        self._at, self._cls, self._filled = start, cls, 0
        self._payload = memoryview(bytearray(length))
        return self._fill(self._payload)

    def _fill(self, payload: memoryview) -> tuple[type[Frame], memoryview] | None:
        piece = self._chunk[self._at : self._at + len(payload) - self._filled]
        payload[self._filled : self._filled + len(piece)] = piece
        self._at += len(piece)
        self._filled += len(piece)
        if self._filled < len(payload):
            self._drop_chunk()
            return None
        self._payload = None
        return self._cls, payload.toreadonly()

    def _drop_chunk(self) -> None:
        self._chunk, self._at = memoryview(b""), 0


class Channel:
    """Both directions of one stream. It does no input or output: the caller moves the bytes.

    A chunk may be given out again as views: whoever feeds a `bytearray` must leave it alone
    for as long as frames that came from it are in use.
    """

    __slots__ = ("_consumed", "_cutter", "_dead", "_eof", "_mine", "_theirs", "_unconsumed")

    def __init__(self, kinds: frozenset[type[Frame]] | None = None) -> None:
        """Begin with nothing said.

        The peer may say these `kinds` of frames, or all; another one is refused at its header.
        """
        self._mine = Direction()
        self._theirs = Direction()
        self._cutter = _Cutter(kinds)
        self._unconsumed = 0  # bytes of data given out, and not yet reported as consumed
        self._consumed = 0  # bytes reported as consumed, and not yet granted again
        self._eof = False
        self._dead = ""

    @property
    def send_room(self) -> int:
        """How many bytes of tensor and blob data the peer would take now."""
        return self._mine.room

    def send(self, frame: Frame) -> tuple[Buffer, ...]:
        """Give the buffers to put on the stream, in this order and whole."""
        if self._dead:
            raise self._dead_error()
        try:
            buffers = encode(frame)
            self._mine.advance(frame, self._theirs)
        except BrokenRuleError as broken:
            raise self._died(LocalProtocolError(broken.detail, broken.reason)) from None
        except LocalProtocolError as error:
            raise self._died(error) from None
        return buffers

    def receive_data(self, data: Buffer) -> None:
        """Feed the next bytes of the stream, at least one; then take events until NEED_DATA."""
        if self._dead:
            raise self._dead_error()
        if self._eof or not len(data):
            raise self._died(LocalProtocolError("an end of data is said with receive_eof()"))
        try:
            self._cutter.feed(flat(data).toreadonly())
        except LocalProtocolError as error:
            raise self._died(error) from None

    def receive_eof(self) -> None:
        """Say that the stream gives no more bytes; the next events tell what that means."""
        if self._dead:
            raise self._dead_error()
        self._eof = True

    def next_event(self) -> Frame | NoFrame:
        """Give the next frame of the peer, or say why there is none."""
        if self._dead:
            raise self._dead_error()
        try:
            cut = self._cutter.next_payload()
            if cut is None:
                return self._no_frame()
            frame = decode(*cut)
            self._theirs.advance(frame, self._mine)
        except BrokenRuleError as broken:
            raise self._died(RemoteProtocolError(broken.reason, broken.detail)) from None
        except RemoteProtocolError as error:
            raise self._died(error) from None
        if isinstance(frame, _DATA):
            self._unconsumed += len(frame.data)
        return frame

    def consumed(self, size_bytes: int) -> Window | None:
        """Report data as done with; a window that comes back is to be sent to the peer."""
        if self._dead:
            raise self._dead_error()
        if not 0 <= size_bytes <= self._unconsumed:
            detail = f"consumed {size_bytes} bytes of {self._unconsumed} given out"
            raise self._died(LocalProtocolError(detail))
        self._unconsumed -= size_bytes
        self._consumed += size_bytes
        if self._consumed < WINDOW_BYTES_DEFAULT // 2:
            return None
        window, self._consumed = Window(self._consumed), 0
        return window

    def _no_frame(self) -> NoFrame:
        if not self._eof:
            return NoFrame.NEED_DATA
        if self._theirs.ended and not self._cutter.within_frame:
            return NoFrame.CLOSED
        self._dead = "the peer was lost"
        return NoFrame.LOST

    def _dead_error(self) -> LocalProtocolError:
        return LocalProtocolError(f"this channel is dead: {self._dead}")

    def _died(self, error: ProtocolError) -> ProtocolError:
        self._dead = str(error)
        return error
