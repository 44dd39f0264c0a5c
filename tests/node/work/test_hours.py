# SPDX-License-Identifier: MIT
"""The hours of the week: which minutes are for work, and when that changes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.config import HOURS
from node.errors import ConfigError
from node.work.hours import DAY_MINUTES, WEEK_MINUTES, Hours, clock_time

MON, TUE, WED, THU, FRI, SAT, SUN = range(7)


def at(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


@st.composite
def spans(draw: st.DrawFn) -> str:
    begin = draw(st.integers(0, DAY_MINUTES - 1))
    end = draw(st.integers(0, DAY_MINUTES).filter(lambda each: each != begin))
    days = draw(st.sampled_from(["", "mon ", "sun ", "mon-fri ", "sat-mon ", "wed-tue "]))
    return f"{days}{begin // 60:02}:{begin % 60:02}-{end // 60:02}:{end % 60:02}"


def test_without_spans_every_minute_is_for_work_and_that_never_changes() -> None:
    assert all(Hours().allowed(day, 0) for day in range(7))
    assert Hours().change_in(MON, 0) is None


def test_a_night_goes_over_midnight_and_ends_before_its_last_minute() -> None:
    hours = Hours(["22:00-07:00"])
    assert [hours.allowed(WED, at(each)) for each in ("21:59", "22:00", "00:00", "06:59")] == [
        *(False, True, True, True)
    ]
    assert not hours.allowed(WED, at("07:00"))
    assert hours.change_in(WED, at("21:00")) == 60
    assert hours.change_in(WED, at("22:00")) == 9 * 60


def test_the_days_of_a_span_are_those_on_which_it_begins() -> None:
    hours = Hours(["fri 22:00-07:00"])
    assert hours.allowed(FRI, at("23:00"))
    assert hours.allowed(SAT, at("06:59"))
    assert not hours.allowed(FRI, at("06:59"))
    assert not hours.allowed(SAT, at("22:00"))


def test_a_sunday_night_goes_over_the_end_of_the_week() -> None:
    hours = Hours(["sun 22:00-07:00"])
    assert hours.allowed(SUN, at("23:59"))
    assert hours.allowed(MON, at("06:59"))
    assert not hours.allowed(MON, at("07:00"))
    assert hours.change_in(SUN, at("23:00")) == 8 * 60


def test_days_may_go_round_the_end_of_the_week() -> None:
    hours = Hours(["sat-mon 10:00-11:00"])
    allowed = [hours.allowed(day, at("10:30")) for day in range(7)]
    assert allowed == [True, False, False, False, False, True, True]


def test_whole_days_join_into_one_without_a_gap() -> None:
    hours = Hours(["sat-sun 00:00-24:00"])
    assert hours.change_in(SAT, 0) == 2 * DAY_MINUTES
    assert hours.change_in(FRI, at("23:59")) == 1
    assert Hours(["00:00-24:00"]).change_in(MON, 5) is None


def test_spans_add_up() -> None:
    hours = Hours(["mon-fri 18:00-24:00", "sat-sun 00:00-24:00"])
    assert not hours.allowed(MON, at("17:59"))
    assert hours.allowed(MON, at("18:00"))
    assert hours.change_in(FRI, at("18:00")) == 6 * 60 + 2 * DAY_MINUTES


@pytest.mark.parametrize("span", ["08:00-08:00", "mon 00:00-00:00"])
def test_a_span_that_ends_when_it_begins_is_refused_with_the_way_to_write_a_day(span: str) -> None:
    with pytest.raises(ConfigError, match="00:00-24:00"):
        Hours([span])


def test_an_hour_after_the_end_of_a_day_is_refused() -> None:
    """The form of the key lets 24:30 through; a day has none."""
    assert HOURS.fits("22:00-24:30")
    with pytest.raises(ConfigError, match="24:00"):
        Hours(["22:00-24:30"])


@pytest.mark.slow
@given(st.lists(spans(), max_size=4), st.integers(0, WEEK_MINUTES - 1))
def test_the_next_change_is_the_first_minute_that_is_otherwise(each: list[str], now: int) -> None:
    hours = Hours(each)
    week = [hours.allowed(*divmod(minute, DAY_MINUTES)) for minute in range(WEEK_MINUTES)]
    ahead = week[now:] + week[:now]
    expected = ahead.index(not ahead[0]) if (not ahead[0]) in ahead else None
    assert hours.change_in(*divmod(now, DAY_MINUTES)) == expected


@pytest.mark.parametrize(
    ("later", "spoken"),
    [
        (0, "18:00"),
        (40, "18:40"),
        (359, "23:59"),
        (360, "00:00 on Monday"),
        (DAY_MINUTES, "18:00 on Monday"),
        (8 * DAY_MINUTES, "18:00 in 8 days"),
    ],
)
def test_a_later_moment_is_named_as_a_person_would(later: int, spoken: str) -> None:
    assert clock_time(SUN, at("18:00"), later) == spoken
