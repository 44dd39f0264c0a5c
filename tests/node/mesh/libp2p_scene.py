# SPDX-License-Identifier: MIT
"""The real network, as a scene for the promises of all transports: loopback, through a relay.

Everything runs in this process, so a node cannot be stopped or killed by a signal. Each is
dialled through a relay of its own instead, which stops to pass bytes on or cuts every link. The
bytes are those of the wire; a real SIGKILL and SIGSTOP are tried by the tests of whole nodes.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

import trio

from node.mesh.address import parse_address
from node.mesh.libp2p import Libp2p
from node.mesh.libp2p.addresses import of_socket
from node.mesh.libp2p.connections import MuxedConnection
from node.mesh.libp2p.host import Libp2pEndpoint
from node.mesh.transport import Connection, Endpoint, Service, Transport
from protocol.keys import Keypair


class Libp2pScene:
    """Nodes on loopback, each behind its relay."""

    listen = "/ip4/127.0.0.1/tcp/0"
    wildcard = ""
    dead = "/ip4/127.0.0.1/tcp/1"

    def __init__(self) -> None:
        self.relays: dict[Endpoint, Relay] = {}

    def transport(self, who: str) -> Transport:  # noqa: ARG002 - all are on this machine
        return _Relayed(self)

    def reach(self, endpoint: Endpoint) -> Sequence[str]:
        return self.relays[endpoint].addresses

    async def freeze(self, endpoint: Endpoint) -> None:
        for link in self._links(endpoint):
            link.moving = trio.Event()
        self.relays[endpoint].frozen = True

    async def thaw(self, endpoint: Endpoint) -> None:
        self.relays[endpoint].frozen = False
        for link in self._links(endpoint):
            link.moving.set()

    async def kill(self, endpoint: Endpoint) -> None:
        links = list(self._links(endpoint))
        self.relays[endpoint].end()
        for link in links:
            await link.cut()

    def streams(self, connection: Connection) -> int:
        assert isinstance(connection, MuxedConnection)
        return connection.streams

    def _links(self, endpoint: Endpoint) -> Iterator["Link"]:
        """Every link on which this endpoint has an end, whoever dialled."""
        assert isinstance(endpoint, Libp2pEndpoint)
        ours = {socket_of(each).getsockname()[1] for each in endpoint.connections}
        for relay in self.relays.values():
            for link in relay.links:
                if relay.endpoint is endpoint or link.caller_port in ours:
                    yield link


class _Relayed:
    """The real transport, with a relay before each endpoint."""

    def __init__(self, scene: Libp2pScene) -> None:
        self._scene = scene

    def open(
        self, keypair: Keypair, seed: bytes, listen: Sequence[str], service: Service
    ) -> AbstractAsyncContextManager[Endpoint]:
        return self._open(keypair, seed, listen, service)

    @asynccontextmanager
    async def _open(
        self, keypair: Keypair, seed: bytes, listen: Sequence[str], service: Service
    ) -> AsyncIterator[Endpoint]:
        async with Libp2p().open(keypair, seed, listen, service) as endpoint:
            relay = self._scene.relays[endpoint] = Relay(endpoint)
            async with trio.open_nursery() as nursery:
                await relay.begin(nursery)
                yield endpoint
                relay.end()


@dataclass(eq=False)
class Link:
    """A connection through a relay."""

    caller: trio.SocketStream
    called: trio.SocketStream
    caller_port: int
    moving: trio.Event = field(default_factory=trio.Event)

    async def pump(self, source: trio.SocketStream, sink: trio.SocketStream) -> None:
        """Pass bytes on in one direction, while nobody has stopped it."""
        try:
            while data := await source.receive_some(1 << 16):
                await self.moving.wait()
                await sink.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        await self.moving.wait()
        await self.cut()

    async def cut(self) -> None:
        """End it, as the system ends the sockets of a process that is killed."""
        self.moving.set()
        await trio.aclose_forcefully(self.caller)
        await trio.aclose_forcefully(self.called)


@dataclass(eq=False)
class Relay:
    """Passes on what comes to an endpoint."""

    endpoint: Endpoint
    links: set[Link] = field(default_factory=set)
    addresses: tuple[str, ...] = ()
    frozen: bool = False
    scopes: list[trio.CancelScope] = field(default_factory=list)

    async def begin(self, nursery: trio.Nursery) -> None:
        """Listen before each address of the endpoint."""
        for text in self.endpoint.addresses:
            target, _ = parse_address(text)
            (listener,) = await trio.open_tcp_listeners(0, host=target.host)
            assert isinstance(listener, trio.SocketListener)
            self.addresses += (str(of_socket(listener.socket.getsockname())),)
            self.scopes.append(trio.CancelScope())
            nursery.start_soon(self._serve, self.scopes[-1], listener, target.host, target.port)

    async def _serve(
        self, scope: trio.CancelScope, listener: trio.SocketListener, host: str, port: int
    ) -> None:
        with scope:
            await self._listen(listener, host, port)

    async def _listen(self, listener: trio.SocketListener, host: str, port: int) -> None:
        async with listener, trio.open_nursery() as nursery:
            while True:
                nursery.start_soon(self._pass_on, await listener.accept(), host, port)

    def end(self) -> None:
        """Listen no more, and cut every link."""
        for each in self.scopes:
            each.cancel()

    async def _pass_on(self, caller: trio.SocketStream, host: str, port: int) -> None:
        async with caller, await trio.open_tcp_stream(host, port) as called:
            link = Link(caller, called, caller.socket.getpeername()[1])
            if not self.frozen:
                link.moving.set()
            self.links.add(link)
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(link.pump, caller, called)
                    nursery.start_soon(link.pump, called, caller)
            finally:
                self.links.discard(link)


def socket_of(connection: MuxedConnection) -> trio.socket.SocketType:
    """Reach for the socket under a connection."""
    return connection._session._records.wire.stream.socket
