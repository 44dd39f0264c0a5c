# SPDX-License-Identifier: MIT
"""A node that is connected and has said hello, and its links. Who is let in is in `mesh`.

A **link** is one connection whose hello is done, with its control stream. A peer has one link;
for a while it may have more: when both sides dial at once, or when one side has lost a
connection that the other one still believes in. Both then keep the same one, by a rule that
looks only at what both know (:func:`standing`), if it answers.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import trio

from node.mesh.framed import Framed
from node.mesh.transport import Connection, Lost, Stream, TransportError
from node.mesh.waiting import Room
from protocol.hello import Hello

#: The longest time without an answer after which a link is still the first choice.
ANSWERED_S = 20.0


@dataclass(eq=False, slots=True)
class Link:
    """One connection whose hello is done. `stamp` is what its dialer said first."""

    connection: Connection
    control: Framed
    hello: Hello
    stamp: tuple[int, bytes]
    offset_s: float
    since_s: float
    answered_s: float
    rtt_s: float | None = None
    is_leaving: bool = False
    #: In the order in which they were opened: they end in it, too.
    wires: WeakKeyDictionary[Framed, None] = field(default_factory=WeakKeyDictionary, repr=False)
    peer: "Peer" = field(init=False, repr=False)

    @property
    def inbound(self) -> bool:
        """Whether the peer has dialled."""
        return self.connection.inbound


def standing(link: Link, me: bytes, peer: bytes) -> tuple[bool, int, bytes]:
    """Rank a link among those of a peer; both sides get the same order, and keep the highest.

    Of two dials that crossed, that of the smaller key is kept; of two by the same side the
    later one, since whoever dials again has lost the first.
    """
    dialer, other = (peer, me) if link.inbound else (me, peer)
    return (dialer < other, *link.stamp)


class Peer:
    """A node, seen from this one, for as long as it is connected without a gap.

    `neighbour` is set by whoever keeps the view, `trusted` comes from the owner; both keep a
    peer connected when places get scarce.
    """

    def __init__(self, key: bytes, me: bytes, *, member: bool, trusted: bool) -> None:
        """Make a peer without a link; the mesh adds the first one at once."""
        self.key = key
        self.member = member
        self.trusted = trusted
        self.neighbour = False
        self.links: list[Link] = []
        self.since_s = trio.current_time()
        self.used_s = self.since_s
        self.serving = 0
        self.room: Room | None = None
        self._me = me
        self._holds = 0
        self._last: Link | None = None

    def add(self, link: Link) -> None:
        """Take one more link."""
        link.peer = self
        self.links.append(link)
        self._last = link

    def remove(self, link: Link) -> None:
        """Let go of a link that has ended."""
        if link in self.links:
            self.links.remove(link)

    @property
    def link(self) -> Link:
        """The link for what is new: the one that is kept, unless another one is livelier."""
        now_s = trio.current_time()
        staying = [each for each in self.links if not each.is_leaving]
        if not (staying or self.links):
            assert self._last, "a peer is made with a link"
            return self._last  # of a peer that has left: who asks for it meets Lost
        return max(
            staying or self.links,
            key=lambda each: (
                now_s - each.answered_s < ANSWERED_S,
                standing(each, self._me, self.key),
            ),
        )

    @property
    def is_connected(self) -> bool:
        """Whether there is any link left."""
        return bool(self.links)

    @property
    def hello(self) -> Hello:
        """What it said of itself last."""
        assert self._last, "a peer is made with a link"
        return self._last.hello

    @property
    def incarnation(self) -> bytes:
        """Which start of its process this is."""
        return self.hello.incarnation

    @property
    def inbound(self) -> bool:
        """Whether it has dialled this node."""
        return self.link.inbound

    @property
    def address(self) -> str:
        """Its address as seen from here, as a multiaddr; empty when it is not known."""
        return self.link.connection.remote

    @property
    def offset_s(self) -> float:
        """How far its clock is ahead of ours."""
        return self.link.offset_s

    @property
    def rtt_s(self) -> float | None:
        """The round trip as measured lately; None before the first answer."""
        return self.link.rtt_s

    @property
    def is_held(self) -> bool:
        """Whether something is going on with it that must not be cut."""
        return bool(self._holds)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Keep it connected inside the block, however scarce places get: an order is in flight."""
        self._holds += 1
        try:
            yield
        finally:
            self._holds -= 1
            self.used_s = trio.current_time()

    async def open(self, protocol: str) -> tuple[Link, Stream]:
        """Open a stream on its best link, and on another one when that is lost meanwhile.

        NotSpoken when the peer does not speak this, else Lost.
        """
        tried: set[int] = set()
        error: TransportError = Lost("the peer is not connected any more")
        while self.links and id(link := self.link) not in tried:
            tried.add(id(link))
            try:
                stream = await link.connection.open(protocol)
            except Lost as lost:
                error = lost
                link.answered_s = -ANSWERED_S  # the next best, if there is one
            else:
                self.used_s = trio.current_time()
                return link, stream
        raise error
