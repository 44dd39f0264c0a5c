# SPDX-License-Identifier: MIT
"""A small mesh comes to the same in both tiers: else what the large one says is worth nothing."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from protocol.view import View
from tests.node.executor.virtual_time import in_virtual_time
from tests.simulations.scale.tiers import ScaleTier, Tier, whole_tier

COUNT = 12

#: Messages of one tier for each of the other at most, and the other way round.
FACTOR = 2.0


@dataclass(frozen=True)
class Story:
    """What has come of it. The figures need not be the same; the rest must be."""

    all_know_all: bool
    neighbours_are_enough: bool
    rest_is_one: bool
    rest_has_neighbours: bool
    is_found: bool
    early_per_minute: float
    quiet_per_minute: float

    @property
    def verdict(self) -> tuple[bool, ...]:
        return (
            self.all_know_all,
            self.neighbours_are_enough,
            self.rest_is_one,
            self.rest_has_neighbours,
            self.is_found,
        )


async def lived(tier: Tier) -> Story:
    """All come at once; then it is quiet; a third dies; one looks for what another one has."""
    await tier.wait(60.0)
    early = tier.heard()
    # The second advert of a node comes after five minutes, and names the model.
    await tier.wait(400.0)
    views = tier.views()
    keys = list(views)
    all_know_all = all(
        sorted(view.directory.entries) == sorted(set(keys) - {key}) for key, view in views.items()
    )
    enough = all(len(view.neighbours.linked) >= 4 for view in views.values())
    quiet = tier.heard()
    await tier.wait(300.0)
    quiet = tier.heard() - quiet
    await tier.kill(keys[1 : 1 + COUNT // 3])
    await tier.wait(120.0)
    rest = tier.views()
    found = await tier.find(keys[-2])
    return Story(
        all_know_all,
        enough,
        is_one(rest),
        all(len(set(view.neighbours.linked) & set(rest)) >= 3 for view in rest.values()),
        found == [keys[-1]],
        early / COUNT,
        quiet / COUNT / 5,
    )


def is_one(views: dict[bytes, View]) -> bool:
    """Whether neighbours make one island of all."""
    edge = [next(iter(views))]
    left = set(views)
    while edge:
        key = edge.pop()
        if key in left:
            left.discard(key)
            edge += views[key].neighbours.linked.keys() & left
    return not left


@pytest.mark.slow
@in_virtual_time
async def test_views_alone_and_whole_nodes_live_the_same_story(tmp_path: Path) -> None:
    stories = [await lived(ScaleTier("story", COUNT))]
    async with whole_tier(tmp_path, COUNT) as tier:
        stories.append(await lived(tier))
    one, other = stories
    assert one.verdict == other.verdict == (True,) * 5, stories
    assert 1 / FACTOR < one.early_per_minute / other.early_per_minute < FACTOR, stories
    assert 1 / FACTOR < one.quiet_per_minute / other.quiet_per_minute < FACTOR, stories
