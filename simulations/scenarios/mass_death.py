# SPDX-License-Identifier: MIT
"""A third of the mesh is gone in one moment."""

from simulations.checks import nobody_is_alone, nobody_knows
from simulations.sim import Sim


async def mass_death(sim: Sim, nodes: int = 20, dead: float = 0.3) -> None:
    """30 % of the nodes die at once: the others stay one mesh, forget them, and have them back.

    An advert lives for an hour. So for an hour the dead are known and cannot be reached; then
    nobody knows them any more.
    """
    made = await sim.spawn_mixed(nodes)
    await sim.settle(within_s=120)
    lost = sim.dice("who dies").sample(made[1:], int(dead * nodes))
    with sim.watching.trouble(f"{len(lost)} nodes are dead"):
        sim.crash(*lost)
        sim.figures["whole_again_s"] = await sim.settle(nobody_is_alone, within_s=300)
        await sim.sleep(3700)
        sim.check(nobody_knows(lost))
    await sim.restart(*lost)
    sim.figures["settled_s"] = await sim.settle(within_s=1800)
