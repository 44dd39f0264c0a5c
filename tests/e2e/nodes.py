# SPDX-License-Identifier: MIT
"""Starts real nodes, each with a home of its own, and types commands to them.

A node takes a second and a half to import what it needs. Where a test wants many, they are
forked from one process that has imported everything (:func:`cluster`): what runs is the same
`commons run`, from its first line on.
"""

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from node.clock import SystemClock
from node.networks import Networks
from node.paths import find_paths
from protocol.invite import parse_invite
from tests.e2e.forked import Spawner
from tests.tree import ROOT

#: A machine that is slow and busy gets so long; when all is well nothing waits so long.
PATIENCE_S = 120.0

LOOPBACK = {
    "COMMONS_MESH_LISTEN": "/ip4/127.0.0.1/tcp/0",
    "COMMONS_MESH_MDNS": "false",
    "COMMONS_GOVERNOR_OTHERS_PERCENT": "100",
    "COMMONS_GOVERNOR_MEMORY_FREE_MIB": "0",
    "COMMONS_GOVERNOR_DISK_FREE_MIB": "0",
    "COMMONS_GOVERNOR_ON_BATTERY": "true",
    "COMMONS_LOG_FORMAT": "json",
}


class Node:
    """One node: its home, and its process when it runs."""

    def __init__(self, home: Path, environ: Mapping[str, str]) -> None:
        """Start nothing yet."""
        self.home = home
        self.environ = {**_plain_environ(), **LOOPBACK, **environ, "COMMONS_HOME": str(home)}
        self.log = home.with_suffix(".log")
        self.ready: dict[str, Any] = {}
        self.pid = 0
        self.spawner: Spawner | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def fork(self) -> "Node":
        """Begin to run, forked by `spawner`; :meth:`wait_ready` waits until it is ready."""
        assert self.spawner, "there is nobody who could fork it"
        out = self.home.with_suffix(".out")
        out.unlink(missing_ok=True)
        self.pid = self.spawner.fork(self.environ, ["run", "--json"], out, self.log)
        return self

    def wait_ready(self) -> "Node":
        """Wait until a forked node has said that it is ready."""
        out = self.home.with_suffix(".out")

        def is_ready() -> bool:
            assert self.runs, f"it ended before it was ready: {self.tail()}"
            return out.exists() and out.read_text().endswith("\n")

        until(is_ready, "it says that it is ready", every_s=0.05)
        self.ready = json.loads(out.read_text().splitlines()[0])
        return self

    def start(self, *arguments: str) -> "Node":
        """Type `commons run`, and wait until it says that it is ready."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "node.cli.main", "run", "--json", *arguments],
                cwd=ROOT,
                env=self.environ,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        self.pid = self._process.pid
        assert self._process.stdout is not None
        self.ready = _read_ready(self._process.stdout.fileno(), self.log)
        return self

    def commons(self, *arguments: str, check: bool = True, timeout_s: float = PATIENCE_S) -> str:
        """Type a command; give what it prints. One that fails is an error, unless not checked."""
        done = self.try_commons(*arguments, timeout_s=timeout_s)
        if check and done.returncode:
            said = f"{done.stdout}{done.stderr}\n{self.tail()}"
            raise AssertionError(f"commons {' '.join(arguments)} -> {done.returncode}: {said}")
        return done.stdout

    def try_commons(
        self, *arguments: str, timeout_s: float = PATIENCE_S
    ) -> subprocess.CompletedProcess[str]:
        """Type a command, whatever becomes of it."""
        return subprocess.run(
            [sys.executable, "-m", "node.cli.main", *arguments],
            cwd=ROOT,
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )

    def ask(self, *arguments: str) -> dict[str, Any]:
        """Type a command with --json, and read its document."""
        document: dict[str, Any] = json.loads(self.commons(*arguments, "--json"))
        return document

    def get(self, path: str) -> dict[str, Any]:
        """Ask the control API itself: a command takes a tenth of a second, and twenty nodes two."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE_S)
            connection.connect(str(self.home / "runtime" / "control.sock"))
            head = f"GET {path} HTTP/1.1\r\nHost: commons\r\nConnection: close\r\n\r\n"
            connection.sendall(head.encode())
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        head_said, _, body = answer.partition(b"\r\n\r\n")
        assert b" 200 " in head_said.splitlines()[0], answer[:300]
        document: dict[str, Any] = json.loads(body)
        return document

    def enter(self, invite: str) -> None:
        """Join a network before it runs: as `commons join` does, in this process."""
        paths = find_paths({"COMMONS_HOME": str(self.home)})
        Networks(paths, SystemClock()).join(parse_invite(invite, time.time()))

    @property
    def peer(self) -> str:
        """The node's peer id, as it said when it was ready."""
        return str(self.ready["peer"])

    @property
    def address(self) -> str:
        """Where it can be dialled, with its peer id."""
        return f"{self.ready['addresses'][0]}/p2p/{self.peer}"

    def signal(self, number: int) -> None:
        """Send a signal to the process."""
        assert self.pid, "it does not run"  # 0 would be this process and all its siblings
        os.kill(self.pid, number)

    def wait(self, timeout_s: float = PATIENCE_S) -> int:
        """Wait for its end; give the exit status."""
        status: list[int] = []

        def has_ended() -> bool:
            found = self._poll()
            status.extend(() if found is None else (found,))
            return found is not None

        until(has_ended, f"process {self.pid} ends", within_s=timeout_s, every_s=0.05)
        self._forget()
        return status[0]

    def stop(self, timeout_s: float = PATIENCE_S) -> int:
        """Ask it to end as `systemctl stop` would, and give its exit status."""
        self.signal(signal.SIGTERM)
        return self.wait(timeout_s)

    def kill(self) -> None:
        """Kill it as a power cut would."""
        if self.pid:
            with suppress(ProcessLookupError):
                self.signal(signal.SIGKILL)
            self.wait()

    def tail(self) -> str:
        """Give the end of its log, for messages."""
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""

    @property
    def runs(self) -> bool:
        """Whether its process lives."""
        if not self.pid:
            return False
        if self._poll() is None:
            return True
        self._forget()
        return False

    def _poll(self) -> int | None:
        if self._process is not None:
            return self._process.poll()
        assert self.spawner, "it was never started"
        return self.spawner.poll(self.pid)

    def _forget(self) -> None:
        if self._process is not None and self._process.stdout is not None:
            self._process.stdout.close()
        self._process, self.pid = None, 0


@contextmanager
def cluster(
    folder: Path, count: int, *arguments: str, spawner: Spawner | None = None, **environ: str
) -> Iterator[list[Node]]:
    """Give nodes of a private network that were forked, all of them ready, the first its founder.

    The others know the first one alone; `arguments` are those of a spawner of their own.
    """
    with ExitStack() as stack:
        if spawner is None:
            spawner = Spawner(*arguments)
            stack.callback(spawner.close)
        made = stack.enter_context(nodes(folder, count, spawner=spawner, **environ))
        made[0].commons("network", "new", "cluster", "--private")
        made[0].fork().wait_ready()
        invite = made[0].commons("invite").strip()
        for node in made[1:]:
            node.enter(invite)
            node.fork()
        for node in made[1:]:
            node.wait_ready()
        yield made


@contextmanager
def nodes(
    folder: Path, count: int, *, spawner: Spawner | None = None, **environ: str
) -> Iterator[list[Node]]:
    """Give nodes that do not run yet; at the end none of them does."""
    made = [Node(folder / f"node-{number}", environ) for number in range(count)]
    with ExitStack() as stack:
        for node in made:
            node.spawner = spawner
            node.home.mkdir(parents=True)
            node.home.chmod(0o700)
            stack.callback(node.kill)
            share_measurement(node.home)
        yield made


def share_measurement(home: Path) -> None:
    """Give a home the measured hardware, or each of twenty nodes would measure for a second."""
    measured = ROOT / ".cache" / "measured"
    cache = home / "cache"
    cache.mkdir(mode=0o700, exist_ok=True)
    if not measured.exists():
        environ = {**_plain_environ(), "COMMONS_HOME": str(home)}
        subprocess.run(
            [sys.executable, "-m", "node.cli.main", "hardware", "--json"],
            cwd=ROOT,
            env=environ,
            check=True,
            capture_output=True,
        )
        measured.mkdir(parents=True, exist_ok=True)
        for file in cache.iterdir():
            if file.is_file():
                shutil.copy(file, measured / file.name)
    for file in measured.iterdir():
        shutil.copy(file, cache / file.name)


def until(
    condition: Callable[[], object],
    what: str,
    *,
    within_s: float = PATIENCE_S,
    every_s: float = 0.2,
) -> float:
    """Wait until something holds; give the seconds it took. What never comes is an error."""
    begin_s = time.monotonic()
    while not condition():
        if time.monotonic() - begin_s > within_s:
            raise AssertionError(f"not within {within_s:g} s: {what}")
        time.sleep(every_s)
    return time.monotonic() - begin_s


def _read_ready(descriptor: int, log: Path) -> dict[str, Any]:
    """Read the document that a node prints on one line once it is ready."""
    text = b""
    deadline_s = time.monotonic() + PATIENCE_S
    while not text.endswith(b"\n"):
        left_s = deadline_s - time.monotonic()
        if left_s <= 0 or not select.select([descriptor], [], [], left_s)[0]:
            raise AssertionError(f"not ready within {PATIENCE_S:g} s: {log.read_text()[-3000:]}")
        piece = os.read(descriptor, 65536)
        if not piece:
            raise AssertionError(f"it ended before it was ready: {log.read_text()[-3000:]}")
        text += piece
    document: dict[str, Any] = json.loads(text)
    return document


def _plain_environ() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("COMMONS_") or name == "COMMONS_DEBUG_RUNNERS"
    }


def peers_of(node: Node) -> set[str]:
    """Give the peer ids that a node is connected with."""
    return {str(each["peer"]) for each in node.get("/v1/peers")["peers"]}


def known_to(node: Node) -> set[str]:
    """Give the peer ids in a node's directory."""
    return {str(each["peer"]) for each in node.get("/v1/peers?all=1")["adverts"]}


def everybody(found: Sequence[Node]) -> set[str]:
    """Give the peer ids of all these nodes."""
    return {node.peer for node in found}
