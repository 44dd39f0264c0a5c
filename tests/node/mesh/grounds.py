# SPDX-License-Identifier: MIT
"""Nodes of the mesh on a made network, for tests: no executor, no books, only who meets whom."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace

import trio

from node.config import MeshConfig
from node.mesh.behaviour import Behaviour
from node.mesh.framed import Framed
from node.mesh.mesh import Mesh
from node.mesh.peer import Peer
from node.mesh.transport import Connection, Endpoint, Service, Stream
from node.networks import Network
from node.store.store import Database
from protocol.channel import NoFrame
from protocol.events import Instant
from protocol.frames import Frame
from protocol.keys import Keypair
from simulations.transport import Net

PUBLIC = Network("tests", b"a salt of tests.")
PRIVATE = replace(PUBLIC, secrets={1: b"\x01" * 32})
ECHO = "/tests/echo/1"
WALL_S = 1_790_000_000.0


class VirtualClock:
    """The clock of trio's own clock, so that autojump moves it too."""

    def __init__(self, seed: int = 0, ahead_s: float = 0.0) -> None:
        self._die = random.Random(seed)
        self._ahead_s = ahead_s

    def now(self) -> Instant:
        now_s = trio.current_time()
        return Instant(mono_s=now_s, wall_s=WALL_S + now_s + self._ahead_s)

    def dice(self, purpose: str) -> random.Random:  # noqa: ARG002 - one die serves all tests
        return self._die

    def secret_bytes(self, count: int) -> bytes:
        return self._die.randbytes(count)


@dataclass
class Introducing:
    """What a node says of itself, as plain values."""

    incarnation: bytes = b"i" * 8
    sealed: bytes = b"a" * 100
    sums: Mapping[bytes, tuple[int, int]] = field(default_factory=dict)

    def advert(self) -> bytes:
        return self.sealed

    def totals(self, peer: bytes) -> tuple[int, int]:
        return self.sums.get(peer, (3, 4))


@dataclass
class Node:
    """One node, and what its mesh told."""

    mesh: Mesh
    host: str
    seed: bytes
    happened: list[tuple[str, bytes, str]] = field(default_factory=list)

    @property
    def key(self) -> bytes:
        return self.mesh.me

    @property
    def addresses(self) -> tuple[str, ...]:
        return self.mesh.addresses

    @property
    def met(self) -> list[bytes]:
        return [key for what, key, _ in self.happened if what == "met"]

    @property
    def left(self) -> list[tuple[bytes, str]]:
        return [(key, why) for what, key, why in self.happened if what == "left"]

    async def meets(self, other: "Node | RawNode") -> Peer:
        return await self.mesh.meet(other.key, other.addresses)


def seed_of(number: int) -> bytes:
    return bytes([number]) * 32


def make(
    number: int,
    *,
    network: Network = PUBLIC,
    config: MeshConfig | None = None,
    incarnation: bytes = b"i" * 8,
    ahead_s: float = 0.0,
    host: str = "",
    database: Database | None = None,
) -> Node:
    clock = VirtualClock(number, ahead_s)
    keypair = Keypair(seed_of(number))
    mesh = Mesh(
        clock,
        keypair,
        network,
        Introducing(incarnation),
        Behaviour(clock, database),
        config or MeshConfig(),
    )
    node = Node(mesh, host or f"10.0.0.{number}", seed_of(number))
    mesh.watch(
        lambda peer: node.happened.append(("met", peer.key, "")),
        lambda key, why: node.happened.append(("left", key, why)),
    )
    mesh.speak(ECHO, echo)
    return node


async def echo(_peer: Peer, wire: Framed) -> None:
    while isinstance(frame := await wire.receive(), Frame):
        await wire.send(frame)


@asynccontextmanager
async def on(net: Net, *nodes: Node) -> AsyncIterator[None]:
    """Let these nodes be in the mesh inside the block."""
    async with AsyncExitStack() as stack:
        for node in nodes:
            opened = node.mesh.open(net.transport(node.host), node.seed, ["/ip4/0.0.0.0/tcp/0"])
            await stack.enter_async_context(opened)
        yield


@dataclass
class RawNode:
    """A node that does only what the test does: the other side of every lie."""

    endpoint: Endpoint
    keypair: Keypair
    incoming: "trio.MemoryReceiveChannel[Stream]"

    @property
    def key(self) -> bytes:
        return self.keypair.public

    @property
    def addresses(self) -> tuple[str, ...]:
        return self.endpoint.addresses

    async def dials(self, node: Node) -> Connection:
        return await self.endpoint.dial(node.key, node.addresses)


class OpenGate:
    """Lets everybody do everything."""

    def may_come(self, remote: str) -> bool:  # noqa: ARG002 - whoever it is
        return True

    def may_stay(self, peer: bytes, remote: str) -> bool:  # noqa: ARG002 - whoever it is
        return True

    def may_stream(self, connection: Connection, open_now: int) -> bool:  # noqa: ARG002 - whichever it is
        return True


@asynccontextmanager
async def raw(
    net: Net, number: int, protocols: tuple[str, ...], host: str = ""
) -> AsyncIterator[RawNode]:
    """Be on the network without a mesh; streams that others open are handed to the test."""
    send, receive = trio.open_memory_channel[Stream](100)

    async def take(stream: Stream) -> None:
        await send.send(stream)
        await trio.sleep_forever()

    async def meet(connection: Connection) -> None:
        await connection.wait_closed()

    handlers: dict[str, Callable[[Stream], Awaitable[None]]] = dict.fromkeys(protocols, take)
    service = Service(meet, handlers, OpenGate())
    keypair = Keypair(seed_of(number))
    transport = net.transport(host or f"10.0.0.{number}")
    async with transport.open(keypair, seed_of(number), ["/ip4/0.0.0.0/tcp/0"], service) as end:
        yield RawNode(end, keypair, receive)


async def settled(seconds: float = 0.5) -> None:
    """Let everything happen that takes no time, and a little."""
    await trio.sleep(seconds)


async def ended(wire: Framed) -> NoFrame | Frame:
    """Wait for what comes next on a stream, or how it ends."""
    return await wire.receive()
