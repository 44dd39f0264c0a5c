# SPDX-License-Identifier: MIT
"""The clock seam: what time it is, and dice. Waiting is trio's, which a simulation also replaces.

What a node decides must be repeatable in a simulation. So nothing else in this project asks
the system for the time or for a random number; ruff refuses it and names this file.
"""

import random
import secrets
import time
from typing import Protocol

from protocol.events import Instant

# The first that the system has. CLOCK_BOOTTIME counts suspend: an order that was received
# before the lid was closed is late when it is opened again. On macOS CLOCK_MONOTONIC does too.
MONOTONIC = ("CLOCK_BOOTTIME", "CLOCK_MONOTONIC")


class Clock(Protocol):
    """What a node may ask about time and chance. tests/node/clock_promises.py holds it to this."""

    def now(self) -> Instant:
        """Tell the time: seconds that never go back, and seconds since 1970 that may."""
        ...

    def dice(self, purpose: str) -> random.Random:
        """Give the die of this purpose, the same one each time.

        In a simulation each purpose has a sequence of its own: rolling one die more often does
        not change what another shows.
        """
        ...

    def secret_bytes(self, count: int) -> bytes:
        """Draw bytes that nobody can guess, for keys, salts and names."""
        ...


class SystemClock:
    """The clock and the dice of this machine. Every purpose gets dice that nobody can predict."""

    def __init__(self) -> None:
        """Find out which clock the system has."""
        self._id, self.source = _monotonic_clock()
        self._die = random.SystemRandom()

    def now(self) -> Instant:
        """Tell the time of this machine."""
        return Instant(mono_s=time.clock_gettime(self._id), wall_s=time.time())

    def dice(self, purpose: str) -> random.Random:  # noqa: ARG002 - only simulated dice differ by purpose
        """Give the system's die; one serves all, since none can be predicted."""
        return self._die

    def secret_bytes(self, count: int) -> bytes:
        """Draw bytes from the system's pool."""
        return secrets.token_bytes(count)


def _monotonic_clock() -> tuple[int, str]:
    for name in MONOTONIC:
        number: int | None = getattr(time, name, None)
        try:
            if number is not None:
                time.clock_gettime(number)
                return number, name
        except OSError:  # named by this Python, unknown to this kernel
            continue
    raise OSError(f"this system has no {' and no '.join(MONOTONIC)}")
