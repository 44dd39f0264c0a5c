# SPDX-License-Identifier: MIT
"""`commons invite`, `join`, `leave`, `network`: the same with and without a running node."""

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.cli.main import main
from node.cli.network import RUN_IT
from node.clock import SystemClock
from node.exits import ExitCode
from node.networks import Networks
from node.paths import find_paths
from protocol.errors import RemoteProtocolError
from protocol.reasons import Reason
from tests.node.api.nodes import INVITED, FakeNode
from tests.node.running_nodes import running


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeNode]:
    with running(FakeNode(), monkeypatch) as node:
        yield node


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Networks:
    """The files of a node that does not run."""
    monkeypatch.setenv("COMMONS_HOME", str(tmp_path))
    return Networks(find_paths({"COMMONS_HOME": str(tmp_path)}), SystemClock())


def elsewhere(tmp_path: Path, *, private: bool = True, for_s: float = 3600) -> str:
    """An invite of another node to a network of its own."""
    other = Networks(find_paths({"COMMONS_HOME": str(tmp_path / "other")}), SystemClock())
    other.found("club", private)
    return other.invite([], for_s)


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (["join", "commons://x"], ("join", "commons://x")),
        (["leave"], ("leave", "")),
        (["leave", "home"], ("leave", "home")),
        (["network", "new", "club", "--private"], ("found", "club", True)),
        (["network", "new", "club"], ("found", "club", False)),
        (["network", "use", "home"], ("use", "home")),
        (["network", "rotate"], ("rotate",)),
        (["network", "retire", "1"], ("retire", 1)),
        (["network"], ("networks",)),
        (["network", "list"], ("networks",)),
    ],
    ids=lambda each: " ".join(map(str, each)),
)
def test_a_running_node_does_it_itself(
    words: list[str],
    asked: tuple[object, ...],
    node: FakeNode,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(words) == ExitCode.OK
    assert node.asked == [asked]
    assert RUN_IT not in capsys.readouterr().out
    assert main([*words, "--json"]) == ExitCode.OK
    document = json.loads(capsys.readouterr().out)
    assert document["v"] == 1
    assert document.get("running", True) is True


def test_an_invite_is_the_text_alone(node: FakeNode, capsys: pytest.CaptureFixture[str]) -> None:
    """So that `commons invite | ssh elsewhere commons join -` works."""
    assert main(["invite", "--for", "1h"]) == ExitCode.OK
    assert node.asked == [("invite", 3600.0)]
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == (f"{INVITED.text}\n", "")


def test_an_invite_is_for_a_week_unless_said(
    node: FakeNode, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["invite", "--json"]) == ExitCode.OK
    assert node.asked == [("invite", 7 * 86_400.0)]
    assert json.loads(capsys.readouterr().out)["expires_at_s"] == INVITED.expires_at_s


@pytest.mark.usefixtures("node")
def test_the_table_says_who_comes_in_and_which_is_in_use(
    capsys: pytest.CaptureFixture[str],
) -> None:
    main(["network"])
    head, *rows = (line.split("  ") for line in capsys.readouterr().out.splitlines())
    cells = [[cell.strip() for cell in row if cell.strip()] for row in (head, *rows)]
    assert cells == [
        ["name", "id", "who comes in", "secrets", "in use"],
        ["home", "abababab", "those with an invite", "1 2", "yes"],
        ["commons", "cdcdcdcd", "anybody", "-", "no"],
    ]


@pytest.mark.usefixtures("node")
def test_a_network_that_the_node_does_not_know_is_not_found(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["network", "use", "clbu"]) == ExitCode.NOT_FOUND
    assert "there are: home, commons." in capsys.readouterr().err


def test_an_invite_that_is_wrong_is_told_by_a_running_node_as_by_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def refuse(_: str) -> None:
        raise RemoteProtocolError(Reason.INVITE_BROKEN, "its checksum does not match")

    with running(FakeNode(join=refuse), monkeypatch):
        assert main(["join", "commons://x"]) == ExitCode.FAILED
    assert capsys.readouterr().err == (
        "commons: invite_broken: its checksum does not match\n"
        f"commons: {Reason.INVITE_BROKEN.next_step}\n"
    )


def test_joining_needs_no_running_node(
    alone: Networks, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["join", elsewhere(tmp_path)]) == ExitCode.OK
    assert capsys.readouterr().out == f"This node is in `club` now.\n{RUN_IT}\n"
    assert (alone.active().name, alone.active().is_private) == ("club", True)


def test_an_invite_can_be_read_from_a_pipe(
    alone: Networks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the command line, others on the machine could read it."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(elsewhere(tmp_path) + "\n"))
    assert main(["join", "-", "--json"]) == ExitCode.OK
    assert alone.active().name == "club"


@pytest.mark.parametrize(
    ("change", "reason"),
    [(lambda text: text[:-1], "invite_broken"), (lambda text: text[10:], "invite_broken")],
)
@pytest.mark.usefixtures("alone")
def test_an_invite_that_was_not_copied_whole_joins_nothing(
    change: object, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(change)
    assert main(["join", change(elsewhere(tmp_path))]) == ExitCode.FAILED
    assert capsys.readouterr().err.startswith(f"commons: {reason}: ")
    assert not (tmp_path / "state").exists()


def test_a_network_lives_its_life_without_a_running_node(
    alone: Networks, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["network", "new", "club", "--private"]) == ExitCode.OK
    assert alone.active().is_private
    assert main(["network", "rotate"]) == ExitCode.OK
    assert "Version 2 is the newest secret of `club`; valid are 1, 2." in capsys.readouterr().out
    assert main(["network", "retire", "1"]) == ExitCode.OK
    assert "Version 1 opens `club` no more; valid are 2." in capsys.readouterr().out
    assert main(["network", "use", "commons"]) == ExitCode.OK
    assert alone.active().name == "commons"
    capsys.readouterr()
    assert main(["network", "list", "--json"]) == ExitCode.OK
    listed = json.loads(capsys.readouterr().out)["networks"]
    assert [(each["name"], each["active"]) for each in listed] == [
        ("club", False),
        ("commons", True),
    ]
    assert main(["leave", "club"]) == ExitCode.OK
    assert [each.name for each in alone.all()] == ["commons"]


def test_no_secret_is_ever_printed(alone: Networks, capsys: pytest.CaptureFixture[str]) -> None:
    main(["network", "new", "club", "--private"])
    (secret,) = alone.active().secrets.values()
    for words in (["network"], ["network", "--json"], ["network", "rotate", "--json"]):
        assert main(words) == ExitCode.OK
        printed = capsys.readouterr()
        assert secret.hex() not in printed.out + printed.err


@pytest.mark.usefixtures("alone")
def test_what_cannot_be_done_to_a_network_is_a_sentence(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for words in (["network", "rotate"], ["network", "retire", "1"], ["leave"]):
        assert main(words) == ExitCode.CONFIG
        assert capsys.readouterr().err.startswith("commons: ")


@pytest.mark.usefixtures("alone")
def test_a_network_that_is_not_known_is_not_found_also_without_a_node(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for words in (["network", "use", "nowhere"], ["leave", "nowhere"]):
        assert main(words) == ExitCode.NOT_FOUND
        assert "none of the networks that this node knows: commons" in capsys.readouterr().err
