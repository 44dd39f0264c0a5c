# SPDX-License-Identifier: MIT
"""A ring of keys wants all neighbours of one node."""

from simulations.attacks.crowds import Eclipse
from simulations.checks import known_to
from simulations.invariants import keeps_honest_company
from simulations.sim import Sim

#: Of the neighbours that a node seeks: so many stay honest at one that stood before the siege.
HONEST_SHARE = 0.5

#: How long a mesh stands until its nodes have proven themselves to each other.
STANDS_S = 300.0


async def eclipse(
    sim: Sim, nodes: int = 8, rings: int = 2, keys: int = 20, minutes: float = 10.0
) -> None:
    """Colluders with many keys besiege one node, and half of the neighbours it wants stay honest.

    Whoever could surround a node would decide what it sees of the mesh. This holds for a node that
    stood before the siege. A newcomer in the middle of it may be surrounded, as docs/design/view.md
    says of floods: it knows honest nodes all the same, and is one of them when the siege is over.
    """
    made = await sim.spawn_mixed(nodes)
    await sim.settle(within_s=120)
    await sim.sleep(STANDS_S)
    victim = made[-1]
    ring = Eclipse([victim], keys=keys)

    def victim_has_honest_company(_sim: Sim) -> str:
        return keeps_honest_company(made, HONEST_SHARE) if victim.is_up else ""

    sim.watching.always.append(victim_has_honest_company)
    with sim.watching.trouble("eclipse"):
        await sim.spawn(rings, "colluder", attacks=(ring,))
        await sim.sleep(minutes * 30)
        (newcomer,) = await sim.spawn(name="newcomer")
        await sim.sleep(minutes * 30)
        honest = {each.key for each in made}
        sim.figures["newcomer_knows_honest"] = len(known_to(newcomer) & honest)
    sim.figures["colluders_met"] = ring.did["met"]
    sim.figures["settled_s"] = await sim.settle(within_s=1800)
