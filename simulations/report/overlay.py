# SPDX-License-Identifier: MIT
"""The convergence curves of many seeds over each other, with their median and a band around it."""

from bisect import bisect_left
from collections.abc import Sequence
from statistics import median, quantiles

from simulations.record import Record, Sample
from simulations.report import drawing, said
from simulations.report.drawing import Frame, Point, write
from simulations.report.markup import Tag, tag
from simulations.report.measures import in_order
from simulations.report.parts import outcome
from simulations.report.scales import Scale

#: From so many seeds on the outer tenths are left out of the band.
_TENTHS_FROM = 10
#: The band and the median are known at so many moments.
_MOMENTS = 160
#: So many curves that went wrong are named.
_NAMED_MAX = 5


def band_in_words(seeds: int) -> str:
    """Say what the lines and the band are."""
    band = "the middle 80\u00a0% of seeds" if seeds >= _TENTHS_FROM else "all seeds"
    return f"The strong line is the median, the band {band}, a thin line is one seed."


def overlaid(records: Sequence[Record], frame: Frame) -> Tag:
    """Draw the curves of all seeds over each other; those that went wrong are named."""
    height = 280.0 if frame.is_wide else 200.0
    top, base = 14.0, 14.0 + height
    value = Scale(0.0, 1.0, base, top)
    right = frame.width - frame.right
    found = drawing.upright(frame, top, base)
    for part, text in ((0.0, "0"), (0.5, "50"), (1.0, "100\u00a0%")):
        y = value.at(part)
        found.append(tag("line", x1=frame.left, x2=right, y1=y, y2=y, class_="grid"))
        found.append(write(frame.left - 8, y + 4, text, "tick", "end"))
    moments = [frame.end_s * at / _MOMENTS for at in range(_MOMENTS + 1)]
    low, middle, high = _band([in_order(each.samples) for each in records], moments)

    def drawn(points: Sequence[Point]) -> list[Point]:
        return [(frame.time.at(at_s), value.at(part)) for at_s, part in points]

    if middle:
        edge = drawing.line([*drawn(low), *reversed(drawn(high))]) + "Z"
        found.append(tag("path", d=edge, class_="spread"))
    ends: list[tuple[float, float, int]] = []
    # Those that went wrong lie above the others.
    for record in sorted(records, key=lambda each: not each.is_well):
        points = drawing.thinned(drawn([(at.at_s, at.known) for at in in_order(record.samples)]))
        told = tag("title", f"seed {record.seed}: {outcome(record)}")
        kind = "seed" if record.is_well else "seed wrong"
        if points:
            found.append(tag("path", told, d=drawing.line(points), class_=kind))
        if points and not record.is_well:
            ends.append((points[-1][1], points[-1][0], record.seed))
    if middle:
        found.append(tag("path", d=drawing.line(drawn(middle)), class_="middle"))
    if frame.is_wide:
        # A narrow drawing has no room beside the curves; there the table tells which they are.
        found += _named(ends, frame)
    words = f"Convergence curves of {said.many(len(records), 'seed')}, with median and band."
    return drawing.picture(
        frame,
        base + 24,
        "seeds",
        ("Which part of all pairs knew each other over time, for each seed", words),
        *found,
        *drawing.axis(frame, base),
    )


def _named(ends: Sequence[tuple[float, float, int]], frame: Frame) -> list[Tag]:
    """Name the curves that went wrong at their ends, none over another."""
    found = []
    free = 0.0
    for y, x, seed in sorted(ends)[:_NAMED_MAX]:
        at = max(y, free)
        free = at + 14
        found.append(write(x + 6, at + 4, f"seed {seed}", "wrong-name"))
    if len(ends) > _NAMED_MAX:
        found.append(
            write(frame.width, free + 4, f"and {len(ends) - _NAMED_MAX} more", "note", "end")
        )
    return found


def _band(
    runs: Sequence[Sequence[Sample]], moments: Sequence[float]
) -> tuple[list[Point], list[Point], list[Point]]:
    """Give the lower edge, the median and the upper edge, of the runs that go on at each moment."""
    low: list[Point] = []
    middle: list[Point] = []
    high: list[Point] = []
    for at_s in moments:
        there = sorted(part for run in runs if (part := _known_at(run, at_s)) is not None)
        # Of half of the runs or less the median would be that of others than before.
        if not there or len(there) * 2 < len(runs):
            continue
        tenths = quantiles(there, n=10, method="inclusive") if len(there) >= _TENTHS_FROM else there
        low.append((at_s, tenths[0]))
        middle.append((at_s, median(there)))
        high.append((at_s, tenths[-1]))
    return low, middle, high


def _known_at(run: Sequence[Sample], at_s: float) -> float | None:
    """Tell what was known at a moment, on the line between the samples around it."""
    after = bisect_left(run, at_s, key=lambda sample: sample.at_s)
    if after == len(run):
        return None
    later = run[after]
    if later.at_s == at_s:
        return later.known
    if after == 0:
        return None
    earlier = run[after - 1]
    part = (at_s - earlier.at_s) / (later.at_s - earlier.at_s)
    return earlier.known + part * (later.known - earlier.known)
