# SPDX-License-Identifier: MIT
"""How a figure is made: a ratio to a reference, both timed in turns in the same run."""

from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import NamedTuple


class Figure(NamedTuple):
    """A name, the ratio (ours / reference, lower is better), and what the two are."""

    name: str
    ratio: float
    meaning: str


def ratio(
    name: str, ours: Callable[[], None], reference: Callable[[], None], rounds: int, meaning: str
) -> Figure:
    """Time both in turns: a machine that slows down slows both, and the median ignores it."""
    ours()
    reference()
    ratios = []
    for _ in range(rounds):
        begin = perf_counter()
        reference()
        middle = perf_counter()
        ours()
        ratios.append((perf_counter() - middle) / (middle - begin))
    return Figure(name, median(ratios), meaning)
