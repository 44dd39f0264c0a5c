# SPDX-License-Identifier: MIT
"""All that is under way in a made world, in one heap: what arrives when, and in which order.

There is one task for all of it. A task for each message would leave their order to the scheduler,
and would cost ten times as much.
"""

import heapq
from collections.abc import Callable
from itertools import count

import trio

Happen = Callable[[], None]


class Wire:
    """Lets things happen at their time; at the same time, those first that were said first."""

    def __init__(self) -> None:
        """Begin with nothing under way."""
        self.happened = 0
        self.now_s = 0.0
        """The time while something happens; to ask trio for it costs as much as the rest."""
        self._heap: list[tuple[float, int, Happen]] = []
        self._numbers = count()
        self._sooner = trio.Event()

    @property
    def waiting(self) -> int:
        """How many things are under way."""
        return len(self._heap)

    def at(self, at_s: float, happen: Happen) -> None:
        """Let something happen at this time of trio's clock, or as soon as possible."""
        entry = (at_s, next(self._numbers), happen)
        heapq.heappush(self._heap, entry)
        if self._heap[0] is entry:
            self._sooner.set()

    async def run(self) -> None:
        """Let things happen, until cancelled."""
        while True:
            now_s = self.now_s = trio.current_time()
            while self._heap and self._heap[0][0] <= now_s:
                happen = heapq.heappop(self._heap)[2]
                self.happened += 1
                happen()
            self._sooner = trio.Event()
            wait_s = self._heap[0][0] - now_s if self._heap else float("inf")
            with trio.move_on_after(wait_s):
                await self._sooner.wait()
