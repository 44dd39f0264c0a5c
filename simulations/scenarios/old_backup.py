# SPDX-License-Identifier: MIT
"""A disk is lost, and an old backup of it comes back."""

from simulations.sim import Sim


async def old_backup(sim: Sim, nodes: int = 8, age_s: float = 5400.0) -> None:
    """A node loses its disk and comes back with an old backup, another one with nothing at all.

    Both are soon in the mesh: the one as who it was, the other one as a stranger.
    """
    made = await sim.spawn_mixed(nodes)
    await sim.settle(within_s=120)
    restored, anew = made[1:3]
    backup, old_key = restored.backup(), anew.key
    await sim.sleep(age_s)
    sim.crash(restored, anew)
    await restored.over.wait()
    await anew.over.wait()
    restored.restore(backup)
    anew.lose_disk()
    await sim.restart(restored, anew)
    sim.figures["settled_s"] = await sim.settle(within_s=900)
    assert anew.key != old_key, "a node without a disk has the key of before"
