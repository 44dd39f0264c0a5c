# SPDX-License-Identifier: MIT
"""The clock of a made world: it runs with trio's, which passes only when all sleep.

Dice and secrets of a node follow from its seed: they are the same in each run of the world. Its
quartz may be wrong: it counts too fast or too slowly, and somebody sets the clock on the wall.
"""

from hashlib import shake_256
from random import Random

import trio

from protocol.events import Instant

#: When every made world begins: a morning in January of 2027.
EPOCH_S = 1_800_000_000


class VirtualClock:
    """A :class:`~node.clock.Clock` of one node. A process that starts anew needs another seed."""

    def __init__(self, seed: str = "", *, ahead_s: float = 0.0, drift_ppm: float = 0.0) -> None:
        """`ahead_s` says how wrong its wall clock is; it may be changed at any time.

        `drift_ppm` says how many microseconds too many its quartz counts in a second. Both of its
        times run by this quartz, as both of a real machine do; timers run by trio's.
        """
        self.ahead_s = ahead_s
        self._seed = seed
        self._drift_ppm = drift_ppm
        self._gained_s = 0.0  # by the quartz, until it was looked at last
        self._looked_at_s = _trio_s()
        self._dice: dict[str, Random] = {}
        self._drawn = 0

    @property
    def drift_ppm(self) -> float:
        """How fast its quartz is, in parts of a million; it may be changed at any time."""
        return self._drift_ppm

    @drift_ppm.setter
    def drift_ppm(self, drift_ppm: float) -> None:
        assert drift_ppm > -1e6, "time never goes back"
        now_s = _trio_s()
        self._gained_s = self._gained_at(now_s)
        self._looked_at_s = now_s
        self._drift_ppm = drift_ppm

    def jump(self, seconds: float) -> None:
        """Set the clock on the wall forward, or back. What counts seconds does not notice."""
        self.ahead_s += seconds

    def set_right(self) -> None:
        """Have it show the right time from now on, and count as others do."""
        self.drift_ppm = 0.0
        self.ahead_s = -self._gained_s

    def anew(self, seed: str) -> "VirtualClock":
        """Give the clock of the next process on this machine: as wrong as this one, other dice."""
        clock = VirtualClock(seed, ahead_s=self.ahead_s, drift_ppm=self._drift_ppm)
        clock._gained_s = self._gained_at(clock._looked_at_s)
        return clock

    def now(self) -> Instant:
        """Tell the time; outside of trio it stands still."""
        now_s = _trio_s()
        mono_s = now_s + self._gained_at(now_s)
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

    def _gained_at(self, now_s: float) -> float:
        return self._gained_s + (now_s - self._looked_at_s) * self._drift_ppm / 1e6


def _trio_s() -> float:
    try:
        return trio.current_time()
    except RuntimeError:
        return 0.0
