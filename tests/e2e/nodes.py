# SPDX-License-Identifier: MIT
"""Starts real nodes, each with a home of its own, and types commands to them.

A node takes a second and a half to import what it needs. Where a test wants many, they are
forked from one process that has imported everything (:func:`many`): what runs is the same
`commons run`, from its first line on.
"""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.tree import ROOT

READY_S = 60.0
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
        self._process: subprocess.Popen[bytes] | None = None

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

    def commons(self, *arguments: str, check: bool = True, timeout_s: float = 60) -> str:
        """Type a command; give what it prints. One that fails is an error, unless not checked."""
        done = self.try_commons(*arguments, timeout_s=timeout_s)
        if check and done.returncode:
            said = f"{done.stdout}{done.stderr}\n{self.tail()}"
            raise AssertionError(f"commons {' '.join(arguments)} -> {done.returncode}: {said}")
        return done.stdout

    def try_commons(
        self, *arguments: str, timeout_s: float = 60
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
        os.kill(self.pid, number)

    def wait(self, timeout_s: float = 30) -> int:
        """Wait for its end; give the exit status."""
        assert self._process is not None
        status = self._process.wait(timeout_s)
        self._forget()
        return status

    def stop(self, timeout_s: float = 30) -> int:
        """Ask it to end as `systemctl stop` would, and give its exit status."""
        self.signal(signal.SIGTERM)
        return self.wait(timeout_s)

    def kill(self) -> None:
        """Kill it as a power cut would."""
        if self.pid:
            self.signal(signal.SIGKILL)
            self.wait()

    def tail(self) -> str:
        """Give the end of its log, for messages."""
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""

    @property
    def runs(self) -> bool:
        """Whether its process lives."""
        return self._process is not None and self._process.poll() is None

    def _forget(self) -> None:
        if self._process is not None and self._process.stdout is not None:
            self._process.stdout.close()
        self._process, self.pid = None, 0


@contextmanager
def nodes(folder: Path, count: int, **environ: str) -> Iterator[list[Node]]:
    """Give nodes that do not run yet; at the end none of them does."""
    made = [Node(folder / f"node-{number}", environ) for number in range(count)]
    with ExitStack() as stack:
        for node in made:
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
    condition: Callable[[], object], timeout_s: float, what: str, *, every_s: float = 0.2
) -> float:
    """Wait until something holds; give the seconds it took. What never comes is an error."""
    begin_s = time.monotonic()
    while not condition():
        if time.monotonic() - begin_s > timeout_s:
            raise AssertionError(f"not within {timeout_s:g} s: {what}")
        time.sleep(every_s)
    return time.monotonic() - begin_s


def _read_ready(descriptor: int, log: Path) -> dict[str, Any]:
    """Read the document that a node prints on one line once it is ready."""
    text = b""
    deadline_s = time.monotonic() + READY_S
    while not text.endswith(b"\n"):
        left_s = deadline_s - time.monotonic()
        if left_s <= 0 or not select.select([descriptor], [], [], left_s)[0]:
            raise AssertionError(f"not ready within {READY_S:g} s: {log.read_text()[-3000:]}")
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
    return {str(each["peer"]) for each in node.ask("peers")["peers"]}


def known_to(node: Node) -> set[str]:
    """Give the peer ids in a node's directory."""
    return {str(each["peer"]) for each in node.ask("peers", "--all")["directory"]}


def everybody(found: Sequence[Node]) -> set[str]:
    """Give the peer ids of all these nodes."""
    return {node.peer for node in found}
