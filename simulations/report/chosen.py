# SPDX-License-Identifier: MIT
"""Of many hosts those whose lanes are drawn, so that they stand for all of their kind."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from simulations.record import Lane

#: More cannot be told apart on a page.
LANES_MAX = 80


@dataclass(frozen=True, slots=True)
class Group:
    """The hosts of one kind: those that are drawn, and how many there are."""

    kind: str
    lanes: tuple[Lane, ...]
    hosts: int


def natural(name: str) -> tuple[tuple[int, str], ...]:
    """Give what sorts `host-9` before `host-10`."""
    parts = re.findall(r"\d{1,18}|\D+|\d", name, re.ASCII)
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in parts)


def groups(lanes: Sequence[Lane], most: int = LANES_MAX) -> list[Group]:
    """Choose the lanes to draw, of each kind its share; the byzantine ones first, then evenly."""
    ordered = sorted(lanes, key=lambda lane: (lane.kind, natural(lane.host)))
    kinds = {kind: list(each) for kind, each in groupby(ordered, key=lambda lane: lane.kind)}
    found = []
    left = most
    for kind, each in list(kinds.items())[:most]:
        wanted = len(each) if len(lanes) <= most else max(1, most * len(each) // len(lanes))
        chosen = _chosen(each, min(wanted, left))
        left -= len(chosen)
        found.append(Group(kind, chosen, len(each)))
    return found


def _chosen(lanes: list[Lane], share: int) -> tuple[Lane, ...]:
    byzantine = [at for at, lane in enumerate(lanes) if lane.is_byzantine][:share]
    others = [at for at, lane in enumerate(lanes) if not lane.is_byzantine]
    rest = min(share - len(byzantine), len(others))
    evenly = [others[number * len(others) // rest] for number in range(rest)]
    return tuple(lanes[at] for at in sorted(byzantine + evenly))
