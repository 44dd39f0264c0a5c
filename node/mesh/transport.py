# SPDX-License-Identifier: MIT
"""The transport seam: streams of bytes to nodes whose keys are proven. What is said is not here.

An **endpoint** is one node's end of the network. It dials and is dialled; either way there is a
**connection** to a key that the transport has authenticated, and on it any number of **streams**,
opened by either side for a named protocol.

What holds for every transport (tests/node/mesh/transport_promises.py holds them to it):

- The bytes of one stream arrive in order and without a hole, or the stream is lost. Streams do
  not wait for each other, except that a peer's connection as a whole may be slow.
- A writer is held back by a reader that does not read; memory stays flat. How long a transport
  bears that is its own affair: libp2p kills the stream after a few seconds. So read at once.
- An end of data (`b""`) means that the peer finished, or that it is gone: some transports cannot
  tell the two apart. It is never success; the frames above say their own end.
- Whoever is cancelled while sending loses the stream, since nobody knows how much of it left;
  the connection and its other streams go on. Receiving can be cancelled without loss.
- Nothing that a peer does raises anything but :class:`TransportError` here. What a handler
  raises ends its stream and is logged; it never ends the endpoint.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from protocol.keys import Keypair
from protocol.tensors import Buffer

#: One write of a transport; a Noise record holds it, and larger ones were measured slower.
PIECE_BYTES_MAX = 65_000

#: A dial to one address, or the opening of a stream, takes no longer.
OPEN_S_MAX = 10.0


class TransportError(Exception):
    """Something between here and the peer; nobody's bug and nobody's breach."""


class Unreachable(TransportError):
    """The peer could not be dialled; the message has a reason for each address."""


class Lost(TransportError):
    """The stream or its connection is gone."""


class NotSpoken(TransportError):
    """The peer does not speak this protocol, or does not let us."""


class Stream(Protocol):
    """One conversation of bytes. One task may send while another one receives."""

    @property
    def connection(self) -> "Connection":
        """The connection that it runs on."""
        ...

    @property
    def protocol(self) -> str:
        """What is spoken."""
        ...

    async def send(self, *pieces: Buffer) -> None:
        """Put all these bytes on the stream, in order; Lost when that is not possible any more."""
        ...

    async def receive(self) -> bytes:
        """Give the next bytes, as many as there are (at most 1 MiB); `b""` at the end of data."""
        ...

    async def finish(self) -> None:
        """Say that nothing more will be sent; receiving goes on. Twice is fine."""
        ...

    async def reset(self) -> None:
        """End both directions now. Never raises; done within seconds, also when cancelled."""
        ...


class Connection(Protocol):
    """A proven way to one peer. There may be several to the same peer for a while."""

    @property
    def peer(self) -> bytes:
        """The peer's public key, as the transport has authenticated it."""
        ...

    @property
    def inbound(self) -> bool:
        """Whether the peer has dialled."""
        ...

    @property
    def remote(self) -> str:
        """The peer's address as seen from here, as a multiaddr; empty when it is not known."""
        ...

    async def open(self, protocol: str) -> Stream:
        """Open a stream; NotSpoken, or Lost. Takes at most OPEN_S_MAX."""
        ...

    async def close(self) -> None:
        """End the connection with all its streams. Never raises; twice is fine."""
        ...

    async def wait_closed(self) -> None:
        """Return when the connection has ended, whoever ended it."""
        ...


class Endpoint(Protocol):
    """This node's end of the network."""

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where this node is really listening, as multiaddrs: ports are known, no wildcards."""
        ...

    async def dial(self, peer: bytes, addresses: Sequence[str]) -> Connection:
        """Connect to a peer, trying one address after the other; else Unreachable.

        Addresses are multiaddrs with or without a last `/p2p/...`, which must then name the peer.
        A new connection each time: who wants only one looks before.
        """
        ...


Handler = Callable[[Stream], Awaitable[None]]
"""Serves a stream that a peer has opened. When it returns, the stream is finished and let go."""

Meet = Callable[[Connection], Awaitable[None]]
"""Runs for every new connection, dialled or not, as long as it likes; returning ends nothing."""


class Gate(Protocol):
    """Says who may come in; asked as early as each thing is known, and answered at once."""

    def may_come(self, remote: str) -> bool:
        """Whether a caller from this address may begin to prove who it is."""
        ...

    def may_stay(self, peer: bytes, remote: str) -> bool:
        """Whether a caller that has proven its key may keep the connection."""
        ...

    def may_stream(self, connection: Connection, open_now: int) -> bool:
        """Whether the peer may open one more stream, with so many of its own open now."""
        ...


@dataclass(frozen=True, slots=True)
class Service:
    """What a node does with those who come."""

    meet: Meet
    handlers: Mapping[str, Handler]
    gate: Gate


class Transport(Protocol):
    """A kind of network."""

    def open(
        self, keypair: Keypair, seed: bytes, listen: Sequence[str], service: Service
    ) -> AbstractAsyncContextManager[Endpoint]:
        """Be on the network inside the block, listening on these multiaddrs (port 0: any).

        OSError EADDRINUSE when a port is taken. `seed` is the 32 bytes that the key was made of,
        for transports that sign their own handshakes. Leaving closes every connection.
        """
        ...
