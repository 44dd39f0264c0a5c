# SPDX-License-Identifier: MIT
"""`commons sim`, as somebody types it."""

import json
import re
from pathlib import Path

import pytest

from node.cli.main import main
from node.exits import ExitCode
from simulations.scenarios import NAMES, about, scenarios
from simulations.simulate import defaults_of

SMALL = ("sim", "run", "flash-crowd", "--nodes", "3")


def test_each_scenario_is_listed_with_its_sentence_and_what_can_be_chosen(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["sim", "list"]) == ExitCode.OK
    listed = capsys.readouterr().out
    for name, scenario in scenarios().items():
        sentence = about(scenario)
        assert f"{name}  " in listed
        assert sentence in listed
        assert sentence.endswith(".")
        assert len(sentence) <= 100
        assert "nodes" in defaults_of(scenario)
    assert main(["sim", "list", "--json"]) == ExitCode.OK
    document = json.loads(capsys.readouterr().out)
    assert [each["name"].replace("-", "_") for each in document["scenarios"]] == list(NAMES)


def test_a_run_says_in_a_line_how_it_went(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SMALL, "--seed", "2"]) == ExitCode.OK
    said = capsys.readouterr()
    assert re.fullmatch(
        r"seed 2: well  \(3 nodes, [\d,]+ virtual s in [\d.]+ s, [\d,]+ messages, "
        r"digest [0-9a-f]{12}\)  settled_s \d+\n",
        said.out,
    )
    assert said.err == ""  # nobody watches a pipe


def test_programs_get_one_document_with_the_digest_of_each_seed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    digests = []
    for _ in range(2):
        assert main([*SMALL, "--seeds", "0:2", "--json"]) == ExitCode.OK
        document = json.loads(capsys.readouterr().out)
        assert (document["v"], document["scenario"]) == (1, "flash-crowd")
        assert [run["seed"] for run in document["runs"]] == [0, 1]
        assert all(run["well"] and run["options"]["nodes"] == 3 for run in document["runs"])
        digests.append([run["digest"] for run in document["runs"]])
    assert digests[0] == digests[1]
    assert len(set(digests[0])) == 2


def test_a_failure_is_told_with_the_line_that_has_it_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = [*SMALL, "--set", "within_s=0.5"]
    assert main(words) == ExitCode.FAILED
    said = capsys.readouterr().out
    assert "everybody knows everybody: " in said
    assert "(not within 0.5 s)" in said
    replay = re.search(r"replay: commons (.*)", said)
    assert replay
    assert main(replay[1].split()) == ExitCode.FAILED


def test_each_message_is_written_down_where_it_is_wanted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = tmp_path / "rows.jsonl"
    assert main([*SMALL, "--trace", str(rows)]) == ExitCode.OK
    kinds = {json.loads(line)[1] for line in rows.read_text().splitlines()}
    assert {"start", "ready", "met", "settled"} <= kinds
    assert main([*SMALL, "--seeds", "0:2", "--trace", str(rows)]) == ExitCode.USAGE
    assert "--trace is for one run" in capsys.readouterr().err


def test_a_report_is_written_and_never_over_the_files_of_somebody_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*SMALL, "--report", str(tmp_path / "one")]) == ExitCode.OK
    assert f"report: {tmp_path / 'one' / 'report.html'}" in capsys.readouterr().out
    assert main([*SMALL, "--seeds", "0:2", "--report", str(tmp_path / "many")]) == ExitCode.OK
    assert (tmp_path / "many" / "seed-1" / "report.html").is_file()
    capsys.readouterr()
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    assert main([*SMALL, "--report", str(mine)]) != ExitCode.OK
    said = capsys.readouterr()
    assert "thesis.txt" in said.err
    assert said.out == "", "it was refused before the work"


@pytest.mark.parametrize(
    ("words", "status", "answer"),
    [
        (["sim", "run", "flash-crwd"], ExitCode.NOT_FOUND, "Did you mean `flash-crowd`?"),
        ([*SMALL, "--set", "colour=red"], ExitCode.USAGE, "nothing called `colour`"),
        ([*SMALL, "--set", "within_s=soon"], ExitCode.USAGE, "`soon` is no float"),
        ([*SMALL, "--set", "within_s"], ExitCode.USAGE, "not of the form NAME=VALUE"),
        ([*SMALL, "--seeds", "3:1"], ExitCode.USAGE, "has 0 seeds in it"),
        ([*SMALL, "--seeds", "a:b"], ExitCode.USAGE, "is no range such as 0:100"),
        (["sim", "run", "flash-crowd", "--nodes", "0"], ExitCode.USAGE, "0 is no number of nodes"),
        (["sim", "run", "flash-crowd", "--nodes", "x"], ExitCode.USAGE, "x is no number of nodes"),
    ],
)
def test_what_cannot_be_meant_is_answered_with_what_can(
    words: list[str], status: ExitCode, answer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        given = main(words)
    except SystemExit as left:  # argparse leaves by itself
        given = int(left.code or 0)
    assert given == status
    assert answer in capsys.readouterr().err


@pytest.mark.slow
def test_two_runs_with_other_hash_seeds_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SMALL, "--check"]) == ExitCode.OK
    assert re.search(r"seed 0: two runs agree in all [\d,]+ rows", capsys.readouterr().out)
