# SPDX-License-Identifier: MIT
"""When machines are on: schedules that follow from dice, and a driver that obeys one.

A schedule gives steps in their order, each with its second of the world; most never end. Hours
of the day are local: the world begins at `EPOCH_S`, and `zone_h` says how many hours the sun is
earlier where the machine stands. ::

    nursery.start_soon(obey, node, evenings(dice, zone_h=1), partial(nodes.start, node.name))
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from enum import StrEnum
from itertools import count
from random import Random
from typing import TYPE_CHECKING

import trio

from simulations.clock import EPOCH_S

if TYPE_CHECKING:
    from simulations.node import MadeNode

HOUR_S = 3600.0
DAY_S = 24 * HOUR_S

#: People come and go within so much of their hour.
VARY_S = 0.5 * HOUR_S

#: Monday is 0. The first of January 1970 was a Thursday.
FIRST_WEEKDAY = 3
WORKDAYS = range(5)
EVERY_DAY = range(7)


class What(StrEnum):
    """What is done with a machine."""

    START = "start"
    STOP = "stop"
    CRASH = "crash"
    SUSPEND = "suspend"
    RESUME = "resume"


Step = tuple[float, What]


def always() -> Iterator[Step]:
    """Be on from the beginning."""
    yield 0.0, What.START


def daily(
    dice: Random,
    begin_h: float,
    end_h: float,
    *,
    zone_h: float = 0.0,
    days: Iterable[int] = EVERY_DAY,
    on: What = What.START,
    off: What = What.STOP,
    vary_s: float = VARY_S,
) -> Iterator[Step]:
    """Be on from about one hour of the day to another one, which may be of the next day."""
    length_h = (end_h - begin_h) % 24
    assert 0 <= 2 * vary_s < min(length_h, 24 - length_h) * HOUR_S, "these hours could overlap"
    weekdays = frozenset(days)
    local_s = EPOCH_S + zone_h * HOUR_S
    for day in count(int(local_s // DAY_S) - 1):  # the one before may not be over
        begin_s = day * DAY_S + begin_h * HOUR_S - local_s + dice.uniform(-vary_s, vary_s)
        end_s = day * DAY_S + (begin_h + length_h) * HOUR_S - local_s
        end_s += dice.uniform(-vary_s, vary_s)
        if end_s > 0 and (day + FIRST_WEEKDAY) % 7 in weekdays:
            yield max(begin_s, 0.0), on
            yield end_s, off


def office_hours(dice: Random, *, zone_h: float = 0.0) -> Iterator[Step]:
    """Be switched on for work, and off for the evening and the weekend."""
    return daily(dice, 9, 17, zone_h=zone_h, days=WORKDAYS)


def evenings(dice: Random, *, zone_h: float = 0.0) -> Iterator[Step]:
    """Be on when people are at home; at the weekend too."""
    return daily(dice, 18, 23, zone_h=zone_h)


def day_and_night(dice: Random, *, zone_h: float = 0.0) -> Iterator[Step]:
    """Be on as long as somebody is awake."""
    return daily(dice, 7, 23, zone_h=zone_h)


def nights(dice: Random, *, zone_h: float = 0.0) -> Iterator[Step]:
    """Be lent out while its people sleep."""
    return daily(dice, 23, 7, zone_h=zone_h)


def lid(
    dice: Random, *, open_s: float = 2 * HOUR_S, closed_s: float = 0.5 * HOUR_S
) -> Iterator[Step]:
    """Be a laptop whose lid is closed now and then; both times are means."""
    yield 0.0, What.START
    at_s = 0.0
    while True:
        at_s += dice.expovariate(1 / open_s)
        yield at_s, What.SUSPEND
        at_s += dice.expovariate(1 / closed_s)
        yield at_s, What.RESUME


def churn(
    dice: Random,
    *,
    up_s: float = HOUR_S,
    down_s: float = HOUR_S,
    crashing: float = 0.5,
    is_up: bool | None = None,
) -> Iterator[Step]:
    """Come and go without a memory, as peers of open networks do; both times are means.

    `crashing` is the share of ends without a goodbye. It begins as chance has it, unless `is_up`
    says how.
    """
    if is_up is None:
        is_up = dice.random() < up_s / (up_s + down_s)
    at_s = 0.0 if is_up else dice.expovariate(1 / down_s)
    while True:
        yield at_s, What.START
        at_s += dice.expovariate(1 / up_s)
        yield at_s, What.CRASH if dice.random() < crashing else What.STOP
        at_s += dice.expovariate(1 / down_s)


async def obey(
    node: "MadeNode", schedule: Iterable[Step], start: Callable[[], Awaitable[object]]
) -> None:
    """Do with a node what a schedule says; what would change nothing is left out.

    `start` starts it, and returns when it is ready. A step that comes before the one before it
    is done waits for it.
    """
    for at_s, what in schedule:
        await trio.sleep_until(at_s)
        match what:
            case What.START:
                if node.state == "down":  # one that crashed just now is waited for
                    await start()
                node.resume()
            case What.STOP:
                await node.stop()
            case What.CRASH:
                node.crash()
            case What.SUSPEND:
                node.suspend()
            case What.RESUME:
                node.resume()
