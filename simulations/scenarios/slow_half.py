# SPDX-License-Identifier: MIT
"""Half of the mesh is far away and slow."""

from simulations.links import MOBILE, SATELLITE
from simulations.sim import Sim


async def slow_half(sim: Sim, nodes: int = 12, within_s: float = 240.0) -> None:
    """Half of the nodes are on mobile or satellite links, and all know each other all the same."""
    fast = await sim.spawn_mixed(nodes - nodes // 2)
    slow = [sim.make("slow") for _ in range(nodes // 2)]
    for number, each in enumerate(slow):
        sim.net.set_access(each.address, (MOBILE, SATELLITE)[number % 2])
    await sim.bring_in(slow, fast[:1])
    sim.figures["settled_s"] = await sim.settle(within_s=within_s)
