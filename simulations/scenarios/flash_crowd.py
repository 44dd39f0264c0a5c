# SPDX-License-Identifier: MIT
"""A crowd of newcomers at one door."""

from simulations.sim import Sim


async def flash_crowd(sim: Sim, nodes: int = 24, within_s: float = 0.0) -> None:
    """A crowd of newcomers comes in by one node in the same second, and soon everybody knows all.

    It is what happens when somebody famous has praised the commons. The one node must not be
    overrun, and nobody may be left with it alone. Unless said otherwise they have five seconds,
    and one more for ten nodes: a third of that is enough, and who waits for a timeout is late.
    """
    within_s = within_s or 5 + nodes / 10
    await sim.spawn(name="door")
    await sim.spawn_mixed(nodes - 1)
    sim.figures["settled_s"] = await sim.settle(within_s=within_s)
    await sim.sleep(60)
    sim.check()
