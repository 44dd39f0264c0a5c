# SPDX-License-Identifier: MIT
"""What a peer has sent and nobody has taken yet, and how much of it there may be.

Three bounds, since three things can be sent without end:

- **Data** are held back by the window that was granted, which the channel watches.
- **Tensors** may be tiny, so that a window holds a million of them. With `TENSOR_FRAMES_MAX`
  frames waiting, or when the **room** that many streams share is used up, the stream is not read
  until somebody takes: that is no fault of the peer. A stream on which nothing waits is always
  read, so nothing can stand still for want of room.
- **All else** (statements, documents, news) is never sent far ahead by an honest peer:
  more than `WAITING_BYTES_MAX` of it breaks a rule.
"""

from collections import deque

import trio

from protocol.errors import RemoteProtocolError
from protocol.frames import BlobPiece, DocumentFrame, Frame, StatementFrame, TensorData, TensorStart
from protocol.reasons import Reason

#: A table of shapes and its order, or a whole exchange of adverts with the next one behind it.
WAITING_BYTES_MAX = 1 << 19

#: A batch of two thousand small items; as objects of Python they take two MiB.
TENSOR_FRAMES_MAX = 4096

#: How soon a stream that waits for shared room looks again.
LOOK_S = 0.05

#: What a frame counts for beside its data: it is an object of Python, with a view in it.
FRAME_BYTES = 512


class Room:
    """Memory that many streams share for what waits; `around` is the larger room it is part of."""

    def __init__(self, most_bytes: int, around: "Room | None" = None) -> None:
        """Begin empty."""
        self._most_bytes = most_bytes
        self._around = around
        self.used_bytes = 0

    @property
    def is_full(self) -> bool:
        """Whether whoever can wait should put nothing more into it."""
        is_full_around = self._around is not None and self._around.is_full
        return is_full_around or self.used_bytes >= self._most_bytes

    def use(self, size_bytes: int) -> None:
        """Use more of it, or less."""
        self.used_bytes += size_bytes
        if self._around is not None:
            self._around.use(size_bytes)


class Waiting:
    """The queue of one stream."""

    def __init__(self, room: Room | None = None) -> None:
        """Begin with nothing; `room` is shared with other streams."""
        self._frames: deque[Frame] = deque()
        self._room = room or Room(1 << 62)
        self._used_bytes = 0
        self._said_bytes = 0
        self._tensor_frames = 0
        self._taken = trio.Event()
        self._closed = False

    def __len__(self) -> int:
        """How many frames wait."""
        return len(self._frames)

    def put(self, frame: Frame) -> None:
        """Let a frame wait; RemoteProtocolError when it is one too many."""
        self._count(frame, 1)
        if self._said_bytes > WAITING_BYTES_MAX:
            detail = f"more than {WAITING_BYTES_MAX} bytes that nobody has asked for"
            raise RemoteProtocolError(Reason.TOO_LARGE, detail)
        self._frames.append(frame)

    def take(self) -> Frame:
        """Give the one that waits longest."""
        frame = self._frames.popleft()
        self._count(frame, -1)
        self._taken.set()
        return frame

    async def wait_for_room(self) -> None:
        """Return when more may be read. The room is looked at again soon: others free it, too."""
        while self._is_held_back() and not self._closed:
            self._taken = trio.Event()
            with trio.move_on_after(LOOK_S):
                await self._taken.wait()

    def _is_held_back(self) -> bool:
        return bool(self._frames) and (
            self._tensor_frames > TENSOR_FRAMES_MAX or self._room.is_full
        )

    def close(self) -> None:
        """Give back the room: what still waits is no more than what it is."""
        self._room.use(-self._used_bytes)
        self._room, self._used_bytes = Room(1 << 62), 0
        self._closed = True
        self._taken.set()

    def _count(self, frame: Frame, sign: int) -> None:
        match frame:
            case TensorData(data) | BlobPiece(_, _, data):
                weight = FRAME_BYTES + len(data)
                self._tensor_frames += sign
            case TensorStart():
                weight = FRAME_BYTES
                self._tensor_frames += sign
            case _:
                weight = FRAME_BYTES
                if isinstance(frame, StatementFrame):
                    weight += len(frame.wire)
                elif isinstance(frame, DocumentFrame):
                    weight += len(frame.body)
                self._said_bytes += sign * weight
        self._used_bytes += sign * weight
        self._room.use(sign * weight)
