# SPDX-License-Identifier: MIT
"""Nodes that nobody can dial."""

from simulations.sim import Sim


async def hidden_hosts(sim: Sim, nodes: int = 12, hidden: float = 0.6) -> None:
    """Most nodes are behind a NAT and can only dial out: everybody still learns of everybody.

    Two of them cannot meet until relays come; what the one is, the other one hears from those
    in between.
    """
    open_ones = await sim.spawn_mixed(nodes - int(hidden * nodes))
    behind = [sim.make("hidden") for _ in range(int(hidden * nodes))]
    for each in behind:
        sim.net.close_door(each.address)
    await sim.bring_in(behind, open_ones[:1])
    sim.figures["settled_s"] = await sim.settle(within_s=600)
