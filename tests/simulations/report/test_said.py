# SPDX-License-Identifier: MIT
"""Numbers are said shortly, with their unit, and not better than they are."""

from math import inf, nan

import pytest

from simulations.report import said
from simulations.report.scales import Scale, ticks, time_ticks


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.32, "320 ms"),
        (14.24, "14.2 s"),
        (60, "60 s"),
        (245.4, "245 s"),
        (600, "10 min"),
        (740, "12 min 20 s"),
        (3599.7, "1 h"),
        (18720, "5 h 12 min"),
        (86400, "24 h"),
        (273600, "3 d 4 h"),
        (inf, "?"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert plain(said.duration(seconds)) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0, "", "0"),
        (950, "", "950"),
        (999.9, "", "1 k"),
        (1234, "", "1.2 k"),
        (1234, "B", "1.2 kB"),
        (120, "B", "120 B"),
        (120, "/s", "120/s"),
        (34_000_000, "/s", "34 M/s"),
        (0.25, "", "0.25"),
        (nan, "B", "?"),
    ],
)
def test_amounts_in_little_room(value: float, unit: str, text: str) -> None:
    assert plain(said.short(value, unit)) == text


def test_what_is_not_quite_all_is_not_said_to_be_all() -> None:
    assert plain(said.percent(0.99999)) == "99.9 %"
    assert plain(said.percent(1.0)) == "100 %"
    assert plain(said.percent(0.58)) == "58 %"


def test_a_figure_has_its_unit_from_its_name() -> None:
    assert said.figure("query_p99_ms", 412.0) == ("query p99", "412\u00a0ms")
    assert said.figure("recovery_s", 12.5) == ("recovery", "12.5\u00a0s")
    assert said.figure("queries_per_s", 12.0) == ("queries", "12/s")
    assert said.figure("hops", 3.42) == ("hops", "3.42")
    assert said.figure("_s", 1.0) == (" s", "1")


def test_one_is_not_many() -> None:
    assert said.many(1, "host") == "1 host"
    assert said.many(1200, "host") == "1,200 hosts"


@pytest.mark.parametrize("high", [0.003, 0.9, 1, 3, 7, 30, 185, 950, 1000, 123_456, 9e9])
def test_marks_are_round_and_few(high: float) -> None:
    values = [each.value for each in ticks(high, 3)]
    assert values[0] == 0
    assert 2 <= len(values) <= 4
    assert values[-1] <= high * 1.000001
    first = f"{values[1]:e}"[0]
    assert first in "125"


def test_whole_things_have_whole_marks() -> None:
    assert [each.value for each in ticks(1, 3, is_whole=True)] == [0, 1]


@pytest.mark.parametrize(
    ("end_s", "texts"),
    [
        (0, ["0 s"]),
        (3, ["0", "0.5", "1", "1.5", "2", "2.5", "3 s"]),
        (300, ["0", "60", "120", "180", "240", "300 s"]),
        (1800, ["0", "5", "10", "15", "20", "25", "30 min"]),
        (86400, ["0", "6", "12", "18", "24 h"]),
        (604800, ["0", "1", "2", "3", "4", "5", "6", "7 d"]),
    ],
)
def test_marks_of_time_are_those_of_clocks(end_s: float, texts: list[str]) -> None:
    most = 7 if end_s in {3, 604800} else 6
    assert [plain(each.text) for each in time_ticks(end_s, most)] == texts


def test_what_is_outside_lies_on_the_edge() -> None:
    scale = Scale(0, 10, 100, 200)
    assert [scale.at(value) for value in (-5, 0, 5, 10, inf, nan)] == [100, 100, 150, 200, 200, 100]
    assert Scale(0, 0, 100, 200).at(3) == 100
