# SPDX-License-Identifier: MIT
"""From values to places in a drawing, and the round values at which an axis has its marks."""

from dataclasses import dataclass

from simulations.report.said import short

# Between marks of an axis of time lie so many seconds. Up to a minute they are 1, 2 and 5.
_TIME_STEPS_S = (
    *(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30),
    *(60, 120, 300, 600, 1200, 1800),
    *(3600, 7200, 10800, 21600, 43200),
)
_DAY_S = 86400


@dataclass(frozen=True, slots=True)
class Scale:
    """Values from `low` to `high` lie from `begin` to `end`; what is outside lies on the edge."""

    low: float
    high: float
    begin: float
    end: float

    def at(self, value: float) -> float:
        """Give the place of a value."""
        if self.high <= self.low:
            return self.begin
        # In this order what is not a number lies at the beginning.
        part = (min(self.high, max(self.low, value)) - self.low) / (self.high - self.low)
        return self.begin + part * (self.end - self.begin)


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark of an axis."""

    value: float
    text: str


def step_for(high: float, most: int) -> float:
    """Give the least of 1, 2, 5, 10, … by which at most so many steps lead up to `high`."""
    step = 1e-9
    while True:
        for times in (1, 2, 5):
            if high <= step * times * most:
                return step * times
        step *= 10


def ticks(high: float, most: int = 3, unit: str = "", *, is_whole: bool = False) -> list[Tick]:
    """Give the marks from 0 up to `high`, the unit at the last one."""
    if high <= 0:
        return [Tick(0.0, "0")]
    step = step_for(high, most)
    if is_whole:
        step = max(step, 1.0)
    marks = [number * step for number in range(int(high / step + 1e-9) + 1)]
    return [Tick(mark, short(mark, unit) if mark else "0") for mark in marks]


def time_ticks(end_s: float, most: int) -> list[Tick]:
    """Give the marks of an axis of time, all in one unit; the last one names it."""
    if end_s <= 0:
        return [Tick(0.0, "0\u00a0s")]
    step_s = next((step for step in _TIME_STEPS_S if end_s <= step * most), None)
    if step_s is None:
        step_s = step_for(end_s / _DAY_S, most) * _DAY_S
    unit_s, unit = 1.0, "s"
    for larger_s, name, least_s in ((60, "min", 600), (3600, "h", 7200), (_DAY_S, "d", 345600)):
        # A unit in which the steps are whole, once the numbers of the smaller one get long.
        if end_s >= least_s and step_s % larger_s == 0:
            unit_s, unit = larger_s, name
    marks = [number * step_s for number in range(int(end_s / step_s + 1e-9) + 1)]
    texts = [f"{mark / unit_s:g}" for mark in marks]
    texts[-1] += f"\u00a0{unit}"
    return [Tick(mark, text) for mark, text in zip(marks, texts, strict=True)]
