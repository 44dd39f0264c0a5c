# SPDX-License-Identifier: MIT
"""The nodes of a simulation: how they are made, come in, and what becomes of their machines."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from random import Random
from typing import Any

import trio

from node.config import Config, MeshConfig
from protocol.keys import peer_id
from simulations.links import ACCESSES
from simulations.machines import DESKTOP, LAPTOP, RASPBERRY_PI, Machine
from simulations.node import MadeNode, MadeNodes
from simulations.presence import Step, obey
from simulations.trace import Trace

#: Where every node of a simulation listens: it has a host of its own.
PORT = 4001

#: A node of a simulation when nobody says otherwise; nobody hears others by mDNS.
LISTENING = Config(mesh=MeshConfig(listen=(f"/ip4/0.0.0.0/tcp/{PORT}",), mdns=False))

#: What people have at home.
MIXED = (DESKTOP, LAPTOP, RASPBERRY_PI)


class Population:
    """All nodes that were ever made in one world."""

    def __init__(self, seed: int, nodes: MadeNodes, trace: Trace, tasks: trio.Nursery) -> None:
        """Begin with nobody."""
        self.seed = seed
        self.net = nodes.net
        self.trace = trace
        self._nodes = nodes
        self._tasks = tasks
        self._counts: dict[str, int] = {}

    @property
    def nodes(self) -> list[MadeNode]:
        """All of them, in the order in which they were made."""
        return list(self._nodes.by_name.values())

    @property
    def honest(self) -> list[MadeNode]:
        """Those that were never given an attack."""
        return [each for each in self.nodes if not each.attacks]

    @property
    def up(self) -> list[MadeNode]:
        """Those that run now and are in the network."""
        return [each for each in self.nodes if each.is_up]

    def dice(self, purpose: str) -> Random:
        """Give new dice for a purpose: they are the same in each run of this seed."""
        return Random(f"{self.seed} {purpose}")

    # --- how they come ----------------------------------------------------------------------------

    def make(
        self,
        name: str = "node",
        *,
        config: Config = LISTENING,
        machine: Machine = DESKTOP,
        **more: Any,  # noqa: ANN401 - handed on to MadeNode as it came
    ) -> MadeNode:
        """Make a node that is not started; it gets a number behind its name.

        It has the access to the network that its kind of machine mostly has. `more` is for
        :class:`~simulations.made_node.MadeNode`.
        """
        self._counts[name] = number = self._counts.get(name, 0) + 1
        more.setdefault("address", _address(len(self._nodes.by_name)))
        node = self._nodes.make(
            f"{name}-{number}", config, seed=str(self.seed), machine=machine, **more
        )
        self.net.names[node.address] = node.name
        self.net.set_access(node.address, ACCESSES[machine.access])
        return node

    async def spawn(
        self,
        count: int = 1,
        name: str = "node",
        *,
        front: Iterable[MadeNode] | None = None,
        **more: Any,  # noqa: ANN401 - handed on to `make` as it came
    ) -> list[MadeNode]:
        """Make nodes and start them; return when they are ready, which is before they know others.

        They come in by the nodes at the `front`: by the first of the world, if nobody says
        otherwise. `more` is for :meth:`make`.
        """
        made = [self.make(name, **more) for _ in range(count)]
        await self.bring_in(made, front)
        return made

    async def spawn_mixed(
        self, count: int, kinds: Sequence[Machine] = MIXED, front: Iterable[MadeNode] | None = None
    ) -> list[MadeNode]:
        """Make nodes on machines of several kinds, named after them, and start them."""
        dice = self.dice(f"kinds {len(self.nodes)}")
        chosen = [dice.choice(kinds) for _ in range(count)]
        made = [self.make(machine.name, machine=machine) for machine in chosen]
        await self.bring_in(made, front)
        return made

    async def bring_in(
        self, made: Sequence[MadeNode], front: Iterable[MadeNode] | None = None
    ) -> None:
        """Start nodes for the first time, all at once; they come in by those at the front."""
        first = self.nodes[:1] if front is None else list(front)
        if made and made[0] in first:
            await self.start(made[0])
        async with trio.open_nursery() as starting:
            for each in made:
                if not each.starts:
                    self.shown_in(each, first)
                    starting.start_soon(self.start, each)

    def shown_in(self, node: MadeNode, front: Iterable[MadeNode]) -> None:
        """Tell a node whom to ask first when it is started; those have been started themselves."""
        known = tuple(f"/ip4/{each.address}/tcp/{PORT}/p2p/{peer_id(each.key)}" for each in front)
        bootstrap = tuple(dict.fromkeys((*node.config.mesh.bootstrap, *known)))
        node.config = replace(node.config, mesh=replace(node.config.mesh, bootstrap=bootstrap))

    # --- what becomes of them ---------------------------------------------------------------------

    async def start(self, node: MadeNode) -> None:
        """Start a node that is down; return when it is ready."""
        self.trace.note("start", node.name)
        await self._nodes.start(node.name)
        self.trace.note("ready", node.name)

    def crash(self, *nodes: MadeNode, silently: bool = False) -> None:
        """End nodes at once, as `kill -9` does: what was not committed is lost.

        Their systems end their connections. `silently` is as if the power had failed: nobody
        hears a word, and others have to find out.
        """
        for each in nodes:
            self.trace.note("power_failure" if silently else "crash", each.name)
            each.crash(is_silent=silently)

    async def stop(self, *nodes: MadeNode) -> None:
        """End nodes as their service manager does, and wait until they are down."""
        async with trio.open_nursery() as stopping:
            for each in nodes:
                self.trace.note("stop", each.name)
                stopping.start_soon(each.stop)

    async def restart(self, *nodes: MadeNode) -> None:
        """Start nodes again that are down, with what their disks hold, and wait for them."""
        async with trio.open_nursery() as starting:
            for each in nodes:
                starting.start_soon(self.start, each)

    def suspend(self, *nodes: MadeNode) -> None:
        """Close the lid of these machines."""
        for each in nodes:
            self.trace.note("suspend", each.name)
            each.suspend()

    def resume(self, *nodes: MadeNode) -> None:
        """Open it again."""
        for each in nodes:
            self.trace.note("resume", each.name)
            each.resume()

    @contextmanager
    def suspended(self, *nodes: MadeNode) -> Iterator[None]:
        """Have them asleep inside the block."""
        self.suspend(*nodes)
        try:
            yield
        finally:
            self.resume(*nodes)

    def lives_by(
        self, node: MadeNode, schedule: Iterable[Step], front: Iterable[MadeNode] | None = None
    ) -> None:
        """Let a node come and go by a schedule, until the world settles."""
        self.shown_in(node, self.nodes[:1] if front is None else front)
        self._tasks.start_soon(obey, node, schedule, partial(self.start, node))


def _address(number: int) -> str:
    """Give a public address in a range of its own: nodes bound how much one range may have."""
    return f"{20 + (number >> 16)}.{number >> 8 & 255}.{number & 255}.9"
