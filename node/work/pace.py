# SPDX-License-Identifier: MIT
"""How many bytes go out or come in per second. How many in a day is in `quotas`."""

from collections.abc import Callable

import trio

#: Streams take turns after so much, so that small pieces do not wait for a big one.
TURN_BYTES = 16 * 1024
#: What was not used is saved up for so long, no longer: a limit of a second is kept in a second.
SAVED_S = 0.25


class Pace:
    """Lets through so many bytes in a second, in turns; 0 sets no limit.

    ::

        await pace.take(len(piece))
        await stream.send(piece)
    """

    def __init__(
        self, bytes_per_s: float, current_time: Callable[[], float] = trio.current_time
    ) -> None:
        """Begin with nothing used."""
        self.bytes_per_s = bytes_per_s
        self._current_time = current_time
        self._turn = trio.Lock()  # trio's locks are handed on in the order of asking
        self._level = 0.0
        self._at_s: float | None = None

    async def take(self, count: int) -> None:
        """Wait until so many bytes may go. When it is cancelled, none of them has been used."""
        assert count >= 0, f"{count} bytes"
        if self.bytes_per_s <= 0:
            await trio.lowlevel.checkpoint_if_cancelled()  # the stream lets others run
            return
        taken = 0
        try:
            while taken < count:
                turn = min(count - taken, TURN_BYTES)
                await self._take_turn(turn)
                taken += turn
        except trio.Cancelled:
            self._level += taken
            raise

    async def _take_turn(self, count: int) -> None:
        async with self._turn:
            # the limit may be changed, or lifted, while somebody waits
            while (rate := self.bytes_per_s) > 0:
                self._refill(rate)
                if self._level > -1:  # less than a byte: a clock need not tell so little time
                    break
                await trio.sleep(min(-self._level / rate, 1.0))
            self._level -= count

    def _refill(self, rate: float) -> None:
        now_s = self._current_time()
        passed_s = now_s - self._at_s if self._at_s is not None else 0.0
        self._at_s = now_s
        self._level = min(self._level + rate * passed_s, rate * SAVED_S)
