# SPDX-License-Identifier: MIT
"""What all drawings of a run share: one axis of time, shaded troubles, texts, short lines."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

from simulations.record import Record
from simulations.report.markup import Tag, number, tag
from simulations.report.measures import end_of, union
from simulations.report.scales import Scale, Tick, time_ticks

Point = tuple[float, float]

# Nothing thinner than this is seen, in pixels.
_THINNEST = 1.5


@dataclass(frozen=True)  # no slots: its scale is asked for often, and kept
class Frame:
    """The room of a drawing from left to right, in pixels, and the time that it shows.

    There is a wide one for screens and paper, and a narrow one for telephones.
    """

    width: float
    left: float
    right: float
    end_s: float
    marks: int
    is_wide: bool

    @cached_property
    def time(self) -> Scale:
        """Places of moments."""
        return Scale(0.0, self.end_s, self.left, self.width - self.right)

    @cached_property
    def ticks(self) -> list[Tick]:
        """The marks of the axis of time."""
        return time_ticks(self.end_s, self.marks)


def frames(end_s: float) -> tuple[Frame, Frame]:
    """Give the wide and the narrow frame."""
    return (
        Frame(1080.0, 112.0, 64.0, end_s, 12, is_wide=True),
        Frame(440.0, 98.0, 16.0, end_s, 5, is_wide=False),
    )


def in_both(record: Record, draw: Callable[[Record, Frame], Tag]) -> tuple[Tag, ...]:
    """Draw it wide and narrow; the style sheet shows the one that fits."""
    return tuple(draw(record, frame) for frame in frames(end_of(record)))


def picture(frame: Frame, height: float, name: str, about: tuple[str, str], *within: Tag) -> Tag:
    """Make a whole drawing that says what it shows to those who cannot see it."""
    fit = "wide" if frame.is_wide else "narrow"
    title, words = about
    return tag(
        "svg",
        tag("title", title, id=f"{name}-{fit}-title"),
        tag("desc", words, id=f"{name}-{fit}-words"),
        *within,
        xmlns="http://www.w3.org/2000/svg",
        class_=f"picture {fit}",
        viewBox=f"0 0 {number(frame.width)} {number(height)}",
        preserveAspectRatio="xMinYMin",
        role="img",
        aria_labelledby=f"{name}-{fit}-title",
        aria_describedby=f"{name}-{fit}-words",
    )


def write(x: float, y: float, text: str, kind: str, anchor: str | None = None) -> Tag:
    """Write a line of text whose baseline begins, has its middle or ends at a place."""
    return tag("text", text, x=x, y=y, class_=kind, text_anchor=anchor)


def room_of(text: str, size: float = 12.0) -> float:
    """Guess how long a text is when it is drawn; rather too long."""
    return len(text) * size * 0.58


def cut(text: str, room: float, size: float = 12.0) -> str:
    """Shorten a text until it fits; its end stays, where names have their numbers."""
    letters = max(int(room / (size * 0.56)), 4)
    if len(text) <= letters:
        return text
    kept = min(4, letters - 2)
    return text[: letters - 1 - kept] + "…" + text[-kept:]


def shaded(record: Record, frame: Frame, top: float, bottom: float) -> list[Tag]:
    """Shade the times of trouble; a moment becomes a line."""
    found = []
    for begin_s, end_s in union(record.troubles):
        x = frame.time.at(begin_s)
        width = frame.time.at(end_s) - x
        kind = "shade" if width >= _THINNEST else "moment"
        width = max(width, _THINNEST)
        found.append(tag("rect", x=x, y=top, width=width, height=bottom - top, class_=kind))
    return found


def upright(frame: Frame, top: float, bottom: float) -> list[Tag]:
    """Draw a thin line at each mark of the time."""
    places = [frame.time.at(tick.value) for tick in frame.ticks]
    return [tag("line", x1=x, x2=x, y1=top, y2=bottom, class_="grid") for x in places]


def axis(frame: Frame, y: float) -> list[Tag]:
    """Draw the axis of time, its numbers below it."""
    found = [tag("line", x1=frame.left, x2=frame.width - frame.right, y1=y, y2=y, class_="axis")]
    for tick in frame.ticks:
        x = frame.time.at(tick.value)
        found.append(tag("line", x1=x, x2=x, y1=y, y2=y + 4, class_="axis"))
        found.append(write(x, y + 17, tick.text, "tick", "middle"))
    return found


def line(points: Sequence[Point]) -> str:
    """Give the path through some points."""
    return "M" + "L".join(f"{number(x)} {number(y)}" for x, y in points) if points else ""


def steps(points: Sequence[Point], end_x: float) -> list[Point]:
    """Let each point hold until the next one, and the last one until the end."""
    found: list[Point] = []
    for x, y in points:
        if found:
            found.append((x, found[-1][1]))
        found.append((x, y))
    if found:
        found.append((max(end_x, found[-1][0]), found[-1][1]))
    return found


def thinned(points: Sequence[Point]) -> list[Point]:
    """Leave out points that no eye can tell apart: at most four remain in a pixel of width."""
    found: list[Point] = []
    for _, group in groupby(points, key=lambda point: int(point[0])):
        near = list(group)
        if len(near) > 4:
            low = min(range(len(near)), key=lambda index: near[index][1])
            high = max(range(len(near)), key=lambda index: near[index][1])
            near = [near[index] for index in sorted({0, low, high, len(near) - 1})]
        found += near
    return found
