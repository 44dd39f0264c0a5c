# SPDX-License-Identifier: MIT
"""The transport itself: an endpoint on the network, for as long as its block lasts."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import trio

from node.log import Log
from node.mesh.address import Address
from node.mesh.libp2p.addresses import of_socket, real
from node.mesh.libp2p.asked import with_asked
from node.mesh.libp2p.bytes_in import Wire
from node.mesh.libp2p.connections import MuxedConnection
from node.mesh.libp2p.dialling import dial
from node.mesh.libp2p.holding import Holding
from node.mesh.libp2p.listening import Handshakes, accept_for_ever, bind
from node.mesh.libp2p.noise import Identity, Records, identity
from node.mesh.libp2p.upgrading import OwnKey, upgrade_inbound
from node.mesh.transport import Endpoint, Service, TransportError, Unreachable
from protocol.keys import Keypair

log = Log()


class Libp2p:
    """A :class:`~node.mesh.transport.Transport` on TCP."""

    def open(
        self, keypair: Keypair, seed: bytes, listen: Sequence[str], service: Service
    ) -> AbstractAsyncContextManager[Endpoint]:
        """Be on the network inside the block; OSError when an address cannot be had."""
        return _open(identity(keypair.public, seed), tuple(listen), service)


@asynccontextmanager
async def _open(me: Identity, listen: Sequence[str], service: Service) -> AsyncIterator[Endpoint]:
    listeners = await bind(listen)
    try:
        async with trio.open_nursery() as nursery:
            endpoint = Libp2pEndpoint(me, listeners, service, nursery)
            for each in listeners:
                nursery.start_soon(
                    accept_for_ever, each, service.gate.may_come, endpoint.come, nursery
                )
            try:
                yield endpoint
            finally:
                await endpoint.leave()
                nursery.cancel_scope.cancel()
    finally:
        for each in listeners:
            each.socket.close()


class Libp2pEndpoint:
    """The seam's Endpoint."""

    def __init__(
        self,
        me: Identity,
        listeners: Sequence[trio.SocketListener],
        service: Service,
        nursery: trio.Nursery,
    ) -> None:
        """Serve in this nursery."""
        self._me = me
        self._listening = [of_socket(each.socket.getsockname()) for each in listeners]
        self._service = service
        self._nursery = nursery
        self._handshakes = Handshakes()
        self._holding = Holding()
        self._left = False
        self.connections: set[MuxedConnection] = set()
        self._handlers = with_asked(service.handlers, me.encoded, lambda: self.addresses)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where this node is listening, looked up now: a laptop moves."""
        found = (address for each in self._listening for address in real(each))
        return tuple(dict.fromkeys(str(each) for each in found))

    async def dial(self, peer: bytes, addresses: Sequence[str]) -> MuxedConnection:
        """Connect to a peer, trying one address after the other."""
        records, remote = await dial(self._me, peer, addresses)
        if self._left:
            await trio.aclose_forcefully(records.wire.stream)
            raise Unreachable("this node has left the network")
        return self._begin(records, peer, remote, inbound=False)

    async def come(self, stream: trio.SocketStream, remote: Address) -> None:
        """Let a caller prove its key, and keep the connection when it may stay."""
        kept = False

        async def prove() -> None:
            nonlocal kept
            peer, records = await upgrade_inbound(
                Wire(stream),
                self._me,
                lambda key: self._service.gate.may_stay(key, str(remote)),
            )
            self._begin(records, peer, str(remote), inbound=True)
            kept = True

        try:
            await self._handshakes.attend(remote, prove)
        except OwnKey:
            log.warning("own_key_called", remote=str(remote))
        except TransportError as error:
            log.debug("caller_turned_away", remote=str(remote), reason=str(error))
        finally:
            if not kept:
                await trio.aclose_forcefully(stream)

    async def leave(self) -> None:
        """Say goodbye to everybody at once, within a moment."""
        self._left = True
        with trio.CancelScope(shield=True):
            async with trio.open_nursery() as nursery:
                for each in tuple(self.connections):
                    nursery.start_soon(each.close)

    def _begin(
        self, records: Records, peer: bytes, remote: str, *, inbound: bool
    ) -> MuxedConnection:
        connection = MuxedConnection(
            records,
            peer,
            remote,
            inbound=inbound,
            handlers=self._handlers,
            gate=self._service.gate,
            nursery=self._nursery,
            holding=self._holding,
        )
        self.connections.add(connection)
        self._nursery.start_soon(self._keep, connection)
        self._nursery.start_soon(self._meet, connection)
        return connection

    async def _keep(self, connection: MuxedConnection) -> None:
        try:
            await connection.run()
        finally:
            self.connections.discard(connection)

    async def _meet(self, connection: MuxedConnection) -> None:
        try:
            await self._service.meet(connection)
        except* TransportError as lost:
            log.debug("meeting_ended", reason=str(lost.exceptions[0]))
        except* Exception:  # a meeting that fails costs neither connection nor node
            log.exception("meeting_failed")
