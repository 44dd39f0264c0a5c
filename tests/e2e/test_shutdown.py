# SPDX-License-Identifier: MIT
"""How a real node ends, stands back and begins in the wrong place: in order, and in plain words."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import onnx
import pytest

from node.main import DRAIN_S_MAX
from tests.e2e.books import (
    SLOW_SIZE,
    Try,
    credit,
    left_open,
    meet,
    settle,
    slow_model,
    try_once,
)
from tests.e2e.forked import Spawner
from tests.e2e.nodes import Node, cluster, nodes, until
from tests.models_in_code import mlp

pytestmark = pytest.mark.slow

LONG = 500
"""So many items take longer than the nodes here wait for running work."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, spawner: Spawner) -> Iterator[list[Node]]:
    folder = tmp_path_factory.mktemp("shutdown")
    environ = {"COMMONS_CREDIT_GIFT": "none", "COMMONS_GOVERNOR_DRAIN_S": "3"}
    with cluster(folder, 2, spawner=spawner, **environ) as made:
        meet(made[0], made[1])
        yield made


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory, shared: list[Node]) -> Path:
    path = slow_model(tmp_path_factory.mktemp("slow"))
    try_once(shared[1], shared[0], path, 1, SLOW_SIZE)
    return path


@pytest.fixture
def two(shared: list[Node], slow: Path) -> list[Node]:
    """Give a worker and a requester that run, whatever became of them in the test before."""
    del slow  # its order is over before a test begins
    for node in shared:
        if not node.runs:
            node.fork().wait_ready()
        elif not node.get("/v1/status")["standing"]["works"]:
            node.commons("resume")
    meet(shared[0], shared[1])
    return shared


@pytest.fixture
def one(tmp_path: Path, spawner: Spawner) -> Iterator[Node]:
    with nodes(tmp_path, 1, spawner=spawner) as (node,):
        yield node


def test_sigterm_takes_nothing_new_and_lets_a_short_order_end(two: list[Node], slow: Path) -> None:
    """Until its next start it has the longest time for running work that there is."""
    worker, requester = two
    worker.commons("limits", f"drain_s={DRAIN_S_MAX:g}")
    delivered = log_of(worker).count("order_delivered")
    trying = Try(requester, worker.peer, slow, 5, SLOW_SIZE)
    trying.until_step("work")
    worker.signal(signal.SIGTERM)
    again = Try(requester, worker.peer, slow, 1, SLOW_SIZE)
    assert worker.wait() == 0
    again.kill()
    taken = log_of(worker).count("order_delivered")
    assert taken == delivered + 1, "it took on what came after the signal"
    # A requester that has not paid by now waits for the worker to come back.
    worker.fork().wait_ready()
    status, tried, complaint = trying.result()
    assert status == 0, complaint
    settle(worker, requester)
    assert tried["paid_cu"]
    assert "Traceback" not in worker.tail() + requester.tail()


def test_sigterm_gives_a_long_order_back_and_the_requester_hears_why(
    two: list[Node], slow: Path
) -> None:
    worker, requester = two
    before = credit(requester)
    trying = Try(requester, worker.peer, slow, LONG, SLOW_SIZE)
    trying.until_step("work")
    assert worker.stop() == 0
    status, _, complaint = trying.result()
    assert status == 4
    assert "shutting_down" in complaint
    assert "Traceback" not in worker.tail() + requester.tail()
    worker.fork().wait_ready()
    settle(worker, requester)
    assert credit(requester) == before


def test_a_second_signal_ends_at_once(two: list[Node], slow: Path) -> None:
    worker, requester = two
    trying = Try(requester, worker.peer, slow, LONG, SLOW_SIZE)
    trying.until_step("work")
    worker.commons("limits", f"drain_s={DRAIN_S_MAX:g}")
    signals = log_of(worker).count('"signal_received"')
    worker.signal(signal.SIGTERM)
    until(
        lambda: log_of(worker).count('"signal_received"') > signals,
        "it has heard the first one",
    )
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0
    worker.fork().wait_ready()
    trying.kill()
    settle(worker, requester)


def test_sigterm_during_the_start_ends_it_in_order(one: Node) -> None:
    for wait_s in (0.02, 0.05, 0.1, 0.2):
        one.fork()
        time.sleep(wait_s)
        status = one.stop()
        assert status in (0, -signal.SIGTERM)  # the second: before there was anything to end
        assert "Traceback" not in one.tail()
    one.fork().wait_ready()
    assert one.stop() == 0


# --- standing back -------------------------------------------------------------------------------


def test_a_pause_ends_what_runs_frees_the_memory_and_says_why(two: list[Node], slow: Path) -> None:
    worker, requester = two
    trying = Try(requester, worker.peer, slow, LONG, SLOW_SIZE)
    trying.until_step("work")
    assert len(below(worker.pid)) >= 1
    worker.commons("pause", "--for", "2h")
    shown = worker.commons("status")
    assert shown.startswith("Paused by you until "), shown
    status, _, complaint = trying.result()
    assert status == 4, complaint
    until(lambda: not below(worker.pid), "zygote and runners are gone")
    assert not worker.get("/v1/status")["work"]["running"]
    worker.commons("resume")
    until(lambda: worker.ask("status")["standing"]["works"], "it works again")
    try_once(requester, worker, slow, 1, SLOW_SIZE)
    settle(worker, requester)


def below(pid: int) -> list[int]:
    """Give the processes that a process has started, and theirs."""
    path = Path(f"/proc/{pid}/task/{pid}/children")
    found = [int(each) for each in path.read_text().split()] if path.exists() else []
    return [*found, *(other for each in found for other in below(each))]


# --- a bad place to begin ------------------------------------------------------------------------


def test_a_taken_port_of_the_config_is_named(one: Node) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = one.try_commons("run", "--set", f"mesh.listen=/ip4/127.0.0.1/tcp/{port}")
    assert done.returncode == 11, done.stderr
    assert f"/ip4/127.0.0.1/tcp/{port}" in done.stderr
    assert "mesh.listen" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_config_names_file_and_key(one: Node) -> None:
    folder = one.home / "config"
    folder.mkdir()
    (folder / "config.toml").write_text("[governor]\nmax_threads = 3\n")
    done = one.try_commons("run")
    assert done.returncode == 10, done.stderr
    assert "config.toml" in done.stderr
    assert "max_threads" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_identity_that_cannot_be_used_is_named(one: Node) -> None:
    one.fork().wait_ready()
    assert one.stop() == 0
    key = one.home / "state" / "identity.key"
    whole = key.read_text()
    key.chmod(0o644)
    done = one.try_commons("run")
    assert done.returncode == 10, done.stderr
    assert f"chmod 600 {key}" in done.stderr
    key.chmod(0o600)
    key.write_text(whole.replace("seed ", "seed 00"))
    done = one.try_commons("run")
    assert done.returncode == 10, done.stderr
    assert str(key) in done.stderr
    assert "Traceback" not in done.stderr
    key.write_text(whole)
    one.fork().wait_ready()


def test_two_nodes_of_one_identity_both_say_so_and_live(tmp_path: Path, spawner: Spawner) -> None:
    with (
        cluster(tmp_path / "made", 2, spawner=spawner) as (middle, node),
        nodes(tmp_path / "copy", 1, spawner=spawner) as (copy,),
    ):
        node.stop()
        shutil.copytree(node.home / "state", copy.home / "state")
        node.fork().wait_ready()
        meet(middle, node)
        copy.fork().wait_ready()
        for each in (node, copy):
            until(partial(is_told_of_a_twin, each), f"it says so: {each.tail()}")
            assert "FAIL  identity elsewhere" in each.commons("doctor", check=False)
        assert node.runs
        assert copy.runs
        assert "Traceback" not in log_of(node) + log_of(copy)


def is_told_of_a_twin(node: Node) -> bool:
    return any("key of this node" in note for note in node.get("/v1/status")["notes"])


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Mount a disk of few MiB inside the block."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m,mode=700", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> None:
    """Leave no room on a disk."""
    with (folder / "filler").open("ab", buffering=0) as file, suppress(OSError):
        for size_bytes in (1 << 20, 1 << 12, 1):
            with suppress(OSError):
                while file.write(bytes(size_bytes)):
                    pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_a_full_disk_is_told_and_work_goes_on_when_there_is_room(
    two: list[Node], tmp_path: Path, spawner: Spawner
) -> None:
    worker = two[0]
    with (
        small_disk(tmp_path / "disk") as folder,
        nodes(folder, 1, spawner=spawner, COMMONS_CREDIT_GIFT="none") as (node,),
    ):
        node.enter(worker.commons("invite").strip())
        node.fork().wait_ready()
        meet(worker, node)
        path = tmp_path / "little.onnx"
        onnx.save(mlp(), path)
        earned = credit(worker)[0]
        fill(folder)
        status, _, complaint = Try(node, worker.peer, path, 2).result()
        assert status != 0
        assert "Traceback" not in complaint
        assert "disk" in complaint.lower() or "space" in complaint.lower(), complaint
        assert node.runs
        (folder / "filler").unlink()
        until(lambda: Try(node, worker.peer, path, 2).result()[0] == 0, "a try works")
        until(lambda: not node.get("/v1/status")["notes"], f"it goes on: {node.tail()}")
        until(lambda: not left_open(node), "no order is open")
        assert credit(node)[1] == credit(worker)[0] - earned
        assert "Traceback" not in log_of(node)
        assert node.stop() == 0

        fill(folder)
        done = node.try_commons("run")
        assert done.returncode in (1, 10), done
        assert "Traceback" not in done.stderr
        assert "disk" in done.stderr.lower() or "space" in done.stderr.lower(), done.stderr
        (folder / "filler").unlink()
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        done = node.try_commons("run")
        assert done.returncode in (1, 10), done
        assert "Traceback" not in done.stderr
        assert str(folder) in done.stderr
        subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)
        node.fork().wait_ready()


def log_of(node: Node) -> str:
    """Give all of a node's log; it is beside its home, as the full disk is its home."""
    return node.log.read_text(errors="replace")
