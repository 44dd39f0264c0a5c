# SPDX-License-Identifier: MIT
"""A transport with a tap on each stream: what leaves the node, and what comes, can be changed.

Whoever taps sees the bytes that the node says, before Noise would seal them: it is the node
itself that lies. What a peer has authenticated cannot be changed, as on a real connection.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial

import trio

from node.mesh.transport import (
    Connection,
    Endpoint,
    Gate,
    Handler,
    Service,
    Stream,
    Transport,
    TransportError,
)
from node.work.beside import beside
from protocol.keys import Keypair
from protocol.tensors import Buffer


class Tap:
    """What is done with one stream; this one changes nothing."""

    async def leaving(self, data: bytes) -> bytes:
        """Give what really leaves; being slow here is a slow stream."""
        return data

    async def reading(self) -> None:
        """Wait before each read: a node that does not read."""

    def coming(self, data: bytes) -> bytes:
        """Give what the node hears."""
        return data


@dataclass(frozen=True, slots=True)
class Tapped:
    """The stream that a tap is made for: who talks with whom about what."""

    keypair: Keypair
    peer: bytes
    protocol: str
    is_ours: bool
    """Whether this node has opened it."""
    say: Callable[[bytes], None]
    """Puts more on the stream as soon as that is possible; whole frames only."""
    is_over: Callable[[], bool]


MakeTap = Callable[[Tapped], Tap]


class TappedTransport:
    """The way onto a network through taps."""

    def __init__(self, inner: Transport, make_tap: MakeTap) -> None:
        """Each stream gets a tap of its own."""
        self._inner = inner
        self._make_tap = make_tap

    @asynccontextmanager
    async def open(
        self, keypair: Keypair, seed: bytes, listen: Sequence[str], service: Service
    ) -> AsyncIterator[Endpoint]:
        """Be on the network inside the block."""
        async with beside() as tasks:
            around = _Around(keypair, service, self._make_tap, tasks)
            async with self._inner.open(keypair, seed, listen, around.service()) as endpoint:
                yield _Endpoint(endpoint, around)


class _Around:
    """What all connections of one endpoint have in common."""

    def __init__(
        self, keypair: Keypair, service: Service, make_tap: MakeTap, tasks: trio.Nursery
    ) -> None:
        self.keypair = keypair
        self.make_tap = make_tap
        self.tasks = tasks
        self._service = service
        self._known: dict[Connection, _Connection] = {}

    def service(self) -> Service:
        """Make the service that the transport below is given."""
        handlers = {
            name: partial(self._handle, each) for name, each in self._service.handlers.items()
        }
        return Service(self._meet, handlers, _Gate(self._service.gate, self.of))

    def of(self, connection: Connection) -> "_Connection":
        """Give the one connection that the node knows this one as."""
        known = self._known.get(connection)
        if known is None:
            known = self._known[connection] = _Connection(connection, self)
        return known

    async def _meet(self, connection: Connection) -> None:
        try:
            await self._service.meet(self.of(connection))
        finally:
            self._known.pop(connection, None)

    async def _handle(self, handler: Handler, stream: Stream) -> None:
        await handler(_Stream(stream, self.of(stream.connection), self, is_ours=False))


class _Gate:
    """The node's own gate, which knows connections as the node does."""

    def __init__(self, inner: Gate, of: Callable[[Connection], "_Connection"]) -> None:
        self._inner = inner
        self._of = of

    def may_come(self, remote: str) -> bool:
        return self._inner.may_come(remote)

    def may_stay(self, peer: bytes, remote: str) -> bool:
        return self._inner.may_stay(peer, remote)

    def may_stream(self, connection: Connection, open_now: int) -> bool:
        return self._inner.may_stream(self._of(connection), open_now)


class _Endpoint:
    def __init__(self, inner: Endpoint, around: _Around) -> None:
        self._inner = inner
        self._around = around

    @property
    def addresses(self) -> tuple[str, ...]:
        return self._inner.addresses

    async def dial(self, peer: bytes, addresses: Sequence[str]) -> Connection:
        return self._around.of(await self._inner.dial(peer, addresses))


class _Connection:
    def __init__(self, inner: Connection, around: _Around) -> None:
        self._inner = inner
        self._around = around

    @property
    def peer(self) -> bytes:
        return self._inner.peer

    @property
    def inbound(self) -> bool:
        return self._inner.inbound

    @property
    def remote(self) -> str:
        return self._inner.remote

    async def open(self, protocol: str) -> Stream:
        return _Stream(await self._inner.open(protocol), self, self._around, is_ours=True)

    async def close(self) -> None:
        await self._inner.close()

    async def wait_closed(self) -> None:
        await self._inner.wait_closed()


class _Stream:
    def __init__(
        self, inner: Stream, connection: _Connection, around: _Around, *, is_ours: bool
    ) -> None:
        self.connection: Connection = connection
        self.protocol = inner.protocol
        self._inner = inner
        self._tasks = around.tasks
        self._sending = trio.Lock()  # the node and the attacker take turns
        self._is_over = False
        self._tap = around.make_tap(
            Tapped(
                around.keypair,
                connection.peer,
                inner.protocol,
                is_ours,
                self._say,
                lambda: self._is_over,
            )
        )

    async def send(self, *pieces: Buffer) -> None:
        data = b"".join(bytes(each) for each in pieces)
        await self._send(lambda: self._tap.leaving(data))

    async def receive(self) -> bytes:
        while True:
            await self._tap.reading()
            data = await self._inner.receive()
            if not data:
                self._is_over = True
                return b""
            if heard := self._tap.coming(data):
                return heard

    async def finish(self) -> None:
        self._is_over = True
        await self._inner.finish()

    async def reset(self) -> None:
        self._is_over = True
        await self._inner.reset()

    async def _send(self, made: Callable[[], Awaitable[bytes]]) -> None:
        try:
            async with self._sending:
                if data := await made():
                    await self._inner.send(data)
        except trio.Cancelled:
            # The seam says that the stream is lost then, also where a tap has held it up.
            await self.reset()
            raise

    def _say(self, data: bytes) -> None:
        if not self._is_over:
            self._tasks.start_soon(self._say_it, data)

    async def _say_it(self, data: bytes) -> None:
        async def given() -> bytes:
            return data

        with suppress(TransportError):
            await self._send(given)
