# SPDX-License-Identifier: MIT
"""A ring of keys wants all neighbours of one node."""

from simulations.attacks.crowds import Eclipse
from simulations.invariants import keeps_honest_company
from simulations.sim import Sim

#: Of the neighbours that a node has chosen itself; docs/design/view.md says why no more.
HONEST_SHARE = 0.5


async def eclipse(sim: Sim, nodes: int = 8, rings: int = 2, minutes: float = 10.0) -> None:
    """Colluders with many keys besiege one node, and at least half of whom it chose stay honest.

    Whoever could surround a node would decide what it sees of the mesh.
    """
    made = await sim.spawn_mixed(nodes)
    await sim.settle(within_s=120)
    victim = made[-1]
    ring = Eclipse([victim])

    def victim_has_honest_company(_sim: Sim) -> str:
        return keeps_honest_company([victim], HONEST_SHARE) if victim.is_up else ""

    sim.watching.always.append(victim_has_honest_company)
    with sim.watching.trouble("eclipse"):
        await sim.spawn(rings, "colluder", attacks=(ring,))
        await sim.sleep(minutes * 60)
    sim.figures["colluders_met"] = ring.did["met"]
    sim.figures["settled_s"] = await sim.settle(within_s=1800)
