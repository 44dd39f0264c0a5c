# SPDX-License-Identifier: MIT
"""The scale tier, small: what holds for thirty and three hundred views is what is asked of more."""

import os
import subprocess
import sys
import tracemalloc

import pytest

from protocol.limits import GUESTS_MAX, NEIGHBOURS_MAX, OUTBOUND_NEIGHBOURS_SOUGHT
from simulations.scale.figures import (
    dead_fraction,
    degrees,
    holders,
    in_directories,
    islands,
)
from simulations.scale.standing import stand
from simulations.scale.world import Scale
from tests.tree import ROOT

MODEL = b"rare model".ljust(32)


def crowd(seed: object, count: int) -> Scale:
    """A mesh into which all came within ten seconds, a minute later."""
    world = Scale(seed)
    doors = world.join(1)
    world.join(count - len(doors), via=doors, within_s=10.0)
    world.run(60.0)
    return world


def eventful(seed: object) -> Scale:
    """A world in which everything happens that may."""
    world = crowd(seed, 15)
    world.kill(world.some(3))
    world.partition(world.some(5))
    world.run(40.0)
    world.heal()
    world.run(60.0)
    world.search(world.some(1)[0], MODEL)
    return world


def test_the_same_seed_is_the_same_world_in_any_process() -> None:
    code = (
        "from tests.simulations.scale.test_scale import eventful\n"
        "print(eventful('again').digest())\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": "4711"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == eventful("again").digest()
    assert told.stdout.strip() != eventful("another").digest()


@pytest.mark.parametrize("count", [2, 30])
def test_a_small_crowd_knows_everybody_within_a_minute(count: int) -> None:
    world = crowd("small", count)
    assert world.known_fraction() == 1.0
    assert islands(world.nodes.values()) == [count]
    assert degrees(world).chosen_least + 1 >= min(count - 1, OUTBOUND_NEIGHBOURS_SOUGHT) // 2
    assert world.blamed == []


@pytest.mark.parametrize(
    ("count", "room"),
    [pytest.param(80, 64), pytest.param(300, 128, marks=pytest.mark.soak)],
)
def test_a_crowd_that_is_more_than_a_directory_fills_them_all(count: int, room: int) -> None:
    world = Scale("many", room=room)
    doors = world.join(count // 40)
    world.join(count - len(doors), via=doors, within_s=10.0)
    world.run(50.0)
    assert world.known_fraction() > 0.9
    # A few may be guests only, wherever they knock, until they have found a place.
    assert islands(world.nodes.values())[0] >= 0.97 * count
    assert degrees(world).chosen_least >= 3
    assert in_directories(world)[0] > 0
    assert world.blamed == []


def test_when_a_third_dies_the_rest_stays_one_mesh_and_forgets_the_dead() -> None:
    world = Scale("deaths")
    stand(world, 36)
    world.kill(world.some(12))
    assert dead_fraction(world) > 0.25
    world.run(180.0)
    assert islands(world.nodes.values()) == [24]
    assert degrees(world).chosen_least >= 3
    world.run(3600.0)
    assert dead_fraction(world) == 0.0
    assert world.blamed == []


@pytest.mark.parametrize("cut_s", [5.0, 120.0])
def test_a_mesh_that_was_split_in_two_is_one_again(cut_s: float) -> None:
    world = crowd("split", 40)
    world.partition(world.some(20))
    world.run(cut_s)
    assert len(islands(world.nodes.values())) == (1 if cut_s < 10 else 2)
    world.heal()
    world.run(900.0)
    assert islands(world.nodes.values()) == [40]
    assert degrees(world).chosen_least >= 3


def test_a_model_that_one_node_has_is_found_by_those_who_never_heard_of_it() -> None:
    world = Scale("rare", room=32)
    made = stand(world, 100)
    (holder,) = world.join(1, via=made[:1], models=[MODEL])
    world.run(60.0)
    askers = [node for node in made if holder.key not in node.view.directory]
    assert len(askers) > 10
    searches = [world.search(asker, MODEL) for asker in askers[:10]]
    assert sum(each.found == [holder.key] for each in searches) >= 9
    found = [each for each in searches if each.found]
    assert all(each.hops for each in found)
    assert all(each.messages >= 2 and each.bytes > 100 for each in found)


def test_a_new_advert_reaches_those_who_hold_the_old_one() -> None:
    world = Scale("news")
    made = stand(world, 40)
    # One whose next advert is not too soon.
    node = next(each for each in made if world.now_s - each.own.version[0] > 400)
    node.describe()
    world.run(180.0)
    assert holders(world, node) == len(made) - 1


def test_what_a_node_remembers_is_bounded_whatever_the_size_of_the_mesh() -> None:
    room = 32
    sizes_bytes = []
    for count in (30, 90):
        tracemalloc.start()
        world = Scale("memory", room=room)
        stand(world, count)
        world.run(10.0)
        sizes_bytes.append(tracemalloc.get_traced_memory()[0] // count)
        tracemalloc.stop()
        for node in world.nodes.values():
            assert len(node.view.directory) <= room
            assert len(node.view.exchange.talks) <= NEIGHBOURS_MAX + GUESTS_MAX
            assert len(node.ends) <= 32
    assert sizes_bytes[1] < 1.2 * sizes_bytes[0] < 100_000


def test_a_standing_mesh_is_as_quiet_as_one_that_has_grown() -> None:
    grown = crowd("grown", 40)
    grown.run(600.0)
    stood = Scale("stood")
    stand(stood, 40)
    figures = []
    for world in (grown, stood):
        before = world.messages
        world.run(300.0)
        figures.append((world.messages - before) / 40 / 5)
    assert 0.5 < figures[0] / figures[1] < 2.0
    assert max(figures) < 40
