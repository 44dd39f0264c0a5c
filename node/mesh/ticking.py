# SPDX-License-Identifier: MIT
"""Wakes whoever says when he wants to be woken. What is done then is his."""

from collections.abc import Callable

import trio

from node.clock import Clock

#: What happens at a time is done at a time; a flood of messages does not become one of ticks.
TICK_S_MIN = 0.05

#: What is due in less than this is waited for so long. Two clocks run apart: what one of them
#: has left of a wait may be too little for the other one to move at all: a wait without end.
WAIT_S_MIN = 0.001


class Ticking:
    """Calls `tick` when it is due, while :meth:`run` runs."""

    def __init__(
        self, clock: Clock, next_at: Callable[[float], float], tick: Callable[[], None]
    ) -> None:
        """`next_at` tells, for now, when the next tick is needed if nothing happens before."""
        self._clock = clock
        self._next_at = next_at
        self._tick = tick
        self._due_s = 0.0
        self._sleeping = trio.lowlevel.ParkingLot()

    def wake(self) -> None:
        """Look again when the next tick is due.

        Never later than it was: what says "five seconds from now" would otherwise be put off
        for ever by whoever does something every four seconds.
        """
        due_s = self._next_at(self._clock.now().mono_s)
        if due_s < self._due_s:
            self._due_s = due_s
            self._sleeping.unpark_all()

    async def run(self) -> None:
        """Tick at once, and then whenever it is due."""
        self._due_s = 0.0
        earliest_s = float("-inf")
        while True:
            now_s = self._clock.now().mono_s
            wait_s = max(self._due_s, earliest_s) - now_s
            if wait_s > 0:
                with trio.move_on_after(max(wait_s, WAIT_S_MIN)):
                    await self._sleeping.park()
                continue
            self._due_s = float("inf")
            self._tick()
            self.wake()
            earliest_s = self._clock.now().mono_s + TICK_S_MIN
