# SPDX-License-Identifier: MIT
"""Prints what a node's view costs in meshes of growing size: `python -m simulations.scale`.

Everything printed follows from the seed but the seconds of the processor.
"""

import argparse
import gc
from collections.abc import Sequence
from resource import RUSAGE_SELF, getrusage

from protocol.limits import DIRECTORY_MAX
from simulations.scale.figures import dead_fraction, degrees, in_directories, islands
from simulations.scale.standing import COUNT_MIN, stand
from simulations.scale.world import Scale

#: Models that one node in so many has, by how many.
RARE = {one_in: f"one in {one_in}".encode().ljust(32) for one_in in (10, 100, 1000)}

SEARCHES = 20


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the curves that were asked for."""
    parser = argparse.ArgumentParser(prog="python -m simulations.scale", description=__doc__)
    parser.add_argument("what", choices=("crowd", "steady", "deaths", "search"), nargs="+")
    parser.add_argument("--nodes", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--room", type=int, default=DIRECTORY_MAX, help="adverts in a directory")
    parser.add_argument("--seconds", type=float, default=300.0, help="of virtual time")
    parser.add_argument("--doors", type=int, default=100, help="nodes for each bootstrap node")
    parser.add_argument("--seed", default="1")
    asked = parser.parse_args(arguments)
    gc.disable()  # hardly anything is let go in circles here, and there is much to look through
    for what in asked.what:
        for count in asked.nodes:
            _CURVES[what](asked, count)


def _crowd(asked: argparse.Namespace, count: int) -> None:
    """All come within ten seconds; each minute then is a line."""
    world = Scale(asked.seed, room=asked.room)
    doors = world.join(max(1, count // asked.doors))
    world.join(count - len(doors), via=doors, within_s=10.0)
    _minutes("crowd", asked, world)


def _steady(asked: argparse.Namespace, count: int) -> None:
    """Nobody comes and nobody goes."""
    _minutes("steady", asked, _stood(asked, count))


def _stood(asked: argparse.Namespace, count: int) -> Scale:
    world = Scale(asked.seed, room=asked.room, models={v: k for k, v in RARE.items()})
    if count >= COUNT_MIN:
        stand(world, count)
    else:
        world.join(count, within_s=10.0)
        world.run(900.0)
    return world


def _deaths(asked: argparse.Namespace, count: int) -> None:
    """Three of ten die at once, silently."""
    world = _stood(asked, count)
    world.kill(world.some(count * 3 // 10))
    _minutes("deaths", asked, world)


def _search(asked: argparse.Namespace, count: int) -> None:
    """Some look for a model at the same time, for each of how rare it is."""
    world = _stood(asked, count)
    for one_in, model in RARE.items():
        holders = sum(model in each for each in world.has.values())
        drawn = world.some(min(SEARCHES, count))
        some = [node for node in drawn if model not in world.has[node.key]]
        searches = [world.begin_search(node, model) for node in some]
        world.run(61.0)
        found = [each for each in searches if each.found]
        of = len(searches)
        hops = sorted(each.hops or 0 for each in found)
        print(
            f"search n={count} room={world.room} one_in={one_in} holders={holders}"
            f" found={len(found)}/{of} hops={hops[len(hops) // 2] if hops else '-'}"
            f"..{hops[-1] if hops else '-'} asked={sum(each.asked for each in searches) / of:.1f}"
            f" messages={sum(each.messages for each in searches) / of:.1f}"
            f" bytes={sum(each.bytes for each in searches) / of:.0f}",
            flush=True,
        )


def _minutes(what: str, asked: argparse.Namespace, world: Scale) -> None:
    """Let time pass, and print each minute."""
    begin_s = _processor_s()
    for minute in range(1, 1 + round(asked.seconds / 60)):
        messages, size_bytes, dials = world.messages, world.bytes, world.dials
        world.run(60.0)
        count = len(world.nodes)
        sizes, around, held = islands(world.nodes.values()), degrees(world), in_directories(world)
        print(
            f"{what} n={count} room={world.room} minute={minute}"
            f" messages={(world.messages - messages) / count:.1f}"
            f" bytes={(world.bytes - size_bytes) / count:.0f}"
            f" dials={(world.dials - dials) / count:.2f} known={world.known_fraction():.3f}"
            f" dead={dead_fraction(world):.3f} islands={len(sizes)} largest={sizes[0]}"
            f" neighbours={around.least}/{around.mean:.1f}/{around.most}"
            f" chosen_least={around.chosen_least}"
            f" held_by={held[0]}/{held[len(held) // 2]}/{held[-1]} blamed={len(world.blamed)}"
            f" events={world.happened} cpu_s={_processor_s() - begin_s:.1f}"
            f" peak_mib={getrusage(RUSAGE_SELF).ru_maxrss >> 10}",
            flush=True,
        )


def _processor_s() -> float:
    return getrusage(RUSAGE_SELF).ru_utime


_CURVES = {"crowd": _crowd, "steady": _steady, "deaths": _deaths, "search": _search}

if __name__ == "__main__":
    main()
