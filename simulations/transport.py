# SPDX-License-Identifier: MIT
"""A made network: its hosts, who listens on them, and what the world does to them.

What a node does with a :class:`~node.mesh.transport.Transport` it does here without a socket, in
any clock of trio's. Links are in `network.py`, connections and streams in files of their own. ::

    net = Net()
    async with net.transport("10.0.0.1").open(keypair, seed, ["/ip4/0.0.0.0/tcp/0"], service) as a:
        ...
"""

import errno
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import trio

from node.mesh.address import Address, parse_address
from node.mesh.transport import OPEN_S_MAX, Service, Unreachable
from protocol.keys import Keypair, peer_id
from simulations.connection import SimulatedConnection
from simulations.network import WILDCARDS, Link, Way, family_of

#: What a handshake weighs in one direction: TCP's, Noise's and Yamux's, roughly.
HANDSHAKE_BYTES = 300

#: The ports that systems choose from when nobody asks for one.
PORTS = range(32_768, 61_000)


class Net:
    """One made network. Its hosts are the addresses that its transports were given."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self.endpoints: dict[SimulatedEndpoint, None] = {}
        self.listening: dict[Address, SimulatedEndpoint] = {}
        self._links: dict[Link, None] = {}
        self._cut: set[frozenset[str]] = set()
        self._frozen: set[str] = set()
        self._next_ports: dict[str, int] = {}

    def transport(self, host: str = "10.0.0.1") -> "SimulatedTransport":
        """Give the way onto this network from a host; several nodes may share one."""
        return SimulatedTransport(self, host)

    # --- what the world does ------------------------------------------------------------------

    def cut(self, one: str, other: str) -> None:
        """Let nothing pass between two hosts; what is sent waits, and dials fail in time."""
        self._cut.add(frozenset((one, other)))
        self._hold()

    def heal(self, one: str, other: str) -> None:
        """Let everything pass between two hosts again."""
        self._cut.discard(frozenset((one, other)))
        self._hold()

    def freeze(self, host: str) -> None:
        """Stop what runs on a host: nothing leaves it and nothing gets there."""
        self._frozen.add(host)
        self._hold()

    def thaw(self, host: str) -> None:
        """Let it go on."""
        self._frozen.discard(host)
        self._hold()

    def kill(self, host: str) -> None:
        """End what runs on a host, as a signal would: its connections end, its ports are free."""
        for each in list(self.endpoints):
            if each.host == host:
                each.end("this host was killed")
        self.thaw(host)

    # --- what endpoints do --------------------------------------------------------------------

    def link(self, here: str, there: str) -> Link:
        """Lay a link between two hosts."""
        is_held = self._is_held(here, there)
        link = Link((here, there), Way(is_held=is_held), Way(is_held=is_held))
        self._links[link] = None
        return link

    def unlink(self, link: Link) -> None:
        """Remove a link; what is on its way is lost."""
        self._links.pop(link, None)
        link.drop()

    def port(self, host: str) -> int:
        """Choose a port of this host that nobody has, another one each time."""
        for _ in PORTS:
            port = self._next_ports.get(host, PORTS.start)
            self._next_ports[host] = port + 1 if port + 1 in PORTS else PORTS.start
            if Address(family_of(host), host, port) not in self.listening:
                return port
        raise OSError(errno.EADDRINUSE, f"all ports of {host} are taken")

    def _hold(self) -> None:
        for link in list(self._links):
            link.hold(is_held=self._is_held(*link.hosts))

    def _is_held(self, here: str, there: str) -> bool:
        is_frozen = here in self._frozen or there in self._frozen
        return is_frozen or frozenset((here, there)) in self._cut


class SimulatedTransport:
    """The way onto a made network from one of its hosts."""

    def __init__(self, net: Net, host: str) -> None:
        """Whoever is opened here has this address."""
        self._net = net
        self._host = host

    @asynccontextmanager
    async def open(
        self, keypair: Keypair, seed: bytes, listen: Sequence[str], service: Service
    ) -> AsyncIterator["SimulatedEndpoint"]:
        """Be on the network inside the block."""
        assert Keypair(seed).public == keypair.public, "the seed is not that of the key"
        async with trio.open_nursery() as tasks:
            endpoint = SimulatedEndpoint(self._net, self._host, keypair.public, service, tasks)
            try:
                endpoint.listen(listen)
                yield endpoint
            finally:
                endpoint.end("this node has left the network")
                tasks.cancel_scope.cancel()


class SimulatedEndpoint:
    """One node's end of a made network."""

    def __init__(
        self, net: Net, host: str, key: bytes, service: Service, tasks: trio.Nursery
    ) -> None:
        """Be there, without listening."""
        self.host = host
        self.key = key
        self.service = service
        self.tasks = tasks
        self.ended = ""  # why
        self._net = net
        self._places: list[Address] = []
        self._connections: dict[SimulatedConnection, None] = {}
        net.endpoints[self] = None

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where it listens."""
        return tuple(map(str, self._places))

    @property
    def connections(self) -> list[SimulatedConnection]:
        """Give those that are open, oldest first."""
        return list(self._connections)

    def listen(self, addresses: Sequence[str]) -> None:
        """Take these places; OSError when that is not possible."""
        family = family_of(self.host)
        for address in addresses:
            asked, _ = parse_address(address)
            if asked.kind not in WILDCARDS:
                raise ValueError(f"cannot listen on the name {asked.host}: give an address")
            if asked.host == WILDCARDS[asked.kind] and asked.kind != family:
                continue  # a host without this family has no address that this could mean
            if asked.host not in (self.host, WILDCARDS[family]):
                text = f"{asked.host} is not the address of this host, which is {self.host}"
                raise OSError(errno.EADDRNOTAVAIL, text)
            place = Address(family, self.host, asked.port or self._net.port(self.host))
            if place in self._net.listening:
                raise OSError(errno.EADDRINUSE, f"somebody listens on {place} already")
            self._net.listening[place] = self
            self._places.append(place)

    async def dial(self, peer: bytes, addresses: Sequence[str]) -> SimulatedConnection:
        """Connect to a peer, trying one address after the other."""
        await trio.lowlevel.checkpoint()
        if peer == self.key:
            raise Unreachable("this is the key of this node itself")
        reasons = [] if addresses else ["no address is known"]
        for address in addresses:
            try:
                place, named = parse_address(address)
            except ValueError as error:
                reasons.append(str(error))
                continue
            if named not in (None, peer):
                reasons.append(f"{address}: this names another peer than {peer_id(peer)}")
                continue
            call = Call(self._net, self, place, peer)
            if connection := await call.made():
                return connection
            reasons.append(f"{address}: {call.refused}")
        raise Unreachable("; ".join(reasons))

    def connection(
        self, way: Way, peer: bytes, remote: str, link: Link, *, inbound: bool
    ) -> SimulatedConnection:
        """Make this node's end of a connection. It is nobody's until it is taken."""

        def on_gone(ended: SimulatedConnection) -> None:
            self._connections.pop(ended, None)
            if ended.far.is_gone:
                self._net.unlink(link)

        return SimulatedConnection(
            way, peer, remote, self.service, self.tasks, on_gone, inbound=inbound
        )

    def take(self, connection: SimulatedConnection) -> None:
        """Have a new connection."""
        self._connections[connection] = None
        connection.start()

    def end(self, why: str) -> None:
        """Leave: connections end, and ports are free."""
        self.ended = self.ended or why
        for each in self.connections:
            each.end(why)
        for place in self._places:
            if self._net.listening.get(place) is self:
                del self._net.listening[place]
        self._net.endpoints.pop(self, None)


class Call:
    """One try to reach somebody. What is said goes over the link that is then the connection's."""

    def __init__(self, net: Net, caller: SimulatedEndpoint, place: Address, peer: bytes) -> None:
        """Lay the link."""
        self.refused = f"no answer within {OPEN_S_MAX:g} s"
        self._net = net
        self._caller = caller
        self._place = place
        self._peer = peer
        self._link = net.link(caller.host, place.host)
        self._answered = trio.Event()
        self._made: SimulatedConnection | None = None

    async def made(self) -> SimulatedConnection | None:
        """Give the connection, if there is one in time."""
        is_answered = False
        try:
            if self._caller.ended:
                self._refuse(self._caller.ended)
            else:
                self._link.there.post(HANDSHAKE_BYTES, self._arrive)
            with trio.move_on_after(OPEN_S_MAX):
                await self._answered.wait()
                is_answered = True
        finally:
            if not is_answered and self._made:
                self._made.end("the dial was given up")
            elif not self._made:
                self._net.unlink(self._link)
        return self._made if self._made and not self._made.is_gone else None

    def _arrive(self) -> None:
        """Knock. Who listens shows its key, then the caller does."""
        caller, link = self._caller, self._link
        host = caller.host
        remote = str(Address(family_of(host), host, self._net.port(host)))
        listener = self._net.listening.get(self._place)
        if not listener:
            return self._answer("nobody listens there")
        if not listener.service.gate.may_come(remote):
            return self._answer("the peer does not let this node in")
        if listener.key != self._peer:
            return self._answer(f"who listens there has proven to be {peer_id(listener.key)}")
        if not listener.service.gate.may_stay(caller.key, remote):
            return self._answer("the peer does not let this node stay")
        theirs = listener.connection(link.back, caller.key, remote, link, inbound=True)
        ours = caller.connection(link.there, self._peer, str(self._place), link, inbound=False)
        theirs.far, ours.far = ours, theirs
        self._made = ours
        self._answer("")
        listener.take(theirs)
        return None

    def _answer(self, refused: str) -> None:
        self._link.back.post(HANDSHAKE_BYTES, lambda: self._refuse(refused))

    def _refuse(self, why: str) -> None:
        """Tell the caller how it went; no words are good news."""
        self.refused = why or self._caller.ended or "the connection ended at once"
        if self._made and self._caller.ended:
            self._made.end(self._caller.ended)
        elif self._made and not self._made.is_gone:
            self._caller.take(self._made)
        self._answered.set()
