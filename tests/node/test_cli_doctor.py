# SPDX-License-Identifier: MIT
"""`commons doctor`: with a node, without one, with one that does not answer, and its report."""

import json
import socket
import stat
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from node.api.documents import Finding
from node.cli.doctor import print_findings, summary
from node.cli.main import main
from node.doctor import outside
from node.doctor.looks import Look, at_once, passed
from node.doctor.scene import Scene
from node.exits import ExitCode
from protocol.errors import Refused
from protocol.reasons import Reason
from tests.e2e.nodes import nodes, peers_of, until
from tests.node.api.nodes import FINDINGS, WORKER, FakeNode
from tests.node.running_nodes import home, running

OK = Finding("disk", "pass", "It is large enough.", "Nothing.")
WARNING = Finding("clock", "warn", "It is 40 s away.", "Set the clock.")
BAD = Finding("identity", "fail", "Others can read it.", "`chmod 600 it`")


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[Finding]:
    """What is found from outside: a list that the test fills."""
    found: list[Finding] = []
    table: tuple[Look[Scene], ...] = (Look("planted", at_once(lambda _: found)),)
    monkeypatch.setattr(outside, "LOOKS", table)
    return found


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with home(monkeypatch) as path:
        yield path


def test_lines_are_aligned_and_what_failed_stands_last(capsys: pytest.CaptureFixture[str]) -> None:
    print_findings([BAD, WARNING, OK], is_running=True)
    assert capsys.readouterr().out.splitlines() == [
        "ok    disk      It is large enough.",
        "warn  clock     It is 40 s away.",
        "                -> Set the clock.",
        "FAIL  identity  Others can read it.",
        "                -> `chmod 600 it`",
        "",
        "The node runs; 1 of 3 things are wrong, 1 could be better.",
    ]


def test_a_sentence_sums_up() -> None:
    assert summary([OK], is_running=False) == (
        "No node runs; all 1 things are as they should be. `commons run` starts it."
    )
    assert "nothing is wrong, and 1 of 2 things" in summary([OK, WARNING], is_running=True)
    assert "1 of 1 things are wrong." in summary([BAD], is_running=True)


def test_what_strangers_have_said_has_no_power_over_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_findings([Finding("peers", "warn", "a\x1b[31mb\nok", "\x07")], is_running=True)
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "\x07" not in printed
    assert "a\\x1b[31mb\\nok" in printed


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(
    ("found", "code"),
    [([OK], ExitCode.OK), ([OK, WARNING], ExitCode.OK), ([WARNING, BAD], ExitCode.FAILED)],
)
def test_only_a_failure_makes_it_fail(
    looks: list[Finding], found: list[Finding], code: ExitCode
) -> None:
    looks += found
    assert main(["doctor"]) == code


@pytest.mark.usefixtures("alone")
def test_as_json_it_is_one_document(
    looks: list[Finding], capsys: pytest.CaptureFixture[str]
) -> None:
    looks += [OK, BAD]
    assert main(["doctor", "--json"]) == ExitCode.FAILED
    document = json.loads(capsys.readouterr().out)
    assert document["v"] == 1
    assert (document["running"], document["passed"], document["failed"]) == (False, 2, 1)
    assert document["findings"][-1] == asdict(BAD)


def test_a_running_node_is_asked_and_its_findings_come_first(
    looks: list[Finding], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    looks.append(passed("planted", "It is fine."))
    with running(FakeNode(), monkeypatch) as node:
        assert main(["doctor", "--json"]) == ExitCode.OK
    document = json.loads(capsys.readouterr().out)
    assert document["running"]
    names = [each["name"] for each in document["findings"]]
    assert names == [*(each.name for each in FINDINGS), "planted"]
    assert ("doctor",) in node.asked


def test_a_node_that_fails_to_answer_is_a_failure_and_the_rest_is_looked_at(
    looks: list[Finding], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def refuse(*_: object) -> None:
        raise Refused(Reason.RECOVERING, "not now")

    looks.append(OK)
    with running(FakeNode(doctor=refuse), monkeypatch):
        assert main(["doctor"]) == ExitCode.FAILED
    printed = capsys.readouterr().out
    assert "FAIL  node" in printed
    assert "not now" in printed
    assert "ok    disk" in printed


def test_a_socket_that_nobody_answers_is_a_failure(
    looks: list[Finding],
    alone: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from node.cli import control

    monkeypatch.setattr(control, "ANSWER_S", 0.05)
    looks.append(OK)
    folder = Path(alone) / "runtime"
    folder.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as stuck:
        stuck.bind(str(folder / "control.sock"))
        stuck.listen()
        assert main(["doctor"]) == ExitCode.FAILED
    assert "the node does not answer" in capsys.readouterr().out


def test_the_report_has_what_happened_and_no_peer_ids(
    looks: list[Finding],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    looks.append(Finding("ways in", "warn", f"{WORKER} is off.", "Ask."))
    path = tmp_path / "report.json"
    node = FakeNode()
    node.happenings.post("peer_met", peer=WORKER)
    with running(node, monkeypatch):
        assert main(["doctor", "--report", str(path)]) == ExitCode.OK
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text()
    assert WORKER not in text
    made = json.loads(text)
    assert made["happenings"][-1]["fields"] == {"peer": "peer-1"}
    assert made["findings"][-1]["sentence"] == "peer-1 is off."
    assert str(path) in capsys.readouterr().out


@pytest.mark.usefixtures("alone")
def test_a_report_that_cannot_be_written_is_said_after_what_was_found(
    looks: list[Finding], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    looks.append(OK)
    assert main(["doctor", "--report", str(tmp_path / "no" / "r.json")]) == ExitCode.CONFIG
    printed = capsys.readouterr()
    assert "ok    disk" in printed.out
    assert "cannot be written" in printed.err


@pytest.mark.usefixtures("alone")
def test_a_config_that_cannot_be_read_does_not_end_the_doctor(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from node.doctor import choices

    monkeypatch.setattr(outside, "LOOKS", (Look("config", at_once(choices.see_config)),))
    assert main(["doctor", "--set", "executor.threads=0"]) == ExitCode.FAILED
    assert "executor.threads is" in capsys.readouterr().out


@pytest.mark.slow
def test_on_this_machine_without_a_node_everything_is_seen_and_nothing_is_made(
    alone: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """All looks, for real; what they say of this machine is its affair, but none crashes."""
    listen = "mesh.listen=/ip4/127.0.0.1/tcp/0"
    main(["doctor", "--json", "--set", listen])
    findings = json.loads(capsys.readouterr().out)["findings"]
    names = {each["name"].split()[0] for each in findings}
    assert names >= {each.name for each in outside.LOOKS} - {"running version", "listening"}
    assert [each for each in findings if "crashed" in each["sentence"]] == []
    assert all(each["next_step"] for each in findings if each["state"] != "pass")
    assert list(Path(alone).iterdir()) == []


@pytest.mark.slow
def test_two_nodes_that_know_each_other_are_well(tmp_path: Path) -> None:
    with nodes(tmp_path, 2) as (first, second):
        first.commons("network", "new", "the reading room", "--private")
        first.start()
        second.commons("join", first.commons("invite").strip())
        second.start()
        until(lambda: peers_of(second), "they are connected")
        report = tmp_path / "report.json"
        done = second.try_commons("doctor", "--json", "--report", str(report))
        document = json.loads(done.stdout)
        found = {each["name"]: each for each in document["findings"]}
        failed = [each for each in document["findings"] if each["state"] == "fail"]
        assert document["running"]
        for name in ("governor", "peers", "ways in", "bootstrap", "listening", "accounts"):
            assert found[name]["state"] == "pass", found[name]
        assert done.returncode == (1 if failed else 0)
        assert {each["name"].split()[0] for each in failed} <= {"sandbox"}, failed
        text = report.read_text()
        for name in (first.peer, second.peer, "reading room", str(tmp_path)):
            assert name not in text
        assert {"peer_met", "node_ready"} <= {
            each["event"] for each in json.loads(text)["happenings"]
        }
