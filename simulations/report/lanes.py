# SPDX-License-Identifier: MIT
"""The life of each host as a lane, grouped by kind, over the same axis of time as the curves."""

from dataclasses import dataclass
from itertools import dropwhile

from simulations.record import Lane, Record, Span
from simulations.report import drawing, said
from simulations.report.chosen import Group, groups
from simulations.report.drawing import Frame, write
from simulations.report.markup import Tag, number, tag

_HEADING = 24.0
# With more spans than this they are drawn as one path a state, without words of their own.
_SPANS_MAX = 1500
# Of such spans those are left out that begin so near to the last one, in pixels.
_NEAREST = 4.0
_STATES = ("up", "starting", "suspended", "down")


def lanes_of(record: Record, frame: Frame) -> Tag:
    """Draw them."""
    chosen = groups(record.lanes)
    drawn = [lane for group in chosen for lane in group.lanes]
    height = _row_height(len(drawn))
    spans = sum(len(lane.spans) for lane in drawn)
    largest = max((lane.bytes for lane in drawn), default=0)
    found, y = _key(record, frame)
    if frame.is_wide and largest:
        found.append(write(frame.width, y - 8, "bytes", "tick", "end"))
    top = y
    for group in chosen:
        found += _headed(group, frame, y)
        y += _HEADING
        for lane in group.lanes:
            row = _Row(lane, frame, y, height, largest)
            found.append(row.drawn(is_apart=spans <= _SPANS_MAX))
            y += height
    hidden = len(record.lanes) - sum(group.hosts for group in chosen)
    if hidden:
        found.append(
            write(frame.left, y + 16, f"and {said.many(hidden, 'host')} of other kinds", "note")
        )
        y += _HEADING
    y += 6
    back = [*drawing.shaded(record, frame, top, y), *drawing.upright(frame, top, y)]
    words = f"{said.many(len(record.lanes), 'host')}, {len(drawn)} of them drawn, by their kind."
    return drawing.picture(
        frame,
        y + 24,
        "lanes",
        ("When each host was up", words),
        *back,
        *found,
        *drawing.axis(frame, y),
    )


def _row_height(lanes: int) -> float:
    return next((high for most, high in ((16, 18.0), (36, 15.0), (60, 11.0)) if lanes <= most), 8.0)


def _headed(group: Group, frame: Frame, y: float) -> list[Tag]:
    """Write a kind above its lanes, and how many of it are not drawn."""
    hosts = said.many(group.hosts, "host")
    more = group.hosts - len(group.lanes)
    note = f"{hosts}, and {said.count(more)} more like these" if more else hosts
    if more:
        note = f"{len(group.lanes)} of {hosts}, and {said.count(more)} more like these"
    kind = group.kind or "host"
    size = drawing.room_of(kind, 13.5) + 10
    return [
        write(frame.left, y + 17, kind, "heading"),
        write(frame.left + size, y + 17, note, "note"),
    ]


def _key(record: Record, frame: Frame) -> tuple[list[Tag], float]:
    """Show what each drawn thing means, of those that occur."""
    there = {span.what for lane in record.lanes for span in _lived(lane)}
    names = [state for state in _STATES if state in there]
    if any(lane.is_byzantine for lane in record.lanes):
        names.append("byzantine")
    found: list[Tag] = []
    x, y = frame.left, 0.0
    for name in names:
        room = 29 + drawing.room_of(name) + 14
        if x + room > frame.width:
            x, y = frame.left, y + 18
        if name == "byzantine":
            found.append(tag("path", d=_diamond(x + 5, y + 9), class_="byzantine"))
            found.append(_bar("up byzantine", x + 12, y + 4, 12, 10))
        else:
            found.append(_span(name, x, y + 4, 24, 10))
        found.append(write(x + 29, y + 13, name, "note"))
        x += room
    return found, y + 26.0 if names else 4.0


def _diamond(x: float, y: float, size: float = 4.5) -> str:
    return drawing.line([(x - size, y), (x, y - size), (x + size, y), (x, y + size)]) + "Z"


@dataclass(frozen=True, slots=True)
class _Row:
    lane: Lane
    frame: Frame
    y: float
    height: float
    largest: int

    def drawn(self, *, is_apart: bool) -> Tag:
        """Draw the lane, its name before it and its bytes behind it."""
        lane, frame = self.lane, self.frame
        width = frame.width - frame.left - frame.right
        middle = self.y + self.height / 2
        size = 11.0 if self.height >= 15 else 9.0
        name = None
        if self.height >= 11:
            room = frame.left - (22 if lane.is_byzantine else 8)
            words = drawing.cut(lane.host, room, size)
            kind = "lane strange" if lane.is_byzantine else "lane"
            name = tag(
                "text",
                words,
                x=frame.left - 8,
                y=middle + size * 0.35,
                class_=kind if size > 9 else f"{kind} small",
                text_anchor="end",
            )
        mark = None
        if lane.is_byzantine:
            half = min(4.5, self.height / 2)
            at = 6.0 if name is not None else frame.left - 10
            mark = tag("path", d=_diamond(at, middle, half), class_="byzantine")
        return tag(
            "g",
            tag("title", _life(lane)),
            tag("rect", x=frame.left, y=self.y, width=width, height=self.height, class_="row"),
            mark,
            name,
            *(self._spans() if is_apart else self._paths()),
            self._bytes(middle) if frame.is_wide and self.largest else None,
            class_="strange" if lane.is_byzantine else None,
        )

    def _places(self, span: Span) -> tuple[float, float]:
        x = self.frame.time.at(span.begin_s)
        return x, max(self.frame.time.at(span.end_s) - x, 1.0)

    def _spans(self) -> list[Tag]:
        found = []
        pad = 1.0 if self.height < 11 else 2.0
        for span in _lived(self.lane):
            x, width = self._places(span)
            lasts = said.duration(max(span.end_s - span.begin_s, 0.0))
            words = f"{self.lane.host} {span.what} for {lasts}, from {said.duration(span.begin_s)}"
            words += f" to {said.duration(span.end_s)}"
            found.append(
                _span(span.what, x, self.y + pad, width, self.height - 2 * pad, tag("title", words))
            )
        return found

    def _paths(self) -> list[Tag]:
        ends: dict[str, float] = {}
        parts: dict[str, list[str]] = {}
        pad = 1.0
        for span in _lived(self.lane):
            x, width = self._places(span)
            if x + width < ends.get(span.what, float("-inf")) + _NEAREST:
                continue
            ends[span.what] = x + width
            top, high = _shape(span.what, self.y + pad, self.height - 2 * pad)
            box = f"M{number(x)} {number(top)}h{number(width)}v{number(high)}h{number(-width)}z"
            parts.setdefault(span.what, []).append(box)
        return [
            tag("path", d="".join(boxes), class_=_kind(what))
            for what, boxes in sorted(parts.items())
        ]

    def _bytes(self, middle: float) -> Tag:
        room = self.frame.right - 14
        width = room * self.lane.bytes / self.largest
        left = self.frame.width - room
        return _bar("volume", left, middle - 2, max(width, 0.5), 4)


def _lived(lane: Lane) -> list[Span]:
    """Leave out what was before its first start: who is not born is not down."""
    return list(dropwhile(lambda span: span.what == "down", lane.spans))


def _life(lane: Lane) -> str:
    """Say a whole lane in words."""
    spans = [(max(span.end_s - span.begin_s, 0.0), span.what) for span in _lived(lane)]
    total = sum(lasts_s for lasts_s, _ in spans)
    up = sum(lasts_s for lasts_s, what in spans if what == "up")
    parts = [f"{lane.host}, {lane.kind}" if lane.kind else lane.host]
    if lane.is_byzantine:
        parts.append("byzantine")
    if total > 0:
        parts.append(f"up {said.percent(up / total)} of its time")
    parts += [said.many(lane.messages, "message"), said.short(lane.bytes, "B")]
    return ", ".join(parts)


def _kind(what: str) -> str:
    return what if what in _STATES else "other"


def _shape(what: str, y: float, height: float) -> tuple[float, float]:
    """States differ by their height too, for who cannot tell their colours or has none."""
    match what:
        case "down":
            return y + height / 2 - 0.75, 1.5
        case "starting":
            return y + height * 0.3, height * 0.4
        case _:
            return y, height


def _span(
    what: str, x: float, y: float, width: float, height: float, words: Tag | None = None
) -> Tag:
    top, high = _shape(what, y, height)
    return tag("rect", words, x=x, y=top, width=width, height=high, class_=_kind(what))


def _bar(kind: str, x: float, y: float, width: float, height: float) -> Tag:
    return tag("rect", x=x, y=y, width=width, height=height, class_=kind)
