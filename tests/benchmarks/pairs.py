# SPDX-License-Identifier: MIT
"""Two of our own on loopback, in this process: as meshes alone, and as whole nodes."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from node.clock import SystemClock
from node.config import KEYS, Config, MeshConfig, made_from, value_of
from node.ground import standing
from node.membership import Membership, member_of
from node.mesh.addresses import with_peer
from node.mesh.behaviour import Behaviour
from node.mesh.framed import Framed
from node.mesh.libp2p import Libp2p
from node.mesh.mesh import Mesh
from node.mesh.peer import Peer
from node.network import Network
from node.networks import Networks
from node.paths import find_paths
from node.real import real_world
from protocol.invite import parse_invite
from protocol.keys import Keypair
from tests.e2e.nodes import share_measurement
from tests.node.mesh.scene import seed_of

LOOPBACK = "/ip4/127.0.0.1/tcp/0"
NETWORK = Network("bench", b"a benchmark.....")

Speak = Callable[[Peer, Framed], Awaitable[None]]


class _Silent:
    """Says nothing of itself in hello."""

    incarnation = bytes(8)

    def advert(self) -> bytes:
        return b""

    def totals(self, _peer: bytes) -> tuple[int, int]:
        return 0, 0


@asynccontextmanager
async def two_meshes(handlers: Mapping[str, Speak]) -> AsyncIterator[tuple[Mesh, Mesh]]:
    """Give two meshes that have met; the second one serves."""
    async with AsyncExitStack() as stack:
        made: list[Mesh] = []
        for who in ("alice", "bob"):
            clock = SystemClock()
            mesh = Mesh(
                *(clock, Keypair(seed_of(who)), NETWORK, _Silent()),
                *(Behaviour(clock, None), MeshConfig(mdns=False)),
            )
            for name, handler in handlers.items() if made else ():
                mesh.speak(name, handler)
            await stack.enter_async_context(mesh.open(Libp2p(), seed_of(who), [LOOPBACK]))
            made.append(mesh)
        first, second = made
        await first.meet(second.me, second.addresses)
        yield first, second


@asynccontextmanager
async def two_nodes(folder: Path) -> AsyncIterator[tuple[Membership, Membership]]:
    """Give two members of a private network that have met; nobody works for nothing."""
    async with AsyncExitStack() as stack:
        homes = [folder / name for name in ("first", "second")]
        known = []
        for home in homes:
            home.mkdir(mode=0o700)
            share_measurement(home)
            known.append(Networks(find_paths({"COMMONS_HOME": str(home)}), SystemClock()))
        known[0].found("bench", private=True)
        first = await stack.enter_async_context(_member(homes[0]))
        text = known[0].invite(with_peer(first.addresses, first.accounts.me), 3600.0)
        clock = SystemClock()
        known[1].join(parse_invite(text, clock.now().wall_s))
        second = await stack.enter_async_context(_member(homes[1]))
        await first.mesh.meet(second.accounts.me, second.addresses)
        yield first, second


@asynccontextmanager
async def _member(home: Path) -> AsyncIterator[Membership]:
    paths = find_paths({"COMMONS_HOME": str(home)})
    config = _config()
    async with (
        real_world(config, paths) as world,
        standing(config, world) as ground,
        member_of(Networks(paths, world.clock).active(), ground) as member,
    ):
        yield member


def _config() -> Config:
    held = {name: value_of(Config(), name) for name in KEYS}
    return made_from(
        {
            **held,
            "mesh.listen": (LOOPBACK,),
            "mesh.mdns": False,
            "governor.others_percent": 100,
            "governor.memory_free_mib": 0,
            "governor.disk_free_mib": 0,
            "governor.on_battery": True,
            "executor.nice": 0,
            "credit.gift": "none",
        }
    )
