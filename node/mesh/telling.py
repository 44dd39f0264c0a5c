# SPDX-License-Identifier: MIT
"""When this node's own advert is made anew. Who makes it is in `node/work/description.py`."""

from collections.abc import Awaitable, Callable

import trio

from node.clock import Clock
from protocol.errors import Refused
from protocol.limits import ADVERT_INTERVAL_S_MIN

Describe = Callable[[], Awaitable[bytes]]
"""Gives the sealed advert of this node as it is now."""

#: Others take no new advert sooner. A first one is always followed by a second after this time:
#: it says more of reach, and who still held one of our last life has not taken the first.
SETTLED_S = ADVERT_INTERVAL_S_MIN + 5.0

#: Long before it expires, so that one renewal may be missed.
RENEW_S = 1500.0

#: Whoever makes the advert has failed, and is asked again after this time.
AGAIN_S = 30.0


class Telling:
    """Keeps the own advert fresh, while :meth:`run` runs."""

    def __init__(
        self,
        clock: Clock,
        describe: Describe,
        tell: Callable[[bytes], None],
        renew_s: float = RENEW_S,
    ) -> None:
        """Have adverts from `describe`, and give each to `tell`."""
        self.is_told = trio.Event()  # or cannot be told for now
        self._clock = clock
        self._describe = describe
        self._tell = tell
        self._renew_s = renew_s
        self._asked_at_s = clock.now().wall_s
        self._is_due = trio.Event()
        self._renew = trio.Event()

    def renew_soon(self) -> None:
        """Say that the advert is not true any more; it is made anew as soon as it may be."""
        self._renew.set()

    def look(self) -> None:
        """Renew at once where the clock on the wall says so; to be called now and then.

        Timers stand still while a machine sleeps: when it wakes up, its advert may be over. And
        where a clock was set back, others have refused the one from the future.
        """
        age_s = self._clock.now().wall_s - self._asked_at_s
        if not -SETTLED_S <= age_s < self._renew_s:
            self._is_due.set()
            self._renew.set()

    async def run(self) -> None:
        """Tell at first, when something has changed, and long before the advert expires."""
        is_settled = False
        while True:
            self._is_due, self._renew = trio.Event(), trio.Event()
            self._asked_at_s = self._clock.now().wall_s
            try:
                wire = await self._describe()
            except (Refused, OSError):
                # The old one is still in force; without any we are in the mesh unseen.
                wait_s = AGAIN_S
            else:
                self._tell(wire)
                wait_s = self._renew_s if is_settled else SETTLED_S
                is_settled = True
            self.is_told.set()
            least_s = min(wait_s, SETTLED_S)
            with trio.move_on_after(least_s):
                await self._is_due.wait()
            with trio.move_on_after(wait_s - least_s):
                await self._renew.wait()
