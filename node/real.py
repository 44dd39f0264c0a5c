# SPDX-License-Identifier: MIT
"""The real world of a node: libp2p, the system's clock, runners, files, this machine."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from node.clock import SystemClock
from node.config import Config
from node.executor.leases import limits_of
from node.executor.pool import Pool
from node.executor.zygote import Zygote
from node.host.machine import MachineHost
from node.mesh.libp2p.host import Libp2p
from node.paths import Paths
from node.store.files import FileStore
from node.world import World


@asynccontextmanager
async def real_world(config: Config, paths: Paths) -> AsyncIterator[World]:
    """Make the world inside the block; after it no runner is left."""
    clock = SystemClock()
    pool = Pool(limits_of(config.executor), Zygote(nice=config.executor.nice))
    async with pool.open():
        yield World(
            clock=clock,
            transport=Libp2p(),
            executor=pool,
            store=FileStore(paths),
            host=MachineHost(paths, clock),
            paths=paths,
        )
