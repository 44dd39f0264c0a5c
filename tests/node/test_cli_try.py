# SPDX-License-Identifier: MIT
"""`commons try`: what is asked of the node, and what a person is told about his order."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from node.api.control import TRY_ITEMS_MAX
from node.cli.main import main
from node.cli.try_ import ITEMS_MAX
from node.exits import ExitCode
from protocol.errors import Refused
from protocol.reasons import Reason
from tests.node.api.nodes import TRIED, WORKER, WORKER_KEY, FakeNode
from tests.node.running_nodes import running


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeNode]:
    with running(FakeNode(), monkeypatch) as node:
        yield node


@pytest.fixture(autouse=True)
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file `m.onnx` where the command is typed; the fake node does not read it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.onnx").touch()
    return tmp_path / "m.onnx"


def test_a_model_that_is_not_there_is_not_found_and_no_node_is_asked(
    node: FakeNode, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model.unlink()
    assert main(["try", WORKER, "m.onnx"]) == ExitCode.NOT_FOUND
    assert capsys.readouterr().err == "commons: there is no file m.onnx.\n"
    assert node.asked == []


def test_the_order_is_asked_for_with_the_whole_path_of_the_model(
    node: FakeNode, model: Path
) -> None:
    words = ["--items", "3", "--dim", "rows=4", "--dim", "a=b=7"]
    with pytest.raises(SystemExit):
        main(["try", WORKER, "m.onnx", *words])
    assert main(["try", WORKER[8:16], "m.onnx", *words[:4]]) == ExitCode.OK
    assert node.asked[-1] == ("try_model", WORKER_KEY, model, 3, {"rows": 4})


@pytest.mark.usefixtures("node")
def test_who_did_what_at_what_price_in_what_time_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["try", WORKER, "m.onnx"]) == ExitCode.OK
    printed = capsys.readouterr()
    lines = dict(line.split(maxsplit=1) for line in printed.out.splitlines())
    assert lines["worker"] == WORKER
    assert lines["model"] == f"m.onnx, {TRIED.model}"
    assert lines["price"] == "1,200 CU"
    assert lines["items"] == "2 of rows=4"
    assert lines["time"] == "0.75 s: intake 0.5 s, work 0.25 s"
    assert lines["result"] == "float[2, 32], which begins with 0.5, -1.25"
    assert lines["check"] == "right: 2 items computed again here"
    assert lines["paid"] == (
        "1,200 CU; owed to this worker in all: 300, now 1,500 CU; both have it in their books"
    )
    assert printed.err == ""  # nobody waits at a terminal


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"acked": False}, "the worker has not said so yet"),
        ({"paid_cu": 0, "is_gift": True}, "a gift, from idle time"),
        ({"checked": 0}, "none: the lot fell on no item"),
        (
            {"paid_cu": 0, "wrong": "wrong_result", "wrong_item": 1},
            "WRONG: item 1 is wrong_result; 2 items computed again here; nothing is paid",
        ),
    ],
)
def test_what_was_not_paid_or_not_checked_is_said_with_its_reason(
    changes: dict[str, Any],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def tried(*_: object) -> object:
        return replace(TRIED, **changes)

    with running(FakeNode(try_model=tried), monkeypatch):
        assert main(["try", WORKER, "m.onnx"]) == ExitCode.OK
    assert words in capsys.readouterr().out


@pytest.mark.usefixtures("node")
def test_as_json_each_step_is_a_line_and_the_result_the_last(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["try", WORKER, "m.onnx", "--json"]) == ExitCode.OK
    documents = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [document["v"] for document in documents] == [1, 1, 1]
    assert documents[0]["progress"]["step"] == "accepted"
    assert documents[-1]["tried"]["model"] == TRIED.model


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Refused(Reason.CREDIT_LINE, "1,200 CU would be too much"), ExitCode.REFUSED),
        (FileNotFoundError(2, "No such file or directory", "/m.onnx"), ExitCode.NOT_FOUND),
        (ValueError("ours"), ExitCode.FAILED),
    ],
)
def test_a_try_that_fails_has_its_exit_code_and_prints_no_result(
    error: Exception,
    code: ExitCode,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def fail(*_: object) -> None:
        raise error

    with running(FakeNode(try_model=fail), monkeypatch):
        assert main(["try", WORKER, "m.onnx"]) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("commons: ")


@pytest.mark.parametrize("items", ["0", "-1", "abc", "1001", "9" * 5000])
def test_a_count_that_the_node_does_not_take_is_a_usage_error(items: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["try", WORKER, "m.onnx", f"--items={items}"])
    assert ended.value.code == ExitCode.USAGE


def test_the_command_takes_as_many_items_as_the_node() -> None:
    assert ITEMS_MAX == TRY_ITEMS_MAX


@pytest.mark.parametrize("size", ["rows", "rows=", "=4", "rows=0", "rows=x", "rows=99999999999"])
def test_a_size_that_is_none_is_a_usage_error(size: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["try", WORKER, "m.onnx", "--dim", size])
    assert ended.value.code == ExitCode.USAGE
