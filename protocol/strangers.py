# SPDX-License-Identifier: MIT
"""Strangers for whom there is no place: whose turn it is. What they are told is in `exchange`.

A few are **guests**, who are told adverts for some seconds; the others **wait** in line. A guest
goes when it got what it asked for and others wait, or when its time is over.
"""

from protocol.limits import GUEST_S_MAX, GUEST_S_MIN, GUESTS_MAX, WAITING_MAX, WAITING_S_MAX


class Strangers:
    """Who stands at the door of one node, since when; each line begins with who came first."""

    __slots__ = ("_told", "guests", "waiting")

    def __init__(self) -> None:
        """Begin with nobody at the door."""
        self.guests: dict[bytes, float] = {}
        self.waiting: dict[bytes, float] = {}
        #: Guests that got what they asked for, and may be sent on when others wait.
        self._told: dict[bytes, None] = {}

    def __contains__(self, key: bytes) -> bool:
        """Tell whether the node is a guest, or waits to be one."""
        return key in self.guests or key in self.waiting

    def host(self, key: bytes, now: float) -> list[bytes]:
        """Let a node wait for its turn as a guest; give those who go, maybe itself."""
        if len(self.waiting) >= WAITING_MAX:
            return [key]
        self.waiting[key] = now
        return self.turn_over(now)

    def on_told(self, key: bytes) -> None:
        """Note that a node got adverts that it asked for."""
        if key in self.guests:
            self._told[key] = None

    def turn_over(self, now: float) -> list[bytes]:
        """Let those who wait be guests; give those in whose places, who had their time."""
        gone: list[bytes] = []
        while self.waiting:
            if len(self.guests) >= GUESTS_MAX:
                leaving = next(iter(self._told or self.guests))
                if leaving not in self._told and now < self.guests[leaving] + GUEST_S_MIN:
                    break
                self.send_on(leaving)
                gone.append(leaving)
            key = next(iter(self.waiting))
            del self.waiting[key]
            self.guests[key] = now
        return gone

    def first(self) -> bytes | None:
        """Name who has the next place that is free: guests before those who wait."""
        return next(iter(self.guests or self.waiting), None)

    def over(self, now: float) -> list[bytes]:
        """Let go of those whose time is over, and give them."""
        gone = _over(self.guests, GUEST_S_MAX, now) + _over(self.waiting, WAITING_S_MAX, now)
        for key in gone:
            self.send_on(key)
        return gone

    def send_on(self, key: bytes) -> bool:
        """Forget a stranger; tell whether it was one."""
        self._told.pop(key, None)
        was_waiting = self.waiting.pop(key, None) is not None
        return self.guests.pop(key, None) is not None or was_waiting

    def next_tick_at(self) -> float:
        """Tell when somebody's time is over, if nothing happens before."""
        due_at = float("inf")
        for since in self.guests.values():
            due_at = since + (GUEST_S_MIN if self.waiting else GUEST_S_MAX)
            break
        for since in self.waiting.values():
            return min(due_at, since + WAITING_S_MAX)
        return due_at


def _over(line: dict[bytes, float], most_s: float, now: float) -> list[bytes]:
    """Give the beginning of a line: who has been there for so long."""
    keys: list[bytes] = []
    for key, since in line.items():
        # The same sum as in `next_tick_at`: a difference may be too small by a rounding.
        if now < since + most_s:
            break
        keys.append(key)
    return keys
