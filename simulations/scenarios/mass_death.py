# SPDX-License-Identifier: MIT
"""A third of the mesh is gone in one moment."""

from simulations.checks import nobody_is_alone, nobody_knows, not_for_long
from simulations.invariants import keeps_honest_company
from simulations.sim import Sim

#: Of the living neighbours that a node seeks: without so many it has no company.
COMPANY_SHARE = 0.6


async def mass_death(sim: Sim, nodes: int = 20, dead: float = 0.3) -> None:
    """30 % of the nodes die at once: the others stay one mesh, forget them, and have them back.

    It is the power that fails, so nobody hears a word of it. An advert lives for an hour: for an
    hour the dead are known and cannot be reached, then nobody knows them any more.
    """
    made = await sim.spawn_mixed(nodes)
    await sim.settle(within_s=120)
    lost = sim.dice("who dies").sample(made[1:], int(dead * nodes))

    def living_have_company(sim: Sim) -> str:
        return keeps_honest_company(sim.up, COMPANY_SHARE)

    sim.watching.always.append(not_for_long(nobody_is_alone, 120.0))
    with sim.watching.trouble(f"{len(lost)} nodes are dead"):
        sim.crash(*lost, silently=True)
        sim.figures["company_again_s"] = await sim.settle(living_have_company, within_s=300)
        await sim.sleep(3700)
        sim.check(nobody_knows(lost))
    await sim.restart(*lost)
    sim.figures["settled_s"] = await sim.settle(within_s=1800)
