# SPDX-License-Identifier: MIT
"""A made mesh for tests of the view: many nodes on one heap of events, in virtual time."""

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from heapq import heappop, heappush
from random import Random
from typing import Protocol

from protocol.actions import Action, Ask, Dial, Drop, Found, Misbehaved, SearchEnded, Send
from protocol.advert import Advert, ModelAtHand
from protocol.canon import Message, decode, encode
from protocol.errors import RemoteProtocolError
from protocol.exchange import Summary, Wanted
from protocol.known import Known, known_from
from protocol.limits import ADVERTS_PER_EXCHANGE_MAX, DIRECTORY_MAX, SUMMARY_ROWS_MAX
from protocol.query import Answer, Query
from protocol.reasons import Reason
from protocol.view import View

EPOCH_S = 1_800_000_000
LATENCY_S = 0.04


class Player(Protocol):
    """What takes part in a mesh: a view, or somebody hostile."""

    def on_connected(
        self, key: bytes, now: float, now_s: float, *, inbound: bool, advert: bytes = b""
    ) -> list[Action]: ...
    def on_disconnected(self, key: bytes, now: float) -> list[Action]: ...
    def on_dial_failed(self, key: bytes, now: float) -> list[Action]: ...
    def on_ask_failed(self, key: bytes, now: float) -> list[Action]: ...
    def on_message(
        self, key: bytes, message: Message, now: float, now_s: float
    ) -> list[Action]: ...
    def on_advert(self, key: bytes, wire: bytes, now: float, now_s: float) -> list[Action]: ...
    def tick(self, now: float, now_s: float) -> list[Action]: ...
    def next_tick_at(self, now: float) -> float: ...


def key_of(name: str) -> bytes:
    """A key for a name; nobody can sign with it."""
    return sha256(name.encode()).digest()


def an_advert(node: bytes, **changes: object) -> Advert:
    """An advert of a plain machine."""
    plain = Advert(
        node=node,
        incarnation=bytes(8),
        sequence=1,
        issued_at_s=EPOCH_S,
        ttl_s=12 * 3600,
        cores=4,
        memory_mib=8192,
        disk_mib=1000,
        accelerator="",
        accelerator_mib=0,
        fp32_mflops=40_000,
        int8_mops=80_000,
        memory_mbps=10_000,
        price_version=1,
        rate_min=0,
        gift=1,
        reach=1,
        addresses=("/ip4/10.0.0.1/tcp/4001",),
        models=(),
        extension=b"",
    )
    return replace(plain, **changes)  # type: ignore[arg-type] # the names of fields, as given


def models(*digests: bytes) -> tuple[ModelAtHand, ...]:
    """Models at hand, in order."""
    return tuple(ModelAtHand(digest, 0) for digest in sorted(digests))


class Registry:
    """Adverts without signatures, which cost time: what was registered is genuine."""

    def __init__(self) -> None:
        self.known: dict[bytes, Known] = {}

    def add(self, advert: Advert) -> Known:
        wire = sha256(b"sealed" + encode(advert)).digest() * 3
        return self.known.setdefault(wire, known_from(wire, advert))

    def verify(self, wire: bytes) -> Known:
        known = self.known.get(wire)
        if known is None:
            raise RemoteProtocolError(Reason.BAD_SIGNATURE, "not registered")
        return known


class Mesh:
    """Nodes, links and time."""

    def __init__(self, seed: int = 0, *, on_the_wire: bool = False) -> None:
        self.random = Random(seed)
        self.now = 0.0
        self.registry = Registry()
        self.players: dict[bytes, Player] = {}
        self.views: dict[bytes, View] = {}
        self.own: dict[bytes, Known] = {}
        self.links: dict[bytes, dict[bytes, None]] = {}
        self.log: list[tuple[bytes, Action]] = []
        self.sent: dict[bytes, int] = {}
        self.bytes_sent = 0
        self.answers = 0
        self.on_the_wire = on_the_wire
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._tick_at: dict[bytes, float] = {}

    @property
    def now_s(self) -> float:
        return EPOCH_S + self.now

    # --- who is there ---------------------------------------------------------------------

    def join(
        self,
        name: str,
        *bootstrap: bytes,
        room: int = DIRECTORY_MAX,
        wants: frozenset[bytes] = frozenset(),
        **advert: object,
    ) -> View:
        """Start a node."""
        key = key_of(name)
        changes = {"issued_at_s": int(self.now_s), **advert}
        known = self.registry.add(an_advert(key, **changes))
        view = View(
            key,
            sha256(b"salt" + key).digest(),
            self.registry.verify,
            bootstrap=tuple(Dial(one, ("/ip4/10.0.0.9/tcp/1",)) for one in bootstrap),
            models=wants,
            room=room,
        )
        view.describe(known.wire, self.now)
        self.views[key] = view
        self.add(key, view, known)
        return view

    def add(self, key: bytes, player: Player, known: Known) -> None:
        self.players[key] = player
        self.own[key] = known
        self.links[key] = {}
        self.wake(key, self.now)

    def kill(self, key: bytes) -> None:
        """A node falls silent; its peers notice that the connection is gone."""
        del self.players[key]
        self.views.pop(key, None)
        for other in list(self.links.pop(key)):
            self.links[other].pop(key, None)
            self.later(LATENCY_S, lambda other=other: self._gone(other, key))  # type: ignore[misc] # binds now

    # --- time -----------------------------------------------------------------------------

    def later(self, delay_s: float, step: Callable[[], None]) -> None:
        self._count += 1
        heappush(self._heap, (self.now + delay_s, self._count, step))

    def wake(self, key: bytes, at: float) -> None:
        if at < self._tick_at.get(key, float("inf")):
            self._tick_at[key] = at
            self.later(max(0.0, at - self.now), lambda: self._tick(key, at))

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self._heap and self._heap[0][0] <= end:
            self.now, _, step = heappop(self._heap)
            step()
        self.now = end

    def _tick(self, key: bytes, at: float) -> None:
        if self._tick_at.get(key) != at:
            return
        del self._tick_at[key]
        if key in self.players:
            self.do(key, self.players[key].tick(self.now, self.now_s))

    # --- what they do ------------------------------------------------------------------------

    def do(self, key: bytes, actions: list[Action]) -> None:
        """Carry out what a player asks for, then see when it wants to be woken."""
        for action in actions:
            match action:
                case Dial():
                    self.later(2 * LATENCY_S, lambda to=action.key: self._connect(key, to))  # type: ignore[misc] # binds now
                case Drop():
                    self._cut(key, action.key)
                case Send(what=Query() | Answer()):
                    self._carry(key, action.key, action.what)
                case Send():
                    if action.key in self.links[key]:
                        self._carry(key, action.key, action.what)
                case Ask():
                    self._carry(key, action.key, action.query)
                case Misbehaved() | Found() | SearchEnded():
                    self.log.append((key, action))
        if key in self.players:
            self.wake(key, max(self.now + 0.01, self.players[key].next_tick_at(self.now)))

    def _connect(self, key: bytes, to: bytes) -> None:
        me, other = self.players.get(key), self.players.get(to)
        if me is None:
            return
        if other is None or to == key:
            self.do(key, me.on_dial_failed(to, self.now))
            return
        self.links[key][to] = None
        self.links[to][key] = None
        for one, two, player, inbound in ((key, to, me, False), (to, key, other, True)):
            if two in self.links[one]:
                advert = self.own[two].wire
                self.do(
                    one,
                    player.on_connected(two, self.now, self.now_s, inbound=inbound, advert=advert),
                )

    def _cut(self, key: bytes, other: bytes) -> None:
        if self.links[key].pop(other, 0) is None:
            self.links[other].pop(key, None)
            self.later(LATENCY_S, lambda: self._gone(other, key))

    def _gone(self, key: bytes, other: bytes) -> None:
        if key in self.players and other not in self.links[key]:
            self.do(key, self.players[key].on_disconnected(other, self.now))

    def _carry(self, key: bytes, to: bytes, what: Message | bytes) -> None:
        if self.on_the_wire and isinstance(what, Message):
            body = encode(what)
            self.bytes_sent += len(body)
            what = decode(body, type(what))
        self.sent[key] = self.sent.get(key, 0) + 1
        self.later(LATENCY_S, lambda: self._deliver(key, to, what))

    def _deliver(self, key: bytes, to: bytes, what: Message | bytes) -> None:
        player = self.players.get(to)
        if player is None:
            if isinstance(what, Query) and key in self.players:
                self.do(key, self.players[key].on_ask_failed(to, self.now))
        elif isinstance(what, bytes):
            self.do(to, player.on_advert(key, what, self.now, self.now_s))
        else:
            self.answers += isinstance(what, Answer)
            self.do(to, player.on_message(key, what, self.now, self.now_s))

    # --- what came of it -------------------------------------------------------------------------

    def components(self) -> int:
        """Count the islands that the neighbours make."""
        left = set(self.views)
        islands = 0
        while left:
            islands += 1
            edge = [min(left)]
            while edge:
                key = edge.pop()
                if key in left:
                    left.discard(key)
                    edge += [one for one in self.views[key].neighbours.linked if one in left]
        return islands

    def coverage(self) -> float:
        """Tell what share of all adverts the directories of all nodes hold."""
        others = len(self.views) - 1
        held = sum(
            sum(entry.known.node in self.views for entry in view.directory)
            for view in self.views.values()
        )
        return held / (others * len(self.views))


class Flood:
    """One machine with many keys: the keys that it shows, and whom it attacks."""

    def __init__(self, mesh: Mesh, keys: int, *, ranges: int, period_s: float = 5.0) -> None:
        self.mesh = mesh
        self.period_s = period_s
        self.targets: list[bytes] = []
        self.shown: list[Known] = []
        for number in range(keys):
            key = key_of(f"hostile {number}")
            place = number % ranges
            address = f"/ip4/{20 + place // 65536}.{place // 256 % 256}.{place % 256}.7/tcp/4001"
            issued = int(mesh.now_s)
            self.shown.append(
                mesh.registry.add(an_advert(key, addresses=(address,), issued_at_s=issued))
            )
            mesh.add(key, Hostile(key, self), self.shown[-1])

    def attack(self, dialers: int, targets: list[bytes]) -> None:
        """Let some keys call the targets again and again, and the others wait to be called."""
        self.targets = targets
        for known in self.shown[:dialers]:
            self.mesh.wake(known.node, self.mesh.now)


# ruff: noqa: ARG002 - a player is told more than this one cares for
class Hostile:
    """One key of a flood: takes every call, praises only its own kind, answers wishes."""

    def __init__(self, key: bytes, flood: Flood) -> None:
        self.key = key
        self.flood = flood
        self.links: dict[bytes, None] = {}

    def on_connected(
        self, key: bytes, now: float, now_s: float, *, inbound: bool, advert: bytes = b""
    ) -> list[Action]:
        self.links[key] = None
        return []

    def on_disconnected(self, key: bytes, now: float) -> list[Action]:
        self.links.pop(key, None)
        return []

    def on_dial_failed(self, key: bytes, now: float) -> list[Action]:
        return []

    def on_ask_failed(self, key: bytes, now: float) -> list[Action]:
        return []

    def on_advert(self, key: bytes, wire: bytes, now: float, now_s: float) -> list[Action]:
        return []

    def on_message(self, key: bytes, message: Message, now: float, now_s: float) -> list[Action]:
        match message:
            case Wanted():
                own = self.flood.mesh.own
                return [Send(key, own[node].wire) for node in message.nodes if node in own]
            case Query():
                some = self.flood.mesh.random.sample(self.flood.shown, 4)
                return [Send(key, Answer(message.id, (), tuple(one.wire for one in some)))]
        return []

    def tick(self, now: float, now_s: float) -> list[Action]:
        actions: list[Action] = []
        for key in self.links:
            some = self.flood.mesh.random.sample(
                self.flood.shown, min(len(self.flood.shown), SUMMARY_ROWS_MAX)
            )
            rows = tuple(one.digests[1] for one in some)
            actions.append(Send(key, Summary(rows)))
        if self.flood.targets and len(self.links) < 3:
            target = self.flood.mesh.random.choice(self.flood.targets)
            if target not in self.links:
                actions.append(Dial(target, ()))
        return actions

    def next_tick_at(self, now: float) -> float:
        active = self.links or self.flood.targets
        return now + self.flood.period_s if active else float("inf")


__all__ = ["ADVERTS_PER_EXCHANGE_MAX", "EPOCH_S", "Flood", "Mesh", "an_advert", "key_of", "models"]
