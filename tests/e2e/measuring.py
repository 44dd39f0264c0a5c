# SPDX-License-Identifier: MIT
"""What a running node takes of its machine, sampled from outside, and whether that grows.

Memory is what the kernel calls anonymous: the heap and the stacks, without mapped files, and
the same whether pages are still shared with the process that it was forked from or not. The
resident and the proportional sizes are told beside it.
"""

import http.client
import json
import math
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tests.e2e.nodes import Node

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at one process, `at_s` seconds after it was first looked at."""

    at_s: float
    memory_mib: float
    rss_mib: float
    pss_mib: float
    tasks: int
    descriptors: int
    threads: int
    children: int
    connected: int


@dataclass(slots=True)
class Life:
    """One process of a node, from its start to its end, as it was sampled."""

    name: str
    pid: int
    since_s: float = field(default_factory=time.monotonic)
    samples: list[Sample] = field(default_factory=list)

    def look(self, node: Node) -> None:
        """Take a sample; one that is ending, begins, or is in another network gives none."""
        with suppress(OSError, http.client.HTTPException, ValueError):
            status = ask(node, "GET", "/v1/status", timeout_s=5)[-1]
            if (status.get("network") or {}).get("name") != "cluster":
                return
            sizes = memory_of(self.pid)
            process = Path(f"/proc/{self.pid}")
            self.samples.append(
                Sample(
                    at_s=time.monotonic() - self.since_s,
                    memory_mib=sizes["Anonymous"] / MIB,
                    rss_mib=sizes["Rss"] / MIB,
                    pss_mib=sizes["Pss"] / MIB,
                    tasks=status["tasks"],
                    descriptors=len(list((process / "fd").iterdir())),
                    threads=len(list((process / "task").iterdir())),
                    children=len(children_of(self.pid)),
                    connected=status["peers"]["connected"],
                )
            )

    def after(self, warm_s: float) -> list[Sample]:
        """Give the samples of a process that was warm."""
        return [each for each in self.samples if each.at_s >= warm_s]


@dataclass(frozen=True, slots=True)
class Slope:
    """A line through samples: what it gains in a minute, and how far from sure that is.

    Each peer brings tasks and descriptors of its own: `per_peer` of them are taken out.
    """

    begin: float
    per_minute: float
    per_peer: float
    error: float

    @property
    def surely(self) -> float:
        """What it gains in a minute at the least: two standard errors below the line."""
        return self.per_minute - 2 * self.error


def slope_of(samples: Sequence[Sample], name: str) -> Slope:
    """Fit a line by least squares: a start, so much for each minute, and for each peer."""
    assert len(samples) > 5, f"{len(samples)} samples are no line"
    begin_s = samples[0].at_s
    rows = np.array([(1.0, (each.at_s - begin_s) / 60, each.connected) for each in samples])
    rows[:, 2] -= rows[:, 2].mean()
    values = np.array([float(getattr(each, name)) for each in samples])
    inverse = np.linalg.pinv(rows.T @ rows)
    found = inverse @ rows.T @ values
    left = values - rows @ found
    error = math.sqrt(float(left @ left) / (len(samples) - 3) * float(inverse[1, 1]))
    return Slope(float(found[0]), float(found[1]), float(found[2]), error)


def memory_of(pid: int) -> dict[str, int]:
    """Read the sizes of a process, in bytes, by the kernel's names."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return {line.split(":")[0]: int(line.split()[1]) << 10 for line in lines}


def children_of(pid: int) -> list[int]:
    """Give its children, of whichever of its threads."""
    found: list[int] = []
    for each in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):
            found += [int(child) for child in (each / "children").read_text().split()]
    return found


def cpu_s_of(pid: int) -> float:
    """Give the processor time that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


class _Control(http.client.HTTPConnection):
    """HTTP over the control socket."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("commons", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def ask(
    node: Node,
    method: str,
    path: str,
    body: Mapping[str, Any] | None = None,
    *,
    timeout_s: float = 20,
) -> list[dict[str, Any]]:
    """Ask the control API; give the documents of the answer, whatever its status is."""
    control = _Control(node.home / "runtime" / "control.sock", timeout_s)
    try:
        text = None if body is None else json.dumps(body)
        control.request(method, path, text, {"Content-Type": "application/json"} if text else {})
        answer = control.getresponse().read().decode()
    finally:
        control.close()
    try:
        return [json.loads(answer)]
    except ValueError:
        return [json.loads(line) for line in answer.splitlines()]
