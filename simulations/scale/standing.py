# SPDX-License-Identifier: MIT
"""A mesh that stands from its first second: what a long life would have made is put in place.

Each node has five neighbours that it chose, up to six that chose it, all of them proven, a full
directory with adverts of nodes drawn by lot, told by its neighbours in equal shares, and talks that
have come to rest. What is not made: nodes met before those of now, and a peer cache.
"""

from math import inf
from random import Random

from node.mesh.discovery import LOOK_S, REUNION_S, SAVE_S
from node.mesh.telling import RENEW_S
from node.mesh.viewing import SWEEP_S
from protocol.limits import (
    EXCHANGE_INTERVAL_S_MAX,
    INBOUND_NEIGHBOURS_MAX,
    MET_SHARE,
    OUTBOUND_NEIGHBOURS_SOUGHT,
    PROVEN_S,
    REDRAW_S,
    REPLACED_REFILL_S,
)
from simulations.scale.company import Company
from simulations.scale.node import ScaleNode
from simulations.scale.world import Scale

#: A smaller mesh has everybody as a neighbour, and stands soon enough by itself.
COUNT_MIN = 30

#: How long ago it was made: nobody's first re-draw is later than now, and all are proven.
_SINCE_S = 2 * REDRAW_S + PROVEN_S


def stand(world: Scale, count: int) -> list[ScaleNode]:
    """Put a mesh into a world in which nobody is."""
    assert count >= COUNT_MIN, f"fewer than {COUNT_MIN} nodes: let them join"
    assert not world.born, "somebody is there"
    dice = Random(f"{world.seed} standing")
    world.now = _SINCE_S + RENEW_S
    made = [world.make() for _ in range(count)]
    ages_s = [dice.uniform(0.0, RENEW_S) for _ in made]
    for node, age_s in zip(made, ages_s, strict=True):
        node.sequence = 2
        node.own = world.adverts.write(node.key, node.number, 2, world.now_s - age_s)
        node.view.describe(node.own.wire, world.now - _SINCE_S)
    for node, others in zip(made, _chosen(count, dice), strict=True):
        for other in others:
            _link(world, node, made[other])
    for node, age_s in zip(made, ages_s, strict=True):
        _fill(world, node, made, dice)
        _rest(world, node, dice, RENEW_S - age_s)
    return made


def _chosen(count: int, dice: Random) -> list[list[int]]:
    """Draw whom each node has chosen."""
    came = [0] * count
    pairs: set[tuple[int, int]] = set()
    chosen: list[list[int]] = []
    for number in range(count):
        mine: list[int] = []
        while len(mine) < OUTBOUND_NEIGHBOURS_SOUGHT:
            other = dice.randrange(count)
            pair = (min(number, other), max(number, other))
            if other != number and pair not in pairs and came[other] < INBOUND_NEIGHBOURS_MAX:
                pairs.add(pair)
                came[other] += 1
                mine.append(other)
        chosen.append(mine)
    return chosen


def _link(world: Scale, node: ScaleNode, other: ScaleNode) -> None:
    """Let two nodes have been neighbours for long."""
    since_s = world.now - _SINCE_S
    for end in world.connect(node, other):
        key = end.far.node.key
        end.node.view.on_connected(
            key, since_s, world.now_s, inbound=end.inbound, advert=end.advert
        )
        end.is_place = True
        end.open_line(since_s)


def _fill(world: Scale, node: ScaleNode, made: list[ScaleNode], dice: Random) -> None:
    """Fill the directory, from one neighbour after the other."""
    view = node.view
    tellers = list(view.neighbours.linked)
    left = 3 * world.room  # what a share has no place for is not tried for ever
    while view.directory.has_room() and left and len(view.directory) < len(made) - 1:
        left -= 1
        known = made[dice.randrange(len(made))].own
        vouched = not dice.randrange(MET_SHARE)
        view.directory.admit(known, tellers[left % len(tellers)], world.now_s, vouched=vouched)


def _rest(world: Scale, node: ScaleNode, dice: Random, renew_s: float) -> None:
    """Let all talks have come to rest, and whatever is done now and then be done soon or late."""
    view = node.view
    # A tick at that time proves all neighbours, and the next re-draw is within REDRAW_S from now.
    view.tick(world.now - REDRAW_S, world.now_s)
    for talk in view.exchange.talks.values():
        talk.backlog.clear()
        talk.told = view.directory.revision
        talk.news_at = inf
        talk.interval_s = EXCHANGE_INTERVAL_S_MAX
        talk.next_at = world.now + dice.uniform(0.0, EXCHANGE_INTERVAL_S_MAX)
        # As where always somebody has a lower draw: no more is ever replaced than then.
        spent_s = world.now - dice.uniform(0.0, REPLACED_REFILL_S)
        while talk.replacing.take(spent_s):
            pass
    world.later(renew_s, node.describe)
    world.later(dice.uniform(0.0, SWEEP_S), node.sweep)
    Company(node, (), dice).go_on(
        dice.uniform(0.0, LOOK_S), dice.uniform(0.0, SAVE_S), dice.uniform(0.0, REUNION_S)
    )
    node.wake()
