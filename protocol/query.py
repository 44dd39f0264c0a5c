# SPDX-License-Identifier: MIT
"""Searching beyond the directory: who has it. Placing work with whom was found is not done here.

Theory of operation
-------------------
The asker asks each node itself; nobody forwards a query. It begins with its own directory,
then asks its neighbours over streams that are open anyway, then nodes out of its directory,
then nodes that answers named: ring by ring, a few at a time, until enough was found or
QUERY_NODES_MAX nodes were asked. Within a ring it takes turns between those who told it of
the nodes, so one liar cannot fill the ring.

A node that is asked answers once per query, from its directory and itself, and does
nothing else. So a query costs the mesh at most one answer per node that the asker pays a
message for, and there are no loops to break and no budgets of others to trust.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Annotated

from protocol.actions import Action, Ask, Found, SearchEnded, Send
from protocol.advert import REACH_OUTBOUND, Name
from protocol.bounded import Allowance, remember
from protocol.canon import (
    Message,
    OptionalDigest,
    Uint,
    message,
    values_of,
)
from protocol.codecs import BytesCodec, UintCodec
from protocol.directory import Directory
from protocol.draw import draw
from protocol.entry import Entry
from protocol.known import Known
from protocol.limits import (
    ANSWERS_MAX,
    ASK_S_MAX,
    KEYS_REMEMBERED_MAX,
    QUERIES_REMEMBERED_MAX,
    QUERY_BURST,
    QUERY_NODES_MAX,
    QUERY_OTHERS_MAX,
    QUERY_PARALLEL_MAX,
    QUERY_REFILL_S,
    QUERY_S_MAX,
    STATEMENT_BYTES_MAX,
    STRANGER_QUERY_BURST,
    VIEW_MESSAGE_BYTES_MAX,
)
from protocol.reasons import Reason

QueryId = Annotated[bytes, BytesCodec(16, 16)]
SealedAdvert = BytesCodec(65, STATEMENT_BYTES_MAX + 64)


@message("query", most=VIEW_MESSAGE_BYTES_MAX)
class Query(Message):
    """Who has this? All conditions together; 0 and empty ask for nothing."""

    id: QueryId
    model: OptionalDigest
    accelerator: Name
    accelerator_mib: Uint
    memory_mib: Uint
    fp32_mflops: Uint
    most: Annotated[int, UintCodec(1, ANSWERS_MAX)]

    def fits(self, known: Known) -> bool:
        """Tell whether a node says that it has what is asked for."""
        advert = known.advert
        return (
            (not self.model or self.model in known.models)
            and (not self.accelerator or self.accelerator == advert.accelerator)
            and advert.accelerator_mib >= self.accelerator_mib
            and advert.memory_mib >= self.memory_mib
            and advert.fp32_mflops >= self.fp32_mflops
        )


@message("answer", most=VIEW_MESSAGE_BYTES_MAX)
class Answer(Message):
    """Sealed adverts of nodes that fit, and of others that may know more."""

    id: QueryId
    adverts: Annotated[tuple[bytes, ...], values_of(SealedAdvert, 0, ANSWERS_MAX)]
    others: Annotated[tuple[bytes, ...], values_of(SealedAdvert, 0, QUERY_OTHERS_MAX)]


#: What the answer's own fields, and the length before each advert, take at most.
_ANSWER_FRAME_BYTES = 64 + 4 * (ANSWERS_MAX + QUERY_OTHERS_MAX)


class Answering:
    """Answers other nodes' queries, each once, at a bounded rate."""

    def __init__(self, salt: bytes, directory: Directory) -> None:
        """Begin with nobody having asked."""
        self._salt = salt
        self._directory = directory
        self._askers: dict[bytes, Allowance] = {}
        self._strangers: Allowance | None = None
        self._answered: dict[bytes, None] = {}

    def on_query(
        self, key: bytes, query: Query, own: Known | None, now: float, *, neighbour: bool
    ) -> list[Action]:
        """Answer, or stay silent to one who asks too much or the same again."""
        asker = self._askers.get(key)
        if asker is None:
            asker = Allowance(QUERY_BURST, QUERY_REFILL_S, now)
            remember(self._askers, key, asker, KEYS_REMEMBERED_MAX)
        if key + query.id in self._answered or not asker.take(now):
            return []
        if not neighbour and not self._strangers_may(now):
            return []
        remember(self._answered, key + query.id, None, QUERIES_REMEMBERED_MAX)
        return [Send(key, self._answer(key, query, own))]

    def _strangers_may(self, now: float) -> bool:
        if self._strangers is None:
            self._strangers = Allowance(STRANGER_QUERY_BURST, QUERY_REFILL_S / 4, now)
        return self._strangers.take(now)

    def _answer(self, key: bytes, query: Query, own: Known | None) -> Answer:
        fitting = [entry for entry in self._directory if query.fits(entry.known)]
        known = [entry.known for entry in self._by_standing(fitting, query)]
        if own is not None and query.fits(own):
            known.insert(0, own)
        met = [entry for entry in self._directory if entry.met]
        others = [
            entry.known for entry in self._by_standing(met, query) if not query.fits(entry.known)
        ]
        room = VIEW_MESSAGE_BYTES_MAX - _ANSWER_FRAME_BYTES
        adverts, room = _as_many(known, key, query.most, room)
        return Answer(query.id, adverts, _as_many(others, key, QUERY_OTHERS_MAX, room)[0])

    def _by_standing(self, entries: list[Entry], query: Query) -> list[Entry]:
        """Ones that we met first; then by a draw of this query, so that all get their turn."""
        return sorted(
            entries,
            key=lambda entry: (
                entry.standing,
                draw(self._salt, b"answer", query.id + entry.known.node),
            ),
        )


def _as_many(
    known: Iterable[Known], asker: bytes, most: int, room: int
) -> tuple[tuple[bytes, ...], int]:
    wires: list[bytes] = []
    for one in known:
        if len(wires) < most and len(one.wire) <= room and one.node != asker:
            wires.append(one.wire)
            room -= len(one.wire)
    return tuple(wires), room


@dataclass(frozen=True, slots=True, order=True)
class _Candidate:
    """A node to ask: by ring, then in turns of its tellers, then by draw."""

    ring: int
    turn: int
    place: int
    key: bytes
    addresses: tuple[str, ...]


class Search:
    """One search of this node, from its first question to its end."""

    def __init__(
        self,
        me: bytes,
        salt: bytes,
        query: Query,
        now: float,
        among: frozenset[bytes] | None = None,
    ) -> None:
        """Begin with nobody to ask; see `expect`. Nobody outside `among` is asked or found."""
        self.me = me
        self.among = among
        self.query = query
        self.deadline = now + QUERY_S_MAX
        self.asking: dict[bytes, float] = {}
        self.asked = 0
        self.found: dict[bytes, Known] = {}
        self._salt = salt
        self._credited = 0
        self._seen: dict[bytes, None] = {me: None}
        self._line: list[_Candidate] = []

    def expect(self, ring: int, turn: int, known: Known) -> None:
        """Put a node in the line, once."""
        if known.advert.addresses and known.advert.reach != REACH_OUTBOUND:
            self._stand_in_line(ring, turn, known.node, known.advert.addresses)

    def expect_neighbour(self, key: bytes) -> None:
        """Put a node in the first ring that need not be dialled."""
        self._stand_in_line(0, 0, key, ())

    def _stand_in_line(self, ring: int, turn: int, key: bytes, addresses: tuple[str, ...]) -> None:
        if key not in self._seen and (self.among is None or key in self.among):
            self._seen[key] = None
            place = draw(self._salt, b"ask", self.query.id + key)
            heappush(self._line, _Candidate(ring, turn, place, key, addresses))

    def take(self, known: Iterable[Known], teller: bytes) -> list[Action]:
        """Note what was found; one teller counts for at most half of what is wanted."""
        new = [one for one in known if one.node not in self.found and self._may_find(one.node)]
        self.found.update((one.node, one) for one in new)
        half = len(new) if teller == self.me else (self.query.most + 1) // 2
        self._credited += min(len(new), half)
        return [Found(self.query.id, tuple(new))] if new else []

    def _may_find(self, key: bytes) -> bool:
        return key != self.me and (self.among is None or key in self.among)

    def on_answer(
        self, key: bytes, adverts: list[Known], others: list[Known]
    ) -> tuple[list[Action], bool]:
        """Take an answer that was asked for; False when it names nodes that do not fit."""
        del self.asking[key]
        for turn, one in enumerate(others):
            self.expect(2, turn, one)
        fitting = [one for one in adverts if self.query.fits(one)]
        return self.take(fitting, key), len(fitting) == len(adverts)

    def go_on(self, now: float) -> tuple[list[Action], bool]:
        """Ask the next nodes; True when the search is over."""
        for key in [key for key, deadline in self.asking.items() if now >= deadline]:
            del self.asking[key]
        enough = self._credited >= self.query.most
        actions: list[Action] = []
        while not enough and now < self.deadline and self._line:
            if self.asked >= QUERY_NODES_MAX or len(self.asking) >= QUERY_PARALLEL_MAX:
                break
            next_one = heappop(self._line)
            self.asking[next_one.key] = now + ASK_S_MAX
            self.asked += 1
            actions.append(Ask(next_one.key, next_one.addresses, self.query))
        if not enough and now < self.deadline and self.asking:
            return actions, False
        reason = None if enough else Reason.QUERY_SPENT if self.found else Reason.NO_WORKER
        return [SearchEnded(self.query.id, len(self.found), self.asked, reason)], True
