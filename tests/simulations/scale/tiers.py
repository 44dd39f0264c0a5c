# SPDX-License-Identifier: MIT
"""The same small mesh in both tiers, behind one door: whole nodes on trio, and views on a heap."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import trio

from node.config import Config, MeshConfig
from protocol.keys import peer_id
from protocol.view import View
from simulations.node import MadeNode, MadeNodes
from simulations.scale.world import Scale
from tests.node.whole_nodes import MODELS, give_model, some_nodes
from tests.node.work.made_model import BODY, DIGEST


class Tier(Protocol):
    """A mesh that came together through its first node; its last one has a model."""

    def views(self) -> dict[bytes, View]:
        """Give the views of living nodes by key, in the order in which they came."""

    def heard(self) -> int:
        """Count what all views together have heard so far: messages, and adverts."""

    async def wait(self, seconds: float) -> None:
        """Let time pass."""

    async def kill(self, keys: Iterable[bytes]) -> None:
        """End some nodes."""

    async def find(self, key: bytes) -> list[bytes]:
        """Let a node look for the model; give who has it."""


class Ears:
    """Counts what views hear."""

    def __init__(self) -> None:
        self.count = 0

    def listen(self, view: View) -> None:
        """Count what this view hears from now on."""
        for name in ("on_message", "on_advert"):
            setattr(view, name, self._counted(getattr(view, name)))

    def _counted(self, hear: Any) -> Any:
        def counted(*what: Any) -> Any:
            self.count += 1
            return hear(*what)

        return counted


class ScaleTier:
    """Views on one heap."""

    def __init__(self, seed: str, count: int) -> None:
        self._world = Scale(seed)
        self._ears = Ears()
        first = self._world.join(1)
        made = [*first, *self._world.join(count - 2, via=first)]
        made += self._world.join(1, via=first, models=[DIGEST])
        for node in made:
            self._ears.listen(node.view)

    def views(self) -> dict[bytes, View]:
        return {node.key: node.view for node in self._world.nodes.values()}

    def heard(self) -> int:
        return self._ears.count

    async def wait(self, seconds: float) -> None:
        self._world.run(seconds)

    async def kill(self, keys: Iterable[bytes]) -> None:
        self._world.kill([self._world.nodes[key] for key in keys], is_silent=False)

    async def find(self, key: bytes) -> list[bytes]:
        return self._world.search(self._world.nodes[key], DIGEST).found


class WholeTier:
    """Whole nodes on trio."""

    def __init__(self, nodes: MadeNodes) -> None:
        self._nodes = nodes
        self._ears = Ears()

    async def begin(self, count: int) -> None:
        """Start all at once, but the first one."""
        first = await self._start(0, ())
        way = f"/ip4/{first.address}/tcp/4001/p2p/{peer_id(first.key)}"
        async with trio.open_nursery() as nursery:
            for number in range(1, count):
                nursery.start_soon(self._start, number, (way,))
        last = list(self._nodes.by_name.values())[-1]
        await give_model(last)
        await last.desk.ground.library.add(BODY, origin="", ours=True, served=True)

    async def _start(self, number: int, bootstrap: tuple[str, ...]) -> MadeNode:
        mesh = MeshConfig(mdns=False, bootstrap=bootstrap, listen=("/ip4/0.0.0.0/tcp/4001",))
        self._nodes.make(f"n{number}", Config(mesh=mesh), models=MODELS)
        node = await self._nodes.start(f"n{number}")
        self._ears.listen(node.member.viewing.view)
        return node

    def _living(self) -> dict[bytes, MadeNode]:
        return {each.key: each for each in self._nodes.by_name.values() if not each.over.is_set()}

    def views(self) -> dict[bytes, View]:
        return {key: node.member.viewing.view for key, node in self._living().items()}

    def heard(self) -> int:
        return self._ears.count

    async def wait(self, seconds: float) -> None:
        await trio.sleep(seconds)

    async def kill(self, keys: Iterable[bytes]) -> None:
        for key in keys:
            node = self._living()[key]
            node.crash()
            await node.over.wait()

    async def find(self, key: bytes) -> list[bytes]:
        node = self._living()[key]
        findings = await node.member.viewing.search(most=1, model=DIGEST)
        return [known.node for known in findings.adverts]


@asynccontextmanager
async def whole_tier(folder: Path, count: int) -> AsyncIterator[WholeTier]:
    """Have whole nodes inside the block."""
    async with some_nodes(folder) as nodes:
        tier = WholeTier(nodes)
        await tier.begin(count)
        yield tier
