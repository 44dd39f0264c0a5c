# SPDX-License-Identifier: MIT
"""What one wants to know of a large mesh: islands, degrees, the dead, who knows whom."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from simulations.scale.node import ScaleNode
from simulations.scale.world import Scale


def islands(nodes: Iterable[ScaleNode]) -> list[int]:
    """Give the sizes of the islands that living neighbours make, the largest first.

    Those count who have each other as neighbours: who is a guest over there is none.
    """
    left = {node.key: node for node in nodes}
    sizes: list[int] = []
    while left:
        edge = [left.popitem()[1]]
        size = 0
        while edge:
            node = edge.pop()
            size += 1
            edge += [
                left.pop(key)
                for key in node.view.neighbours.linked
                if key in left and node.key in left[key].view.neighbours.linked
            ]
        sizes.append(size)
    return sorted(sizes, reverse=True)


def dead_fraction(world: Scale) -> float:
    """Tell what share of all that directories hold is of nodes that are not there any more."""
    held = sum(len(node.view.directory) for node in world.nodes.values())
    dead = sum(
        key not in world.nodes
        for node in world.nodes.values()
        for key in node.view.directory.entries
    )
    return dead / held if held else 0.0


def in_directories(world: Scale) -> list[int]:
    """Give for each living node how many directories hold its advert, in order of size."""
    times = Counter(key for node in world.nodes.values() for key in node.view.directory.entries)
    return sorted(times[key] for key in world.nodes)


@dataclass(frozen=True, slots=True)
class Degrees:
    """How many neighbours nodes have: the least, the mean and the most."""

    least: int
    mean: float
    most: int
    chosen_least: int


def degrees(world: Scale) -> Degrees:
    """Count neighbours."""
    all_of = [len(node.view.neighbours.linked) for node in world.nodes.values()]
    chosen = [len(node.view.neighbours.outbound()) for node in world.nodes.values()]
    return Degrees(min(all_of), sum(all_of) / len(all_of), max(all_of), min(chosen))


def holders(world: Scale, node: ScaleNode) -> int:
    """Count the nodes that hold the newest advert of this one."""
    count = 0
    for other in world.nodes.values():
        entry = other.view.directory.entries.get(node.key)
        count += entry is not None and entry.known.version == node.own.version
    return count
