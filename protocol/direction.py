# SPDX-License-Identifier: MIT
"""What may be said in one direction of a stream, and when. Whose direction is not known here.

Theory of operation
-------------------
Both sides of a stream say the same frames under the same rules, so there is one set of
rules. `channel` holds one :class:`Direction` for what we send and one for what arrives, and
turns a broken rule into our own bug or into the peer's breach::

    open ──TensorStart──> in a tensor ──its last TensorData──> open ──End──> ended
      ├───────────── CancelFrame, also from within a tensor ──> cancelled ──End──┘
      └<────────────── order, session or accept ──────────────┘

====================  ======================================================================
Window, Ping, Pong    at any time; a window only up to its cap, a pong only after its ping
CancelFrame           once, also after the end: the *other* direction may still flow
StatementFrame,       until the end
DocumentFrame,
BlobWant, Paused
order, session or     ... and not in a tensor: the next order of a warm stream begins
accept in a statement
Resumed               until the end, after Paused
TensorStart           when open, with a higher (item, port) than all of this order
TensorData            in a tensor, within what it still lacks and within the window
BlobPiece             until cancelled or ended, within the window
End                   once, when not in a tensor
====================  ======================================================================
"""

from collections import deque

from protocol.canon import kind_of
from protocol.frames import (
    BlobPiece,
    CancelFrame,
    End,
    Frame,
    Paused,
    Ping,
    Pong,
    Resumed,
    StatementFrame,
    TensorData,
    TensorStart,
    Window,
)
from protocol.keys import SIGNATURE_BYTES
from protocol.limits import PINGS_UNANSWERED_MAX, WINDOW_BYTES_DEFAULT, WINDOW_BYTES_MAX
from protocol.reasons import Reason

# What begins an order: one stream carries many, one after the other. Both directions have a
# statement of their own for it, so neither needs to know what the other one said.
_BEGIN = ("order", "session", "accept")


class BrokenRuleError(Exception):
    """A frame may not be said here; whose fault that is, the channel knows."""

    def __init__(self, reason: Reason, detail: str) -> None:
        """Say which rule it was about, and which value broke it."""
        self.reason = reason
        self.detail = detail
        super().__init__(detail)


class Direction:
    """What was said in one direction, as far as it matters for what may be said next."""

    __slots__ = ("cancelled", "ended", "paused", "pings", "place", "room", "tensor_left")

    def __init__(self) -> None:
        """Begin with nothing said."""
        self.room = WINDOW_BYTES_DEFAULT  # bytes of data that the other side still lets in
        self.tensor_left = 0  # bytes that the started tensor still lacks
        self.place = (-1, -1)  # item and port of the last tensor of this order
        self.pings: deque[int] = deque()  # tokens that the other direction has not answered
        self.paused = self.cancelled = self.ended = False

    def advance(self, frame: Frame, back: "Direction") -> None:
        """Take note of a frame of this direction, or raise; `back` is the other direction."""
        match frame:
            case TensorData():  # first, because nearly all frames are
                size_bytes = len(frame.data)
                if size_bytes > self.tensor_left:
                    detail = f"{size_bytes} bytes of a tensor that lacks {self.tensor_left}"
                    raise BrokenRuleError(Reason.BROKEN_FRAME, detail)
                self._use(size_bytes)
                self.tensor_left -= size_bytes
            case Window(size_bytes):
                back.widen(size_bytes)
            case Ping(token):
                if len(self.pings) == PINGS_UNANSWERED_MAX:
                    raise BrokenRuleError(Reason.BROKEN_FRAME, "too many unanswered pings")
                self.pings.append(token)
            case Pong(token):
                # A stream keeps its order, so answers come in the order of the questions.
                if not back.pings or back.pings.popleft() != token:
                    raise BrokenRuleError(Reason.BROKEN_FRAME, f"pong {token} answers no ping")
            case CancelFrame():
                if self.cancelled:
                    raise BrokenRuleError(Reason.UNEXPECTED, "cancelled twice")
                self.cancelled = True
                self.tensor_left = 0
            case _ if self.ended:
                detail = f"{type(frame).__name__} after the end"
                raise BrokenRuleError(Reason.UNEXPECTED, detail)
            case _:
                self._speak(frame)

    def _speak(self, frame: Frame) -> None:
        """Take note of a frame that may not come after the end."""
        match frame:
            case StatementFrame(wire):
                if kind_of(wire[SIGNATURE_BYTES:]) in _BEGIN:
                    self._check_no_tensor(frame)
                    self.place = (-1, -1)
                    self.cancelled = self.paused = False
            case TensorStart(item, port, header):
                self._check_not_cancelled(frame)
                self._check_no_tensor(frame)
                if (item, port) <= self.place:
                    detail = f"tensor {(item, port)} after {self.place}"
                    raise BrokenRuleError(Reason.UNEXPECTED, detail)
                self.place = (item, port)
                self.tensor_left = header.size_bytes
            case BlobPiece(_, _, data):
                self._check_not_cancelled(frame)
                self._use(len(data))
            case Paused():
                self.paused = True
            case Resumed():
                if not self.paused:
                    raise BrokenRuleError(Reason.UNEXPECTED, "resumed what was not paused")
                self.paused = False
            case End():
                self._check_no_tensor(frame)
                self.ended = True

    def widen(self, size_bytes: int) -> None:
        """Let in so much more."""
        self.room += size_bytes
        if self.room > WINDOW_BYTES_MAX:
            detail = f"{self.room} bytes outstanding, at most {WINDOW_BYTES_MAX}"
            raise BrokenRuleError(Reason.BROKEN_FRAME, detail)

    def _use(self, size_bytes: int) -> None:
        if size_bytes > self.room:
            detail = f"{size_bytes} bytes into a window of {self.room}"
            raise BrokenRuleError(Reason.WINDOW_EXCEEDED, detail)
        self.room -= size_bytes

    def _check_not_cancelled(self, frame: Frame) -> None:
        if self.cancelled:
            detail = f"{type(frame).__name__} after cancelling"
            raise BrokenRuleError(Reason.UNEXPECTED, detail)

    def _check_no_tensor(self, frame: Frame) -> None:
        if self.tensor_left:
            detail = f"{type(frame).__name__} where {self.tensor_left} bytes of a tensor are due"
            raise BrokenRuleError(Reason.UNEXPECTED, detail)
