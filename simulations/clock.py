# SPDX-License-Identifier: MIT
"""The clock of a made world: it runs with trio's, which passes only when all sleep.

Dice and secrets of a node follow from its seed: they are the same in each run of the world.
"""

from hashlib import shake_256
from random import Random

import trio

from protocol.events import Instant

#: When every made world begins: a morning in January of 2027.
EPOCH_S = 1_800_000_000


class VirtualClock:
    """A :class:`~node.clock.Clock` of one node. A process that starts anew needs another seed."""

    def __init__(self, seed: str = "", *, ahead_s: float = 0.0) -> None:
        """`ahead_s` says how wrong its wall clock is; it may be changed at any time."""
        self.ahead_s = ahead_s
        self._seed = seed
        self._dice: dict[str, Random] = {}
        self._drawn = 0

    def now(self) -> Instant:
        """Tell the time; outside of trio it stands still."""
        try:
            mono_s = trio.current_time()
        except RuntimeError:
            mono_s = 0.0
        return Instant(mono_s, EPOCH_S + mono_s + self.ahead_s)

    def dice(self, purpose: str) -> Random:
        """Give the die of this purpose, the same one each time."""
        if purpose not in self._dice:
            self._dice[purpose] = Random(f"{self._seed} {purpose}")
        return self._dice[purpose]

    def secret_bytes(self, count: int) -> bytes:
        """Draw bytes that only this world knows."""
        if count < 0:
            raise ValueError(f"{count} bytes are a negative number of them")
        self._drawn += 1
        return shake_256(f"{self._seed} secret {self._drawn}".encode()).digest(count)
