# SPDX-License-Identifier: MIT
"""The strip above the curves: each trouble of the world as a bar with its name on or beside it."""

from dataclasses import dataclass

from simulations.record import Record, Span
from simulations.report import drawing, said
from simulations.report.drawing import Frame, write
from simulations.report.markup import Tag, tag

_ROW = 20.0
_BAR = 16.0
_ROWS_MAX = 6
_THINNEST = 3.0
_SIZE = 11.5


@dataclass(frozen=True, slots=True)
class Placed:
    """A bar, and where its name begins or ends: inside of it, after it or before it."""

    span: Span
    x: float
    width: float
    name_x: float
    anchor: str
    kind: str
    room: tuple[float, float]
    """From where to where nothing else may be drawn in this row."""


def strip(record: Record, frame: Frame) -> tuple[list[Tag], float]:
    """Draw the troubles from the top on, and tell how high they are."""
    rows: list[float] = []
    found: list[Tag] = []
    unnamed = 0
    spans = sorted(record.troubles, key=lambda span: (span.begin_s, span.end_s))
    for span in spans:
        each = _placed(span, frame)
        row = next((at for at, end in enumerate(rows) if end <= each.room[0]), len(rows))
        is_named = row < _ROWS_MAX
        if not is_named:
            # No row is free: it is drawn without its name, which a pointer is still told.
            row, unnamed = _ROWS_MAX - 1, unnamed + 1
        elif row == len(rows):
            rows.append(each.room[1])
        else:
            rows[row] = each.room[1]
        found.append(_drawn(each, row * _ROW, is_named=is_named))
    height = len(rows) * _ROW
    if unnamed:
        words = f"and {said.many(unnamed, 'trouble')} more, drawn without names"
        found.append(write(frame.width - frame.right, height + 12, words, "note", "end"))
        height += 16
    return found, height + (2 if rows else 0)


def _placed(span: Span, frame: Frame) -> Placed:
    x = frame.time.at(span.begin_s)
    edge = frame.width - frame.right
    width = max(frame.time.at(span.end_s) - x, _THINNEST)
    x = min(x, edge - _THINNEST)
    room = drawing.room_of(span.what, _SIZE) + 10
    if room <= width:
        return Placed(span, x, width, x + 7, "start", "named", (x, x + width + 4))
    if x + width + room <= edge + frame.right:
        return Placed(span, x, width, x + width + 5, "start", "beside", (x, x + width + room))
    return Placed(span, x, width, x - 5, "end", "beside", (x - room, x + width + 4))


def _drawn(each: Placed, y: float, *, is_named: bool) -> Tag:
    lasts_s = each.span.end_s - each.span.begin_s
    when = f"{each.span.what}: at {said.duration(each.span.begin_s)}"
    if lasts_s > 0:
        when += f", for {said.duration(lasts_s)}"
    bar = {"x": each.x, "y": y, "width": each.width, "height": _BAR, "rx": 2.0}
    return tag(
        "g",
        tag("title", when),
        tag("rect", class_="trouble", **bar),
        write(each.name_x, y + 12, each.span.what, f"name {each.kind}", each.anchor)
        if is_named
        else None,
    )
