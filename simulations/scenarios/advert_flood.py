# SPDX-License-Identifier: MIT
"""Adverts of crowds that nobody runs."""

from simulations.attacks.offers import Flood, Forge
from simulations.checks import honest_know_each_other
from simulations.sim import Sim


async def advert_flood(sim: Sim, nodes: int = 8, keys: int = 300, minutes: float = 5.0) -> None:
    """One node offers hundreds of made-up nodes, another one forged adverts: all stay in touch.

    What is kept of others has a bound; what is false is not believed, and its teller is let go
    for an hour and longer. So the two are switched off at last, and the others are one mesh.
    """
    await sim.spawn_mixed(nodes)
    await sim.settle(within_s=120)
    flood, forge = Flood(keys), Forge()
    with sim.watching.trouble("advert flood"):
        attackers = [
            *await sim.spawn(name="flooder", attacks=(flood,)),
            *await sim.spawn(name="forger", attacks=(forge,)),
        ]
        await sim.sleep(minutes * 60)
        sim.check(honest_know_each_other)
    sim.figures["summaries_of_the_crowd"] = flood.did["summaries"]
    await sim.stop(*attackers)
    sim.figures["settled_s"] = await sim.settle(within_s=600)
