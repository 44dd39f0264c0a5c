# SPDX-License-Identifier: MIT
"""A day of a mesh around the earth."""

from simulations.checks import nobody_is_alone, not_for_long
from simulations.machines import DESKTOP, LAPTOP, RASPBERRY_PI, SERVER
from simulations.presence import churn, evenings, lid, office_hours
from simulations.presence import day_and_night as awake
from simulations.sim import Sim

ZONES_H = (-8, -5, 0, 1, 5.5, 8, 10)


async def day_and_night(sim: Sim, nodes: int = 12, hours: float = 26.0) -> None:
    """Machines around the earth come and go with their day, and whoever is up is in one mesh.

    Some are always on, offices sleep at night, laptops are closed now and then.
    """
    dice = sim.dice("who is on when")
    steady = max(2, nodes // 4)
    front = await sim.spawn(steady, name="always", machine=SERVER)
    habits = ((DESKTOP, evenings), (DESKTOP, office_hours), (LAPTOP, awake), (RASPBERRY_PI, None))
    for number in range(nodes - steady):
        machine, habit = habits[number % len(habits)]
        node = sim.make("comes-and-goes", machine=machine)
        zone_h = dice.choice(ZONES_H)
        own = sim.dice(f"{node.name} habits")
        schedule = habit(own, zone_h=zone_h) if habit else churn(own)
        sim.lives_by(node, schedule, front=front)
    sleepy = sim.make("laptop", machine=LAPTOP)
    sim.lives_by(sleepy, lid(sim.dice("lid")), front=front)
    sim.watching.always.append(not_for_long(nobody_is_alone, 600.0))
    await sim.sleep(hours * 3600)
    sim.figures["settled_s"] = await sim.settle(nobody_is_alone, within_s=1200)
