# SPDX-License-Identifier: MIT
"""The files beside the page are read back as what was written."""

import json
import tomllib
from dataclasses import replace
from math import inf

from hypothesis import given
from hypothesis import strategies as st

from simulations.record import Sample
from simulations.report.summary import as_summary, as_summary_of_many
from simulations.report.texts import as_options, as_replay, trace_lines
from tests.simulations.report.records import little_record, rich_record

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.dictionaries(TEXTS, TEXTS | st.booleans() | st.integers() | st.floats(allow_nan=False)))
def test_options_are_toml(options: dict[str, str | int | float | bool]) -> None:
    read = tomllib.loads(as_options(replace(little_record(), options=options)))
    assert read == {"seed": 7, **options}


def test_the_replay_is_one_command_and_comments() -> None:
    record = replace(rich_record(), replay="commons sim run x\n--seeds 1:2", digest="ab\ncd")
    *comments, command = as_replay(record).splitlines()
    assert command == "commons sim run x --seeds 1:2"
    assert all(each.startswith("# ") for each in comments)
    assert "trio 0.35.0" in "".join(comments)


def test_the_trace_has_a_head_and_a_row_a_line() -> None:
    record = rich_record()
    head, *rows = [json.loads(line) for line in trace_lines(record)]
    assert (head["v"], head["seed"], head["digest"]) == (1, 7, record.digest)
    assert (head["scenario"], head["versions"], head["rows"]) == ("partition", record.versions, 3)
    assert rows == [[0.0, "start", "host-0", "life 0"], *rows[1:]]
    assert [row[0] for row in rows] == sorted(row[0] for row in rows)


def test_the_summary_has_all_but_rows_and_samples() -> None:
    record = rich_record(troubles=1)
    summary = json.loads(as_summary(record))
    assert (summary["v"], summary["kind"]) == (1, "simulation_run")
    for name in ("scenario", "about", "seed", "nodes", "digest", "virtual_s", "wall_s", "events"):
        assert summary[name] == getattr(record, name)
    for name in ("messages", "bytes", "options", "replay", "versions", "figures", "error"):
        assert summary[name] == getattr(record, name)
    assert [each["is_well"] for each in summary["verdicts"]] == [False, True, True]
    assert summary["is_well"] is False
    assert len(summary["lanes"]) == 30
    assert len(summary["troubles"]) == 3
    assert summary["counts"]["rows"] == {"start": 3}
    assert summary["counts"]["hosts"] == {"laptop": 15, "raspberry": 7, "server": 8}
    assert summary["counts"]["byzantine"] == 1
    assert summary["per_node_per_minute"]["messages"] == round(record.messages / 150, 9)
    assert summary["known"]["after_50_s"] == 3.0
    assert summary["known"]["settled_s"] > 120


def test_what_is_not_known_is_null() -> None:
    record = replace(little_record(), figures={"worst_s": inf}, samples=(Sample(0, 0, 0, 0, 0),))
    summary = json.loads(as_summary(record))
    nothing = dict.fromkeys(("after_50_s", "after_99_s", "after_100_s", "settled_s"))
    assert summary["known"] == nothing
    assert summary["per_node_per_minute"] is None
    assert summary["figures"] == {"worst_s": None}


def test_times_have_no_more_digits_than_in_the_trace() -> None:
    record = replace(little_record(), virtual_s=131.03699999999998)
    assert json.loads(as_summary(record))["virtual_s"] == 131.037


def test_the_summary_of_many_has_a_line_for_each_seed() -> None:
    records = [rich_record(1), rich_record(2, troubles=2), replace(little_record(3))]
    summary = json.loads(as_summary_of_many(records))
    assert (summary["v"], summary["kind"]) == (1, "simulation_seeds")
    assert (summary["seeds"], summary["well"], summary["known_99_s"]["never"]) == (3, 2, 1)
    assert [each["folder"] for each in summary["runs"]] == ["seed-1", "seed-2", "seed-3"]
    assert summary["runs"][1]["troubles"] == ["directory_converges", "adverts_expire"]
    assert json.loads(as_summary_of_many([]))["runs"] == []
