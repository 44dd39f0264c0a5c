# SPDX-License-Identifier: MIT
"""The node that all came in by dies for ever."""

from simulations.sim import Sim


async def bootstrap_death(sim: Sim, nodes: int = 10, away_s: float = 600.0) -> None:
    """The bootstrap node dies for ever: who is in stays in, comes back, and lets others in.

    Half of the nodes are off when it dies; they know nobody alive but those in their peer caches.
    At last the power fails, and all begin at once with what their disks hold.
    """
    door, *others = await sim.spawn_mixed(nodes)
    await sim.settle(within_s=120)
    await sim.sleep(30)  # so that everybody has written down whom it knows
    away = others[: len(others) // 2]
    await sim.stop(*away)
    sim.crash(door)
    await sim.sleep(away_s)
    await sim.restart(*away)
    await sim.spawn(name="newcomer", front=others[-1:])
    sim.figures["settled_s"] = await sim.settle(within_s=900)
    await sim.sleep(30)
    alive = [each for each in sim.nodes if each is not door]
    with sim.watching.trouble("the power has failed"):
        sim.crash(*alive)
        await sim.sleep(60)
    await sim.restart(*alive)
    sim.figures["settled_after_blackout_s"] = await sim.settle(within_s=900)
