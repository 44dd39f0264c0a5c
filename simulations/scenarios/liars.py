# SPDX-License-Identifier: MIT
"""Some nodes are not honest, each in its own way."""

from simulations.attacks.attack import Attack
from simulations.attacks.bytewise import Delay, Drop, Silent, Tamper
from simulations.attacks.crowds import Garbage, Lurk
from simulations.attacks.lies import Equivocate, FreeRide, LieAboutHardware, LieAboutModels
from simulations.attacks.offers import Replay
from simulations.checks import honest_know_each_other
from simulations.sim import Sim


async def liars(sim: Sim, nodes: int = 10, each: int = 1, minutes: float = 10.0) -> None:
    """Nodes drop, delay, garble, replay, boast, take and give nothing: honest ones hold out."""
    await sim.spawn_mixed(nodes)
    attacks: tuple[Attack, ...] = (
        *(Drop(), Delay(0.5, 3.0), Tamper(), Silent(), Garbage(), Lurk(), Equivocate(), FreeRide()),
        *(LieAboutHardware(), LieAboutModels(), Replay()),
    )
    with sim.watching.trouble("liars"):
        for attack in attacks:
            await sim.spawn(each, attack.name.replace("_", "-"), attacks=(attack,))
        await sim.sleep(minutes * 60)
        sim.check(honest_know_each_other)
        sim.check()
    for attack in attacks:
        sim.figures[f"{attack.name}_did"] = sum(attack.did.values())
    sim.figures["settled_s"] = await sim.settle(within_s=3600)
