# SPDX-License-Identifier: MIT
"""A made world for one node: all five seams are simulated, and the node itself is the real one.

Nothing in it opens a socket, starts a process or a thread, or waits for the clock on the wall.
Only the plain files of a node, its key and its networks, are files in a folder of its own.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from node.executor.aside import at_once
from node.executor.leases import PoolLimits
from node.host.host import Host
from node.paths import Paths
from node.store.store import Store
from node.world import World
from simulations.clock import VirtualClock
from simulations.executor import SimulatedExecutor
from simulations.faults import Faults
from simulations.link import Speed, Traits
from simulations.transport import Net

#: Two runners, so that an order of one's own need not wait for one of a stranger.
LIMITS = PoolLimits(runners=2)


def made_paths(folder: Path) -> Paths:
    """Name the folders of a node below one folder, as `COMMONS_HOME` does."""
    return Paths(*(folder / name for name in ("config", "state", "cache", "runtime")))


@asynccontextmanager
async def made_world(
    net: Net,
    host: Host,
    name: str,
    *,
    address: str,
    store: Store,
    paths: Paths,
    models: Mapping[bytes, Traits] | None = None,
    faults: Faults | None = None,
    limits: PoolLimits = LIMITS,
    speed: Speed | None = None,
    clock: VirtualClock | None = None,
) -> AsyncIterator[World]:
    """Make the world of one life of a node inside the block.

    `name` is the seed of its clock and so of its key; each life of a node needs another one, or
    it would draw the same secrets again. A `clock` that is given has a seed already. `address` is
    where it is on the `net`; `models` are those that its executor knows by their digest. The
    `store` is what outlives it.
    """
    executor = SimulatedExecutor(limits, models or {}, speed, faults=faults)
    with at_once():
        async with executor.open():
            yield World(
                clock=clock or VirtualClock(name),
                transport=net.transport(address),
                executor=executor,
                store=store,
                host=host,
                paths=paths,
            )
