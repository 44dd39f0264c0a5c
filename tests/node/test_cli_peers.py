# SPDX-License-Identifier: MIT
"""`commons peers`: a table of who is there, names that a person can type, and bans."""

import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.api.documents import BanInfo
from node.cli.main import main
from node.cli.spoken import find_peer, short
from node.exits import ExitCode
from tests.node.api.nodes import OTHER, WORKER, WORKER_KEY, FakeNode
from tests.node.running_nodes import running


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeNode]:
    with running(FakeNode(), monkeypatch) as node:
        yield node


@pytest.mark.usefixtures("node")
def test_each_peer_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["peers"]) == ExitCode.OK
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split() == [
        *("peer", "name", "way", "address", "RTT", "in", "/", "out"),
        *("since", "orders", "member", "score"),
    ]
    assert first.split() == [
        *(short(WORKER), "-", "out", "/ip4/192.0.2.9/tcp/4001"),
        *("12.3", "ms", "40", "KiB/s", "/", "1.5", "MiB/s"),
        *("1", "h", "12,", "1", "failed", "yes", "1"),
    ]
    assert second.split() == [
        *(short(OTHER), "attic", "in", "/ip4/198.51.100.3/tcp/53412", "-", "-", "/", "-"),
        *("12", "s", "0", "no", "0.5"),
    ]


@pytest.mark.usefixtures("node")
def test_all_shows_what_is_known_and_who_is_not_met(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["peers", "--all"]) == ExitCode.OK
    printed = capsys.readouterr().out
    assert "1 node is known by what they say:" in printed
    assert "16.0 GiB" in printed
    assert f"{OTHER} is not met for 1 h (banned: it asked too often)." in printed


def test_a_peers_words_have_no_power_over_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def bans() -> tuple[BanInfo, ...]:
        return (BanInfo(OTHER, "malformed", "it said \x1b[2J\x9b2J", 60.0),)

    with running(FakeNode(bans=bans), monkeypatch):
        for words in (["peers", "--all"], ["peers", "--all", "--json"]):
            assert main(words) == ExitCode.OK
            printed = capsys.readouterr().out
            assert "it said" in printed
            assert printed.replace("\n", "").isprintable()


@pytest.mark.usefixtures("node")
def test_as_json_it_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["peers", "--all", "--json"]) == ExitCode.OK
    document = json.loads(capsys.readouterr().out)
    assert document["v"] == 1
    assert document["peers"][0]["rtt_s"] == 0.0123
    assert document["adverts"][0]["cores"] == 8


def test_nobody_is_told_as_such(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def nobody() -> tuple[()]:
        return ()

    with running(FakeNode(peers=nobody, adverts=nobody), monkeypatch):
        assert main(["peers", "--all"]) == ExitCode.OK
    printed = capsys.readouterr().out
    assert printed.startswith("Nobody is connected. `commons doctor`")
    assert "0 nodes are known" in printed


@pytest.mark.parametrize("name", [WORKER, short(WORKER), WORKER[:14], WORKER[8:10]])
def test_a_peer_is_banned_by_its_id_or_its_beginning(
    name: str, node: FakeNode, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["peers", "ban", name, "--for", "1h30m", "--reason", "it floods"]
    assert main(words) == ExitCode.OK
    assert node.asked[-1] == ("ban", WORKER_KEY, 5400.0, "it floods")
    assert capsys.readouterr().out == f"{WORKER} is not met for 1 h 30 min.\n"


def test_a_ban_lasts_a_day_unless_said(node: FakeNode) -> None:
    assert main(["peers", "ban", WORKER, "--json"]) == ExitCode.OK
    assert node.asked[-1] == ("ban", WORKER_KEY, 86_400.0, "")


def test_a_ban_is_lifted(node: FakeNode, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["peers", "unban", short(OTHER)]) == ExitCode.OK
    assert node.asked[-1][0] == "unban"
    assert capsys.readouterr().out == f"{OTHER} is met again.\n"


@pytest.mark.usefixtures("node")
def test_who_is_not_banned_cannot_be_unbanned(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["peers", "unban", WORKER]) == ExitCode.NOT_FOUND
    assert f"not_found: {WORKER} is not banned." in capsys.readouterr().err


@pytest.mark.usefixtures("node")
def test_a_name_of_nobody_is_not_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["peers", "ban", "zzzz"]) == ExitCode.NOT_FOUND
    assert "no peer that is known begins with `zzzz`" in capsys.readouterr().err


def test_a_beginning_of_several_is_answered_with_them() -> None:
    several = ["12D3KooWabc" + "1" * 41, "12D3KooWabd" + "1" * 41, "12D3KooWx" + "1" * 43]
    assert find_peer("ab", several) == several[:2]
    assert find_peer("abd", several) == several[1:2]
    assert find_peer("12D3KooW", several) == []
    assert find_peer("", several) == []


def test_a_beginning_that_is_not_clear_bans_nobody(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from dataclasses import replace

    from tests.node.api.nodes import PEERS

    twins = [replace(PEERS[0], peer=f"12D3KooWabc{last}") for last in "xy"]

    async def peers() -> object:
        return twins

    with running(FakeNode(peers=peers), monkeypatch) as node:
        assert main(["peers", "ban", "abc"]) == ExitCode.NOT_FOUND
    assert "`abc` begins several peer ids: abcx, abcy." in capsys.readouterr().err
    assert not any(asked[0] == "ban" for asked in node.asked)


@given(st.text(), st.lists(st.text()))
def test_whoever_is_found_begins_as_was_said(text: str, known: list[str]) -> None:
    for found in find_peer(text, known):
        assert found == text or found in known
