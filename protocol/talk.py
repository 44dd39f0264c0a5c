# SPDX-License-Identifier: MIT
"""Where the exchange with one neighbour stands: what each side has told and asked the other.

What is told, wanted and sent is decided in `exchange`.
"""

from collections.abc import Iterable
from itertools import islice

from protocol.bounded import Allowance, Note
from protocol.entry import Entry
from protocol.known import Held
from protocol.limits import (
    EXCHANGE_INTERVAL_S_MIN,
    REPLACED_PER_EXCHANGE_MAX,
    REPLACED_REFILL_S,
    SUMMARIES_BURST,
    SUMMARY_ROWS_MAX,
    UNASKED_BURST,
)

#: A neighbour answers wishes out of its last two summaries: so much both sides remember.
_ROWS_REMEMBERED_MAX = 2 * SUMMARY_ROWS_MAX


class Talk:
    """The exchange with one neighbour or guest, as far as it has come."""

    __slots__ = (
        "_heard_count",
        "backlog",
        "heard",
        "interval_s",
        "is_tight",
        "lacked",
        "news_at",
        "next_at",
        "offered",
        "own_told",
        "place",
        "replacing",
        "summaries",
        "told",
        "tried",
        "unasked",
        "wanted",
        "wanted_at",
    )

    def __init__(self, place: int, now: float, backlog: list[bytes], told: int) -> None:
        """Begin with a backlog to tell; `place` is where the walk through the directory begins."""
        self.interval_s = EXCHANGE_INTERVAL_S_MIN
        self.next_at = now
        self.news_at = float("inf")
        self.place = place
        self.backlog = backlog
        self.told = told
        self.own_told = (0, 0)
        self.offered: dict[bytes, None] = {}
        self.heard: dict[bytes, tuple[int, int]] = {}
        self.lacked: dict[bytes, tuple[Held, int]] = {}
        self.is_tight = False
        self.tried = 0
        self.wanted: dict[bytes, bool] = {}
        self.wanted_at = now
        self.summaries = Allowance(SUMMARIES_BURST, EXCHANGE_INTERVAL_S_MIN, now)
        self.unasked = Allowance(UNASKED_BURST, EXCHANGE_INTERVAL_S_MIN, now)
        self.replacing = Allowance(REPLACED_PER_EXCHANGE_MAX, REPLACED_REFILL_S, now)
        self._heard_count = 0

    def offer(self, nodes: Iterable[bytes]) -> None:
        """Remember what was told, for the wishes that follow."""
        offered = self.offered
        for node in nodes:
            offered.pop(node, None)
            offered[node] = None
        _forget_oldest(offered)

    def hear(self, rows: Iterable[Held]) -> None:
        """Remember what the neighbour has; ask no more for what it told before its last summary."""
        self._heard_count += 1
        self.tried = 0
        heard = self.heard
        for row in rows:
            heard.pop(row.node, None)
            heard[row.node] = row.issued_at_s, row.sequence
        _forget_oldest(heard)
        old = [node for node, (_, n) in self.lacked.items() if n < self._heard_count - 1]
        for node in old:
            del self.lacked[node]

    def lack(self, row: Held) -> None:
        """Note that this could be asked for."""
        self.lacked[row.node] = row, self._heard_count

    def needs(self, entry: Entry) -> bool:
        """Tell whether this is news to the neighbour: it has not told the same itself.

        That we have met the node is our own word, and always news.
        """
        known = entry.known
        return entry.met > 0 or self.heard.get(known.node, (0, 0)) < known.version


def _forget_oldest(memory: dict[bytes, Note]) -> None:
    """Keep what the last summaries had; cheaper than to look at the size row by row."""
    for key in list(islice(memory, max(0, len(memory) - _ROWS_REMEMBERED_MAX))):
        del memory[key]
