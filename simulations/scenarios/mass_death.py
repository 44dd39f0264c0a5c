# SPDX-License-Identifier: MIT
"""A third of the mesh is gone in one moment."""

from simulations.checks import nobody_is_alone, nobody_knows, not_for_long
from simulations.sim import Sim


async def mass_death(sim: Sim, nodes: int = 20, dead: float = 0.3) -> None:
    """30 % of the nodes die at once: the others stay one mesh, forget them, and have them back.

    It is the power that fails, so nobody hears a word of it. An advert lives for an hour: for an
    hour the dead are known and cannot be reached, then nobody knows them any more.
    """
    made = await sim.spawn_mixed(nodes)
    await sim.settle(within_s=120)
    lost = sim.dice("who dies").sample(made[1:], int(dead * nodes))

    def dead_have_no_neighbours(sim: Sim) -> str:
        keys = {each.key for each in lost}
        mourning = [each.name for each in sim.up if each.member.viewing.neighbours & keys]
        return f"{mourning[0]} has a dead neighbour" if mourning else ""

    sim.watching.always.append(not_for_long(nobody_is_alone, 120.0))
    with sim.watching.trouble(f"{len(lost)} nodes are dead"):
        sim.crash(*lost, silently=True)
        sim.figures["noticed_s"] = await sim.settle(dead_have_no_neighbours, within_s=60)
        await sim.sleep(3700)
        sim.check(nobody_knows(lost))
    await sim.restart(*lost)
    sim.figures["settled_s"] = await sim.settle(within_s=1800)
