# SPDX-License-Identifier: MIT
"""When machines are on: schedules are what they say, the same for a seed, and nodes obey them."""

from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path
from random import Random
from typing import Protocol

import pytest
import trio

from simulations.clock import EPOCH_S
from simulations.presence import (
    DAY_S,
    FIRST_WEEKDAY,
    HOUR_S,
    Step,
    What,
    always,
    churn,
    daily,
    day_and_night,
    evenings,
    lid,
    nights,
    obey,
    office_hours,
)
from tests.node.executor.virtual_time import in_virtual_time
from tests.node.whole_nodes import began, some_nodes

ON = {What.START, What.RESUME}


class Schedule(Protocol):
    def __call__(self, dice: Random, /) -> Iterator[Step]: ...


def hour_of(at_s: float, zone_h: float = 0.0) -> float:
    return (EPOCH_S + at_s) / HOUR_S % 24 + zone_h


def weekday_of(at_s: float) -> int:
    return int((EPOCH_S + at_s) // DAY_S + FIRST_WEEKDAY) % 7


@pytest.mark.parametrize("schedule", [office_hours, evenings, day_and_night, nights, lid, churn])
def test_a_schedule_goes_on_in_order_and_turns_on_and_off(schedule: Schedule) -> None:
    steps, again, other = (
        list(islice(schedule(Random(seed)), 200)) for seed in ("a seed", "a seed", "another")
    )
    assert steps == again != other
    assert all(one < other for (one, _), (other, _) in pairwise(steps))
    assert steps[0][0] >= 0
    assert [what in ON for _, what in steps] == [True, False] * 100


def test_whoever_is_always_on_never_goes() -> None:
    assert list(always()) == [(0.0, What.START)]


def test_office_hours_are_those_of_workdays() -> None:
    steps = list(islice(office_hours(Random(1)), 100))
    assert {weekday_of(at_s) for at_s, _ in steps} == {0, 1, 2, 3, 4}
    for at_s, what in steps:
        assert abs(hour_of(at_s) - (9 if what in ON else 17)) <= 0.5


def test_an_evening_is_that_of_its_place() -> None:
    here, there = (list(islice(evenings(Random(1), zone_h=zone_h), 20)) for zone_h in (0.0, 5.0))
    assert [at_s for at_s, _ in there] == pytest.approx([at_s - 5 * HOUR_S for at_s, _ in here])


def test_who_is_on_when_the_world_begins_starts_with_it() -> None:
    steps = list(islice(daily(Random(1), 20, 10, vary_s=0), 3))
    assert steps == [
        (0.0, What.START),
        (2 * HOUR_S, What.STOP),
        (12 * HOUR_S, What.START),
    ]


def test_times_of_churn_have_the_mean_that_was_asked_for() -> None:
    steps = list(islice(churn(Random(1), up_s=300, down_s=900, crashing=0.25), 8000))
    up = [later - at_s for (at_s, what), (later, _) in pairwise(steps) if what in ON]
    down = [later - at_s for (at_s, what), (later, _) in pairwise(steps) if what not in ON]
    assert sum(up) / len(up) == pytest.approx(300, rel=0.1)
    assert sum(down) / len(down) == pytest.approx(900, rel=0.1)
    crashes = sum(what is What.CRASH for _, what in steps)
    assert crashes / len(up) == pytest.approx(0.25, abs=0.05)
    assert next(churn(Random(1), is_up=True)) == (0.0, What.START)
    assert next(churn(Random(1), is_up=False))[0] > 0


@in_virtual_time
async def test_a_node_obeys_its_schedule(tmp_path: Path) -> None:
    steps = [
        (10.0, What.START),
        (20.0, What.START),
        (30.0, What.SUSPEND),
        (40.0, What.SUSPEND),
        (50.0, What.RESUME),
        (60.0, What.CRASH),
        (70.0, What.RESUME),
        (80.0, What.STOP),
        (90.0, What.START),
        (100.0, What.SUSPEND),
        (110.0, What.STOP),
    ]
    states: list[str] = []
    async with some_nodes(tmp_path) as nodes:
        node = nodes.make("ann")

        async def start() -> None:
            await nodes.start("ann")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(obey, node, steps, start)
            for number in range(1, 12):
                await trio.sleep_until(10.0 * number + 9)
                states.append(node.state)
        await began(nodes, "bob")
    assert states == [
        *("up", "up", "suspended", "suspended", "up"),
        *("down", "down", "down", "up", "suspended", "down"),
    ]
    assert (node.starts, node.crashes, node.suspends) == (2, 1, 2)
    assert node.failures == []
