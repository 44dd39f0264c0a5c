# SPDX-License-Identifier: MIT
"""Anti-entropy: how adverts spread between neighbours. Which of them are kept is in `directory`.

Theory of operation
-------------------
Each side tells each neighbour, at its own interval, a **summary** of what it has: own
advert, what is new since the last summary, and a sample that walks through the whole
directory in turn. The other answers with the keys it **wants**, and gets those adverts as
they were sealed. Nothing is sent that was not wanted, nothing is wanted that was not
offered, and everything offered is sent once per offer. The interval doubles from 1 to 60 s
and falls back when the directory grows; a renewed advert is told at the next summary.
"""

from bisect import bisect_right
from collections.abc import Iterator
from typing import Annotated

from protocol.actions import Action, Send
from protocol.bounded import Allowance, remember
from protocol.canon import (
    Message,
    message,
    rows_of,
    values_of,
)
from protocol.codecs import BytesCodec
from protocol.directory import Directory
from protocol.draw import draw
from protocol.entry import Entry
from protocol.known import Held, Known
from protocol.limits import (
    ADVERTS_PER_EXCHANGE_MAX,
    EXCHANGE_INTERVAL_S_MAX,
    EXCHANGE_INTERVAL_S_MIN,
    KEYS_REMEMBERED_MAX,
    REPLACED_PER_EXCHANGE_MAX,
    SUMMARIES_BURST,
    SUMMARY_ROWS_MAX,
    SUMMARY_SAMPLE_ROWS,
    UNASKED_BURST,
    VIEW_MESSAGE_BYTES_MAX,
)


@message("summary", most=VIEW_MESSAGE_BYTES_MAX)
class Summary(Message):
    """What I have, news first. Who lacks something asks for it."""

    held: Annotated[tuple[Held, ...], rows_of(Held, 0, SUMMARY_ROWS_MAX)]

    def broken_rule(self) -> str:
        """Each node is told of once."""
        return (
            "" if len({one.node for one in self.held}) == len(self.held) else "tells a node twice"
        )


@message("wanted", most=VIEW_MESSAGE_BYTES_MAX)
class Wanted(Message):
    """The nodes whose adverts I lack, out of your summary."""

    nodes: Annotated[
        tuple[bytes, ...],
        values_of(BytesCodec(32, 32), 1, ADVERTS_PER_EXCHANGE_MAX, ascending=True),
    ]


class Talk:
    """Where the exchange with one neighbour stands."""

    __slots__ = (
        "backlog",
        "interval_s",
        "next_at",
        "offered",
        "place",
        "sampled_at",
        "summaries",
        "told",
        "unasked",
        "wanted",
        "wanted_at",
    )

    def __init__(self, place: int, now: float, backlog: list[bytes], told: int) -> None:
        """Begin with a backlog to tell; `place` is where the walk through the directory begins."""
        self.interval_s = EXCHANGE_INTERVAL_S_MIN
        self.next_at = now
        self.place = place
        self.sampled_at = now
        self.backlog = backlog
        self.told = told
        self.offered: dict[bytes, None] = {}
        self.wanted: dict[bytes, bool] = {}
        self.wanted_at = now
        self.summaries = Allowance(SUMMARIES_BURST, EXCHANGE_INTERVAL_S_MIN, now)
        self.unasked = Allowance(UNASKED_BURST, EXCHANGE_INTERVAL_S_MIN, now)


class Exchange:
    """The talks of one node with its neighbours."""

    def __init__(self, me: bytes, salt: bytes, directory: Directory) -> None:
        """Begin with nobody to talk to and no own advert."""
        self.me = me
        self.own: Known | None = None
        self.talks: dict[bytes, Talk] = {}
        self._salt = salt
        self._directory = directory
        self._refused: dict[bytes, tuple[int, int]] = {}

    def begin(self, key: bytes, now: float) -> None:
        """Start to talk with a neighbour or guest."""
        # What sits firmest is told first: nodes that we met, before what others say.
        backlog = sorted(self._directory, key=_firmest_last)
        keys = [entry.known.node for entry in backlog]
        place = draw(self._salt, b"walk", key)
        self.talks[key] = Talk(place, now, keys, self._directory.revision)

    def end(self, key: bytes) -> None:
        """Stop talking with a node."""
        self.talks.pop(key, None)

    def hurry(self, now: float) -> None:
        """Talk soon with everybody: there is news."""
        soon = now + EXCHANGE_INTERVAL_S_MIN
        for talk in self.talks.values():
            talk.interval_s = EXCHANGE_INTERVAL_S_MIN
            talk.next_at = min(talk.next_at, soon)

    # --- telling ----------------------------------------------------------------------------

    def tick(self, now: float) -> list[Action]:
        """Send the summaries that are due."""
        actions: list[Action] = []
        for key, talk in self.talks.items():
            if now >= talk.next_at:
                summary, rest = self._summary_for(key, talk, now)
                if summary.held:
                    actions.append(Send(key, summary))
                if rest:
                    talk.next_at = now + EXCHANGE_INTERVAL_S_MIN
                    continue
                talk.interval_s = min(talk.interval_s * 2, EXCHANGE_INTERVAL_S_MAX)
                talk.next_at = now + talk.interval_s
        return actions

    def next_tick_at(self) -> float:
        """Tell when the next summary is due."""
        return min((talk.next_at for talk in self.talks.values()), default=float("inf"))

    def _summary_for(self, key: bytes, talk: Talk, now: float) -> tuple[Summary, bool]:
        """Make the summary, and tell whether there is more news than it has room for."""
        held: dict[bytes, Held] = {}
        if self.own is not None:
            held[self.me] = self.own.digests[1]
        news = self._directory.news_since(talk.told)
        room = SUMMARY_ROWS_MAX - SUMMARY_SAMPLE_ROWS - len(held)
        for entry in news[:room]:
            talk.told = entry.revision
            held[entry.known.node] = entry.known.digests[entry.met > 0]
        while talk.backlog and len(held) <= room:
            still = self._directory.entries.get(talk.backlog.pop())
            if still is not None:
                held[still.known.node] = still.known.digests[still.met > 0]
        if not news or now - talk.sampled_at >= EXCHANGE_INTERVAL_S_MAX:
            talk.sampled_at = now
            for entry in self._sample(talk):
                held[entry.known.node] = entry.known.digests[entry.met > 0]
        # Nobody is told about itself.
        held.pop(key, None)
        for node in held:
            talk.offered.pop(node, None)
            talk.offered[node] = None
        while len(talk.offered) > 2 * SUMMARY_ROWS_MAX:
            del talk.offered[next(iter(talk.offered))]
        return Summary(tuple(held.values())), len(news) > room or bool(talk.backlog)

    def _sample(self, talk: Talk) -> Iterator[Entry]:
        """Walk on through the directory behind what was told last, whatever came and went since."""
        turn = self._directory.in_turn()
        start = bisect_right(turn, talk.place, key=_draw_of)
        for step in range(min(SUMMARY_SAMPLE_ROWS, len(turn))):
            entry = turn[(start + step) % len(turn)]
            talk.place = entry.draw
            yield entry

    def on_wanted(self, key: bytes, wanted: Wanted, now: float) -> tuple[list[Action], bool]:
        """Send what was offered; False when the neighbour wishes for too much else."""
        talk = self.talks[key]
        actions: list[Action] = []
        fair = True
        for node in wanted.nodes:
            if node not in talk.offered:
                fair = talk.unasked.take(now) and fair
                continue
            del talk.offered[node]
            entry = self._directory.entries.get(node)
            known = self.own if node == self.me else entry and entry.known
            if known:
                actions.append(Send(key, known.wire))
        return actions, fair

    # --- being told ---------------------------------------------------------------------------

    def on_summary(self, key: bytes, summary: Summary, now: float) -> tuple[list[Action], bool]:
        """Ask for what is missing; False when the neighbour tells more often than it may."""
        talk = self.talks[key]
        if not talk.summaries.take(now):
            return [], False
        if now - talk.wanted_at >= EXCHANGE_INTERVAL_S_MAX:
            # What was not sent by now is gone there, or was never there.
            talk.wanted.clear()
        free = ADVERTS_PER_EXCHANGE_MAX - len(talk.wanted)
        # Renewed adverts always have a place; of new nodes only so many, where others give way.
        places = free if self._directory.has_room() else REPLACED_PER_EXCHANGE_MAX
        asked: list[bytes] = []
        for one in summary.held:
            version = (one.issued_at_s, one.sequence)
            held = self._directory.entries.get(one.node)
            if held is not None and held.known.version == version:
                self._directory.adopt(held, key, vouched=bool(one.met))
            elif (
                len(asked) < free
                and (held is not None or places > 0)
                and one.node not in talk.wanted
                and self._refused.get(key + one.node) != version
                and self._directory.wants(one.node, version, key, vouched=bool(one.met))
            ):
                talk.wanted[one.node] = bool(one.met)
                asked.append(one.node)
                places -= held is None
        if asked:
            talk.wanted_at = now
        return [Send(key, Wanted(tuple(sorted(asked))))] if asked else [], True

    def on_advert(self, key: bytes, known: Known, now: float, now_s: float) -> bool:
        """Take in an advert that was wanted; False when too many come that were not."""
        talk = self.talks[key]
        met = talk.wanted.pop(known.node, None)
        if met is None:
            return talk.unasked.take(now)
        self.take_in(known, key, now, now_s, met=met)
        return True

    def take_in(self, known: Known, source: bytes, now: float, now_s: float, *, met: bool) -> None:
        """Offer a verified advert to the directory, and hurry when the directory grows by it.

        Where the directory is full and one advert only takes the place of another, there is
        no hurry: in a large mesh that never ends.
        """
        held = len(self._directory)
        reason = self._directory.admit(known, source, now_s, vouched=met)
        if reason is not None:
            remember(self._refused, source + known.node, known.version, KEYS_REMEMBERED_MAX)
        elif len(self._directory) > held:
            self.hurry(now)


def _firmest_last(entry: Entry) -> tuple[bool, int, int]:
    return entry.met > 0, -entry.standing, -entry.draw


def _draw_of(entry: Entry) -> int:
    return entry.draw
