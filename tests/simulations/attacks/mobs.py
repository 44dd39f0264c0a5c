# SPDX-License-Identifier: MIT
"""Small made worlds with attackers in them, and what must hold for the honest nodes there."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial, wraps
from pathlib import Path
from typing import ParamSpec

import trio

from node.config import Config, MeshConfig
from protocol.keys import peer_id
from simulations import invariants
from simulations.attacks.attack import Attack
from simulations.determinism import run_in_virtual_time
from simulations.node import MadeNode, MadeNodes, made_nodes
from simulations.signatures import remembered_signatures
from simulations.transport import Net

PORT = 4001
LISTENING = Config(mesh=MeshConfig(listen=(f"/ip4/0.0.0.0/tcp/{PORT}",), mdns=False))

#: Where no two nodes are in the same range.
PUBLIC = "203.{}.113.5"


#: How often it is looked in a time that passes.
LOOKS = 12


Given = ParamSpec("Given")


def in_a_seeded_world(test: Callable[Given, Awaitable[None]]) -> Callable[Given, None]:
    """Run a test in virtual time, in the same way each time."""

    @wraps(test)
    def run(*args: Given.args, **more: Given.kwargs) -> None:
        run_in_virtual_time("1", partial(test, *args, **more))

    return run


class Mob:
    """Honest nodes and attackers. The first honest one is whom all others come in by."""

    def __init__(self, nodes: MadeNodes) -> None:
        self.nodes = nodes
        self.honest: list[MadeNode] = []

    async def start(self, name: str, *attacks: Attack, by: MadeNode | None = None) -> MadeNode:
        """Start one node; it is honest if it has no attacks."""
        front = by or (self.honest[0] if self.honest else None)
        bootstrap = (address_of(front),) if front else ()
        mesh = replace(LISTENING.mesh, bootstrap=bootstrap)
        number = len(self.nodes.by_name) + 1
        self.nodes.make(
            name, replace(LISTENING, mesh=mesh), address=PUBLIC.format(number), attacks=attacks
        )
        node = await self.nodes.start(name)
        if not attacks:
            self.honest.append(node)
        return node

    async def start_honest(self, count: int) -> list[MadeNode]:
        """Start honest nodes one after the other, and wait until they know each other."""
        for _ in range(count):
            await self.start(f"honest-{len(self.honest) + 1}")
            await trio.sleep(1)
        await self.until(self.is_whole)
        return self.honest

    def is_whole(self, *others: MadeNode) -> bool:
        """Whether the honest nodes, and these others, all know each other."""
        some = [*self.honest, *others]
        return all(known(each) >= {one.key for one in some if one is not each} for each in some)

    async def until(self, holds: Callable[[], bool], within_s: float = 300.0) -> float:
        """Wait until something holds; then the invariants hold, too."""
        begin_s = trio.current_time()
        while not holds():
            assert trio.current_time() - begin_s < within_s, f"it does not hold after {within_s} s"
            await trio.sleep(1)
        assert self.trouble() == ""
        return trio.current_time() - begin_s

    async def passes(self, seconds: float) -> None:
        """Let time pass, and see now and then that the invariants hold."""
        for _ in range(LOOKS):
            await trio.sleep(seconds / LOOKS)
            trouble = self.trouble()
            assert trouble == "", trouble

    def trouble(self) -> str:
        """Say what does not hold for the honest nodes."""
        honest, every = self.honest, list(self.nodes.by_name.values())
        return (
            invariants.nothing_failed(honest)
            or invariants.nobody_crashed(every)
            or invariants.no_forged_adverts(honest, every)
            or invariants.adverts_expire(honest)
            or invariants.adverts_have_begun(honest)
            or invariants.directories_bounded(honest)
            or invariants.places_bounded(honest)
            or invariants.nobody_honest_is_blamed(honest)
        )

    def banned_by(self, node: MadeNode) -> list[str]:
        """Name the honest nodes that have banned this one."""
        return [each.name for each in self.honest if bans_of(each, node.key)]

    def blamed_by(self, node: MadeNode) -> list[str]:
        """Name the honest nodes that have found a fault of this one."""
        records = {each.name: each.member.mesh.behaviour.of(node.key) for each in self.honest}
        return [name for name, record in records.items() if record and record.faults]

    async def settles(self, *attackers: MadeNode, within_s: float = 600.0) -> None:
        """Switch all attacks off; the attackers are nodes like others some time later."""
        for each in attackers:
            for attack in each.attacks:
                attack.is_on = False
        await self.until(lambda: self.is_whole(*attackers), within_s)


@asynccontextmanager
async def a_mob(folder: Path) -> AsyncIterator[Mob]:
    """Have a world inside the block; the invariants hold at its end, too."""
    with remembered_signatures():
        async with made_nodes(Net(), folder) as nodes:
            mob = Mob(nodes)
            yield mob
            assert mob.trouble() == ""


def address_of(node: MadeNode) -> str:
    """Where a node can be dialled, with its name."""
    return f"/ip4/{node.address}/tcp/{PORT}/p2p/{peer_id(node.key)}"


def known(node: MadeNode) -> set[bytes]:
    """Whose adverts a node has."""
    return {each.node for each in node.member.viewing.adverts()}


def chosen(node: MadeNode) -> list[bytes]:
    """The neighbours that a node has chosen."""
    return [each.key for each in node.member.viewing.view.neighbours.outbound()]


def bans_of(node: MadeNode, key: bytes) -> int:
    """How often a node has banned this one."""
    record = node.member.mesh.behaviour.of(key)
    return record.bans if record else 0
