# SPDX-License-Identifier: MIT
"""The curves of one run, one below another over one axis of time, with its troubles behind them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from simulations.record import Record, Sample
from simulations.report import drawing, said
from simulations.report.drawing import Frame, Point, write
from simulations.report.markup import Tag, tag
from simulations.report.measures import Latency, in_order, latency, rates
from simulations.report.scales import Scale, Tick, ticks
from simulations.report.strip import strip

_HEADING = 24.0
_GAP = 12.0
# More rates than this over the whole time would be a brush, not a curve.
_RATES_MAX = 300
# A pointer that rests on the curves is told what they say there, in columns of this width.
_COLUMN_WIDTH = 12.0


@dataclass(frozen=True, slots=True)
class Panel:
    """One curve: what it is called, how high it is, and its points as values over time."""

    name: str
    kind: str
    """Of the style sheet."""
    note: str
    height: float
    high: float
    marks: Sequence[Tick]
    points: Sequence[Point]
    is_stepped: bool = True
    told: Sequence[Point] = ()
    """Points with a dot and their time beside it."""


def curves(record: Record, frame: Frame) -> Tag:
    """Draw them all."""
    samples = in_order(record.samples)
    names, y = strip(record, frame)
    top = y
    front: list[Tag] = []
    for each in _panels(record, frame, samples):
        front += _drawn(each, frame, y)
        y += _HEADING + each.height + _GAP
    y -= _GAP
    back = [*drawing.shaded(record, frame, top, y), *drawing.upright(frame, top + _HEADING, y)]
    found = latency(record)
    words = f"Curves over {said.duration(frame.end_s)} of virtual time. {_when(samples, found)}"
    return drawing.picture(
        frame,
        y + 24,
        "curves",
        ("What the nodes knew and said over time", words),
        *names,
        *back,
        *front,
        *drawing.axis(frame, y),
        *(_columns(record, frame, samples, top, y) if frame.is_wide else ()),
    )


def _panels(record: Record, frame: Frame, samples: Sequence[Sample]) -> list[Panel]:
    # The same in both frames, or they would tell of other peaks.
    said_then = rates(samples, frame.end_s / _RATES_MAX)
    known = latency(record)
    most_up = max([record.nodes, 1, *(each.up for each in samples)])
    found = [
        Panel(
            "Pairs that know each other",
            "known",
            _when(samples, known) if frame.is_wide else "",
            150.0 if frame.is_wide else 120.0,
            1.0,
            [Tick(0.0, "0"), Tick(0.5, "50"), Tick(1.0, "100\u00a0%")],
            [(each.at_s, each.known) for each in samples],
            is_stepped=False,
            told=[
                (each.at_s, each.known)
                for each in samples
                if each.at_s in {known.known_99_s, known.settled_s}
            ],
        ),
        Panel(
            "Nodes up",
            "up",
            _up(samples),
            44.0,
            most_up,
            ticks(most_up, 2, is_whole=True),
            [(each.at_s, each.up) for each in samples],
        ),
    ]
    for name, kind, unit, values in (
        ("Messages", "messages", "/s", [each.messages_per_s for each in said_then]),
        ("Bytes", "bytes", "B/s", [each.bytes_per_s for each in said_then]),
    ):
        high = max(values, default=0.0)
        points = [(each.begin_s, value) for each, value in zip(said_then, values, strict=True)]
        if said_then:
            # The last rate holds until the last sample, not until the end of the drawing.
            points.append((said_then[-1].end_s, values[-1]))
        peak = f"at most {said.short(high, unit)}" if values else "not measured"
        marks = ticks(high, 2, unit)
        found.append(Panel(f"{name} per second", kind, peak, 56.0, high, marks, points))
    return found


def _when(samples: Sequence[Sample], found: Latency) -> str:
    if not samples:
        return "not measured"
    if found.known_99_s is None:
        return "99\u00a0% never knew each other"
    first = f"99\u00a0% after {said.duration(found.known_99_s)}"
    if found.settled_s is None:
        return f"{first}, less at the end"
    if found.settled_s > found.known_99_s:
        return f"{first}, for good after {said.duration(found.settled_s)}"
    return first


def _up(samples: Sequence[Sample]) -> str:
    if not samples:
        return "not measured"
    least = min(each.up for each in samples)
    last = samples[-1].up
    return f"{said.count(last)} at the end" + (f", {said.count(least)} at least" if least else "")


def _drawn(panel: Panel, frame: Frame, y: float) -> list[Tag]:
    top, base = y + _HEADING, y + _HEADING + panel.height
    end_x = frame.width - frame.right
    value = Scale(0.0, panel.high, base, top)
    found = [
        write(frame.left, top - 8, panel.name, "heading"),
        write(end_x, top - 8, panel.note, "note", "end"),
        tag("line", x1=frame.left, x2=end_x, y1=base, y2=base, class_="base"),
    ]
    for mark in panel.marks:
        at = value.at(mark.value)
        if mark.value and panel.points:
            found.append(tag("line", x1=frame.left, x2=end_x, y1=at, y2=at, class_="grid"))
        found.append(write(frame.left - 8, at + 4, mark.text, "tick", "end"))
    points = [(frame.time.at(at_s), value.at(height)) for at_s, height in panel.points]
    if not points:
        middle = (frame.left + end_x) / 2
        return [*found, write(middle, (top + base) / 2 + 4, "no samples", "note", "middle")]
    if panel.is_stepped:
        points = drawing.steps(points, points[-1][0])
    points = drawing.thinned(points)
    area = [(points[0][0], base), *points, (points[-1][0], base)]
    found.append(tag("path", d=drawing.line(area) + "Z", class_=f"area {panel.kind}"))
    found.append(tag("path", d=drawing.line(points), class_=f"curve {panel.kind}"))
    for at_s, height in panel.told:
        x, at = frame.time.at(at_s), value.at(height)
        found.append(tag("circle", cx=x, cy=at, r=3.5, class_="point"))
        words = said.duration(at_s)
        fits = x + 6 + drawing.room_of(words) <= frame.width
        found.append(
            write(x + (6 if fits else -6), at + 16, words, "told", None if fits else "end")
        )
    return found


def _columns(
    record: Record, frame: Frame, samples: Sequence[Sample], top: float, base: float
) -> list[Tag]:
    """Lay columns that cannot be seen over the curves; each says what they are there."""
    found: list[Tag] = []
    taken: list[Sample] = []
    for each in samples:
        if not taken or frame.time.at(each.at_s) - frame.time.at(taken[-1].at_s) >= _COLUMN_WIDTH:
            taken.append(each)
    for before, each in pairwise(taken):
        x = frame.time.at(before.at_s)
        passed_s = each.at_s - before.at_s
        troubles = [t.what for t in record.troubles if t.begin_s <= each.at_s <= t.end_s]
        words = ", ".join(
            [
                f"at {said.duration(each.at_s)}: {said.percent(each.known)} known",
                f"{said.many(each.up, 'node')} up",
                f"{said.short((each.messages - before.messages) / passed_s)} messages/s",
                said.short((each.bytes - before.bytes) / passed_s, "B/s"),
                *dict.fromkeys(troubles),
            ]
        )
        size = {"x": x, "y": top, "width": frame.time.at(each.at_s) - x, "height": base - top}
        found.append(tag("rect", tag("title", words), class_="column", **size))
    return found
