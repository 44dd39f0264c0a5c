# SPDX-License-Identifier: MIT
"""A whole node in a made world, with what outlives its process: its disk, its files, its place.

::

    async with made_nodes(Net(), folder) as nodes:
        ann = await nodes.start("ann")
        bob = await nodes.start("bob")
        ann.crash()
        await ann.over.wait()
        await nodes.start("ann")

It is :func:`node.main.run_node` that runs; here are only the hands that switch it on and off.
"""

import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trio

from node.config import Config
from node.desk import Desk
from node.executor.aside import at_once
from node.host.host import App
from node.main import Ready, run_node
from node.membership import Membership
from node.work.beside import beside
from node.world import World
from simulations.faults import Faults
from simulations.host import House, ScriptedHost
from simulations.link import Traits
from simulations.store import SimulatedStore, Watch
from simulations.transport import Net
from simulations.world import made_paths, made_world


@dataclass(eq=False)
class MadeNode:
    """One node. Its process lives inside :meth:`live`, any number of times."""

    net: Net
    name: str
    folder: Path
    address: str
    config: Config = field(default_factory=Config)
    house: House = field(default_factory=House)
    models: Mapping[bytes, Traits] = field(default_factory=dict)
    faults: Faults | None = None
    watch: Watch | None = None
    commit_s: float = 0.0
    starts: int = 0
    error: BaseException | None = None
    """What the last life ended with, if it was not well."""

    def __post_init__(self) -> None:
        """Make the disk, which has nothing on it."""
        self.paths = made_paths(self.folder)
        blobs = self.paths.models / "blobs"
        blobs.mkdir(parents=True)
        self.store = SimulatedStore(blobs, commit_s=self.commit_s, watch=self._watch)
        self.begin()
        self.over.set()

    def begin(self) -> None:
        """Make ready for a new life, after the last one is over."""
        self.over = trio.Event()
        self.error = None
        self.host = ScriptedHost(house=self.house)
        self.readies: list[Ready] = []
        self.is_ready = trio.Event()
        self.scope = trio.CancelScope()
        self._desk: Desk | None = None

    # --- what it is -----------------------------------------------------------------------------

    @property
    def desk(self) -> Desk:
        """The desk of the process that lives, or lived last."""
        assert self._desk, f"{self.name} was never started"
        return self._desk

    @property
    def member(self) -> Membership:
        """Its membership now."""
        member = self.desk.member
        assert member, f"{self.name} is in no network now"
        return member

    @property
    def key(self) -> bytes:
        """Its public key."""
        return self.desk.ground.identity.me

    @property
    def app(self) -> App:
        """The API that it serves to its owner."""
        (app,) = self.host.served.values()
        return app

    # --- its life -------------------------------------------------------------------------------

    async def live(self) -> None:
        """Be a process until it ends, or is ended; :meth:`begin` comes before."""
        self.starts += 1
        life = f"{self.name} {self.starts}"
        try:
            with self.scope:
                async with self._world(life) as world:
                    await run_node(self.config, world, ready=self._on_ready, at=self._on_desk)
        except BaseException as error:
            self.error = error
            if not isinstance(error, Exception):
                raise
        finally:
            self.is_ready.set()
            self.over.set()

    def _world(self, life: str) -> AbstractAsyncContextManager[World]:
        return made_world(
            self.net,
            self.host,
            life,
            address=self.address,
            store=self.store,
            paths=self.paths,
            models=self.models,
            faults=self.faults,
        )

    def _on_desk(self, desk: Desk) -> None:
        self._desk = desk

    def _on_ready(self, ready: Ready) -> None:
        self.readies.append(ready)
        self.is_ready.set()

    def _watch(self, name: str, sql: str) -> None:
        if self.watch is not None:
            self.watch(name, sql)

    def crash(self) -> None:
        """End as if the power had failed: what is not on the disk is lost, nobody hears a word."""
        self.store.crash()
        self.net.kill(self.address)
        self.scope.cancel()

    async def stop(self) -> None:
        """End as the service manager wants it, and wait for it."""
        self.host.send_signal(signal.SIGTERM)
        await self.over.wait()


class MadeNodes:
    """Some nodes of one made network, each with an address of its own."""

    def __init__(self, net: Net, folder: Path, tasks: trio.Nursery) -> None:
        """Begin with nobody."""
        self.net = net
        self.by_name: dict[str, MadeNode] = {}
        self._folder = folder
        self._tasks = tasks

    def make(self, name: str, config: Config | None = None, **more: object) -> MadeNode:
        """Make a node that is not started; `more` is for :class:`MadeNode`."""
        number = len(self.by_name) + 1
        address = f"10.0.{number >> 8}.{number & 255}"
        node = MadeNode(
            self.net,
            name,
            self._folder / name,
            address,
            config or Config(),
            **more,  # type: ignore[arg-type]  # the same names
        )
        self.by_name[name] = node
        return node

    async def start(self, name: str) -> MadeNode:
        """Start a node, one that is made now if there is none; return when it is ready."""
        node = self.by_name.get(name) or self.make(name)
        await node.over.wait()
        node.begin()
        self._tasks.start_soon(node.live)
        await node.is_ready.wait()
        if node.error is not None:
            raise node.error
        return node


@asynccontextmanager
async def made_nodes(net: Net, folder: Path) -> AsyncIterator[MadeNodes]:
    """Have nodes inside the block; at its end their processes are ended at once.

    Whoever sits at their desks inside the block does no work in threads, as they do not.
    """
    with at_once():
        async with beside() as tasks:
            yield MadeNodes(net, folder, tasks)
