# SPDX-License-Identifier: MIT
"""The bounded directory of adverts: what is kept, what gives way. Who tells it is in `exchange`.

Theory of operation
-------------------
Each advert that is held has one **source**: the neighbour that told it first. No source
holds more than its share, so what one liar tells fills its own share, whatever the number
of its keys. A full directory takes the place for a newcomer from the source that holds
most; within a source the better **standing** stays, and within a standing the lower draw.

Four standings, best first: adverts that stay (of nodes that we dialled and proved
ourselves, *met*, and of our neighbours); near ones and ones that list our models, within
quotas; ones that their source says to have met; the rest. Met ones belong to no neighbour.
Whoever was met first keeps the place while its advert lives: latecomers cannot displace it.

When a source leaves, what it told stays as told by nobody (`GONE`). That may be more than a
share, and then it is the first to give way: coming and going under many names fills only
what nobody else wants.
"""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet

from protocol.draw import check_salt, draw
from protocol.entry import REST, STAYS, VOUCHED, Counts, Entry
from protocol.known import Known, trouble_with
from protocol.limits import (
    ADVERT_INTERVAL_S_MIN,
    DIRECTORY_MAX,
    FITTING_SHARE,
    MET_SHARE,
    NEAR_SHARE,
    SOURCE_SHARE,
)
from protocol.reasons import Reason

#: The source of adverts whose teller has left, or that come from the peer cache.
GONE = b"gone"
#: The source of adverts of nodes that we dialled and proved ourselves.
MET = b"met"


class Directory:
    """Adverts of other nodes, by node; in the order in which they became news."""

    def __init__(
        self,
        me: bytes,
        salt: bytes,
        *,
        room: int = DIRECTORY_MAX,
        models: AbstractSet[bytes] = frozenset(),
    ) -> None:
        """Begin empty; a simulator of very many nodes gives each less room.

        `models` are those of this node; it may be a view that changes with what is at hand.
        """
        check_salt(salt)
        self.me = me
        self.room = room
        self.share = max(1, room // SOURCE_SHARE)
        self.models = models
        self.entries: dict[bytes, Entry] = {}
        self.revision = 0
        #: Neighbours that we chose: what they tell is not left to those who chose us.
        self.tellers: set[bytes] = set()
        self._salt = salt
        self._counts = Counts()
        self._round_trips: dict[bytes, float] = {}
        self._met = 0
        self._meetings = 0
        self._worst: dict[bytes, Entry] = {}
        self._earliest_expiry_s = 0
        self._in_turn: list[Entry] | None = None

    def __len__(self) -> int:
        """Count the adverts held."""
        return len(self.entries)

    def __iter__(self) -> Iterator[Entry]:
        """Go through the adverts, oldest news first."""
        return iter(self.entries.values())

    def __contains__(self, node: bytes) -> bool:
        """Tell whether an advert of this node is held."""
        return node in self.entries

    def has_room(self) -> bool:
        """Tell whether an advert could come without another one giving way."""
        return len(self.entries) < self.room

    def free_of(self, source: bytes) -> int:
        """Count what this source could tell without another advert giving way."""
        return min(self.room - len(self.entries), self.share - self.held_of(source))

    def held_of(self, source: bytes) -> int:
        """Count the adverts of one source."""
        return self._counts.sources.get(source, 0)

    def in_turn(self) -> list[Entry]:
        """Give all entries in the order of their draws: a walk along it tells all in time."""
        if self._in_turn is None:
            self._in_turn = sorted(self.entries.values(), key=_by_draw)
        return self._in_turn

    def news_since(self, revision: int) -> list[Entry]:
        """Give what changed after `revision`, oldest first."""
        fresh = []
        for entry in reversed(self.entries.values()):
            if entry.revision <= revision:
                break
            fresh.append(entry)
        return fresh[::-1]

    # --- what comes in ---------------------------------------------------------------------

    def wants(self, node: bytes, version: tuple[int, int], source: bytes, *, vouched: bool) -> bool:
        """Tell from a digest alone whether the advert is worth fetching from this source."""
        if node == self.me:
            return False
        held = self.entries.get(node)
        if held is not None:
            return version > held.known.version and not _too_soon(version, held)
        standing = VOUCHED if vouched else REST
        victim = self._victim(source)
        return victim is None or self._gives_way(victim, source, standing, self._place(node))

    def admit(
        self, known: Known, source: bytes, now_s: float, *, vouched: bool = False
    ) -> Reason | None:
        """Keep a verified advert; else say why not. None of the reasons is the teller's fault."""
        self.expire(now_s)
        if reason := trouble_with(known, now_s):
            return reason
        held = self.entries.get(known.node)
        if known.node == self.me or (
            held is not None
            and (known.version <= held.known.version or _too_soon(known.version, held))
        ):
            return Reason.STALE
        if held is not None:
            return self._renew(held, known)
        entry = Entry(known, source, self._place(known.node), vouched=vouched)
        entry.fits = self._fits(known, source)
        if not self._counts.have_room(entry) or not self._make_room(entry):
            return Reason.VIEW_FULL
        self._earliest_expiry_s = min(
            self._earliest_expiry_s or known.advert.expires_at_s(), known.advert.expires_at_s()
        )
        self.entries[known.node] = entry
        self._count(entry, 1)
        self._is_news(entry)
        return None

    def adopt(self, entry: Entry, source: bytes, *, vouched: bool) -> None:
        """Let a neighbour stand for an advert that it holds too, if it is a better teller."""
        if entry.source == source:
            if entry.vouched is not vouched:
                entry.vouched = vouched
                self._worst.pop(source, None)
            return
        mine, theirs = source in self.tellers, entry.source in self.tellers or entry.source == MET
        # Who holds more already takes none from others: they would only fill up again.
        fewer = self.held_of(source) < self.held_of(entry.source)
        better = entry.source == GONE or (mine and not theirs and fewer)
        if (
            better
            and self.held_of(source) < self.share
            and self._counts.have_room_with(entry, source)
        ):
            entry.vouched = vouched
            self._attribute(entry, source)

    def _renew(self, entry: Entry, known: Known) -> Reason | None:
        moved = Entry(known, entry.source, entry.draw, vouched=entry.vouched)
        if known.range != entry.known.range and not self._counts.have_room(moved):
            return Reason.VIEW_FULL
        self._count(entry, -1)
        entry.known, entry.fits = known, self._fits(known, entry.source)
        self._count(entry, 1)
        self._earliest_expiry_s = min(self._earliest_expiry_s, known.advert.expires_at_s())
        self._is_news(entry)
        return None

    # --- what is known first-hand ------------------------------------------------------------

    def mark_met(self, node: bytes) -> None:
        """Keep a node that we dialled and proved; when the quota is full, the earlier ones stay."""
        entry = self.entries.get(node)
        if entry is None or entry.met or self._met >= self.room // MET_SHARE:
            return
        self._meetings += 1
        entry.met = self._meetings
        self._met += 1
        self._attribute(entry, MET)
        self._is_news(entry)

    def on_round_trip(self, node: bytes, round_trip_s: float) -> None:
        """Note how near a node is; the nearest ones keep their places."""
        entry = self.entries.get(node)
        if entry is None or self._round_trips.get(node) == round_trip_s:
            return
        self._round_trips[node] = round_trip_s
        entry.near = True
        self._worst.pop(entry.source, None)
        if len(self._round_trips) > max(1, self.room // NEAR_SHARE):
            farthest = max(self._round_trips, key=lambda key: (self._round_trips[key], key))
            del self._round_trips[farthest]
            self.entries[farthest].near = False
            self._worst.pop(self.entries[farthest].source, None)

    def leave(self, source: bytes) -> None:
        """Keep what a departed neighbour told, as told by nobody."""
        if self.held_of(source):
            for entry in self.entries.values():
                if entry.source == source:
                    self._attribute(entry, GONE)

    # --- what goes out -------------------------------------------------------------------------

    def expire(self, now_s: float) -> None:
        """Let go of every advert whose time is over."""
        if now_s < self._earliest_expiry_s or not self.entries:
            return
        for entry in list(self.entries.values()):
            if now_s >= entry.known.advert.expires_at_s():
                self.remove(entry)
        self._earliest_expiry_s = min(
            (entry.known.advert.expires_at_s() for entry in self.entries.values()), default=0
        )

    def remove(self, entry: Entry) -> None:
        """Let go of one advert."""
        node = entry.known.node
        del self.entries[node]
        self._round_trips.pop(node, None)
        self._met -= bool(entry.met)
        self._count(entry, -1)
        self._in_turn = None

    def snapshot(self) -> tuple[list[bytes], list[bytes]]:
        """Give the sealed adverts for the peer cache: the met ones, first met first; the others."""
        met = sorted((entry for entry in self if entry.met), key=lambda entry: entry.met)
        others = [entry for entry in self.in_turn() if not entry.met]
        return [entry.known.wire for entry in met], [entry.known.wire for entry in others]

    def _make_room(self, entry: Entry) -> bool:
        victim = self._victim(entry.source)
        if victim is None:
            return True
        if not self._gives_way(victim, entry.source, entry.standing, entry.draw):
            return False
        self.remove(victim)
        return True

    def _victim(self, source: bytes) -> Entry | None:
        """Name the entry to let go before one of this source comes; None when there is room."""
        held = self.held_of(source)
        if held >= self.share and source != GONE:
            return self._worst_of(source)
        if self.has_room():
            return None
        most, loser = 0, GONE
        for name, count in self._counts.sources.items():
            if count >= most and name != MET and (count, name) > (most, loser):
                most, loser = count, name
        return self._worst_of(loser if most > held + 1 or not held else source)

    def _worst_of(self, source: bytes) -> Entry:
        worst = self._worst.get(source)
        if worst is None:
            of_source = (entry for entry in self.entries.values() if entry.source == source)
            worst = self._worst[source] = max(of_source, key=_by_standing)
        return worst

    def _gives_way(self, victim: Entry, source: bytes, standing: int, place: int) -> bool:
        if victim.standing == STAYS:
            return False
        return victim.source != source or (standing, place) < _by_standing(victim)

    # --- books ----------------------------------------------------------------------------------

    def _place(self, node: bytes) -> int:
        return draw(self._salt, b"keep", node)

    def _fits(self, known: Known, source: bytes) -> bool:
        room = self._counts.fitting.get(source, 0) < max(1, self.share // FITTING_SHARE)
        return room and not self.models.isdisjoint(known.models)

    def _attribute(self, entry: Entry, source: bytes) -> None:
        self._count(entry, -1)
        entry.source = source
        self._count(entry, 1)

    def _count(self, entry: Entry, change: int) -> None:
        self._counts.add(entry, change)
        self._worst.pop(entry.source, None)

    def _is_news(self, entry: Entry) -> None:
        node = entry.known.node
        self.revision += 1
        entry.revision = self.revision
        self.entries.pop(node, None)
        self.entries[node] = entry
        self._in_turn = None


def _too_soon(version: tuple[int, int], held: Entry) -> bool:
    return version[0] - held.known.advert.issued_at_s < ADVERT_INTERVAL_S_MIN


def _by_draw(entry: Entry) -> int:
    return entry.draw


def _by_standing(entry: Entry) -> tuple[int, int]:
    return entry.order
