# SPDX-License-Identifier: MIT
"""Who is connected and admitted, and streams to them. What is said on a stream is not here.

::

    mesh = Mesh(clock, keypair, network, introduction, behaviour, config.mesh)
    mesh.speak("/commons/work/1", worker.serve)
    mesh.watch(viewing.on_met, viewing.on_left)
    async with mesh.open(world.transport, seed, listen):
        peer = await mesh.meet(key, addresses)
        async with mesh.wire(key, "/commons/work/1") as wire:
            await wire.send(...)

Every connection begins with hello; until that is done nothing else is answered on it. How
connections, links and peers come and go is described in docs/design/mesh.md.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial

import trio

from node.clock import Clock
from node.config import MeshConfig
from node.leaves import leaves, the_only
from node.log import Log
from node.mesh.behaviour import Ban, Behaviour
from node.mesh.defence import Defence
from node.mesh.dialing import Dials
from node.mesh.framed import Framed, Pace, running
from node.mesh.hello import HELLO, Greeter, Introduction
from node.mesh.meetings import Meetings, OnLeft, OnMet
from node.mesh.meter import Meter
from node.mesh.peer import Link, Peer
from node.mesh.tally import Tallies
from node.mesh.transport import Endpoint, Lost, Service, Stream, Transport, TransportError
from node.mesh.wires import Wires
from node.networks import Network
from protocol.errors import Refused, RemoteProtocolError
from protocol.keys import Keypair, peer_id
from protocol.reasons import Reason

#: What was measured is not worth a longer wait when the node stops.
SAVE_S_MAX = 2.0

log = Log()

Speak = Callable[[Peer, Framed], Awaitable[None]]
"""Serves one stream of a peer. When it returns, the end is said; what it raises is told apart."""


class Mesh:
    """This node among the others of one network. Works inside :meth:`open`."""

    def __init__(
        self,
        clock: Clock,
        keypair: Keypair,
        network: Network,
        introduction: Introduction,
        behaviour: Behaviour,
        config: MeshConfig,
        *,
        up: Pace | None = None,
        down: Pace | None = None,
    ) -> None:
        """`introduction` is what hello carries; `up` and `down` hold back what is moved."""
        self.me = keypair.public
        self.behaviour = behaviour
        self.tallies = Tallies()
        self.defence = Defence(config, self.me, behaviour)
        self._keypair = keypair
        self._greeter = Greeter(clock, keypair, network, introduction)
        self._paces = (up, down)
        self._streams_per_peer = config.streams_per_peer
        self._handlers: dict[str, Speak] = {}
        self._meetings = Meetings(
            self.me,
            self._greeter,
            self.defence,
            behaviour,
            self.tallies,
            start=self._start,
            blame=self.blame,
            on_link=self._on_link,
        )
        self._dials = Dials(self._start, self._meetings.say_hello, behaviour.note_failed_dial)
        self._endpoint: Endpoint | None = None
        self._tasks: trio.Nursery | None = None
        self._wires: Wires | None = None

    # --- who is there ---------------------------------------------------------------------------

    @property
    def network(self) -> Network:
        """The network; set it again when its secrets change. Who is connected stays."""
        return self._greeter.network

    @network.setter
    def network(self, network: Network) -> None:
        old = self._greeter.network
        if (network.id, network.is_private) != (old.id, old.is_private):
            raise ValueError("another network, or one that is open to others, is another mesh")
        self._greeter.network = network

    @property
    def newest_secret(self) -> int:
        """The newest version of the secret that a node had which did not take ours; 0: none."""
        return self._greeter.newest_secret

    @property
    def peers(self) -> Mapping[bytes, Peer]:
        """Who is connected and has said hello, by key."""
        return self._meetings.peers

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where this node is really listening."""
        return self._endpoint.addresses if self._endpoint else ()

    def speak(self, protocol: str, handler: Speak) -> None:
        """Serve a protocol; to be said before :meth:`open`."""
        assert self._tasks is None, "what is spoken is said before the mesh is open"
        assert protocol not in self._handlers, f"{protocol} is spoken already"
        self._handlers[protocol] = handler

    def watch(self, on_met: OnMet, on_left: OnLeft) -> None:
        """Be told of each peer once when it is met, and once when it has left, with the reason.

        A peer that was started anew leaves (`stale`) and is met again. Both are called at once and
        must return at once.
        """
        self._meetings.watchers.append((on_met, on_left))

    @asynccontextmanager
    async def open(
        self, transport: Transport, seed: bytes, listen: Sequence[str]
    ) -> AsyncIterator[None]:
        """Be in the mesh inside the block. OSError EADDRINUSE when a port is taken."""
        serve = {name: partial(self._serve, handler) for name, handler in self._handlers.items()}
        service = Service(
            self._meetings.meet, {HELLO: self._meetings.answer_hello, **serve}, self.defence
        )
        self._meetings.is_leaving = False
        try:
            async with trio.open_nursery() as tasks:
                self._tasks, self._wires = tasks, Wires(tasks, self._framed)
                self.behaviour.on_ban = self._on_ban
                tasks.start_soon(self._wires.keep)
                async with transport.open(self._keypair, seed, listen, service) as self._endpoint:
                    try:
                        yield
                    finally:
                        await self._say_goodbye()
                        tasks.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            raise the_only(group) from None
        finally:
            self._tasks = self._wires = self._endpoint = None

    # --- what others here ask -------------------------------------------------------------------

    async def meet(self, key: bytes, addresses: Sequence[str] = ()) -> Peer:
        """Give the peer, connected already or dialled now.

        Unreachable when it cannot be dialled (a reason for each address), Refused when this node
        must not meet it, or it does not want this node, RemoteProtocolError when it broke hello.
        """
        await trio.lowlevel.checkpoint()
        if objection := self.defence.objection(key):
            raise objection
        if key in self.peers:
            return self.peers[key]
        if self._endpoint is None or self._meetings.is_leaving:
            raise Refused(Reason.SHUTTING_DOWN, "this node is not in the mesh now")
        return await self._dials.met(self._endpoint, key, addresses)

    @asynccontextmanager
    async def wire(
        self, key: bytes, protocol: str, addresses: Sequence[str] = ()
    ) -> AsyncIterator[Framed]:
        """Lend a warm stream; given back when the block ends well, else reset.

        A warm stream may turn out dead on its first use: Lost before anything was received. The
        caller may then try once more on another one; nobody else knows whether that is safe.
        """
        peer = await self.meet(key, addresses)
        if self._wires is None:
            raise Lost("this node is not in the mesh now")
        async with self._wires.lend(peer, protocol) as wire:
            yield wire

    async def part(self, key: bytes, reason: Reason) -> None:
        """End all connections with a peer, telling it why; nothing when it is not connected."""
        if peer := self.peers.get(key):
            await self._meetings.part(peer, reason)

    def blame(self, key: bytes, reason: Reason, detail: str) -> None:
        """Note a fault of a node; enough of them ban it for a while, and part from it."""
        log.info("peer_blamed", peer=peer_id(key), reason=reason.value, detail=detail)
        self.behaviour.blame(key, reason, detail)

    def note_order(self, key: bytes, *, well: bool) -> None:
        """Note how an order ended that a node had accepted."""
        self.behaviour.note_order(key, well=well)

    async def _say_goodbye(self) -> None:
        with trio.CancelScope(shield=True):
            await self._meetings.say_goodbye()
            with trio.move_on_after(SAVE_S_MAX):
                try:
                    await self.behaviour.save()
                except OSError as error:
                    log.warning("behaviour_not_saved", error=str(error))

    # --- streams --------------------------------------------------------------------------------

    async def _serve(self, handler: Speak, stream: Stream) -> None:
        """Serve one stream of a peer; whatever goes wrong on it ends nothing else."""
        link = await self._meetings.admitted(stream.connection)
        if link is None or link.peer.serving >= self._streams_per_peer:
            await stream.reset()
            return
        peer = link.peer
        peer.serving += 1
        peer.used_s = trio.current_time()
        try:
            async with running(self._framed(stream, link)) as wire:
                await handler(peer, wire)
                await wire.end()
        except Exception as error:  # noqa: BLE001 - each kind is told apart and dealt with
            self._note_failure(peer, stream.protocol, error)
        finally:
            peer.serving -= 1

    def _note_failure(self, peer: Peer, protocol: str, error: Exception) -> None:
        """Say whose fault it was that a stream failed."""
        for leaf in leaves(error):
            match leaf:
                case RemoteProtocolError(reason=reason, detail=detail):
                    self.blame(peer.key, reason, f"{protocol}: {detail}")
                case TransportError() | Refused():
                    log.debug("stream_ended", peer=peer_id(peer.key), error=str(leaf))
                case _:
                    log.error(
                        "stream_failed", peer=peer_id(peer.key), protocol=protocol, exc_info=leaf
                    )

    def _framed(self, stream: Stream, link: Link) -> Framed:
        up, down = self._paces
        meter = Meter(partial(self._note_moved, link.peer.key))
        tally = self.tallies.of(stream.protocol)
        wire = Framed(stream, room=link.peer.room, up=up, down=down, meter=meter, tally=tally)
        link.wires[wire] = None
        return wire

    # --- small things ---------------------------------------------------------------------------

    def _on_link(self, peer: Peer) -> None:
        self._dials.on_link(peer)

    def _note_moved(self, key: bytes, up_bytes: int, down_bytes: int, took_s: float) -> None:
        self.behaviour.note_moved(key, up_bytes=up_bytes, down_bytes=down_bytes, took_s=took_s)

    def _on_ban(self, key: bytes, ban: Ban) -> None:
        log.warning("peer_banned", peer=peer_id(key), reason=ban.reason, detail=ban.detail)
        if peer := self.peers.get(key):
            self._meetings.send_away(peer, Reason.BANNED)
        # A connection of it whose hello is still going on meets the ban at its end.

    def _start(self, task: Callable[..., Awaitable[None]], *arguments: object) -> None:
        if self._tasks is not None:
            self._tasks.start_soon(task, *arguments)
