# SPDX-License-Identifier: MIT
"""A made mesh: real nodes as far as mesh and view go, on a network in memory, in virtual time. ::

    @in_virtual_time
    async def test_something() -> None:
        async with made_mesh() as world:
            first = await world.start("first")
            second = await world.start("second", first)
            await world.until(lambda: second.key in first.known)
            await world.kill(second)

Each node has a host of its own (10.0.0.1 and up), a real key and real signatures. Only what a
node says of its hardware is made up.
"""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from hashlib import sha256

import trio

from node.config import MeshConfig
from node.host.host import Host
from node.mesh.behaviour import Behaviour
from node.mesh.cache import PeerCache
from node.mesh.discovery import Discovery, bootstrap_of
from node.mesh.mesh import Mesh
from node.mesh.viewing import Viewing
from node.network import Network
from node.store.store import Database
from protocol.advert import Advert, ModelAtHand
from protocol.keys import Keypair, peer_id
from protocol.known import verifier
from protocol.sealed import seal
from simulations.transport import Net
from tests.node.mesh.virtual_clock import VirtualClock
from tests.protocol.mesh import an_advert

PORT = 4001
OPEN = Network("made", b"a made network..")


class MadeNode:
    """One node of a made mesh. Its parts are made anew with each start."""

    def __init__(self, world: "MadeMesh", name: str, host: str) -> None:
        self.world = world
        self.name = name
        self.host = host
        self.seed = sha256(f"made node {name}".encode()).digest()
        self.keypair = Keypair(self.seed)
        self.key = self.keypair.public
        self.address = f"/ip4/{host}/tcp/{PORT}/p2p/{peer_id(self.key)}"
        self.starts = 0
        self.models: tuple[ModelAtHand, ...] = ()
        self.ttl_s = 3600
        self.sequence = 0
        self.own = b""
        self.clock = VirtualClock(name)
        self.mesh: Mesh
        self.viewing: Viewing
        self.discovery: Discovery
        self.cache: PeerCache
        self._scope = trio.CancelScope()
        self._over = trio.Event()
        self._over.set()

    @property
    def incarnation(self) -> bytes:
        """What hello and advert say of this start."""
        return sha256(f"{self.name} {self.starts}".encode()).digest()[:8]

    def advert(self) -> bytes:
        """The advert as hello carries it."""
        return self.own

    def totals(self, _peer: bytes) -> tuple[int, int]:
        """Nobody owes anybody here."""
        return 0, 0

    @property
    def known(self) -> set[bytes]:
        """The nodes whose adverts it has."""
        return {known.node for known in self.viewing.adverts()}

    @property
    def is_alive(self) -> bool:
        return not self._over.is_set()

    def describes(self, **changes: object) -> Advert:
        """What it says of itself now."""
        self.sequence += 1
        plain: dict[str, object] = {
            "incarnation": self.incarnation,
            "sequence": self.sequence,
            "issued_at_s": int(self.clock.now().wall_s),
            "ttl_s": self.ttl_s,
            "addresses": (f"/ip4/{self.host}/tcp/{PORT}",),
            "models": self.models,
            "reach": 0,
        }
        return an_advert(self.key, **plain | changes)

    async def describe(self) -> bytes:
        self.own = seal(self.keypair, self.mesh.network.id, self.describes()).wire
        return self.own

    def make(
        self,
        bootstrap: Iterable[str],
        config: MeshConfig,
        database: Database | None,
        host: Host | None,
        network: Network,
    ) -> None:
        dials = bootstrap_of(network, tuple(bootstrap))
        self.starts += 1
        self.own = b""
        self.clock = VirtualClock(f"{self.name} {self.starts}")
        self.mesh = Mesh(
            self.clock, self.keypair, network, self, Behaviour(self.clock, database), config
        )
        self.viewing = Viewing(self.mesh, self.clock, self.describe, bootstrap=dials)
        self.cache = PeerCache(verifier(network.id), database)
        self.cache.load(self.viewing.view, self.clock.now().wall_s)
        self.discovery = Discovery(
            self.viewing,
            self.clock,
            self.cache,
            bootstrap=dials,
            host=host,
            addresses=lambda: (f"/ip4/{self.host}/tcp/{PORT}",),
        )

    async def live(self, ready: trio.Event, *, views: bool) -> None:
        self._scope, self._over = trio.CancelScope(), trio.Event()
        transport = self.world.net.transport(self.host)
        try:
            with self._scope:
                async with (
                    self.mesh.open(transport, self.seed, [f"/ip4/{self.host}/tcp/{PORT}"]),
                    trio.open_nursery() as nursery,
                ):
                    if views:
                        nursery.start_soon(self.viewing.run)
                        nursery.start_soon(self.discovery.run)
                    ready.set()
                    await trio.sleep_forever()
        finally:
            self._over.set()

    async def stop(self) -> None:
        """End as after SIGTERM."""
        self._scope.cancel()
        await self._over.wait()


class MadeMesh:
    """The world of some nodes."""

    def __init__(self, nursery: trio.Nursery, network: Network = OPEN) -> None:
        self.net = Net()
        self.network = network
        self.nodes: dict[str, MadeNode] = {}
        self._nursery = nursery

    async def start(
        self,
        name: str,
        *bootstrap: "MadeNode | str",
        views: bool = True,
        models: tuple[ModelAtHand, ...] = (),
        ttl_s: int = 3600,
        config: MeshConfig | None = None,
        database: Database | None = None,
        host: Host | None = None,
        network: Network | None = None,
    ) -> MadeNode:
        """Start a node, or one again that was stopped or killed, and let it run.

        `network` is how this node knows the network, if not as all others do.
        `views=False` gives a node that only has a mesh, for tests that speak the rest themselves.
        """
        node = self.nodes.get(name)
        if node is None:
            node = self.nodes[name] = MadeNode(self, name, f"10.0.0.{len(self.nodes) + 1}")
        node.models, node.ttl_s = models, ttl_s
        addresses = [each if isinstance(each, str) else each.address for each in bootstrap]
        node.make(addresses, config or MeshConfig(), database, host, network or self.network)
        ready = trio.Event()

        async def live() -> None:
            await node.live(ready, views=views)

        self._nursery.start_soon(live)
        await ready.wait()
        return node

    async def start_many(self, count: int, *bootstrap: MadeNode) -> list[MadeNode]:
        """Start so many more, a quarter of a second apart."""
        started = []
        for _ in range(count):
            started.append(await self.start(f"node {len(self.nodes)}", *bootstrap))
            await trio.sleep(0.25)
        return started

    async def kill(self, node: MadeNode) -> None:
        """End a node at once, without a word to anybody."""
        self.net.kill(node.host)
        await node.stop()

    def cut(self, one: Iterable[MadeNode], other: Iterable[MadeNode]) -> None:
        """Let nothing pass between two groups."""
        others = list(other)
        for here in one:
            for there in others:
                self.net.cut(here.host, there.host)

    def heal(self, one: Iterable[MadeNode], other: Iterable[MadeNode]) -> None:
        """Let everything pass again."""
        others = list(other)
        for here in one:
            for there in others:
                self.net.heal(here.host, there.host)

    async def until(self, holds: Callable[[], bool], within_s: float = 120.0) -> float:
        """Wait until something holds, and tell how long that took in virtual seconds."""
        begin_s = trio.current_time()
        with trio.move_on_after(within_s):
            while not holds():  # noqa: ASYNC110 - virtual seconds cost nothing
                await trio.sleep(max(0.25, within_s / 200))
            return trio.current_time() - begin_s
        raise AssertionError(f"it did not hold within {within_s:g} virtual seconds")

    @property
    def living(self) -> list[MadeNode]:
        return [node for node in self.nodes.values() if node.is_alive]

    def all_know_all(self) -> bool:
        """Whether every living node has the advert of every other one."""
        keys = {node.key for node in self.living}
        return all(keys - {node.key} <= node.known for node in self.living)

    def is_one_mesh(self) -> bool:
        """Whether from each living node one can come to every other one along neighbours."""
        nodes = {node.key: node for node in self.living}
        reached: set[bytes] = set()
        edge = [min(nodes)]
        while edge:
            key = edge.pop()
            if key in nodes and key not in reached:
                reached.add(key)
                edge += nodes[key].viewing.neighbours
        return reached == set(nodes)


@asynccontextmanager
async def made_mesh(network: Network = OPEN) -> AsyncIterator[MadeMesh]:
    """Give a world without nodes; all that were started end with the block."""
    async with trio.open_nursery() as nursery:
        yield MadeMesh(nursery, network)
        nursery.cancel_scope.cancel()
