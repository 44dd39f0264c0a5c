# SPDX-License-Identifier: MIT
"""A made network: its hosts, who listens on them, and what the world does to them.

What a node does with a :class:`~node.mesh.transport.Transport` it does here without a socket, in
any clock of trio's. Links are in `cables.py`, dials, connections and streams in files of their
own. ::

    net = Net()
    async with net.transport("10.0.0.1").open(keypair, seed, ["/ip4/0.0.0.0/tcp/0"], service) as a:
        ...
"""

import errno
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from random import Random

import trio

from node.mesh.address import Address, parse_address
from node.mesh.transport import Service, Unreachable
from protocol.keys import Keypair, peer_id
from simulations.cables import Cables
from simulations.call import Call
from simulations.connection import SimulatedConnection
from simulations.links import COUNTRY, LinkTraits
from simulations.network import WILDCARDS, Link, Way, family_of
from simulations.routes import Dice
from simulations.trace import Trace
from simulations.ways import TICK_S
from simulations.wire import Wire

#: The ports that systems choose from when nobody asks for one.
PORTS = range(32_768, 61_000)


class Net(Cables):
    """One made network. Its hosts are the addresses that its transports were given."""

    def __init__(
        self,
        *,
        wire: Wire | None = None,
        dice: Dice = Random,
        trace: Trace | None = None,
        default: LinkTraits = COUNTRY,
        tick_s: float = TICK_S,
    ) -> None:
        """Begin with nobody; what all this is says :class:`~simulations.cables.Cables`."""
        super().__init__(wire=wire, dice=dice, trace=trace, default=default, tick_s=tick_s)
        self.endpoints: dict[SimulatedEndpoint, None] = {}
        self.listening: dict[Address, SimulatedEndpoint] = {}
        self._hosts: set[str] = set()
        self._next_ports: dict[str, int] = {}

    def transport(self, host: str = "10.0.0.1") -> "SimulatedTransport":
        """Give the way onto this network from a host; several nodes may share one."""
        self._hosts.add(host)
        return SimulatedTransport(self, host)

    # --- what the world does ------------------------------------------------------------------

    def kill(self, host: str) -> None:
        """End what runs on a host, as a signal would: its connections end, its ports are free."""
        self.note("killed", self.name_of(host))
        for each in self._on(host):
            each.end("this host was killed")
        self.thaw(host)

    def switch_off(self, host: str) -> None:
        """Take the power from a host: nobody hears a word of it, and nothing answers there."""
        for each in self._on(host):
            each.vanish("this host was switched off")
        self.barriers.off.add(host)
        self._changed("switched_off", self.name_of(host))

    def switch_on(self, host: str) -> None:
        """Give it back; whoever still talks to what ran there is told that it is gone."""
        self.barriers.off.discard(host)
        self._changed("switched_on", self.name_of(host))

    # --- what endpoints do --------------------------------------------------------------------

    def answers(self, caller: str, host: str) -> bool:
        """Whether a host answers to a caller at all, if only that nobody listens there.

        Without a wire a dial fails at once where there was never a host.
        """
        is_there = self.wire is None or host in self._hosts
        return is_there and self.barriers.may_knock(caller, host)

    def port(self, host: str) -> int:
        """Choose a port of this host that nobody has, another one each time."""
        for _ in PORTS:
            port = self._next_ports.get(host, PORTS.start)
            self._next_ports[host] = port + 1 if port + 1 in PORTS else PORTS.start
            if Address(family_of(host), host, port) not in self.listening:
                return port
        raise OSError(errno.EADDRINUSE, f"all ports of {host} are taken")

    def _on(self, host: str) -> list["SimulatedEndpoint"]:
        return [each for each in self.endpoints if each.host == host]


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
            self._net.note("ended", who)
            if ended.far.is_gone:
                self._net.unlink(link)

        here, there = link.hosts
        who = self._net.between(there, here) if inbound else self._net.between(here, there)
        traffic = self._net.traffic(self.host)
        made = SimulatedConnection(
            way, peer, remote, self.service, self.tasks, on_gone, traffic, inbound=inbound
        )
        link.ends.append(made.be_left)
        return made

    def take(self, connection: SimulatedConnection) -> None:
        """Have a new connection."""
        self._connections[connection] = None
        self._net.note("met", self._net.name_of(self.host), connection.remote)
        connection.start()

    def end(self, why: str) -> None:
        """Leave: connections end, and ports are free."""
        self.ended = self.ended or why
        for each in self.connections:
            each.end(why)
        self._leave()

    def vanish(self, why: str) -> None:
        """Be gone without a word."""
        self.ended = self.ended or why
        for each in self.connections:
            each.vanish(why)
        self._leave()

    def _leave(self) -> None:
        for place in self._places:
            if self._net.listening.get(place) is self:
                del self._net.listening[place]
        self._net.endpoints.pop(self, None)
