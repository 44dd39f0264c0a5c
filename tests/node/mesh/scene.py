# SPDX-License-Identifier: MIT
"""What a transport must bring along so that its promises can be tried, and what they share.

A scene is one network. `memory_scene` has the made one, `libp2p_scene` the real one.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

import pytest
import trio

from node.mesh.transport import (
    Connection,
    Endpoint,
    Handler,
    Lost,
    Service,
    Stream,
    Transport,
    TransportError,
)
from protocol.keys import Keypair

#: Longer than anything takes that is promised to happen at once.
SOON_S = 8.0


class Scene(Protocol):
    """One network, and what the world may do to the nodes on it."""

    #: Where a node may listen: a multiaddr with port 0.
    listen: str
    #: The same with a wildcard; empty where no test may listen on all interfaces.
    wildcard: str
    #: An address where nobody listens; a dial there fails at once.
    dead: str

    def transport(self, who: str) -> Transport:
        """Give the way onto the network for a node of this name; each is a host of its own."""
        ...

    def reach(self, endpoint: Endpoint) -> Sequence[str]:
        """Where others dial this endpoint so that it can be frozen and killed. Asked often."""
        ...

    async def freeze(self, endpoint: Endpoint) -> None:
        """Stop it: nothing is read or written, and its connections stay."""
        ...

    async def thaw(self, endpoint: Endpoint) -> None:
        """Let it go on."""
        ...

    async def kill(self, endpoint: Endpoint) -> None:
        """End it as SIGKILL would, as far as others can see; nobody can dial it afterwards."""
        ...

    def streams(self, connection: Connection) -> int:
        """Count the streams that this end of a connection still keeps, whoever opened them."""
        ...


class OpenGate:
    """Lets everybody in."""

    def may_come(self, remote: str) -> bool:  # noqa: ARG002 - whoever it is
        return True

    def may_stay(self, peer: bytes, remote: str) -> bool:  # noqa: ARG002 - whoever it is
        return True

    def may_stream(self, connection: Connection, open_now: int) -> bool:  # noqa: ARG002 - however many
        return True


@dataclass
class Node:
    """An endpoint, and whom it has met."""

    scene: Scene
    key: bytes
    met: list[Connection] = field(default_factory=list)
    connected: int = 0
    gate: OpenGate = field(default_factory=OpenGate)
    endpoint: Endpoint = field(init=False)

    @property
    def addresses(self) -> Sequence[str]:
        """Where others dial it."""
        return self.scene.reach(self.endpoint)

    async def dial(self, other: "Node") -> Connection:
        """Connect to another node."""
        return await self.endpoint.dial(other.key, other.addresses)

    async def meet(self, connection: Connection) -> None:
        """Note a connection, and count it for as long as it is there."""
        self.met.append(connection)
        self.connected += 1
        await connection.wait_closed()
        self.connected -= 1


def seed_of(who: str) -> bytes:
    """Make the seed of somebody's key."""
    return who.encode().ljust(32, b".")


def key_of(who: str) -> bytes:
    """Give the key of somebody."""
    return Keypair(seed_of(who)).public


@asynccontextmanager
async def joined(
    scene: Scene,
    who: str,
    handlers: Mapping[str, Handler] | None = None,
    *,
    gate: OpenGate | None = None,
    meet: Callable[[Connection], Awaitable[None]] | None = None,
    listen: Sequence[str] | None = None,
) -> AsyncIterator[Node]:
    """Be somebody on the network."""
    node = Node(scene, key_of(who), gate=gate or OpenGate())
    service = Service(meet or node.meet, handlers or TALKS, node.gate)
    listen = (scene.listen,) if listen is None else listen
    transport = scene.transport(who)
    async with transport.open(Keypair(seed_of(who)), seed_of(who), listen, service) as endpoint:
        node.endpoint = endpoint
        yield node


@dataclass
class Pair:
    """Two nodes, of which Alice has dialled Bob."""

    alice: Node
    bob: Node
    here: Connection
    there: Connection

    async def forgets_all_streams(self) -> None:
        """See that neither end keeps a stream."""
        scene = self.alice.scene
        await until(lambda: scene.streams(self.here) == 0 == scene.streams(self.there))

    async def works(self) -> None:
        """See that whoever talks now is answered, either way."""
        for end in (self.here, self.there):
            assert await echoed(end, b"are you there?") == b"are you there?"


@asynccontextmanager
async def connected(
    scene: Scene,
    handlers: Mapping[str, Handler] | None = None,
    *,
    gate: OpenGate | None = None,
) -> AsyncIterator[Pair]:
    """Connect Alice to Bob; both have these handlers beside TALKS, and Bob has the gate."""
    both = {**TALKS, **(handlers or {})}
    async with joined(scene, "alice", both) as alice, joined(scene, "bob", both, gate=gate) as bob:
        here = await alice.dial(bob)
        await until(lambda: bob.met)
        yield Pair(alice, bob, here, bob.met[0])


# --- talking --------------------------------------------------------------------------------------

ECHO, SINK, SILENT = "/test/echo/1", "/test/sink/1", "/test/silent/1"


async def echo(stream: Stream) -> None:
    """Give back what comes."""
    while data := await stream.receive():
        await stream.send(data)


async def sink(stream: Stream) -> None:
    """Read all, and say how much it was."""
    count = 0
    while data := await stream.receive():
        count += len(data)
    await stream.send(count.to_bytes(8, "big"))


async def silent(_: Stream) -> None:
    """Read nothing and say nothing."""
    await trio.sleep_forever()


TALKS: Mapping[str, Handler] = {ECHO: echo, SINK: sink, SILENT: silent}


async def read(stream: Stream) -> bytes:
    """Read to the end of data."""
    got = bytearray()
    while data := await stream.receive():
        assert len(data) <= 1 << 20
        got += data
    return bytes(got)


async def read_some(stream: Stream, count: int) -> bytes:
    """Read exactly so much, or to the end."""
    got = bytearray()
    while len(got) < count and (data := await stream.receive()):
        got += data
    return bytes(got)


async def echoed(connection: Connection, data: bytes) -> bytes:
    """Say something on a stream of its own, and give what comes back."""
    stream = await connection.open(ECHO)
    return await exchanged(stream, data)


async def exchanged(stream: Stream, data: bytes) -> bytes:
    """Send while somebody reads; then finish."""
    got = b""

    async def receive() -> None:
        nonlocal got
        got = await read(stream)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        await stream.send(data)
        await stream.finish()
    return got


async def ending(stream: Stream) -> str:
    """Read until nothing more comes, and tell how that ended; not whether it was success."""
    try:
        await read(stream)
    except TransportError as error:
        return type(error).__name__
    return ""


async def cannot_send(stream: Stream) -> None:
    """Send until that fails; the news may take a while."""
    with trio.fail_after(SOON_S), pytest.raises(TransportError):
        await _send_on(stream)


async def _send_on(stream: Stream) -> None:
    while True:
        await stream.send(b"x")
        await trio.sleep(0.01)


async def fill(stream: Stream) -> None:
    with pytest.raises(Lost):
        await stream.send(bytes(16 << 20))


async def until(check: Callable[[], object]) -> None:
    """Wait for something that a transport does by itself, and tells nobody."""
    with trio.fail_after(SOON_S):
        while not check():  # noqa: ASYNC110 - there is no event for it
            await trio.sleep(0.01)
