# SPDX-License-Identifier: MIT
"""A mesh of very many views in virtual time: ten thousand of them in one process.

::

    world = Scale("a seed", models={MODEL: 100})
    world.join(1000, within_s=30.0)
    world.run(60.0)
    found = world.search(world.some(1)[0], MODEL)

No task, no stream and no byte: one heap of what happens when. Views and all beneath are the real
ones, with the real driver's constants (`node`, `company`). Made up are keys and signatures
(`adverts`); left out is what costs a node time: bandwidth, handshakes, its disk.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from hashlib import blake2b
from heapq import heappop, heappush
from random import Random
from struct import Struct
from typing import Any

from node.mesh.control import PING_S, PONG_S
from node.mesh.transport import OPEN_S_MAX
from protocol.actions import Dial, Found, Misbehaved, SearchEnded
from protocol.canon import Message
from protocol.limits import DIRECTORY_MAX, QUERY_S_MAX
from protocol.query import Answer, Query
from protocol.view import View
from simulations.scale.adverts import EPOCH_S, Adverts, address_of, frame_bytes, key_of, salt_of
from simulations.scale.company import Company
from simulations.scale.door import lets_in
from simulations.scale.links import End, Latency
from simulations.scale.node import ScaleNode
from simulations.scale.searching import Searched

_HEARD = Struct("<dIII")


class Scale:
    """Nodes, their connections, and time."""

    def __init__(
        self,
        seed: object,
        *,
        link: Latency | None = None,
        models: Mapping[bytes, int] | None = None,
        room: int = DIRECTORY_MAX,
    ) -> None:
        """Begin with nobody. `models` are dealt to one in so many nodes; `room` is for adverts."""
        self.seed = str(seed)
        self.now = 0.0
        self.room = room
        self.nodes: dict[bytes, ScaleNode] = {}
        self.born = 0
        self.messages = 0
        self.bytes = 0
        self.kinds: dict[str, int] = {}
        self.dials = 0
        self.refused = 0
        self.blamed: list[tuple[bytes, Misbehaved]] = []
        self.happened = 0
        self.searches: dict[bytes, Searched] = {}
        self.has: dict[bytes, tuple[bytes, ...]] = {}
        self.adverts = Adverts(self.has)
        self._link = link or Latency()
        self._models = dict(models or {})
        self._heap: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._numbered = 0
        self._cut: frozenset[bytes] = frozenset()
        self._digest = blake2b(digest_size=16)
        # One die for each purpose: more of one thing must not change what comes of another.
        self._dice = {
            purpose: Random(f"{self.seed} {purpose}")
            for purpose in ("joining", "company", "noticing", "choosing")
        }

    @property
    def now_s(self) -> float:
        """The time on the wall."""
        return EPOCH_S + self.now

    # --- who is there -------------------------------------------------------------------------

    def join(
        self,
        count: int,
        *,
        via: Sequence[ScaleNode] = (),
        within_s: float = 0.0,
        models: Collection[bytes] = (),
    ) -> list[ScaleNode]:
        """Let nodes come, evenly within a time; each knows one of those `via`.

        Without any they know the first node of all. All of them have `models`.
        """
        doors = [each.key for each in via] or list(self.nodes)[:1]
        made: list[ScaleNode] = []
        for _ in range(count):
            doors = doors or [each.key for each in made]
            door = self._dice["joining"].choice(doors) if doors else b""
            node = self.make((door,) if door else (), models)
            made.append(node)
            company = Company(node, (door,) if door else (), self._dice["company"])
            wait_s = self._dice["joining"].uniform(0.0, within_s)
            self.later(wait_s, self._start, node, company)
        return made

    def make(self, bootstrap: Iterable[bytes] = (), models: Collection[bytes] = ()) -> ScaleNode:
        """Make a node that does nothing yet."""
        number = self.born
        self.born += 1
        key = key_of(self.seed, number)
        dealt = [m for m, one_in in self._models.items() if number % one_in == one_in // 2]
        self.has[key] = tuple(sorted({*models, *dealt}))
        view = View(
            key,
            salt_of(self.seed, number),
            self.adverts.verify,
            bootstrap=tuple(Dial(each, (address_of(0),)) for each in bootstrap),
            models=frozenset(self.has[key]),
            room=self.room,
        )
        node = self.nodes[key] = ScaleNode(self, number, key, view)
        return node

    def _start(self, node: ScaleNode, company: Company) -> None:
        if node.is_alive:
            node.start()
            company.start()

    def some(self, count: int) -> list[ScaleNode]:
        """Draw some of the nodes."""
        return self._dice["choosing"].sample(list(self.nodes.values()), count)

    def kill(self, nodes: Iterable[ScaleNode], *, is_silent: bool = True) -> None:
        """End nodes: others notice when a ping is not answered, or at once what is not silent."""
        for node in nodes:
            node.is_alive = False
            del self.nodes[node.key]
            for end in node.ends.values():
                end.is_up = False
                wait_s = self._notice_s() if is_silent else end.delay_s
                self.later(wait_s, end.far.node.lost, end.far)
            node.ends = {}

    def partition(self, nodes: Iterable[ScaleNode]) -> None:
        """Let nothing pass between these nodes and all others; what is under way is lost."""
        self._cut = frozenset(each.key for each in nodes)
        for node in self.nodes.values():
            for end in node.ends.values():
                if self._crosses(end):
                    self.later(self._notice_s(), self._notice, end)

    def heal(self) -> None:
        """Let everything pass again; what one side has ended meanwhile, the other side hears."""
        self._cut = frozenset()
        for node in self.nodes.values():
            for end in node.ends.values():
                if not end.far.is_up and end.far.node.is_alive:
                    self.later(end.delay_s, node.lost, end)
                elif end.line and end.line <= end.far.closed:
                    self.later(end.delay_s, self._end_line, end, end.line)

    def _crosses(self, end: End) -> bool:
        return (end.node.key in self._cut) != (end.far.node.key in self._cut)

    def _notice_s(self) -> float:
        return PONG_S + self._dice["noticing"].uniform(0.0, PING_S)

    def _notice(self, end: End) -> None:
        if self._crosses(end):
            end.node.lost(end)

    # --- time ---------------------------------------------------------------------------------

    def at(self, at_s: float, happen: Callable[..., None], *what: Any) -> None:  # noqa: ANN401 - as `happen` wants it
        """Let something happen at a time; at the same time, those first that were said first."""
        self._numbered += 1
        heappush(self._heap, (at_s, self._numbered, happen, what))

    def later(self, wait_s: float, happen: Callable[..., None], *what: Any) -> None:  # noqa: ANN401 - as above
        """Let something happen after a while."""
        self.at(self.now + wait_s, happen, *what)

    def run(self, for_s: float) -> None:
        """Let time pass."""
        self._run(self.now + for_s, lambda: False)

    def _run(self, until_s: float, is_over: Callable[[], bool]) -> None:
        heap = self._heap
        while heap and heap[0][0] <= until_s and not is_over():
            self.now, _, happen, what = heappop(heap)
            self.happened += 1
            happen(*what)
        if not is_over():
            self.now = until_s

    # --- connections --------------------------------------------------------------------------

    def dial(self, node: ScaleNode, key: bytes) -> None:
        """Knock at a node: the transport's handshake, then hello, two round trips in all."""
        self.dials += 1
        other = self.nodes.get(key)
        number = other.number if other else self.born
        delay_s = self._link.of_s(self.seed, node.number, number)
        self.later(delay_s, self._knock, node, key, delay_s)

    def _knock(self, node: ScaleNode, key: bytes, delay_s: float) -> None:
        other = self.nodes.get(key)
        has_begun = other is not None and other.sequence > 0
        if other is None or not has_begun or (node.key in self._cut) != (key in self._cut):
            self.later(OPEN_S_MAX - delay_s, node.met, key, None)
        elif lets_in(self, other):
            self.later(3 * delay_s, self._connect, node, other, delay_s)
        else:
            self.refused += 1
            self.later(delay_s, node.met, key, None)

    def _connect(self, node: ScaleNode, other: ScaleNode, delay_s: float) -> None:
        if node.is_alive and other.is_alive and other.key not in node.ends:
            mine, theirs = self.connect(node, other, delay_s)
            node.met(other.key, mine)
            other.met(node.key, theirs)
        elif node.is_alive:
            node.met(other.key, node.ends.get(other.key))

    def connect(self, node: ScaleNode, other: ScaleNode, delay_s: float = 0.0) -> tuple[End, End]:
        """Make a connection that the first of two nodes has dialled."""
        delay_s = delay_s or self._link.of_s(self.seed, node.number, other.number)
        mine = End(node, other.own.wire, delay_s, self.now, inbound=False)
        theirs = End(other, node.own.wire, delay_s, self.now, inbound=True)
        mine.far, theirs.far = theirs, mine
        node.ends[other.key], other.ends[node.key] = mine, theirs
        return mine, theirs

    def part(self, end: End) -> None:
        """End a connection, and tell the other side."""
        end.node.lost(end)
        self.later(end.delay_s, end.far.node.lost, end.far)

    # --- what is said -------------------------------------------------------------------------

    def say(self, end: End, what: Message | bytes) -> None:
        """Say something on the line of this end."""
        size_bytes = frame_bytes(what)
        self.messages += 1
        self.bytes += size_bytes
        kind = "advert" if isinstance(what, bytes) else what.KIND
        self.kinds[kind] = self.kinds.get(kind, 0) + 1
        if isinstance(what, Query | Answer) and what.id in self.searches:
            self.searches[what.id].on_said(end, what, size_bytes)
        at_s = max(self.now, end.ready_s) + end.delay_s
        self.at(at_s, self._heard, end.far, end.line, what, size_bytes)

    def _heard(self, end: End, number: int, what: Message | bytes, size_bytes: int) -> None:
        if end.is_up and not (self._cut and self._crosses(end)) and end.hears(number):
            end.used_s = self.now
            numbers = (end.far.node.number, end.node.number, size_bytes)
            self._digest.update(_HEARD.pack(self.now, *numbers))
            end.node.hear(end, what)

    def say_end(self, end: End, number: int) -> None:
        """Tell the other side that a line is over, behind what was said on it."""
        at_s = max(self.now, end.ready_s) + end.delay_s
        self.at(at_s, self._end_line, end.far, number)

    def _end_line(self, end: End, number: int) -> None:
        if not end.is_up or (self._cut and self._crosses(end)):
            return
        if end.line == number:
            end.close_line()
            end.node.line_over(end)
        else:
            end.closed = max(end.closed, number)

    # --- what comes of it ---------------------------------------------------------------------

    def digest(self) -> str:
        """Give the digest of all that was heard: when, of whom, by whom, and how much."""
        return self._digest.hexdigest()

    def on_blame(self, node: ScaleNode, fault: Misbehaved) -> None:
        """Note that a node finds fault with another one; none of them is dishonest."""
        self.blamed.append((node.key, fault))

    def on_search(self, news: Found | SearchEnded) -> None:
        """Note what has become of a search."""
        if news.search in self.searches:
            self.searches[news.search].take(news)

    def begin_search(self, node: ScaleNode, model: bytes, *, most: int = 1) -> Searched:
        """Let a node look for a model; what it finds comes while time passes."""
        name, actions = node.view.search(self.now, self.now_s, model=model, most=most)
        searched = self.searches[name] = Searched(node)
        node.do(actions)
        return searched

    def search(self, node: ScaleNode, model: bytes, *, most: int = 1) -> Searched:
        """Let a node look for a model, and time pass until it is done."""
        searched = self.begin_search(node, model, most=most)
        self._run(self.now + QUERY_S_MAX, lambda: searched.is_over)
        return searched

    def known_fraction(self) -> float:
        """Tell how full directories are of living nodes, as a share of how full they could be."""
        most = min(self.room, len(self.nodes) - 1) * len(self.nodes)
        held = sum(
            sum(key in self.nodes for key in node.view.directory.entries)
            for node in self.nodes.values()
        )
        return held / most if most else 1.0
