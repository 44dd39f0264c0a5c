# SPDX-License-Identifier: MIT
"""A process that is killed is gone at once, whatever it would still have done at an end."""

from simulations.sim import Sim


async def test_who_is_killed_can_be_started_again_in_the_same_instant(sim: Sim) -> None:
    nodes = await sim.spawn(4)
    await sim.settle()
    begin_s = sim.now_s
    sim.crash(nodes[3])
    await sim.restart(nodes[3])
    assert sim.now_s - begin_s < 0.1
    await sim.settle()
