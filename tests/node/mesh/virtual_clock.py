# SPDX-License-Identifier: MIT
"""A clock for tests that runs with trio's: under MockClock, time passes only when all sleep."""

from hashlib import sha256
from random import Random

import trio

from protocol.events import Instant

EPOCH_S = 1_800_000_000


class VirtualClock:
    """The clock of one node; its dice and secrets follow from the seed."""

    def __init__(self, seed: str = "") -> None:
        self.ahead_s = 0.0  # how wrong its wall clock is
        self._seed = seed
        self._dice: dict[str, Random] = {}
        self._drawn = 0

    def now(self) -> Instant:
        try:
            mono_s = trio.current_time()
        except RuntimeError:  # outside of trio, time stands still
            mono_s = 0.0
        return Instant(mono_s, EPOCH_S + mono_s + self.ahead_s)

    def dice(self, purpose: str) -> Random:
        return self._dice.setdefault(purpose, Random(f"{self._seed} {purpose}"))

    def secret_bytes(self, count: int) -> bytes:
        self._drawn += 1
        drawn = sha256(f"{self._seed} secret {self._drawn}".encode()).digest()
        assert count <= len(drawn)
        return drawn[:count]
