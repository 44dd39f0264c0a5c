# SPDX-License-Identifier: MIT
"""A mesh in two halves."""

from simulations.sim import Sim


async def partition(sim: Sim, nodes: int = 12, cut_s: float = 300.0) -> None:
    """The mesh is cut in two, newcomers come into both halves, and it heals when the cut is over.

    Longer than an hour, and the halves have forgotten each other's adverts: then it is the peer
    caches that bring them together again.
    """
    made = await sim.spawn_mixed(nodes)
    await sim.settle(within_s=120)
    newcomers = [sim.make("newcomer") for _ in range(2)]
    half = [*made[: nodes // 2], newcomers[0]]
    with sim.partition(half):
        await sim.sleep(cut_s / 2)
        await sim.bring_in(newcomers[:1], made[:1])
        await sim.bring_in(newcomers[1:], made[-1:])
        await sim.sleep(cut_s / 2)
    sim.figures["healed_s"] = await sim.settle(within_s=1800)
