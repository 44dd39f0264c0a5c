# SPDX-License-Identifier: MIT
"""What must hold for this machine to work, and its sentences. What follows is in `governor`.

Rules are asked in this order, and the first that fails is the one that a person is told:

===============  ==========================================================  =============
reason           fails when                                                  kind
===============  ==========================================================  =============
owner_paused     the owner said so                                           a decision
sensors_silent   the machine could not be looked at, twice in a row          a condition
outside_hours    `hours` has spans and this is in none of them               a decision
on_battery       the machine says it is, and `on_battery` is false           a condition
in_use           `only_idle`, and keyboard or mouse were used, or may be     a condition
memory_low       less than `memory_free_mib` is free                         a condition
processors_busy  other programs use more than `others_percent`               a condition
===============  ==========================================================  =============

A **decision** is the owner's and known beforehand: when it ends, work begins at once if the
conditions have been well meanwhile. A **condition** must be well for `recover_s`.

What a machine does not tell: no word of a battery counts as none (most machines that say
nothing have none). No word of keyboard and mouse counts as in use (an owner who wants to work
only beside an empty chair must not be surprised by a chair that nobody watches).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from node.config import GovernorConfig
from node.host.host import Sensors
from node.work.hours import Hours, clock_time
from protocol.reasons import Reason


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that fails: what is the matter, and what ends it; both are parts of one sentence.

    `presses`: it is the machine that is short of something, and it may pass within seconds.
    """

    reason: Reason
    matter: str
    end: str
    presses: bool = False

    @property
    def is_condition(self) -> bool:
        """Tell whether it is a condition; else it is a decision of the owner."""
        return self.reason not in DECISIONS


#: What the owner decides, by his word or by the clock.
DECISIONS = frozenset({Reason.OWNER_PAUSED, Reason.OUTSIDE_HOURS})


def owner_paused(left_s: float, sensors: Sensors | None) -> Finding:
    """Say that the owner paused, for so many more seconds; for ever is infinity."""
    until = ""
    if left_s < float("inf"):
        minutes = max(round(left_s / 60), 1)
        if sensors:
            until = f" until {clock_time(sensors.weekday, sensors.minute, minutes)}"
        else:
            until = f" for {minutes} more minutes"
    return Finding(Reason.OWNER_PAUSED, f"paused by you{until}", "`commons resume` ends it now")


def silent() -> Finding:
    """Say that nobody knows."""
    return Finding(
        Reason.SENSORS_SILENT,
        "the machine could not be looked at, so nobody knows whether it is free",
        "work goes on when it can be again",
        presses=True,
    )


def failing(config: GovernorConfig, hours: Hours, seen: Sensors) -> Iterator[Finding]:
    """Give every rule that fails by what was seen, in the order of the table above."""
    well = f"for {config.recover_s:g} s"
    if not hours.allowed(seen.weekday, seen.minute):
        change = hours.change_in(seen.weekday, seen.minute)
        assert change is not None, "hours that allow nothing are refused when they are read"
        begin = clock_time(seen.weekday, seen.minute, change)
        yield Finding(
            Reason.OUTSIDE_HOURS,
            "it is outside the hours in which this machine may work",
            f"work goes on at {begin}",
        )
    if seen.on_battery and not config.on_battery:
        yield Finding(
            Reason.ON_BATTERY,
            "the machine runs on its battery",
            f"work goes on when it has been plugged in {well}",
        )
    if config.only_idle and (seen.idle_s is None or seen.idle_s < config.idle_s):
        yield _in_use(seen.idle_s, config.idle_s)
    if seen.memory_free_mib < config.memory_free_mib:
        yield Finding(
            Reason.MEMORY_LOW,
            f"{seen.memory_free_mib} MiB of memory are free, and {config.memory_free_mib} MiB "
            f"is the limit",
            f"work goes on when more has been free {well}",
            presses=True,
        )
    if seen.others_percent > config.others_percent:
        yield Finding(
            Reason.PROCESSORS_BUSY,
            f"other programs use {_above(seen.others_percent, config.others_percent)} % of the "
            f"processors, and {config.others_percent} % is the limit",
            f"work goes on when they have used less {well}",
            presses=True,
        )


def _in_use(idle_s: float | None, limit_s: float) -> Finding:
    if idle_s is None:
        return Finding(
            Reason.IN_USE,
            "this machine does not tell whether somebody uses keyboard or mouse",
            "work goes on when you set governor.only_idle to false",
        )
    return Finding(
        Reason.IN_USE,
        f"somebody used keyboard or mouse {idle_s:.0f} s ago",
        f"work goes on when nobody has for {limit_s:g} s",
    )


def _above(value: float, limit: int) -> str:
    """Write a figure so that it is seen to be above its limit: 60.2 and not 60 above 60."""
    return f"{value:.0f}" if round(value) > limit else f"{max(value, limit + 0.1):.1f}"
