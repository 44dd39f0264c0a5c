# SPDX-License-Identifier: MIT
"""What happened in the life of this node: numbered, for whoever watches. The log keeps more.

::

    happenings.post("peer_banned", peer=peer_id, reason=reason)

An event is a constant in snake_case, as in the log, and goes there too, through the same guard:
what a model is given or gives is in neither. The newest are kept, and nothing is kept for a
reader: one that is too slow, or that asks for a number which is gone, is told of a **gap** and
goes on behind it.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import trio

from node.clock import Clock
from node.log import Log, shown

#: A day of a quiet node, and a minute of one in trouble; some hundred KiB.
KEPT_MAX = 1024

#: More than this is a document and no happening.
FIELDS_MAX = 16

GAP = "gap"


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that happened. `at_s` is wall time; numbers begin at 1 with each start."""

    number: int
    at_s: float
    event: str
    fields: Mapping[str, object]

    def as_document(self) -> dict[str, object]:
        """Write it as the control API tells it."""
        return {
            "number": self.number,
            "at_s": round(self.at_s, 3),
            "event": self.event,
            "fields": dict(self.fields),
        }


class Happenings:
    """The newest things that happened, and a place to wait for more."""

    def __init__(self, clock: Clock, log: Log) -> None:
        """Begin with nothing."""
        self._clock = clock
        # by another name: the log wants constants as events, and here each caller has his own
        self._write = log.info
        self._kept: deque[Happening] = deque(maxlen=KEPT_MAX)
        self._waiting = trio.lowlevel.ParkingLot()
        self._last = 0

    @property
    def last(self) -> int:
        """The number of the newest one; 0 before there is any."""
        return self._last

    def post(self, event: str, /, **fields: object) -> None:
        """Say that this happened. Whoever follows is woken; nobody is waited for."""
        assert len(fields) <= FIELDS_MAX, f"{event} has {len(fields)} fields"
        self._last += 1
        told = {name: shown(value) for name, value in fields.items()}
        self._kept.append(Happening(self._last, self._clock.now().wall_s, event, told))
        self._write(event, **fields)
        self._waiting.unpark_all()

    def since(self, number: int) -> list[Happening]:
        """Give all that came after this number, the oldest first; a gap first if some are gone."""
        gap = self._gap_after(number)
        if gap is not None:
            return [gap, *(each for each in self._kept if each.number > gap.number)]
        return [each for each in self._kept if each.number > number]

    def follow(self, number: int) -> "Following":
        """Give all that comes after this number, one by one, and wait for more without end."""
        return Following(self, number)

    async def _next_after(self, number: int) -> Happening:
        waited = False
        while True:
            found = self._gap_after(number) or self._first_after(number)
            if found is not None:
                if not waited:  # a long row of old ones must not hold up the others
                    await trio.lowlevel.checkpoint()
                return found
            await self._waiting.park()
            waited = True

    def _first_after(self, number: int) -> Happening | None:
        if number >= self._last:
            return None
        return self._kept[number + 1 - self._kept[0].number]

    def _gap_after(self, number: int) -> Happening | None:
        """Say what a reader who has seen this number has missed; None when nothing."""
        now_s = self._clock.now().wall_s
        if number > self._last:  # read from this node before it was started anew
            return Happening(0, now_s, GAP, {"restarted": True})
        before = self._last - len(self._kept)
        if number < before:
            return Happening(before, now_s, GAP, {"missed": before - number})
        return None


class Following:
    """One reader. It holds nothing but the number that it has read, however slow it is."""

    def __init__(self, happenings: Happenings, number: int) -> None:
        """Begin after this number."""
        self._happenings = happenings
        self._number = number

    def __aiter__(self) -> "Following":
        """Read on."""
        return self

    async def __anext__(self) -> Happening:
        """Wait for the next one; a gap is one, too."""
        found = await self._happenings._next_after(self._number)  # noqa: SLF001 - the two are one thing
        self._number = found.number
        return found
