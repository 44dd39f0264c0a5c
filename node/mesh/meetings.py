# SPDX-License-Identifier: MIT
"""How connections become links, and links peers, and how they end. Streams of work are in `mesh`.

A connection is counted, begins with hello, and is closed when that does not come in time. What
holds becomes a **link**; the first link makes the **peer**, the end of the last one its leaving.
Everything that a peer does wrong here ends its own connection, and is told to `blame`.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf

import trio

from node.log import Log
from node.mesh.behaviour import Behaviour
from node.mesh.control import keep, measured
from node.mesh.defence import Defence
from node.mesh.dialing import Dialing
from node.mesh.framed import Framed, running
from node.mesh.hello import CONTROL_KINDS, HELLO, HELLO_S_MAX, Greeter, Greeting
from node.mesh.peer import Link, Peer, standing
from node.mesh.tally import Tallies
from node.mesh.transport import (
    Connection,
    Lost,
    NotSpoken,
    Stream,
    TransportError,
    Unreachable,
)
from node.mesh.waiting import Room
from protocol.errors import ProtocolError, Refused, RemoteProtocolError
from protocol.frames import CancelFrame, End, Frame
from protocol.hello import DIALER, LISTENER
from protocol.keys import peer_id
from protocol.reasons import Reason

OnMet = Callable[[Peer], None]
OnLeft = Callable[[bytes, str], None]

#: What all peers together may have sent that nobody has taken yet.
WAITING_BYTES_MAX = 256 << 20

#: The same of one peer: the windows of the orders that a known one may have in flight, twice.
WAITING_BYTES_PER_PEER_MAX = 32 << 20

#: Streams on a link that is not kept have so long to end.
GRACE_S = 5.0

#: A last word has so long to be heard before the connection is closed.
PART_S_MAX = 1.0

log = Log()


@dataclass(eq=False, slots=True)
class _Arrival:
    """A connection whose hello is not done: who waits for that, and for how long."""

    patience: trio.CancelScope = field(default_factory=trio.CancelScope)
    over: trio.Event = field(default_factory=trio.Event)


class Meetings:
    """Who is connected and has said hello."""

    def __init__(
        self,
        me: bytes,
        greeter: Greeter,
        defence: Defence,
        behaviour: Behaviour,
        tallies: Tallies,
        *,
        start: Callable[..., None],
        blame: Callable[[bytes, Reason, str], None],
        on_link: Callable[[Peer], None],
    ) -> None:
        """`start` begins a task of its own; `on_link` hears of each link, before others do."""
        self.peers: dict[bytes, Peer] = {}
        self.watchers: list[tuple[OnMet, OnLeft]] = []
        self.is_leaving = False
        self._me = me
        self._greeter = greeter
        self._defence = defence
        self._behaviour = behaviour
        self._tallies = tallies
        self._start = start
        self._blame = blame
        self._on_link = on_link
        self._room = Room(WAITING_BYTES_MAX)
        self._links: dict[Connection, Link] = {}
        self._greeting: set[Connection] = set()
        self._arrivals: dict[Connection, _Arrival] = {}
        defence.peer_of = self._peer_of
        defence.everybody = self.peers.values
        defence.let_go = self._make_room
        defence.hang_up = lambda connection: start(connection.close)

    # --- connections ----------------------------------------------------------------------------

    async def meet(self, connection: Connection) -> None:
        """Count a connection for as long as it lives, and end it when no hello comes in time."""
        if self.is_leaving or not self._defence.add(connection):
            self._arrived(connection)
            await connection.close()
            return
        try:
            if connection.inbound and connection not in self._links:
                arrival = self._arrivals.setdefault(connection, _Arrival())
                arrival.patience.deadline = trio.current_time() + HELLO_S_MAX
                with arrival.patience:
                    await connection.wait_closed()
                if connection not in self._links:
                    await connection.close()
            await connection.wait_closed()
        finally:
            self._arrived(connection)
            self._defence.remove(connection)

    async def admitted(self, connection: Connection) -> Link | None:
        """Wait for hello on this connection; the peer may be a little quicker than this node.

        None when it is over, or has said none in time.
        """
        if link := self._links.get(connection):
            return link
        arrival = self._arrivals.setdefault(connection, _Arrival())
        with trio.move_on_after(HELLO_S_MAX) as waiting:
            await arrival.over.wait()
        if waiting.cancelled_caught:
            self._arrivals.pop(connection, None)  # nobody else may be there to do it
        return self._links.get(connection)

    async def say_hello(self, connection: Connection, dialing: Dialing) -> None:
        """Begin a connection that this node has dialled."""
        try:
            stream = await connection.open(HELLO)
            await self._converse(connection, stream, DIALER, dialing)
        except NotSpoken:
            dialing.fail(Unreachable("it is no node of this kind: it does not speak hello"))
        except TransportError as error:
            dialing.fail(error)
        except Exception as error:
            log.exception("hello_failed", peer=peer_id(connection.peer))
            dialing.fail(Lost(f"a bug in this node: {error!r}"))
        finally:
            dialing.fail(Lost("the connection has ended"))
            await connection.close()

    async def answer_hello(self, stream: Stream) -> None:
        """Begin a connection that a peer has dialled, on its first stream."""
        connection = stream.connection
        try:
            if not connection.inbound or connection in self._greeting:
                self._blame(connection.peer, Reason.UNEXPECTED, "a hello where none is due")
                return
            self._greeting.add(connection)
            await self._converse(connection, stream, LISTENER, None)
        finally:
            self._greeting.discard(connection)
            await connection.close()

    async def _converse(
        self, connection: Connection, stream: Stream, role: int, dialing: Dialing | None
    ) -> None:
        """Say hello on the control stream, and stay on it for as long as the link lives."""
        tally = self._tallies.of(HELLO)
        wire = Framed(stream, kinds=CONTROL_KINDS, stall_s=HELLO_S_MAX, tally=tally)
        incarnation = self._greeter.incarnation
        async with running(wire):
            try:
                greeting = await self._greet(wire, connection, role)
            except (ProtocolError, Refused, TransportError) as error:
                if dialing:
                    dialing.fail(error)
                await self._refuse(wire, connection, error)
                return
            link = self._admit(connection, wire, greeting)
            if dialing:
                dialing.succeed(link.peer)
            reason = Reason.UNREACHABLE
            try:
                reason = await keep(link, self._on_rtt)
                if reason is Reason.STALE and incarnation == self._greeter.incarnation:
                    # Another start of this node came, and not by us.
                    told_by = peer_id(connection.peer)
                    self._defence.note_twin(f"elsewhere, as {told_by} says,")
            except RemoteProtocolError as error:
                reason = error.reason
                self._blame(connection.peer, error.reason, error.detail)
            finally:
                self._dismiss(link, reason)

    async def _greet(self, wire: Framed, connection: Connection, role: int) -> Greeting:
        with trio.move_on_after(HELLO_S_MAX):
            greeting = await self._greeter.greet(wire, connection.peer, role)
            if objection := self._defence.objection(connection.peer):
                raise objection  # it was banned while it said hello
            if self.is_leaving:
                raise Refused(Reason.SHUTTING_DOWN, "this node leaves the mesh")
            return greeting
        raise Lost(f"the peer did not finish hello within {HELLO_S_MAX:g} s")

    async def _refuse(self, wire: Framed, connection: Connection, error: Exception) -> None:
        """Say why, but not to a stranger in front of a private network: it learns nothing."""
        if not isinstance(error, RemoteProtocolError):
            return
        self._blame(connection.peer, error.reason, error.detail)
        if not self._greeter.network.is_private:
            with trio.move_on_after(PART_S_MAX), suppress(TransportError, ProtocolError):
                await wire.send(CancelFrame(error.reason))
                await connection.wait_closed()

    # --- links and peers ------------------------------------------------------------------------

    def _admit(self, connection: Connection, wire: Framed, greeting: Greeting) -> Link:
        now_s = trio.current_time()
        link = Link(
            connection, wire, greeting.hello, greeting.stamp, greeting.offset_s, now_s, now_s
        )
        key = connection.peer
        peer = self.peers.get(key)
        if peer is not None and peer.incarnation != link.hello.incarnation:
            self.send_away(peer, Reason.STALE)
            peer = None
        if peer is not None:
            peer.add(link)
            self._start(self._settle, peer)
        else:
            trusted = key in self._defence.trusted
            peer = Peer(key, self._me, member=greeting.member, trusted=trusted)
            peer.room = Room(WAITING_BYTES_PER_PEER_MAX, self._room)
            peer.add(link)
            self.peers[key] = peer
            self._behaviour.note_met(key)
            for on_met, _ in self.watchers:
                self._tell_watcher(on_met, peer)
        self._links[connection] = link
        self._arrived(connection)
        self._on_link(peer)
        return link

    def _dismiss(self, link: Link, reason: Reason) -> None:
        """A link has ended; a peer without any has left."""
        self._links.pop(link.connection, None)
        link.peer.remove(link)
        for wire in list(link.wires):  # whoever does not listen would not notice
            wire.lose("the connection has ended")
        if not link.peer.is_connected:
            self._leave(link.peer, reason)

    def _leave(self, peer: Peer, reason: Reason) -> None:
        """Tell once that a peer has left."""
        if self.peers.get(peer.key) is not peer:
            return
        del self.peers[peer.key]
        for _, on_left in self.watchers:
            self._tell_watcher(on_left, peer.key, reason.value)

    def send_away(self, peer: Peer, reason: Reason) -> None:
        """Part from a peer without waiting for it."""
        self._leave(peer, reason)
        self._start(self.close_all, peer, CancelFrame(reason))

    async def _settle(self, peer: Peer) -> None:
        """Of several links keep the one that stands highest, if it answers."""
        best = max(peer.links, key=lambda each: standing(each, self._me, peer.key), default=None)
        if best is None:
            return
        try:
            await measured(best, GRACE_S)
        except (TransportError, ProtocolError):
            await best.connection.close()
            return
        others = [each for each in peer.links if each is not best]
        for each in others:
            each.is_leaving = True
        await trio.sleep(GRACE_S)
        for each in others:
            each.is_leaving = False
            if best in peer.links:
                await each.connection.close()

    async def close_all(self, peer: Peer, word: Frame) -> None:
        """Say a last word on each link, and close it whether that was heard or not."""
        async with trio.open_nursery() as nursery:
            for link in list(peer.links):
                nursery.start_soon(_close, link, word)

    # --- leaving --------------------------------------------------------------------------------

    async def part(self, peer: Peer, reason: Reason) -> None:
        """Part from a peer, telling it why."""
        self._leave(peer, reason)
        await self.close_all(peer, CancelFrame(reason))

    def _make_room(self, peer: Peer) -> None:
        self.send_away(peer, Reason.VIEW_FULL)

    async def say_goodbye(self) -> None:
        """Leave all, saying the end to each. Nobody is met any more: it would be for a moment."""
        self.is_leaving = True
        peers = list(self.peers.values())
        for peer in peers:
            self._leave(peer, Reason.SHUTTING_DOWN)
        async with trio.open_nursery() as nursery:
            for peer in peers:
                nursery.start_soon(self.close_all, peer, End())

    def _tell_watcher(self, told: Callable[..., None], *what: object) -> None:
        """What a watcher raises is its own bug, and must not leave a peer half met."""
        try:
            told(*what)
        except Exception:
            log.exception("watcher_failed")

    # --- small things ---------------------------------------------------------------------------

    def _peer_of(self, connection: Connection) -> Peer | None:
        link = self._links.get(connection)
        return link.peer if link else None

    def _on_rtt(self, link: Link, rtt_s: float) -> None:
        self._behaviour.note_rtt(link.connection.peer, rtt_s)

    def _arrived(self, connection: Connection) -> None:
        """End the wait for hello: it is done, or the connection is dead."""
        arrival = self._arrivals.pop(connection, None)
        if arrival is not None:
            arrival.patience.deadline = inf
            arrival.over.set()


async def _close(link: Link, word: Frame) -> None:
    link.is_leaving = True
    with trio.move_on_after(PART_S_MAX), suppress(TransportError, ProtocolError):
        await link.control.send(word)
        await link.connection.wait_closed()
    await link.connection.close()
