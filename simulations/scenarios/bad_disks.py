# SPDX-License-Identifier: MIT
"""Disks that are full, slow, or fail."""

from simulations.sim import Sim


async def bad_disks(sim: Sim, nodes: int = 8, hours: float = 0.5) -> None:
    """One disk is full, one fails, one takes five seconds for a commit: their nodes stay up.

    Nothing in the mesh may need the disk of somebody else.
    """
    made = await sim.spawn_mixed(nodes)
    await sim.settle(within_s=120)
    full, failing, slow = made[1:4]
    with sim.watching.trouble("bad disks"):
        full.store.room_bytes = 0
        failing.store.is_failing = True
        slow.store.commit_s = 5.0
        await sim.sleep(hours * 3600)
        sim.crash(slow)
        await sim.sleep(60)
    await sim.settle(within_s=600)
    await sim.restart(slow)
    sim.figures["settled_s"] = await sim.settle(within_s=600)
