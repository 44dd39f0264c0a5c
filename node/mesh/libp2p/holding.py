# SPDX-License-Identifier: MIT
"""What has arrived on all connections together and nobody has read. A stream's own is its window.

A window is granted before anybody knows what it will be used for, so windows alone let 256 callers
with a few streams each fill gigabytes. With more than `HELD_BYTES_MAX` in all, a connection ends:
the one that holds most, times how long nothing of it was read. Honest ones are read at once,
however much they send; by size alone, many who hold a little each could make it an honest one.
"""

from collections.abc import Callable

from node.mesh.libp2p.limits import HELD_BYTES_MAX


class Share:
    """What one connection holds of it; `cut` ends the connection."""

    def __init__(self, holding: "Holding", cut: Callable[[], None]) -> None:
        """Begin with nothing."""
        self.bytes = 0
        self.read_at = holding.moves
        self.cut = cut
        self._holding = holding
        holding.shares.add(self)

    def more(self, length: int) -> None:
        """Count what has arrived, or, below 0, what was read."""
        if self not in self._holding.shares:
            return
        if length < 0 or not self.bytes:
            self.read_at = self._holding.moves
        self.bytes += length
        self._holding.bytes += length
        self._holding.moves += 1
        if length > 0:
            self._holding.bound()

    def end(self) -> None:
        """Count nothing of it any more."""
        if self in self._holding.shares:
            self._holding.shares.remove(self)
            self._holding.bytes -= self.bytes


class Holding:
    """All that is held by the connections of an endpoint."""

    def __init__(self, most_bytes: int = HELD_BYTES_MAX) -> None:
        """Begin with no connection."""
        self.bytes = 0
        self.moves = 0  # the time here: how often anything has arrived or was read
        self.shares: set[Share] = set()
        self._most_bytes = most_bytes

    def bound(self) -> None:
        """End those that hold much for long, while there is too much."""
        while self.bytes > self._most_bytes and self.shares:
            worst = max(self.shares, key=self._weight)
            worst.end()
            worst.cut()

    def _weight(self, share: Share) -> int:
        return share.bytes * (self.moves - share.read_at + 1)
