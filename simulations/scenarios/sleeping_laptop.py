# SPDX-License-Identifier: MIT
"""A laptop whose lid is closed now and then."""

from simulations.machines import LAPTOP
from simulations.sim import Sim


async def sleeping_laptop(sim: Sim, nodes: int = 6, naps: int = 3) -> None:
    """A laptop sleeps for minutes and for hours, and each time is soon back among the others.

    While it sleeps its neighbours must not wait for it; when it wakes up, it believes in
    connections that have long ended.
    """
    await sim.spawn_mixed(nodes - 1)
    (laptop,) = await sim.spawn(name="sleepy", machine=LAPTOP)
    await sim.settle(within_s=120)
    dice = sim.dice("naps")
    for number, least_s in zip(range(naps), (60.0, 600.0, 5400.0), strict=False):
        with sim.watching.trouble("the laptop sleeps"), sim.suspended(laptop):
            await sim.sleep(least_s * dice.uniform(1, 1.5))
        took_s = await sim.settle(within_s=900)
        sim.figures[f"back_after_nap_{number + 1}_s"] = took_s
        await sim.sleep(60)
