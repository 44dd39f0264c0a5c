# SPDX-License-Identifier: MIT
"""One search, as whoever waits for it sees it. How nodes are asked is in `protocol/query.py`."""

from dataclasses import dataclass

import trio

from protocol.actions import Found, SearchEnded
from protocol.known import Known
from protocol.reasons import Reason


@dataclass(frozen=True, slots=True)
class Findings:
    """What a search found: adverts, how many nodes were asked, and why it ended with too few."""

    adverts: tuple[Known, ...]
    asked: int
    reason: Reason | None


class Searching:
    """Collects what the view says about one search."""

    def __init__(self) -> None:
        """Begin with nothing found."""
        self._found: list[Known] = []
        self._end: SearchEnded | None = None
        self._over = trio.Event()

    def take(self, news: Found | SearchEnded) -> None:
        """Take what the view says."""
        if isinstance(news, Found):
            self._found += news.adverts
        else:
            self._end = news
            self._over.set()

    async def findings(self, deadline_s: float) -> Findings:
        """Wait for the end, and no longer than this."""
        with trio.move_on_after(deadline_s):
            await self._over.wait()
        if self._end is None:
            return Findings(tuple(self._found), 0, Reason.DEADLINE)
        return Findings(tuple(self._found), self._end.asked, self._end.reason)
