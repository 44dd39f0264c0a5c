# SPDX-License-Identifier: MIT
"""`commons log`: what happened, line by line, as it happens, until ctrl-C."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import trio

from node.api.control import control_app
from node.cli.log import line_of
from node.cli.main import main
from node.exits import ExitCode
from node.happenings import KEPT_MAX
from node.log import Log
from tests.node.api.nodes import WORKER, FakeNode
from tests.node.api.serving import served_aside
from tests.node.running_nodes import home, running
from tests.tree import ROOT


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeNode]:
    with running(FakeNode(), monkeypatch) as node:
        node.happenings.post("peer_met", peer=WORKER, rtt_s=0.25)
        node.happenings.post("peer_left", detail="it said goodbye", member=True)
        yield node


@pytest.mark.usefixtures("node")
def test_each_happening_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["log"]) == ExitCode.OK
    at = datetime.fromtimestamp(1_800_000_000, tz=UTC).astimezone()
    assert capsys.readouterr().out.splitlines() == [
        f"     1  {at:%Y-%m-%d %H:%M:%S}  peer_met  peer={WORKER} rtt_s=0.25",
        f'     2  {at:%Y-%m-%d %H:%M:%S}  peer_left  detail="it said goodbye" member=true',
    ]


@pytest.mark.usefixtures("node")
def test_since_goes_on_after_a_number(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["log", "--since", "1"]) == ExitCode.OK
    (line,) = capsys.readouterr().out.splitlines()
    assert "peer_left" in line


@pytest.mark.usefixtures("node")
def test_as_json_each_line_is_a_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["log", "--json"]) == ExitCode.OK
    documents = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [document["number"] for document in documents] == [1, 2]
    assert documents[0]["fields"] == {"peer": WORKER, "rtt_s": 0.25}
    assert all(document["v"] == 1 for document in documents)


def test_what_is_gone_is_said_to_be_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with running(FakeNode(), monkeypatch) as node:
        for _ in range(KEPT_MAX + 3):
            node.happenings.post("peer_met")
        assert main(["log"]) == ExitCode.OK
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "--- 3 older ones are not kept any more ---"
    assert len(lines) == KEPT_MAX + 1


def test_a_number_of_an_earlier_start_is_said_to_be_so() -> None:
    line = line_of({"number": 0, "at_s": 0.0, "event": "gap", "fields": {"restarted": True}})
    assert "started anew" in line


def test_a_text_of_a_stranger_has_no_power_over_the_terminal() -> None:
    line = line_of({"number": 1, "at_s": 0.0, "event": "peer_met", "fields": {"x": "\x1b[2J"}})
    assert "\x1b" not in line


@pytest.mark.parametrize("number", ["-1", "x", "1e3", "", "9" * 40])
def test_a_number_that_is_none_is_a_usage_error(number: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["log", f"--since={number}"])
    assert ended.value.code == ExitCode.USAGE


def follower() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "node.cli.main", "log", "-f"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.usefixtures("node")
def test_one_who_follows_sees_what_comes_and_ends_it_with_ctrl_c() -> None:
    with follower() as done:
        assert done.stdout
        assert "peer_met" in done.stdout.readline()
        assert "peer_left" in done.stdout.readline()
        done.send_signal(signal.SIGINT)
        _, complaint = done.communicate(timeout=20)
        assert (done.returncode, complaint) == (ExitCode.INTERRUPTED, "")


def test_one_who_follows_is_told_when_the_node_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    node = FakeNode()
    node.happenings.post("peer_met")
    with home(monkeypatch) as folder:
        with served_aside(control_app(node, Log()), f"{folder}/runtime/control.sock"):
            done = follower()
            assert done.stdout
            done.stdout.readline()
        _, complaint = done.communicate(timeout=20)
    assert done.returncode == ExitCode.NOT_RUNNING
    assert "the node is not running" in complaint


def test_the_order_of_a_try_is_taken_back_on_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command says nothing to the node; its socket is closed, and that is enough."""
    began, stopped = [], []

    async def hold(*_: object) -> None:
        began.append(True)
        try:
            await trio.sleep_forever()
        finally:
            stopped.append(True)

    words = ["try", WORKER, "README.md", "--json"]
    with running(FakeNode(try_model=hold), monkeypatch):
        with subprocess.Popen(
            [sys.executable, "-m", "node.cli.main", *words],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as done:
            assert done.stdout
            assert "accepted" in done.stdout.readline()
            assert "inputs_sent" in done.stdout.readline()
            done.send_signal(signal.SIGINT)
            done.communicate(timeout=20)
            assert done.returncode == ExitCode.INTERRUPTED
        assert main(["status"]) == ExitCode.OK
    assert began == stopped == [True]
