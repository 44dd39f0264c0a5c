# SPDX-License-Identifier: MIT
"""The tables of docs/design/checks.md, computed from the rules themselves and not by trying.

Run `.venv/bin/python -m tests.tables.accepted_fakes` to write them anew.

While a worker is not caught its history is known, so the expectation of what it gets away
with is a plain sum: the probability to be uncaught after each shard, times what was faked.
"""

from itertools import pairwise
from math import ceil, comb
from pathlib import Path

from protocol.check import (
    EPS_DENOMINATOR,
    EPS_NUMERATOR,
    Q_MIN_PPM,
    check_rate_ppm,
    sample_size,
)

PAGE = Path(__file__).resolve().parents[2] / "docs" / "design" / "checks.md"
BEGIN, END = "<!-- tables:begin -->", "<!-- tables:end -->"

ITEMS = (1, 8, 20, 100, 1000)
SHARES = (0.01, 0.1, 0.5, 1.0)
STARTS = (0, 10, 20, 50, 100, 200, 1000)
HONEST = (20, 50, 100, 200, 500, 1000, 2000)
GIANTS = (1, 10, 100, 1000, 10_000, 1_000_000)
ITEM_PRICE = 1000


def expected_fakes(items: int, faked: int, start: int) -> tuple[float, float]:
    """Expect the faked and the honest value, in shards, that a worker gets accepted.

    It fakes `faked` items of each shard after `start` honest ones, until it is caught.
    """
    price = items * ITEM_PRICE
    share = faked / items
    uncaught, fakes, honest = 1.0, 0.0, float(start)
    at = start
    while uncaught:
        size = sample_size(at * price, price, items)
        missed = comb(items - faked, size) / comb(items, size)
        rate = check_rate_ppm(at * price, price)
        accepted = 1 - rate / 10**6 * (1 - missed)
        if rate == Q_MIN_PPM:
            # From here on nothing changes any more: a geometric series.
            rest = uncaught * accepted / (1 - accepted)
            return fakes + share * rest, honest + (1 - share) * rest
        uncaught *= accepted
        fakes += share * uncaught
        honest += (1 - share) * uncaught
        at += 1
    return fakes, honest


def ratio(items: int, faked: int, start: int) -> float:
    """Accepted fakes for each honest shard."""
    fakes, honest = expected_fakes(items, faked, start)
    return fakes / honest if fakes else 0.0


def _row(*cells: object) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def _head(*cells: object) -> list[str]:
    return [_row(*cells), _row(*("---:" for _ in cells))]


def fakes_table() -> list[str]:
    """The table of accepted fakes per honest shard, with its worst cell below."""
    lines = _head("items", "faked", *(f"s = {start}" for start in STARTS))
    worst = 0.0
    for items in ITEMS:
        counts = [max(1, ceil(items * share)) for share in SHARES]
        for faked in sorted(set(counts)):
            cells = [ratio(items, faked, start) for start in STARTS]
            worst = max(worst, *cells)
            faked_share = f"{faked} ({faked / items:.1%})"
            lines.append(_row(items, faked_share, *(f"{cell:.3f}" for cell in cells)))
    bound = EPS_NUMERATOR / (EPS_DENOMINATOR - EPS_NUMERATOR)
    return [*lines, "", f"The worst cell is {worst:.3f}; the proven bound is {bound:.3f}."]


def unit_table() -> list[str]:
    """What a history of 1,000 tiny shards of 1 CU is worth for one faked shard of another size."""
    tiny = 1000
    lines = _head(
        "price of the faked shard", "checked with", "accepted fakes", "if W counted shards"
    )
    for price in GIANTS:
        rate = check_rate_ppm(tiny, price) / 10**6
        naive = check_rate_ppm(tiny, 1) / 10**6
        cells = [f"{(1 - each) * price / tiny:.4g}" for each in (rate, naive)]
        lines.append(_row(f"{price:,} CU", f"{rate:.1%}", *cells))
    return lines


def overhead_table() -> list[str]:
    """What checking costs an honest pair, averaged over its first shards."""
    sizes = ITEMS[1:]
    lines = _head("shards", "checks", *(f"work, {size} items" for size in sizes))
    rates: list[int] = []
    works: dict[int, list[float]] = {size: [] for size in sizes}
    for before, until in pairwise((0, *HONEST)):
        for at in range(before, until):
            rates.append(check_rate_ppm(at * ITEM_PRICE, ITEM_PRICE))
            for size in sizes:
                share = sample_size(at * ITEM_PRICE, ITEM_PRICE, size) / size
                works[size].append(rates[-1] / 10**6 * share)
        checks = sum(rates) / 10**6 / until
        cells = [f"{1 + sum(works[size]) / until:.3f}" for size in sizes]
        lines.append(_row(f"{until:,}", f"{1 + checks:.2f}", *cells))
    return lines


def block() -> str:
    """Everything between the two marks of the page."""
    return "\n".join(
        [
            "### Accepted fakes for each honest shard",
            "",
            *fakes_table(),
            "",
            "### One shard of another size after 1,000 honest ones of 1 CU",
            "",
            "Accepted fakes for each CU of honest work.",
            "",
            *unit_table(),
            "",
            "### What an honest pair pays",
            "",
            "Work done for each unit of work ordered: 1.00 would be without checks.",
            "",
            *overhead_table(),
        ]
    )


def with_block(page: str) -> str:
    """Put the tables between the marks of a page."""
    head, rest = page.split(BEGIN)
    _, tail = rest.split(END)
    return f"{head}{BEGIN}\n\n{block()}\n\n{END}{tail}"


if __name__ == "__main__":
    PAGE.write_text(with_block(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
