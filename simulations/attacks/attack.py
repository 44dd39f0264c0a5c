# SPDX-License-Identifier: MIT
"""What an attack is: it changes the world of one made node, and may do something beside the node.

::

    class Rude(Attack):
        name = "rude"

        def around(self, node: Attacked, world: World, dice: Random) -> World:
            return replace(world, transport=...)

    nodes.make("eve", attacks=(Rude(),))

The node's own code runs unchanged in the changed world, so whatever an attack does, a machine
with a changed program could do. Several attacks may be stacked: the first is nearest to the
node. One attack may be given to several nodes, as colluders share what they know; what belongs
to one node is made in :meth:`Attack.around`.

`is_on` can be switched at any time. While it is off the node is honest: a world that settles
switches all attacks off.
"""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import ClassVar, Protocol

import trio

from node.desk import Desk
from node.membership import Membership
from node.work.beside import beside
from node.world import World
from simulations.transport import Net


class Attacked(Protocol):
    """The node that an attack is given to: what an attack may touch of a made node."""

    net: Net
    name: str
    address: str
    is_ready: trio.Event

    @property
    def desk(self) -> Desk:
        """The desk of its process."""
        ...

    @property
    def member(self) -> Membership:
        """Its membership now."""
        ...

    @property
    def key(self) -> bytes:
        """Its public key."""
        ...


class Attack:
    """An attack or a fault, which does nothing yet. `did` counts what it has done, for reports."""

    name: ClassVar[str]

    def __init__(self, *, is_on: bool = True) -> None:
        """Begin switched on, or wait to be."""
        self.did: Counter[str] = Counter()
        self._is_on = is_on
        self._switched = trio.Event()

    @property
    def is_on(self) -> bool:
        """Whether the node does this now; else it is honest."""
        return self._is_on

    @is_on.setter
    def is_on(self, is_on: bool) -> None:
        if is_on != self._is_on:
            self._is_on = is_on
            switched, self._switched = self._switched, trio.Event()
            switched.set()

    async def wait_on(self) -> None:
        """Return as soon as it is on."""
        while not self._is_on:
            await self._switched.wait()

    async def wait_off(self) -> None:
        """Return as soon as it is off."""
        while self._is_on:
            await self._switched.wait()

    def around(self, node: Attacked, world: World, dice: Random) -> World:
        """Change the world that one life of a node is in; `dice` are for this alone."""
        del node, dice
        return world

    async def beside(self, node: Attacked, dice: Random) -> None:
        """Do something beside the node: called when it is ready, cancelled when this goes off."""


@asynccontextmanager
async def attacked(
    attacks: Sequence[Attack], node: Attacked, world: World, life: str
) -> AsyncIterator[World]:
    """Give the world that a node gets inside the block; `life` is the seed of this one life."""
    async with beside() as tasks:
        for number, attack in enumerate(attacks):
            seed = f"{life} attack {number} {attack.name}"
            world = attack.around(node, world, Random(f"{seed} around"))
            tasks.start_soon(_keep, attack, node, Random(f"{seed} beside"))
        yield world


async def _keep(attack: Attack, node: Attacked, dice: Random) -> None:
    """Let the attack run while it is on, as often as it is switched on."""
    await node.is_ready.wait()
    while True:
        await attack.wait_on()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(attack.beside, node, dice)
            await attack.wait_off()
            nursery.cancel_scope.cancel()
