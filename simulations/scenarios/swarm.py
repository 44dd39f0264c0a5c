# SPDX-License-Identifier: MIT
"""Everything at once, as the seed has it."""

from simulations.drawn import Drawn
from simulations.sim import Sim


async def swarm(sim: Sim, nodes: int = 0, minutes: float = 20.0) -> None:
    """A world whose every option is drawn from its seed: links, machines, attackers, faults.

    Without `nodes` their number is drawn too. Some seeds draw hardly any trouble: what only
    breaks when nothing else is wrong is found by those.
    """
    drawn = Drawn(sim, nodes)
    sim.figures.update(drawn.figures())
    await drawn.populate()
    await drawn.trouble(minutes * 60)
    sim.figures["settled_s"] = await sim.settle(within_s=7200)
