# SPDX-License-Identifier: MIT
"""`commons pause`, `resume`, `limits`: durations as people write them, limits as the config's."""

import argparse
import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.cli.main import main
from node.cli.spoken import YEAR_S, duration_s, lasting, milliseconds
from node.exits import ExitCode
from protocol.errors import Refused
from protocol.reasons import Reason
from tests.node.api.nodes import FakeNode
from tests.node.running_nodes import running


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeNode]:
    with running(FakeNode(), monkeypatch) as node:
        yield node


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (["pause"], ("pause", None)),
        (["pause", "--for", "2h"], ("pause", 7200.0)),
        (["resume"], ("resume",)),
    ],
)
def test_the_node_is_asked_and_its_sentence_printed(
    words: list[str],
    asked: tuple[object, ...],
    node: FakeNode,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(words) == ExitCode.OK
    assert node.asked == [asked]
    printed = capsys.readouterr().out
    assert printed.startswith("It works" if words == ["resume"] else "It rests")
    assert ("in 2 h" in printed) == ("2h" in words)


@pytest.mark.usefixtures("node")
def test_pause_as_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pause", "--for", "90m", "--json"]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out)["standing"]["resumes_in_s"] == 5400.0


@pytest.mark.usefixtures("node")
def test_limits_are_shown_as_the_config_writes_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["limits"]) == ExitCode.OK
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["governor.hours"] == '["22:00-07:00"]'
    assert lines["governor.only_idle"] == "false"
    assert lines["executor.threads"] == "1"


def test_limits_are_changed_by_whole_and_by_short_names(
    node: FakeNode, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["limits", "executor.threads=4", "only_idle=true", "hours=sat-sun 00:00-24:00"]
    assert main(words) == ExitCode.OK
    assert node.asked[-1] == (
        "set_limits",
        {
            "executor.threads": 4,
            "governor.only_idle": True,
            "governor.hours": ("sat-sun 00:00-24:00",),
        },
    )
    assert "until the node ends" in capsys.readouterr().out


def test_all_that_is_wrong_with_limits_is_told_at_once_and_nothing_is_asked(
    node: FakeNode, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["limits", "threads=0", "executor.thread=1", "only_idle", "others_percent=50", "zzz=1"]
    assert main(words) == ExitCode.CONFIG
    printed = capsys.readouterr().err
    assert "executor.threads is" in printed
    assert "takes a whole number from 1 to 256" in printed
    assert "Did you mean `executor.threads`?" in printed
    assert "only_idle: write KEY=VALUE" in printed
    assert "there is no limit `zzz`. `commons limits` shows all that there are." in printed
    assert node.asked == []


@pytest.mark.usefixtures("node")
def test_a_key_that_only_the_config_can_change_is_told_as_such(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["limits", "mesh.connections=9"]) == ExitCode.NOT_FOUND
    assert "Write it into the config" in capsys.readouterr().err


def test_a_refusal_has_its_exit_code_its_reason_and_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def refuse() -> None:
        raise Refused(Reason.SHUTTING_DOWN)

    with running(FakeNode(resume=refuse), monkeypatch):
        assert main(["resume"]) == ExitCode.REFUSED
    reason = Reason.SHUTTING_DOWN
    assert capsys.readouterr().err == (
        f"commons: shutting_down: {reason.sentence}\ncommons: {reason.next_step}\n"
    )


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("90m", 5400), ("2h", 7200), ("1h30m", 5400), ("7d", 604_800), ("1.5H", 5400)],
)
def test_a_duration_is_read_as_people_write_it(text: str, seconds: float) -> None:
    assert duration_s(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "2", "h", "2x", "-2h", "0s", "2h3", "1.2.3h", "367d", "1e9s", "nan", "٣h30"]
)
def test_what_is_no_duration_is_told_with_what_is(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="90m, 2h, 1h30m or 7d"):
        duration_s(text)


@given(st.text(alphabet="0123456789.smhd ", max_size=20) | st.text())
def test_every_text_is_a_duration_within_a_year_or_none(text: str) -> None:
    try:
        seconds = duration_s(text)
    except argparse.ArgumentTypeError:
        return
    assert 1 <= seconds <= YEAR_S


def test_a_duration_that_is_wrong_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["pause", "--for", "soon"])
    assert ended.value.code == ExitCode.USAGE
    assert "argument --for: `soon` is no duration" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (0.0123, "0.0123 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (3_661, "1 h 1 min"),
        (86_400, "1 d"),
        (90_061, "1 d 1 h"),
    ],
)
def test_a_duration_is_told_in_its_two_largest_units(seconds: float, words: str) -> None:
    assert lasting(seconds) == words


def test_a_round_trip_that_was_not_measured_is_a_dash() -> None:
    assert (milliseconds(None), milliseconds(0.25)) == ("-", "250.0 ms")
