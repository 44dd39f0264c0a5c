# SPDX-License-Identifier: MIT
"""The hours of the week in which work is allowed. What time it is comes from outside.

A span is `22:00-07:00` (every day) or `mon-fri 18:00-24:00`; its days are those on which it
begins. One whose end is not after its beginning goes over midnight, and on a Sunday over the
end of the week. All of it is local time as the machine's clocks show it: in the night in which
they are put forward a span is an hour shorter.
"""

from collections.abc import Iterable

from node.errors import ConfigError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
DAY_MINUTES = 24 * 60
WEEK_MINUTES = 7 * DAY_MINUTES


class Hours:
    """Which minutes of a week are for work. Without any span, all of them are."""

    def __init__(self, spans: Iterable[str] = ()) -> None:
        """Read the spans of `governor.hours`, whose form the config has checked."""
        listed = tuple(spans)
        # 10,080 bytes spare every case of overlapping, touching and wrapping spans
        self._week = bytearray(WEEK_MINUTES)
        for span in listed:
            for begin, length in _minutes(span):
                for minute in range(begin, begin + length):
                    self._week[minute % WEEK_MINUTES] = 1
        if not listed:
            self._week = bytearray(b"\1" * WEEK_MINUTES)

    def allowed(self, weekday: int, minute: int) -> bool:
        """Tell whether this minute of this day (Monday is 0) is for work."""
        return bool(self._week[_of_week(weekday, minute)])

    def change_in(self, weekday: int, minute: int) -> int | None:
        """Count the minutes until it is otherwise; None when it never is."""
        now = _of_week(weekday, minute)
        # one search from here to the end of the week, and one from its beginning
        other = bytes([1 - self._week[now]])
        found = self._week.find(other, now)
        if found < 0:
            found = self._week.find(other)
            found = found + WEEK_MINUTES if found >= 0 else -1
        return found - now if found >= 0 else None


def clock_time(weekday: int, minute: int, later_minutes: int) -> str:
    """Name the moment that comes so much later: `18:40`, with its day when that is another."""
    days, of_day = divmod(minute + later_minutes, DAY_MINUTES)
    name = f"{of_day // 60:02}:{of_day % 60:02}"
    if days == 0:
        return name
    if days < 7:
        return f"{name} on {DAY_NAMES[(weekday + days) % 7]}"
    return f"{name} in {days} days"


def _minutes(span: str) -> Iterable[tuple[int, int]]:
    """Give beginning and length of a span for each of its days, in minutes of the week."""
    days, _, times = span.rpartition(" ")
    begin, end = (_of_day(text, span) for text in times.split("-"))
    if begin == end:
        raise ConfigError(
            f"governor.hours has {span!r}, which ends when it begins: "
            f"write 00:00-24:00 for a whole day."
        )
    length = (end - begin) % DAY_MINUTES or DAY_MINUTES
    return [(day * DAY_MINUTES + begin, length) for day in _days(days)]


def _days(text: str) -> list[int]:
    if not text:
        return list(range(7))
    first, _, last = text.partition("-")
    begin = DAYS.index(first)
    count = (DAYS.index(last or first) - begin) % 7 + 1
    return [(begin + each) % 7 for each in range(count)]


def _of_day(text: str, span: str) -> int:
    hours, minutes = map(int, text.split(":"))
    total = hours * 60 + minutes
    if total > DAY_MINUTES:
        raise ConfigError(
            f"governor.hours has {span!r}, but a day has no {text}: 24:00 is its end."
        )
    return total


def _of_week(weekday: int, minute: int) -> int:
    assert 0 <= weekday < 7, f"a week has no day {weekday}"
    assert 0 <= minute < DAY_MINUTES, f"a day has no minute {minute}"
    return weekday * DAY_MINUTES + minute
