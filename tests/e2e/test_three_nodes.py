# SPDX-License-Identifier: MIT
"""Three nodes on one machine, set up with the commands that a person types."""

import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.forked import Spawner
from tests.e2e.nodes import Node, everybody, known_to, nodes, peers_of, until

pytestmark = pytest.mark.slow


@pytest.fixture
def three(tmp_path: Path, spawner: Spawner) -> Iterator[list[Node]]:
    with nodes(tmp_path, 3, spawner=spawner) as made:
        yield made


def test_three_nodes_form_a_private_network_by_invite_and_join(three: list[Node]) -> None:
    """The founder has started, the second joins while it runs, the third before it runs."""
    first, second, third = three
    first.start()
    second.start()
    first.commons("network", "new", "the reading room", "--private")
    text = first.commons("invite").strip()
    assert text.startswith("commons://")
    second.commons("join", text)
    third.commons("join", text)
    third.start()
    wanted = everybody(three)
    until(
        lambda: all(peers_of(each) == wanted - {each.peer} for each in three),
        "all meet",
    )
    until(
        lambda: all(known_to(each) >= wanted - {each.peer} for each in three),
        "all know",
    )
    for node in three:
        status = node.ask("status")
        assert status["network"]["name"] == "the reading room"
        assert status["network"]["private"]
        assert status["peers"]["members"] == 2
        assert status["standing"]["sentence"].startswith("Working")


def test_a_node_makes_what_it_needs_and_nobody_else_can_read_it(three: list[Node]) -> None:
    node = three[0].fork().wait_ready()
    home = node.home
    key = home / "state" / "identity.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    socket = home / "runtime" / "control.sock"
    assert stat.S_IMODE(socket.stat().st_mode) == 0o600
    for folder in ("state", "cache", "runtime"):
        assert stat.S_IMODE((home / folder).stat().st_mode) == 0o700
    for path in (home / "state").rglob("*"):
        assert not path.stat().st_mode & 0o077, path
    assert node.ready["addresses"][0].startswith("/ip4/127.0.0.1/tcp/")


def test_a_node_keeps_its_identity_and_its_port_over_a_restart(three: list[Node]) -> None:
    node = three[0].fork().wait_ready()
    before = node.ready
    assert node.stop() == 0
    assert not (node.home / "runtime" / "control.sock").exists()
    assert node.fork().wait_ready().ready == before


def test_ctrl_c_ends_a_node_in_order(three: list[Node]) -> None:
    node = three[0].fork().wait_ready()
    node.signal(signal.SIGINT)
    assert node.wait() == 0
    assert "Traceback" not in node.tail()


def test_a_second_node_in_the_same_home_says_so_and_harms_nothing(three: list[Node]) -> None:
    node = three[0].fork().wait_ready()
    again = node.try_commons("run")
    assert again.returncode == 11
    assert "Traceback" not in again.stderr
    assert str(node.home) in again.stderr or "runs" in again.stderr
    assert node.ask("status")["standing"]["works"] in (True, False)


def test_a_killed_node_leaves_nothing_that_stops_its_next_start(three: list[Node]) -> None:
    first, second, _ = three
    first.fork().wait_ready()
    second.commons("join", first.commons("invite").strip())
    second.fork().wait_ready()
    until(lambda: peers_of(first) == {second.peer}, "they meet")
    second.kill()
    until(lambda: not peers_of(first), "the first one notices")
    second.fork().wait_ready()
    until(lambda: peers_of(first) == {second.peer}, "they meet again")


def test_what_runs_without_a_node_runs_and_what_needs_one_says_how_to_start_it(
    three: list[Node],
) -> None:
    node = three[0]
    done = node.try_commons("status")
    assert done.returncode == 3
    assert "commons run" in done.stderr
    node.commons("paths")
    node.commons("config", "show")
    node.commons("network")


def test_a_pause_of_the_owner_outlives_a_restart(three: list[Node]) -> None:
    node = three[0].fork().wait_ready()
    assert "aused" in node.commons("pause", "--for", "2h")
    node.kill()
    node.fork().wait_ready()
    standing = node.ask("status")["standing"]
    assert standing["reason"] == "owner_paused"
    assert 7000 < standing["resumes_in_s"] <= 7200
    node.commons("resume")
    until(lambda: node.ask("status")["standing"]["works"], "it works again")


def test_no_child_is_left_when_a_node_is_killed(three: list[Node]) -> None:
    node = three[0].fork().wait_ready()
    pid = node.pid
    group = os.getpgid(pid)
    node.kill()
    until(lambda: not _children(pid), f"nobody of {group} is left")


def _children(pid: int) -> list[str]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return path.read_text().split() if path.exists() else []
