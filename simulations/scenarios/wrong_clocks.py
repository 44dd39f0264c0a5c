# SPDX-License-Identifier: MIT
"""Clocks that are wrong, drift and jump."""

from simulations.checks import nobody_is_alone
from simulations.sim import Sim

DAY_S = 86_400.0


async def wrong_clocks(sim: Sim, nodes: int = 10, hours: float = 2.0) -> None:
    """Some clocks are minutes off, one drifts, one jumps by a day: the others stay one mesh.

    Whoever is wrong by more than ten minutes is told so and not let in; all is well again as
    soon as its clock is.
    """
    made = await sim.spawn_mixed(nodes)
    await sim.settle(within_s=120)
    dice = sim.dice("clocks")
    with sim.watching.trouble("wrong clocks"):
        for each in made[1:4]:
            each.clock.jump(dice.uniform(-300, 300))
        made[4].clock.drift_ppm = 200.0
        made[5].clock.jump(DAY_S)
        made[6].clock.jump(-DAY_S)
        await sim.sleep(hours * 3600)
        sim.check()
    # Whose clock was a day off is in the mesh again soon: its advert is made anew at once. The one
    # that was ahead has let go of all others as over, and hears of each when that is renewed,
    # which is within half an hour.
    sim.figures["together_s"] = await sim.settle(nobody_is_alone, within_s=3600)
    sim.figures["settled_s"] = await sim.settle(within_s=3600)
