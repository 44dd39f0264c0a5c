# SPDX-License-Identifier: MIT
"""A way that takes time: what is posted arrives when its route says, and nothing overtakes on it.

Each way has one thing on the wire at most: its next arrival. So a thousand messages that wait
behind one cost nothing, and an idle way costs nothing at all.
"""

from collections import deque
from math import ceil, inf

import trio

from simulations.network import Entry, Seen, Way
from simulations.routes import Route
from simulations.wire import Wire

#: What arrives within the same millisecond arrives together. A jump of the clock costs more than
#: a message, and in a large world there are dozens of messages in each millisecond.
TICK_S = 0.001


class TimedWay(Way):
    """One direction of one connection."""

    def __init__(
        self, route: Route, wire: Wire, tick_s: float, *, is_held: bool, seen: Seen
    ) -> None:
        """Several of them share a route."""
        super().__init__(is_held=is_held, seen=seen)
        self._route = route
        self._wire = wire
        self._tick_s = tick_s
        self._last_s = 0.0  # when the last one of those that wait is at the door
        self._due_s = -inf  # when the first one is through the door, if it stands in it
        self._woken_s = inf  # when the wire comes back to it

    def hold(self, *, is_held: bool) -> None:
        """Keep what is posted, or let it go. What is late by then is sent once more."""
        was_held, self._is_held = self._is_held, is_held
        if was_held and not is_held:
            now_s = trio.current_time()
            self._send_again(now_s)
            self._pass(now_s)

    def drop(self) -> None:
        """Lose whatever has not arrived yet."""
        super().drop()
        self._last_s, self._due_s = 0.0, -inf

    def _enter(self, entry: Entry) -> None:
        _, size_bytes, arrive, kind, protocol, number, row = entry
        if self._route.breaks():
            arrive, kind, row = self.on_reset, "broken", row and f"{row} broken"
        at_s = self._route.at_s(trio.current_time(), size_bytes)
        at_s = self._last_s = max(at_s, self._last_s)
        self._waiting.append((at_s, size_bytes, arrive, kind, protocol, number, row))
        if len(self._waiting) == 1:
            self._wake_at(at_s)

    def _wake_at(self, at_s: float) -> None:
        tick_s = self._tick_of(at_s)
        if tick_s < self._woken_s:
            self._woken_s = tick_s
            self._wire.at(tick_s, self._wake)

    def _wake(self) -> None:
        if self._wire.now_s >= self._woken_s:  # else there is a later call, or an earlier was
            self._woken_s = inf
            self._pass(self._wire.now_s)

    def _pass(self, now_s: float) -> None:
        """Let arrive what is due."""
        while self._waiting and not self._is_held:
            entry = self._waiting[0]
            due_s = entry[0] if self._route.down is None else self._through_s(entry, now_s)
            if due_s > now_s and self._tick_of(due_s) > now_s:
                self._wake_at(due_s)
                return
            self._waiting.popleft()
            self._due_s = -inf
            self._arrive(entry)

    def _tick_of(self, at_s: float) -> float:
        """Give the end of its tick, which may be a rounding before the time itself."""
        return ceil(at_s / self._tick_s) * self._tick_s if self._tick_s else at_s

    def _through_s(self, entry: Entry, now_s: float) -> float:
        """Say when the first one is through the door of the other host, which all others use too.

        One message of each way stands in the door; so the ways of a host take turns.
        """
        at_s, size_bytes = entry[:2]
        if self._due_s > -inf:
            return self._due_s
        down = self._route.down
        if down is None or (at_s > now_s and self._tick_of(at_s) > now_s):
            return at_s
        self._due_s = down.free_at_s = max(
            at_s + size_bytes * self._route.down_more,
            down.free_at_s + size_bytes * down.s_per_byte,
        )
        return self._due_s

    def _send_again(self, now_s: float) -> None:
        """Give all that should have been there already a new time, after the way was held."""
        waiting, self._waiting = self._waiting, deque()
        self._last_s, self._due_s = 0.0, -inf
        for at_s, size_bytes, *more in waiting:
            new_s = at_s if at_s > now_s else self._route.at_s(now_s, size_bytes)
            self._last_s = max(self._last_s, new_s)
            self._waiting.append((self._last_s, size_bytes, *more))  # type: ignore[arg-type]  # the rest of an entry
