# SPDX-License-Identifier: MIT
"""Links that carry one way only."""

from simulations.sim import Sim


async def one_way(sim: Sim, nodes: int = 10, cut_s: float = 240.0) -> None:
    """Nothing that a third of the mesh says arrives, and all that is said to it does.

    Broken routes are mostly like that. Whoever is cut off must notice, or others must, and
    nobody may be believed to be there for ever.
    """
    made = await sim.spawn_mixed(nodes)
    await sim.settle(within_s=120)
    with sim.partition(made[: nodes // 3], one_way=True, name="one-way cut"):
        await sim.sleep(cut_s)
    sim.figures["healed_s"] = await sim.settle(within_s=1800)
