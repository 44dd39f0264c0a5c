# SPDX-License-Identifier: MIT
"""Whole nodes in a made world, each with an address of its own. One of them is in `made_node`.

::

    async with made_nodes(Net()) as nodes:
        ann = await nodes.start("ann")
        bob = await nodes.start("bob")
        ann.crash()
        await nodes.start("ann")
"""

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import trio

from node.config import Config
from node.executor.aside import at_once
from node.work.beside import beside
from simulations.folder import made_folder
from simulations.hearing import Hearing
from simulations.made_node import MadeNode as MadeNode
from simulations.transport import Net


class MadeNodes:
    """Some nodes of one made network, each with an address of its own."""

    def __init__(self, net: Net, folder: Path, tasks: trio.Nursery, hearing: Hearing) -> None:
        """Begin with nobody."""
        self.net = net
        self.by_name: dict[str, MadeNode] = {}
        self.hearing = hearing
        self._folder = folder
        self._tasks = tasks

    def make(
        self, name: str, config: Config | None = None, *, address: str = "", **more: object
    ) -> MadeNode:
        """Make a node that is not started; `more` is for :class:`MadeNode`."""
        number = len(self.by_name) + 1
        node = MadeNode(
            self.net,
            name,
            self._folder / name,
            address or f"10.0.{number >> 8}.{number & 255}",
            config or Config(),
            hearing=self.hearing,
            **more,  # type: ignore[arg-type]  # the same names
        )
        self.by_name[name] = node
        return node

    async def start(self, name: str) -> MadeNode:
        """Start a node, one that is made now if there is none; return when it is ready."""
        node = self.by_name.get(name) or self.make(name)
        await node.wait_over()
        node.begin()
        self._tasks.start_soon(node.live)
        await node.is_ready.wait()
        if node.error is not None:
            raise node.error
        return node

    async def restart(self, name: str) -> MadeNode:
        """End a node as its service manager does, and start it again."""
        await self.by_name[name].stop()
        return await self.start(name)


@asynccontextmanager
async def made_nodes(net: Net, folder: Path | None = None) -> AsyncIterator[MadeNodes]:
    """Have nodes inside the block; at its end their processes are ended at once.

    Whoever sits at their desks inside the block does no work in threads, as they do not. Their
    plain files are in this folder; without one, in one that is gone with them.
    """
    hearing = Hearing()
    with ExitStack() as stack:
        stack.enter_context(at_once())
        stack.enter_context(hearing.listening())
        place = folder or stack.enter_context(made_folder())
        async with beside() as tasks:
            yield MadeNodes(net, place, tasks, hearing)
