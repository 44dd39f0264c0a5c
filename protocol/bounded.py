# SPDX-License-Identifier: MIT
"""Two small things that keep a peer's claims on us bounded: memories and allowances."""

from typing import TypeVar

Note = TypeVar("Note")


def remember(memory: dict[bytes, Note], key: bytes, note: Note, most: int) -> None:
    """Keep a bounded memory: the oldest note makes room for the newest."""
    memory.pop(key, None)
    if len(memory) >= most:
        del memory[next(iter(memory))]
    memory[key] = note


class Allowance:
    """So many at once, and one more every so often: a bucket of tokens."""

    __slots__ = ("_at", "_left", "_most", "_refill_s")

    def __init__(self, most: int, refill_s: float, now: float) -> None:
        """Begin full."""
        self._most = most
        self._refill_s = refill_s
        self._left = float(most)
        self._at = now

    def has_one(self, now: float) -> bool:
        """Tell whether there is one to take."""
        self._left = min(self._most, self._left + max(0.0, now - self._at) / self._refill_s)
        self._at = now
        return self._left >= 1

    def take(self, now: float) -> bool:
        """Take one, if there is one."""
        if not self.has_one(now):
            return False
        self._left -= 1
        return True
