# SPDX-License-Identifier: MIT
"""An eventful world, run with the seeds that are given; prints their digests, for `test_same`."""

import sys
from dataclasses import replace

from node.config import CreditConfig
from node.work.placed import Placed
from simulations.links import DSL, LinkTraits
from simulations.machines import LAPTOP
from simulations.population import LISTENING
from simulations.sim import Sim
from simulations.simulate import simulate
from tests.node.whole_nodes import MODELS, does, give_model, order

#: Strangers lend each other little; this one works for nothing when it has nothing else to do.
GENEROUS = replace(LISTENING, credit=CreditConfig(gift="anyone"))


async def eventful(sim: Sim, nodes: int = 6) -> None:
    """Crash, restart, partition, suspend, stop, an order and streams over links that stall."""
    made = await sim.spawn(nodes, models=MODELS, config=GENEROUS)
    (laptop,) = await sim.spawn(1, "laptop", machine=LAPTOP)
    sim.net.set_access(made[0].address, DSL)
    sim.link(made[1:3], made[3:], LinkTraits(0.05, 0.02, 1e6, 0.05, 0.4, 0.001))
    await sim.settle()
    for each in made[:2]:
        await give_model(each, served=True)
    ann, bob = made[:2]
    with sim.partition(made[3:5], one_way=True):
        placed = await does(ann, lambda: order(ann, bob))
        assert isinstance(placed, Placed), placed
        await sim.sleep(20)
    with sim.partition(made[:2]), sim.suspended(laptop):
        sim.crash(made[5])
        await sim.sleep(40)
    await sim.restart(made[5])
    await sim.stop(made[4])
    await sim.restart(made[4])
    await sim.settle(within_s=1200)


if __name__ == "__main__":
    for seed in sys.argv[1:]:
        record = simulate(eventful, seed=int(seed))
        sys.stdout.write(f"{seed} {record.digest} {record.events} {record.error}\n")
