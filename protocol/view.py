# SPDX-License-Identifier: MIT
"""The view of one node: who is there, and who has it. Connections and bytes are the driver's.

One object that a driver feeds with what happens and that answers with actions. `now` is
monotonic seconds, `now_s` the wall clock, by which adverts expire. The parts:
`neighbours` says whom to be connected with, `directory` which adverts to keep, `exchange`
how they spread, `query` how to search beyond them.
"""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from protocol.actions import Action, Dial, Misbehaved
from protocol.canon import Message
from protocol.directory import GONE, Directory
from protocol.draw import draw
from protocol.errors import LocalProtocolError, Refused, RemoteProtocolError
from protocol.exchange import Exchange, Summary, Wanted
from protocol.known import Known, Verify, trouble_with
from protocol.limits import DIRECTORY_MAX, QUERY_NODES_MAX, SEARCHES_MAX
from protocol.neighbours import Neighbours
from protocol.query import Answer, Answering, Query, Search
from protocol.reasons import Reason


class View:
    """What one node knows of the mesh."""

    def __init__(
        self,
        me: bytes,
        salt: bytes,
        verify: Verify,
        *,
        bootstrap: tuple[Dial, ...] = (),
        models: AbstractSet[bytes] = frozenset(),
        room: int = DIRECTORY_MAX,
    ) -> None:
        """Begin alone. `verify` reads and checks a sealed advert (see `known.verifier`)."""
        self.me = me
        self.directory = Directory(me, salt, room=room, models=models)
        self.neighbours = Neighbours(me, salt, self.directory, bootstrap)
        self.exchange = Exchange(me, salt, self.directory)
        self.searches: dict[bytes, Search] = {}
        self._salt = salt
        self._verify = verify
        self._answering = Answering(salt, self.directory)
        self._searched = 0

    # --- what this node does ------------------------------------------------------------------

    def describe(self, wire: bytes, now: float) -> None:
        """Tell the mesh this node's own advert from now on."""
        known = self._verify(wire)
        if known.node != self.me:
            raise LocalProtocolError("a node describes itself only")
        self.exchange.own = known
        self.exchange.hurry(now)

    def search(
        self,
        now: float,
        now_s: float,
        *,
        most: int,
        model: bytes = b"",
        accelerator: str = "",
        accelerator_mib: int = 0,
        memory_mib: int = 0,
        fp32_mflops: int = 0,
        among: frozenset[bytes] | None = None,
    ) -> tuple[bytes, list[Action]]:
        """Look for nodes; give the id of the search. Only nodes `among` these are asked."""
        if len(self.searches) >= SEARCHES_MAX:
            raise Refused(Reason.BUSY, f"{SEARCHES_MAX} searches are running")
        self.directory.expire(now_s)
        self._searched += 1
        head = draw(self._salt, b"query", self.me, self._searched).to_bytes(8, "big")
        tail = draw(self._salt, b"query id", self.me, self._searched).to_bytes(8, "big")
        query = Query(
            head + tail, model, accelerator, accelerator_mib, memory_mib, fp32_mflops, most
        )
        search = Search(self.me, self._salt, query, now, among)
        fitting = [entry.known for entry in self.directory if query.fits(entry.known)]
        actions = search.take(fitting, self.me)
        for key in self.neighbours.linked:
            search.expect_neighbour(key)
        turns: dict[bytes, int] = {}
        for entry in sorted(self.directory, key=lambda entry: entry.order):
            turn = turns[entry.source] = turns.get(entry.source, 0) + 1
            if turn <= QUERY_NODES_MAX:
                search.expect(1, turn, entry.known)
        self.searches[query.id] = search
        return query.id, actions + self._go_on(search, now)

    def adverts(self, now_s: float) -> list[Known]:
        """Give the adverts that are in force now, own one not among them."""
        self.directory.expire(now_s)
        return [entry.known for entry in self.directory]

    def snapshot(self, now_s: float) -> tuple[list[bytes], list[bytes]]:
        """Give sealed adverts for the peer cache: the met ones, first met first; the others."""
        self.directory.expire(now_s)
        return self.directory.snapshot()

    def restore(self, met: Iterable[bytes], others: Iterable[bytes], now_s: float) -> None:
        """Take in a peer cache; what is broken or over in it is left out."""
        for wires, were_met in ((met, True), (others, False)):
            for wire in wires:
                try:
                    known = self._verify(wire)
                except RemoteProtocolError:
                    continue
                if self.directory.admit(known, GONE, now_s) is None and were_met:
                    self.directory.mark_met(known.node)

    # --- what happens -----------------------------------------------------------------------------

    def on_connected(
        self, key: bytes, now: float, now_s: float, *, inbound: bool, advert: bytes = b""
    ) -> list[Action]:
        """Greet a node that said hello; `advert` is its own one out of the hello."""
        known = None
        if advert:
            try:
                known = self._verify(advert)
            except RemoteProtocolError as error:
                return self._blame(key, now, error.reason, error.detail, fatal=True)
            if known.node != key:
                return self._blame(key, now, Reason.WRONG_PARTY, "another's advert", fatal=True)
        actions = self.neighbours.on_connected(key, now, inbound=inbound)
        self._follow(now)
        if known is not None and (key in self.neighbours.linked or self.directory.has_room()):
            self.exchange.take_in(known, key, now, now_s, met=False)
            if key not in self.exchange.talks:
                # It waits or was sent away: others may dial it, who have a place.
                self.directory.leave(key)
        return actions

    def on_disconnected(self, key: bytes, now: float) -> list[Action]:
        """Let go of a node whose connection ended."""
        self.neighbours.on_disconnected(key, now)
        return self._tend(now)

    def on_dial_failed(self, key: bytes, now: float) -> list[Action]:
        """Note that a node could not be reached."""
        self.neighbours.on_dial_failed(key, now)
        return self._tend(now)

    def on_round_trip(self, key: bytes, round_trip_s: float) -> None:
        """Note how near a node is."""
        self.directory.on_round_trip(key, round_trip_s)

    def shun(self, key: bytes, now: float) -> list[Action]:
        """End with a node that was caught elsewhere."""
        actions = self.neighbours.shun(key, now)
        self._follow(now)
        return actions

    def on_message(self, key: bytes, message: Message, now: float, now_s: float) -> list[Action]:
        """Take a message of the view from a node."""
        self.directory.expire(now_s)
        match message:
            case Query():
                neighbour = key in self.neighbours.linked
                own = self.exchange.own
                return self._answering.on_query(key, message, own, now, neighbour=neighbour)
            case Answer():
                return self._on_answer(key, message, now, now_s)
            case Wanted() if key in self.exchange.talks:
                actions, fair = self.exchange.on_wanted(key, message, now)
                actions += self.neighbours.on_told(key, now)
                self._follow(now)
            case Summary() if self._listens_to(key):
                actions, fair = self.exchange.on_summary(key, message, now)
            case Wanted() | Summary():
                # It crossed our goodbye, or comes from one to whom we do not listen yet.
                return []
            case _:
                raise LocalProtocolError(f"{message.KIND} is no message of the view")
        if not fair:
            actions += self._blame(key, now, Reason.UNEXPECTED, f"too many of {message.KIND}")
        return actions

    def on_advert(self, key: bytes, wire: bytes, now: float, now_s: float) -> list[Action]:
        """Take a sealed advert from a neighbour."""
        talk = self.exchange.talks.get(key)
        if talk is None:
            return []
        if talk.wanted:
            try:
                known = self._verify(wire)
            except RemoteProtocolError as error:
                return self._blame(key, now, error.reason, error.detail, fatal=True)
            actions, fair = self.exchange.on_advert(key, known, now, now_s)
            if fair and not talk.wanted:
                # All that was asked for is here: now is the time to draw whom to dial.
                return actions + self._tend(now)
        else:
            # Not worth a check of its signature.
            actions, fair = [], talk.unasked.take(now)
        if not fair:
            actions += self._blame(key, now, Reason.UNEXPECTED, "adverts that nobody wanted")
        return actions

    def on_ask_failed(self, key: bytes, now: float) -> list[Action]:
        """Go on without a node that could not be asked."""
        actions: list[Action] = []
        for search in list(self.searches.values()):
            if search.asking.pop(key, None) is not None:
                actions += self._go_on(search, now)
        return actions

    # --- as time goes by ------------------------------------------------------------------

    def tick(self, now: float, now_s: float) -> list[Action]:
        """Do what is due."""
        self.directory.expire(now_s)
        actions = self._tend(now) + self.exchange.tick(now)
        for search in list(self.searches.values()):
            actions += self._go_on(search, now)
        return actions

    def next_tick_at(self, now: float) -> float:
        """Tell when the next tick is needed, if nothing happens before."""
        times = [self.neighbours.next_tick_at(now), self.exchange.next_tick_at()]
        times += [min(search.asking.values()) for search in self.searches.values()]
        return min(times)

    # --- inside ---------------------------------------------------------------------------

    def _listens_to(self, key: bytes) -> bool:
        """A full directory listens to proven neighbours only: no hit and run."""
        neighbour = self.neighbours.linked.get(key)
        return neighbour is not None and (neighbour.proven or self.directory.has_room())

    def _tend(self, now: float) -> list[Action]:
        actions = self.neighbours.tick(now)
        self._follow(now)
        return actions

    def _follow(self, now: float) -> None:
        """Talk with all who are neighbours or guests now, and with nobody else."""
        gone = [
            key
            for key in self.exchange.talks
            if key not in self.neighbours.linked and key not in self.neighbours.guests
        ]
        for key in gone:
            self.exchange.end(key)
            self.directory.leave(key)
        for key in (*self.neighbours.linked, *self.neighbours.guests):
            if key not in self.exchange.talks:
                self.exchange.begin(key, now)

    def _on_answer(self, key: bytes, answer: Answer, now: float, now_s: float) -> list[Action]:
        search = self.searches.get(answer.id)
        if search is None or key not in search.asking:
            return []
        try:
            adverts = self._read(answer.adverts, now_s)
            others = self._read(answer.others, now_s)
        except RemoteProtocolError as error:
            del search.asking[key]
            blame = self._blame(key, now, error.reason, error.detail, fatal=True)
            return blame + self._go_on(search, now)
        actions, fair = search.on_answer(key, adverts, others)
        if not fair:
            actions += self._blame(key, now, Reason.UNEXPECTED, "an answer that does not fit")
        return actions + self._go_on(search, now)

    def _read(self, wires: tuple[bytes, ...], now_s: float) -> list[Known]:
        known = [self._verify(wire) for wire in wires]
        return [one for one in known if trouble_with(one, now_s) is None]

    def _go_on(self, search: Search, now: float) -> list[Action]:
        actions, over = search.go_on(now)
        if over:
            del self.searches[search.query.id]
        return actions

    def _blame(
        self, key: bytes, now: float, reason: Reason, detail: str, *, fatal: bool = False
    ) -> list[Action]:
        actions: list[Action] = [Misbehaved(key, reason, detail)]
        if self.neighbours.strike(key, fatal=fatal):
            actions += self.shun(key, now)
        return actions
