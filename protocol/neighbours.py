# SPDX-License-Identifier: MIT
"""The active view: whom to dial, whom to keep, whom to drop. What neighbours tell is in `exchange`.

Theory of operation
-------------------
Twelve places: six that only we fill, by dialling, and six for those who dial us. So a flood of
strangers competes for its own half alone. Four of those we chose and two of those who came,
the first ever proven here, are **stable**: never replaced while they live and behave. Of the
rest of those we chose, one is drawn anew from time to time, dialled first and only then put
in the place of another, so the mesh mixes and never gets thinner by it.

Whom we dial is drawn by source, not by advert: first a teller, then one of its adverts. Only
neighbours that we chose count as tellers, and the memory of nodes that we met; strangers
who came to us are not asked whom to dial. Most draws take nodes that the teller has met
itself, every fourth one that nobody vouches for. When a stable place is to be filled, the
node that we met first comes before any draw. And when a node dials us that was proven here
before one of those who came to us, it takes that one's place: latecomers cannot keep old
neighbours apart by filling the places.

A stranger beyond the places is a guest for a few seconds, or waits to be one (`strangers`): it
is told adverts, and not listened to, and then sent on. So a full bootstrap node still opens the
door to a crowd, as fast as its line can tell each of them where else to go.
"""

from protocol.actions import Action, Dial, Drop
from protocol.advert import REACH_OUTBOUND
from protocol.directory import MET, Directory
from protocol.draw import draw
from protocol.entry import Entry
from protocol.limits import (
    DIAL_REST_S_MIN,
    DIAL_S_MAX,
    FEELER_EVERY,
    INBOUND_NEIGHBOURS_MAX,
    OUTBOUND_NEIGHBOURS_SOUGHT,
    PROVEN_S,
    RANGE_NEIGHBOURS_MAX,
    REDRAW_S,
    STABLE_NEIGHBOURS,
    STABLE_OUTBOUND,
    STRIKES_MAX,
)
from protocol.memory import Memory
from protocol.reasons import Reason
from protocol.strangers import Strangers

_STABLE_INBOUND = STABLE_NEIGHBOURS - STABLE_OUTBOUND


class Neighbour:
    """A connected node that takes one of the places."""

    __slots__ = ("inbound", "key", "proven", "since", "strikes")

    def __init__(self, key: bytes, now: float, *, inbound: bool) -> None:
        """Begin unproven."""
        self.key = key
        self.inbound = inbound
        self.since = now
        self.proven = False
        self.strikes = 0


class Neighbours:
    """The active view of one node."""

    def __init__(
        self, me: bytes, salt: bytes, directory: Directory, bootstrap: tuple[Dial, ...] = ()
    ) -> None:
        """Begin alone; `bootstrap` is dialled while the directory has nobody better."""
        self.me = me
        self.linked: dict[bytes, Neighbour] = {}
        self.strangers = Strangers()
        self.dialling: dict[bytes, float] = {}
        self._salt = salt
        self._directory = directory
        self._bootstrap = {dial.key: dial for dial in bootstrap if dial.key != me}
        self.memory = Memory()
        self._round = 0
        self._redraw_at = 0.0

    @property
    def guests(self) -> dict[bytes, float]:
        """Who is a guest, since when."""
        return self.strangers.guests

    @property
    def waiting(self) -> dict[bytes, float]:
        """Who waits to be a guest, since when."""
        return self.strangers.waiting

    def outbound(self) -> list[Neighbour]:
        """Give the neighbours that we chose, oldest first."""
        return [neighbour for neighbour in self.linked.values() if not neighbour.inbound]

    def inbound(self) -> list[Neighbour]:
        """Give the neighbours that chose us, oldest first."""
        return [neighbour for neighbour in self.linked.values() if neighbour.inbound]

    def is_stranger(self, key: bytes) -> bool:
        """Tell whether the node is a guest, or waits to be one."""
        return key in self.strangers

    def stable(self) -> list[Neighbour]:
        """Give those that nothing but their own death or fault replaces: the first proven."""
        proven = sorted(
            (one for one in self.linked.values() if one.proven),
            key=lambda one: self.memory.seniority(one.key),
        )
        chosen = [one for one in proven if not one.inbound]
        came = [one for one in proven if one.inbound]
        return chosen[:STABLE_OUTBOUND] + came[:_STABLE_INBOUND]

    # --- what happens ------------------------------------------------------------------------

    def on_connected(self, key: bytes, now: float, *, inbound: bool) -> list[Action]:
        """Give the node a place, make it a guest, or send it away."""
        chosen = self.dialling.pop(key, None) is not None
        if key in self.linked or (self.is_stranger(key) and inbound and not chosen):
            return []
        self.strangers.send_on(key)
        if self.memory.shuns(key, now):
            return [Drop(key, Reason.BANNED)]
        if chosen or not inbound:
            # Whoever dialled first: if both wanted it, both chose it.
            self._link(key, now, inbound=False)
            return self._thin_out(key)
        if self._takes_inbound():
            self._link(key, now, inbound=True)
            return []
        stranger = self._gives_way_to(key)
        if stranger is not None:
            self._unlink(stranger)
            self._link(key, now, inbound=True)
            return [Drop(stranger, Reason.VIEW_FULL)]
        return _sent_on(self.strangers.host(key, now))

    def on_disconnected(self, key: bytes, now: float) -> None:
        """Forget the place; one that left before it was proven is left alone for a while."""
        self.strangers.send_on(key)
        neighbour = self._unlink(key)
        if neighbour is not None and not neighbour.inbound:
            self.memory.rest(key, now)

    def on_dial_failed(self, key: bytes, now: float) -> None:
        """Let the node rest, longer each time."""
        if self.dialling.pop(key, None) is not None:
            self.memory.rest(key, now)

    def on_told(self, key: bytes, now: float) -> list[Action]:
        """Note that a node got adverts that it asked for; a guest makes room for the next one."""
        self.strangers.on_told(key)
        return _sent_on(self.strangers.turn_over(now))

    def strike(self, key: bytes, *, fatal: bool) -> bool:
        """Count a fault; tell whether it was one too many."""
        neighbour = self.linked.get(key)
        if neighbour is None:
            return fatal
        neighbour.strikes += 1
        return fatal or neighbour.strikes >= STRIKES_MAX

    def shun(self, key: bytes, now: float) -> list[Action]:
        """End with this node for a long while."""
        self.memory.shun(key, now)
        self.dialling.pop(key, None)
        here = self._unlink(key) is not None or self.strangers.send_on(key)
        return [Drop(key, Reason.BANNED)] if here else []

    # --- as time goes by -----------------------------------------------------------------------

    def tick(self, now: float) -> list[Action]:
        """Prove, promote and send on; then dial for every place that is to be filled."""
        for key in [key for key, deadline in self.dialling.items() if now >= deadline]:
            self.on_dial_failed(key, now)
        for neighbour in self.linked.values():
            if not neighbour.proven and now >= neighbour.since + PROVEN_S:
                self._prove(neighbour)
        self._let_in(now)
        gone = self.strangers.over(now) + self.strangers.turn_over(now)
        return _sent_on(gone) + self._dials(now)

    def next_tick_at(self, now: float) -> float:
        """Tell when something will be due, if nothing happens before."""
        times = [self._redraw_at, self.strangers.next_tick_at(), *self.dialling.values()]
        times += [one.since + PROVEN_S for one in self.linked.values() if not one.proven]
        if len(self.outbound()) + len(self.dialling) < OUTBOUND_NEIGHBOURS_SOUGHT:
            times.append(now + DIAL_REST_S_MIN)
        return min(times)

    def _dials(self, now: float) -> list[Action]:
        if not self._redraw_at:
            # Nodes that started together do not draw together.
            self._redraw_at = now + REDRAW_S + draw(self._salt, b"redraw", self.me) % REDRAW_S
        missing = OUTBOUND_NEIGHBOURS_SOUGHT - len(self.outbound()) - len(self.dialling)
        if now >= self._redraw_at:
            self._redraw_at = now + REDRAW_S
            missing = max(missing, 1)
        actions: list[Action] = []
        for _ in range(missing):
            dial = self._choose(now)
            if dial is None:
                break
            self.dialling[dial.key] = now + DIAL_S_MAX
            actions.append(dial)
        return actions

    # --- whom to choose ------------------------------------------------------------------------

    def _choose(self, now: float) -> Dial | None:
        self._round += 1
        ranges = [
            self._range_of(key) for key in (*self.dialling, *(o.key for o in self.outbound()))
        ]
        usable = [
            entry
            for entry in self._directory
            if self._may_dial(entry.known.node, now)
            and entry.known.advert.addresses
            and entry.known.advert.reach != REACH_OUTBOUND
            and (not entry.known.range or ranges.count(entry.known.range) < RANGE_NEIGHBOURS_MAX)
        ]
        entry = self._pick(usable)
        if entry is not None:
            return Dial(entry.known.node, entry.known.advert.addresses)
        keys = [key for key in self._bootstrap if self._may_dial(key, now)]
        if not keys:
            return None
        return self._bootstrap[min(keys, key=lambda key: self._draw(b"bootstrap", key))]

    def _pick(self, usable: list[Entry]) -> Entry | None:
        met = [entry for entry in usable if entry.met]
        if met and sum(one.proven for one in self.outbound()) < STABLE_OUTBOUND:
            return min(met, key=lambda entry: entry.met)
        tellers = {MET, *self._directory.tellers}
        feeler = self._round % FEELER_EVERY == 0
        told = [entry for entry in usable if entry.source in tellers]
        fitting = [e for e in told if bool(e.vouched or e.met) is not feeler]
        pool = fitting or told or usable
        if not pool:
            return None
        sources = sorted({entry.source for entry in pool})
        teller = min(sources, key=lambda source: self._draw(b"teller", source))
        return min(
            (entry for entry in pool if entry.source == teller),
            key=lambda entry: self._draw(b"dial", entry.known.node),
        )

    def _may_dial(self, key: bytes, now: float) -> bool:
        busy = key in self.linked or self.is_stranger(key) or key in self.dialling
        return not (busy or self.memory.rests(key, now) or self.memory.shuns(key, now))

    def _thin_out(self, newest: bytes) -> list[Action]:
        """After a re-draw, let one random neighbour that we dialled go."""
        outbound = self.outbound()
        if len(outbound) <= OUTBOUND_NEIGHBOURS_SOUGHT:
            return []
        firm = {one.key for one in self.stable()} | {newest}
        leaving = [one.key for one in outbound if one.key not in firm]
        key = min(leaving, key=lambda key: self._draw(b"thin", key))
        self._unlink(key)
        return [Drop(key, Reason.VIEW_FULL)]

    def _takes_inbound(self) -> bool:
        return len(self.inbound()) < INBOUND_NEIGHBOURS_MAX

    def _gives_way_to(self, key: bytes) -> bytes | None:
        """Name the one who chose us and makes room for a node that was proven here before it."""
        firm = {one.key for one in self.stable()}
        loose = [one.key for one in self.inbound() if one.key not in firm]
        last = max(loose, key=self.memory.seniority, default=key)
        return last if self.memory.seniority(key) < self.memory.seniority(last) else None

    def _prove(self, neighbour: Neighbour) -> None:
        neighbour.proven = True
        self.memory.prove(neighbour.key, self._directory.entries)
        if not neighbour.inbound:
            self.memory.awake(neighbour.key)
            self._directory.mark_met(neighbour.key)

    def _let_in(self, now: float) -> None:
        """Give strangers the places that are free."""
        key = self.strangers.first()
        while key is not None and self._takes_inbound():
            self.strangers.send_on(key)
            self._link(key, now, inbound=True)
            key = self.strangers.first()

    def _unlink(self, key: bytes) -> Neighbour | None:
        self._directory.tellers.discard(key)
        return self.linked.pop(key, None)

    def _link(self, key: bytes, now: float, *, inbound: bool) -> None:
        if not inbound:
            self._directory.tellers.add(key)
        self.linked[key] = Neighbour(key, now, inbound=inbound)

    def _range_of(self, key: bytes) -> str:
        entry = self._directory.entries.get(key)
        return entry.known.range if entry else ""

    def _draw(self, purpose: bytes, candidate: bytes) -> int:
        return draw(self._salt, purpose, candidate, self._round)


def _sent_on(keys: list[bytes]) -> list[Action]:
    return [Drop(key, Reason.VIEW_FULL) for key in keys]
