# SPDX-License-Identifier: MIT
"""Anti-entropy: how adverts spread between neighbours. Which of them are kept is in `directory`.

Theory of operation
-------------------
Each side tells each neighbour, at its own interval, a **summary** of what it has: own
advert, what is new since the last summary, and a sample that walks through the whole
directory in turn. The other answers with the keys it **wants**, and gets those adverts as
they were sealed. Nothing is sent that was not wanted, nothing is wanted that was not
offered, and everything offered is sent once per offer.

A talk begins with all that we have, as fast as summaries may go; then the interval doubles
from 1 to 60 s. By how much the directory grows is told a second later, in summaries of
their own, to those who did not tell the same themselves; a renewed advert is told at the
next summary. What several neighbours offer is asked of one. When it has not come a second
later, the others are asked: who offers and stays silent delays others by that, no more.
"""

from bisect import bisect_right
from collections.abc import Iterator
from typing import Annotated

from protocol.actions import Action, Send
from protocol.bounded import remember
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
    SUMMARY_ROWS_MAX,
    SUMMARY_SAMPLE_ROWS,
    VIEW_MESSAGE_BYTES_MAX,
)
from protocol.talk import Talk

#: Draws are numbers below this.
_DRAWS = 2**64


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
        #: Since when a node's advert is on its way from somebody, the oldest first.
        self._coming: dict[bytes, float] = {}

    def begin(self, key: bytes, now: float) -> None:
        """Start to talk with a neighbour or guest."""
        place = draw(self._salt, b"walk", key)

        def firmest_last(entry: Entry) -> tuple[bool, int, int]:
            # Nodes that we met are told first, then what sits firm. Of equals each listener is
            # told others first: a crowd of newcomers must not dial the same few.
            return entry.met > 0, -entry.standing, (entry.draw - place) % _DRAWS

        keys = [entry.known.node for entry in sorted(self._directory, key=firmest_last)]
        self.talks[key] = Talk(place, now, keys, self._directory.revision)

    def end(self, key: bytes) -> None:
        """Stop talking with a node."""
        self.talks.pop(key, None)

    def hurry(self, now: float) -> None:
        """Tell soon what is new, to those who lack it."""
        soon = now + EXCHANGE_INTERVAL_S_MIN
        for talk in self.talks.values():
            talk.news_at = min(talk.news_at, soon)

    # --- telling ----------------------------------------------------------------------------

    def tick(self, now: float) -> list[Action]:
        """Send the summaries that are due, and ask others for what did not come."""
        actions: list[Action] = []
        for key, talk in self.talks.items():
            if now >= talk.next_at or now >= talk.news_at:
                walks = now >= talk.next_at
                summary, rest = self._summary_for(key, talk, walks=walks)
                if summary.held:
                    actions.append(Send(key, summary))
                talk.news_at = now + EXCHANGE_INTERVAL_S_MIN if rest else float("inf")
                if walks:
                    talk.interval_s = min(talk.interval_s * 2, EXCHANGE_INTERVAL_S_MAX)
                    talk.next_at = now + talk.interval_s
        late: list[bytes] = []
        for node, since in self._coming.items():
            if now < since + EXCHANGE_INTERVAL_S_MIN:
                break
            late.append(node)
        for node in late:
            del self._coming[node]
        return actions + self._ask_all(now, *late)

    def next_tick_at(self) -> float:
        """Tell when the next summary is due, or something that was asked for is late."""
        due_at = float("inf")
        for talk in self.talks.values():
            due_at = min(due_at, talk.next_at, talk.news_at)
        if self._coming:
            due_at = min(due_at, next(iter(self._coming.values())) + EXCHANGE_INTERVAL_S_MIN)
        return due_at

    def _summary_for(self, key: bytes, talk: Talk, *, walks: bool) -> tuple[Summary, bool]:
        """Make the summary, and tell whether there is more news than it has room for."""
        held: dict[bytes, Held] = {}
        if self.own is not None and (walks or talk.own_told != self.own.version):
            held[self.me] = self.own.digests[1]
            talk.own_told = self.own.version
        news = self._directory.news_since(talk.told)
        room = SUMMARY_ROWS_MAX - SUMMARY_SAMPLE_ROWS
        for entry in news:
            if len(held) >= room:
                break
            talk.told = entry.revision
            if talk.needs(entry):
                held[entry.known.node] = entry.known.digests[entry.met > 0]
        while talk.backlog and len(held) < room:
            still = self._directory.entries.get(talk.backlog.pop())
            if still is not None and talk.needs(still):
                held[still.known.node] = still.known.digests[still.met > 0]
        is_all = not talk.backlog and (not news or talk.told >= news[-1].revision)
        if walks:
            for entry in self._sample(talk):
                held[entry.known.node] = entry.known.digests[entry.met > 0]
        # Nobody is told about itself.
        held.pop(key, None)
        talk.offer(held)
        return Summary(tuple(held.values())), not is_all

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
        talk.hear(summary.held)
        for row in summary.held:
            held = self._directory.entries.get(row.node)
            if held is not None and held.known.version == (row.issued_at_s, row.sequence):
                self._directory.adopt(held, key, vouched=bool(row.met))
            else:
                talk.lack(row)
        return self._ask(key, talk, now), True

    def _ask_all(self, now: float, *nodes: bytes) -> list[Action]:
        """Ask others for nodes that are not coming any more from the one who was asked first."""
        actions: list[Action] = []
        if nodes:
            for key, talk in self.talks.items():
                if not talk.lacked.keys().isdisjoint(nodes):
                    actions += self._ask(key, talk, now)
        return actions

    def _ask(self, key: bytes, talk: Talk, now: float) -> list[Action]:
        """Ask for what this neighbour has told and nobody brings, within the cap of an exchange."""
        asked: list[bytes] = []
        free = self._directory.free_of(key) - len(talk.wanted)
        may_replace = talk.replacing.has_one(now)
        for node, (row, _) in list(talk.lacked.items()):
            if len(talk.wanted) >= ADVERTS_PER_EXCHANGE_MAX:
                break
            if node in self._coming:
                continue
            # Renewed adverts always have a place; of new nodes only so many are asked for where
            # others give way, or where the last one from this neighbour found no place.
            is_new = node not in self._directory
            replaces = is_new and free <= 0
            if replaces and not may_replace:
                continue
            is_tried = is_new and talk.is_tight
            if is_tried and talk.tried >= REPLACED_PER_EXCHANGE_MAX:
                continue
            del talk.lacked[node]
            if node in talk.wanted or not self._is_worth(key, row):
                continue
            talk.tried += is_tried
            if replaces:
                talk.replacing.take(now)
                may_replace = talk.replacing.has_one(now)
            free -= is_new
            talk.wanted[node] = bool(row.met)
            self._coming[node] = talk.wanted_at = now
            asked.append(node)
        return [Send(key, Wanted(tuple(sorted(asked))))] if asked else []

    def _is_worth(self, key: bytes, row: Held) -> bool:
        version = (row.issued_at_s, row.sequence)
        return self._refused.get(key + row.node) != version and self._directory.wants(
            row.node, version, key, vouched=bool(row.met)
        )

    def on_advert(
        self, key: bytes, known: Known, now: float, now_s: float
    ) -> tuple[list[Action], bool]:
        """Take in an advert that was wanted; False when too many come that were not."""
        talk = self.talks[key]
        met = talk.wanted.pop(known.node, None)
        if met is None:
            return [], talk.unasked.take(now)
        self._coming.pop(known.node, None)
        talk.is_tight = not self.take_in(known, key, now, now_s, met=met)
        # What has no place as told by this neighbour may have one as told by another.
        actions = self._ask_all(now, known.node) if talk.is_tight else []
        return actions if talk.wanted else actions + self._ask(key, talk, now), True

    def take_in(self, known: Known, source: bytes, now: float, now_s: float, *, met: bool) -> bool:
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
        return reason is None


def _draw_of(entry: Entry) -> int:
    return entry.draw
