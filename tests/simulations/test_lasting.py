# SPDX-License-Identifier: MIT
"""Checks that look more than once: what they accuse, and what they must not."""

import trio

from simulations.lasting import (
    ALONE_IN_VAIN_MAX,
    BELIEF_S,
    IN_VAIN_MAX,
    Since,
    dials_back_off,
    nobody_believes_in_the_gone,
)
from simulations.sim import Sim


def test_what_was_over_in_between_begins_anew() -> None:
    since = Since()
    assert since.longest(0, ["a", "b"]) == (0, "a")
    assert since.longest(10, ["b"]) == (10, "b")
    assert since.longest(20, ["a", "b"]) == (20, "b")
    assert since.longest(30, ["a"]) == (10, "a")
    assert since.longest(40, []) == (0, None)


async def test_dials_in_vain_are_counted_by_the_life_of_their_node(sim: Sim) -> None:
    """Once the dials of all lives were added up, and whoever had restarted was accused."""
    one, _ = await sim.spawn(2)
    await sim.settle()
    in_vain = sim.net.traffic(one.address).in_vain
    in_vain["10.9.9.9"] = IN_VAIN_MAX
    assert dials_back_off(sim) == ""
    sim.crash(one)
    await one.over.wait()
    await sim.restart(one)
    await sim.settle()
    in_vain["10.9.9.9"] += 1
    assert dials_back_off(sim) == ""
    in_vain["10.9.9.9"] += ALONE_IN_VAIN_MAX + 1
    assert "node-1 has dialled 10.9.9.9" in dials_back_off(sim)
    in_vain.clear()  # else the end of the world says so again


async def test_who_slept_itself_has_time_to_learn_who_is_gone(sim: Sim) -> None:
    nodes = await sim.spawn(3)
    await sim.settle()
    with sim.suspended(nodes[2]):
        await trio.sleep(30)
        sim.crash(nodes[0])
        await trio.sleep(2 * BELIEF_S)
    assert nodes[0].key not in nodes[1].member.mesh.peers
    assert nobody_believes_in_the_gone(sim) == ""
    await trio.sleep(BELIEF_S / 2)
    assert nodes[0].key not in nodes[2].member.mesh.peers
