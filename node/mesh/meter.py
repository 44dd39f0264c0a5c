# SPDX-License-Identifier: MIT
"""Measures how fast data move on a stream, from what is seen on this side of it. Whose it is not.

Small amounts say nothing: they are in a buffer before they are on the line. What **comes** is
measured from one piece to a later one, with what arrived in between. What **goes** is measured
between two moments at which the peer has granted more window: it has read so much by then.
"""

from collections.abc import Callable

#: Less than this is no measurement.
LEAST_BYTES = 256 << 10

#: After such a silence it is another transfer; who is slower than that is known to be slow.
GAP_S = 2.0

Tell = Callable[[int, int, float], None]
"""Takes the bytes that went, those that came, and the seconds that they took; one is 0."""


class Meter:
    """Measures on one stream."""

    def __init__(self, tell: Tell) -> None:
        """`tell` is told of each measurement."""
        self._tell = tell
        self._up, self._down = _Run(), _Run()

    def came(self, size_bytes: int, now_s: float) -> None:
        """Note data that have just come."""
        if self._down.is_new(now_s):
            size_bytes = 0  # the first piece came before the time began
        self._down.bytes += size_bytes
        if done := self._down.done(now_s):
            self._tell(0, *done)

    def went(self, size_bytes: int) -> None:
        """Note data that were just written."""
        self._up.bytes += size_bytes

    def granted(self, now_s: float) -> None:
        """Note that a writer had to wait for the peer, and may go on."""
        if self._up.is_new(now_s):
            return
        if done := self._up.done(now_s):
            self._tell(done[0], 0, done[1])


class _Run:
    """Data in one direction, without a longer silence."""

    def __init__(self) -> None:
        self.bytes = 0
        self._began_s = self._last_s = float("-inf")

    def is_new(self, now_s: float) -> bool:
        """Whether a run begins now, after a silence."""
        silent_s, self._last_s = now_s - self._last_s, now_s
        if silent_s > GAP_S:
            self.bytes, self._began_s = 0, now_s
        return silent_s > GAP_S

    def done(self, now_s: float) -> tuple[int, float] | None:
        """Give what was measured, if it is enough, and begin the next one."""
        took_s = now_s - self._began_s
        if self.bytes < LEAST_BYTES or took_s <= 0:
            return None
        measured = self.bytes, took_s
        self.bytes, self._began_s = 0, now_s
        return measured
