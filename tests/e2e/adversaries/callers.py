# SPDX-License-Identifier: MIT
"""Those who call a real node with bad intent: by bare TCP, with a proven key, as a member.

All sockets are on loopback. 127.0.0.1 to 127.0.0.254 are addresses without a range, so each of
them is a place of its own to the node, as an attacker with many addresses would have.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import count

import trio

from node.clock import SystemClock
from node.config import MeshConfig
from node.mesh.address import parse_address
from node.mesh.behaviour import Behaviour
from node.mesh.framed import Framed
from node.mesh.libp2p.bytes_in import Wire
from node.mesh.libp2p.host import Libp2pEndpoint
from node.mesh.libp2p.noise import identity
from node.mesh.libp2p.upgrading import upgrade_outbound
from node.mesh.mesh import Mesh
from node.mesh.transport import Connection, Endpoint, Service, TransportError
from node.networks import Network
from protocol.errors import ProtocolError, Refused
from protocol.keys import Keypair
from tests.e2e.nodes import PATIENCE_S
from tests.node.mesh.raw_peer import RawPeer

#: How an attack on one connection may end; then the attacker comes again.
ENDS = (TransportError, ProtocolError, Refused, OSError, trio.BrokenResourceError)

_names = count()
_places = count()


@dataclass(frozen=True, slots=True)
class Target:
    """Whom to attack: its key and where it listens."""

    key: bytes
    address: str

    @property
    def port(self) -> int:
        """The port on loopback."""
        return parse_address(self.address)[0].port


def seed_of(name: str) -> bytes:
    """Give the seed of somebody's key."""
    return sha256(f"adversary {name}".encode()).digest()


def fresh() -> bytes:
    """Give a seed that nobody has had: keys cost nothing."""
    return seed_of(f"number {next(_names)}")


def place(number: int) -> str:
    """Name an address to call from."""
    return f"127.0.{1 + number // 250}.{1 + number % 250}"


@asynccontextmanager
async def calling(target: Target, here: str = "127.0.0.1") -> AsyncIterator[trio.SocketStream]:
    """Connect, and say nothing."""
    stream = await trio.open_tcp_stream("127.0.0.1", target.port, local_address=here)
    try:
        yield stream
    finally:
        await trio.aclose_forcefully(stream)


async def heard_of(stream: trio.SocketStream, within_s: float = 5.0) -> bytes:
    """Read until the node hangs up, or so long."""
    heard = b""
    with trio.move_on_after(within_s), suppress(trio.BrokenResourceError):
        while data := await stream.receive_some(65536):
            heard += data
    return heard


@asynccontextmanager
async def proven(target: Target, seed: bytes, here: str = "127.0.0.1") -> AsyncIterator[RawPeer]:
    """Prove a key and agree on Yamux like an honest node, with both hands on the frames."""
    me = identity(Keypair(seed).public, seed)
    async with calling(target, here) as stream:
        yield RawPeer(await upgrade_outbound(Wire(stream), me, target.key))


class Here:
    """libp2p, dialling from one address."""

    def __init__(self, here: str) -> None:
        self._here = here

    @asynccontextmanager
    async def open(
        self,
        keypair: Keypair,
        seed: bytes,
        listen: Sequence[str],
        service: Service,
    ) -> AsyncIterator[Endpoint]:
        async with trio.open_nursery() as nursery:
            me = identity(keypair.public, seed)
            assert not listen, "an attacker is not called"
            endpoint = _Dialling(self._here, Libp2pEndpoint(me, (), service, nursery))
            yield endpoint
            await endpoint.inner.leave()
            nursery.cancel_scope.cancel()


class _Dialling:
    """An endpoint that is somewhere."""

    addresses = ()

    def __init__(self, here: str, inner: Libp2pEndpoint) -> None:
        self.here = here
        self.inner = inner

    async def dial(self, peer: bytes, addresses: Sequence[str]) -> Connection:
        address, _ = parse_address(addresses[0])
        stream = await trio.open_tcp_stream(address.host, address.port, local_address=self.here)
        try:
            with trio.fail_after(PATIENCE_S):
                records = await upgrade_outbound(Wire(stream), self.inner._me, peer)
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        return self.inner._begin(records, peer, addresses[0], inbound=False)


@dataclass
class Introducing:
    """What an attacker says of itself in its hello."""

    incarnation: bytes = b"attacker"
    sealed: bytes = b""
    sums: tuple[int, int] = (0, 0)

    def advert(self) -> bytes:
        return self.sealed

    def totals(self, _peer: bytes) -> tuple[int, int]:
        return self.sums


@dataclass
class Member:
    """Somebody who is let in, and speaks what the test says."""

    mesh: Mesh
    keypair: Keypair
    seed: bytes
    target: Target
    introducing: Introducing
    left: list[str] = field(default_factory=list)

    async def meets(self) -> None:
        """Say hello, as an honest node."""
        await self.mesh.meet(self.target.key, [self.target.address])

    @asynccontextmanager
    async def wire(self, protocol: str) -> AsyncIterator[Framed]:
        """Open a stream to the target."""
        async with self.mesh.wire(self.target.key, protocol, [self.target.address]) as wire:
            yield wire


@asynccontextmanager
async def member(
    target: Target,
    network: Network,
    seed: bytes | None = None,
    *,
    here: str = "127.0.0.1",
    introducing: Introducing | None = None,
) -> AsyncIterator[Member]:
    """Be somebody of this network, who is not connected yet."""
    seed, clock = seed or fresh(), SystemClock()
    keypair, said = Keypair(seed), introducing or Introducing()
    mesh = Mesh(clock, keypair, network, said, Behaviour(clock), MeshConfig())
    made = Member(mesh, keypair, seed, target, said)
    mesh.watch(lambda _peer: None, lambda _key, why: made.left.append(why))
    async with mesh.open(Here(here), seed, []):
        yield made


Attack = Callable[[Member], Awaitable[object]]


async def relentless(
    target: Target,
    network: Network,
    for_s: float,
    *attacks: Attack,
    at_once: int = 1,
    least: int = 1,
) -> int:
    """Let each attack go on for so long, with a new key and from a new place after each end.

    Give how often somebody was let in; it goes on until that were enough.
    """
    met = 0

    async def again_and_again(attack: Attack) -> None:
        nonlocal met
        while True:
            with_key = member(target, network, here=place(next(_places) % 400))
            try:
                async with with_key as eve:
                    await eve.meets()
                    met += 1
                    await attack(eve)
            except* ENDS:
                await trio.sleep(0.01)

    async with trio.open_nursery() as nursery:
        for attack in attacks * at_once:
            nursery.start_soon(again_and_again, attack)
        await enough(for_s, lambda: met >= least)
        nursery.cancel_scope.cancel()
    return met


async def enough(for_s: float, condition: Callable[[], bool]) -> None:
    """Wait for so long, and then until something holds; a slow machine does less in a second."""
    await trio.sleep(for_s)
    with trio.move_on_after(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - what it looks at has no event
            await trio.sleep(0.05)
