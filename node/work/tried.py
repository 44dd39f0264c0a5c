# SPDX-License-Identifier: MIT
"""What became of one order by hand, as its owner is told. How it went that way is in `trying`."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tried:
    """One order that went all its way: who did what, at what price, in what time.

    `model` is a CID. `why` says how results are compared, and `checked` how many items were
    computed again; `wrong` is the code of what was wrong with item `wrong_item`, empty when
    nothing was. `paid_cu` is what moved, and a gift moves nothing; `acked`: both sides have it
    in their books. `owed_before` and `owed_after` are what this node has signed to owe the
    worker in all. `times_s` says how long each part took, `numbers` are the first of the
    first output.
    """

    worker: str
    model: str
    name: str
    why: str
    sizes: Mapping[str, int]
    items: int
    price_cu: int
    paid_cu: int
    is_gift: bool
    acked: bool
    checked: int
    wrong: str
    wrong_item: int
    owed_before: int
    owed_after: int
    times_s: Mapping[str, float]
    output: str
    numbers: tuple[float, ...]
