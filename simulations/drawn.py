# SPDX-License-Identifier: MIT
"""Draws a whole world from a seed: how many nodes, on what, over which links, and what goes wrong.

Each kind of trouble is switched on or off by its own draw. So some worlds have one kind alone,
where it is easily seen, and some have all of them, where they meet. Nothing impossible is drawn:
whoever comes in by a door finds it open, and no machine starts from a disk that fails.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from math import inf
from random import Random
from typing import TYPE_CHECKING

import trio

from simulations.attacks.attack import Attack
from simulations.attacks.bytewise import Delay, Drop, Silent, Tamper
from simulations.attacks.crowds import Garbage, Lurk
from simulations.attacks.lies import Equivocate, FreeRide, LieAboutHardware, LieAboutModels
from simulations.attacks.offers import Flood, Forge, Replay
from simulations.links import ACCESSES, DISTANCES
from simulations.machines import MACHINES

if TYPE_CHECKING:
    from simulations.node import MadeNode
    from simulations.sim import Sim

NODES_MIN, NODES_MAX = 4, 16

ATTACKS: tuple[Callable[[], Attack], ...] = (
    *(Drop, partial(Delay, 0.2, 5.0), Silent, Tamper, Garbage, Lurk, Equivocate, FreeRide),
    *(LieAboutHardware, LieAboutModels, Flood, Forge, Replay),
)

#: No more than this share of the nodes is not honest.
BYZANTINE_MAX = 0.3

#: Of one kind of trouble: how often it comes, on average, and how long it lasts.
EVERY_S, LASTS_S = 120.0, 90.0

#: No more than this share of the nodes cannot be dialled: two of those never meet, so all of them
#: need places at the others.
HIDDEN_MAX = 0.5

KINDS = ("partition", "one_way", "crash", "restart", "suspend", "clock", "disk", "reset", "hold")


@dataclass
class Drawn:
    """What one seed has drawn."""

    sim: "Sim"
    count: int = 0
    kinds: list[str] = field(default_factory=list)
    _starting: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Draw the sizes."""
        dice = self.sim.dice("swarm")
        self.count = self.count or dice.randint(NODES_MIN, NODES_MAX)
        self.kinds = [kind for kind in KINDS if dice.random() < 0.5]
        share = dice.choice((0.0, 0.0, BYZANTINE_MAX / 2, BYZANTINE_MAX))
        self.byzantine = int(self.count * share)
        self.access = dice.choice((*ACCESSES, ""))  # nothing: each has its machine's
        self.distance = dice.choice(tuple(DISTANCES))
        self.hidden = int(self.count * dice.choice((0.0, 0.0, HIDDEN_MAX / 2, HIDDEN_MAX)))

    def figures(self) -> dict[str, float]:
        """Say what was drawn, for the report."""
        said = {f"has_{kind}": float(kind in self.kinds) for kind in KINDS}
        return {**said, "byzantine_nodes": self.byzantine, "hidden_nodes": self.hidden}

    async def populate(self) -> None:
        """Make the nodes, and bring them in."""
        sim, dice = self.sim, self.sim.dice("swarm population")
        kinds = list(MACHINES.values())
        made: list[MadeNode] = []
        hidden = dice.sample(range(1, self.count), min(self.hidden, self.count - 1))
        for number in range(self.count):
            is_byzantine = number >= self.count - self.byzantine
            attacks = (dice.choice(ATTACKS)(),) if is_byzantine else ()
            machine = dice.choice(kinds)
            name = attacks[0].name.replace("_", "-") if attacks else machine.name
            node = sim.make(name, machine=machine, attacks=attacks)
            if self.access:
                sim.net.set_access(node.address, ACCESSES[self.access])
            if number in hidden:
                sim.net.close_door(node.address)
            made.append(node)
        half = [each.address for each in made[: self.count // 2]]
        sim.net.set_group("here", half)
        sim.net.set_group("there", [each.address for each in made[self.count // 2 :]])
        sim.net.set_distance("here", "there", DISTANCES[self.distance])
        await sim.bring_in(made)

    async def trouble(self, for_s: float) -> None:
        """Let what was drawn go wrong, for so long; then start whoever is down."""
        sim = self.sim
        with trio.move_on_after(for_s):
            async with trio.open_nursery() as nursery:
                for kind in self.kinds:
                    nursery.start_soon(self._keep, kind, sim.dice(f"swarm {kind}"))
                await trio.sleep_forever()
        for each in sim.nodes:
            await self._start(each)

    async def _start(self, node: "MadeNode") -> None:
        """Start a node that is down. Whoever starts it has looked after its disk before."""
        if node.state != "down" or node.name in self._starting:
            return
        self._starting.add(node.name)
        try:
            _mend_disk(node)
            await self.sim.start(node)
        finally:
            self._starting.remove(node.name)

    async def _keep(self, kind: str, dice: Random) -> None:
        """Let one kind of trouble come and go."""
        make = {
            "partition": self._partition,
            "one_way": self._partition,
            "crash": self._crash,
            "restart": self._restart,
            "suspend": self._suspend,
            "clock": self._clock,
            "disk": self._disk,
            "reset": self._reset,
            "hold": self._hold,
        }[kind]
        while True:
            await trio.sleep(dice.expovariate(1 / EVERY_S))
            with self.sim.watching.trouble(kind):
                await make(kind, dice, dice.expovariate(1 / LASTS_S))

    async def _partition(self, kind: str, dice: Random, for_s: float) -> None:
        nodes = self.sim.nodes
        some = dice.sample(nodes, dice.randint(1, len(nodes) - 1))
        with self.sim.partition(some, one_way=kind == "one_way"):
            await trio.sleep(for_s)

    async def _crash(self, _kind: str, dice: Random, for_s: float) -> None:
        node = dice.choice(self.sim.nodes)
        if not node.is_living:
            return
        self.sim.crash(node, silently=dice.random() < 0.5)
        await trio.sleep(for_s)
        await self._start(node)

    async def _restart(self, _kind: str, dice: Random, for_s: float) -> None:
        node = dice.choice(self.sim.nodes)
        await self.sim.stop(node)
        await trio.sleep(for_s)
        await self._start(node)

    async def _suspend(self, _kind: str, dice: Random, for_s: float) -> None:
        with self.sim.suspended(dice.choice(self.sim.nodes)):
            await trio.sleep(for_s)

    async def _clock(self, _kind: str, dice: Random, for_s: float) -> None:
        node = dice.choice(self.sim.nodes)
        by_s = dice.choice((dice.uniform(-300, 300), 86_400.0, -86_400.0))
        node.clock.jump(by_s)
        await trio.sleep(for_s)
        node.clock.jump(-by_s)  # which may be that of another life by now

    async def _disk(self, _kind: str, dice: Random, for_s: float) -> None:
        node = dice.choice(self.sim.nodes)
        store = node.store
        match dice.randrange(3):
            case 0:
                store.room_bytes = 0
            case 1:
                store.is_failing = True
            case _:
                store.commit_s = dice.uniform(0.5, 10)
        await trio.sleep(for_s)
        _mend_disk(node)

    async def _reset(self, _kind: str, dice: Random, _for_s: float) -> None:
        one, other = dice.sample(self.sim.nodes, 2)
        self.sim.net.reset(one.address, other.address)

    async def _hold(self, _kind: str, dice: Random, for_s: float) -> None:
        one, other = (each.address for each in dice.sample(self.sim.nodes, 2))
        self.sim.net.hold(one, other)
        await trio.sleep(for_s)
        self.sim.net.release(one, other)


def _mend_disk(node: "MadeNode") -> None:
    """Give a disk room, and the speed that is the machine's own."""
    node.store.room_bytes, node.store.is_failing = inf, False
    node.store.commit_s = node.machine.commit_s
