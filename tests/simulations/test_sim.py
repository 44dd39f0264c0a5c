# SPDX-License-Identifier: MIT
"""The front door: whole nodes in a world that follows from a seed."""

import subprocess
import sys

import pytest

from simulations.bounds import Bounds
from simulations.checks import CheckFailedError, nobody_is_alone, nobody_knows
from simulations.links import SATELLITE, LinkTraits
from simulations.sim import Sim
from simulations.simulate import simulate
from tests.tree import ROOT


async def test_newcomers_find_each_other(sim: Sim) -> None:
    await sim.spawn(8)
    assert await sim.settle() < 60
    assert [each.name for each in sim.nodes] == [f"node-{number}" for number in range(1, 9)]


async def test_a_cut_mesh_heals(sim: Sim) -> None:
    nodes = await sim.spawn(6)
    await sim.settle()
    with sim.partition(nodes[:3]):
        await sim.sleep(120)
    await sim.settle(within_s=900)


async def test_who_crashes_comes_back_as_who_it_was(sim: Sim) -> None:
    nodes = await sim.spawn(4)
    await sim.settle()
    key = nodes[3].key
    sim.crash(nodes[3])
    await sim.sleep(30)
    assert nodes[3].state == "down"
    await sim.restart(nodes[3])
    assert nodes[3].key == key
    await sim.settle()


async def test_who_stopped_is_forgotten_within_its_hour(sim: Sim) -> None:
    nodes = await sim.spawn(3)
    await sim.settle()
    await sim.stop(nodes[2])
    with pytest.raises(CheckFailedError, match="still knows node-3"):
        sim.check(nobody_knows(nodes[2:]))
    await sim.sleep(3700)
    sim.check(nobody_knows(nodes[2:]))


async def test_what_is_due_at_a_time_happens_then(sim: Sim) -> None:
    told: list[float] = []

    async def tell() -> None:
        await sim.sleep(1)
        told.append(sim.now_s)

    sim.at(5, lambda: told.append(sim.now_s))
    sim.at(7, tell)
    await sim.sleep(10)
    assert told == [5, 8]


async def test_a_link_is_as_slow_as_it_was_said_to_be(sim: Sim) -> None:
    nodes = await sim.spawn(2)
    await sim.settle()
    near = sim.net.traits(nodes[0].address, nodes[1].address).latency_s
    sim.link(nodes, nodes, LinkTraits(latency_s=0.7))
    sim.net.set_access(nodes[1].address, SATELLITE)  # past which the link goes
    assert near < 0.1
    assert sim.net.traits(nodes[0].address, nodes[1].address).latency_s == 0.7


async def test_a_check_that_does_not_hold_says_who_lacks_what(sim: Sim) -> None:
    nodes = await sim.spawn(3)
    await sim.settle()
    with sim.partition(nodes[:1]):
        await sim.sleep(200)
        with pytest.raises(CheckFailedError, match=r"nobody is alone: node-\d is apart"):
            sim.check(nobody_is_alone)


# --- runs of scenarios ------------------------------------------------------------------------


async def three(sim: Sim, nodes: int = 3) -> None:
    """Three nodes meet."""
    await sim.spawn(nodes)
    await sim.settle()


async def never(sim: Sim) -> None:
    """It never ends."""
    await sim.spawn(2)
    await sim.sleep(1e9)


async def standing(_sim: Sim) -> None:
    """No time passes, and still it never ends."""
    import trio

    while True:
        await trio.lowlevel.checkpoint()


async def broken(sim: Sim) -> None:
    """The scenario itself has a bug."""
    await sim.sleep(3)
    raise KeyError("a bug")


def test_the_same_seed_gives_the_same_digest_and_another_one_another() -> None:
    first, second, other = (simulate(three, seed=seed) for seed in (1, 1, 2))
    assert first.is_well
    assert first.digest == second.digest != other.digest
    assert first.rows == second.rows


def test_a_record_says_what_was_chosen_and_how_to_have_it_again() -> None:
    record = simulate(three, seed=4, nodes=2)
    assert record.options == {"nodes": 2}
    assert record.replay == "commons sim run three --seed 4 --nodes 2"
    assert record.about == "Three nodes meet."
    assert (record.nodes, record.seed, record.error) == (2, 4, "")
    assert {each.check for each in record.verdicts} >= {"nothing_failed", "nobody_is_alone"}
    assert [each.host for each in record.lanes] == ["node-1", "node-2"]
    assert record.samples[-1].known == 1.0
    assert set(record.versions) == {"commons", "python", "trio"}


@pytest.mark.parametrize(
    ("scenario", "bounds", "why"),
    [
        (never, Bounds(virtual_s=100), "longer than 100 s of virtual time"),
        (never, Bounds(events=500), "more than 500 things happened"),
        (standing, Bounds(wall_s=0.2), "took more than 0.2 s, until 0.000 s of virtual time"),
    ],
)
def test_a_run_that_is_too_long_is_ended_and_says_which_bound_it_was(
    scenario: object, bounds: Bounds, why: str
) -> None:
    record = simulate(scenario, bounds=bounds)  # type: ignore[arg-type]  # it is one of the above
    assert why in record.error
    assert not record.is_well


def test_a_bug_of_a_scenario_ends_the_run_and_is_told() -> None:
    record = simulate(broken)
    assert "KeyError: 'a bug'" in record.error
    assert record.virtual_s == 3


def test_a_simulation_needs_no_libp2p_no_server_no_runtime_and_no_thread() -> None:
    code = (
        "import sys\n"
        "from simulations.simulate import simulate\n"
        "from tests.simulations.test_sim import three\n"
        "assert simulate(three).is_well\n"
        "heavy = {'libp2p', 'hypercorn', 'onnxruntime', 'numpy', 'onnx', 'zeroconf', 'rich'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
        "import threading; print(threading.active_count())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[:2] == ["[]", "1"]
