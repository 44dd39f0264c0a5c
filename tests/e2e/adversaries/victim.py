# SPDX-License-Identifier: MIT
"""The nodes that are attacked, and what is looked at before, during and after each attack.

How much slower an honest client is served meanwhile is printed here and judged nowhere: on a busy
machine it says more about the machine. `tests/benchmarks/besieged.py` is where it is a figure.
"""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node.clock import SystemClock
from node.mesh.address import parse_address
from node.networks import Network, Networks
from node.paths import find_paths
from tests.e2e.adversaries.callers import Target
from tests.e2e.forked import Spawner
from tests.e2e.nodes import PATIENCE_S, Node, known_to, nodes, peers_of, until
from tests.tree import ROOT

#: What one attack may leave behind: the allocator keeps pages that it may use again.
GROWTH_MIB_MAX = 40.0

DESCRIPTORS_MAX = 8

#: So many answers make a median; a short attack is measured a little longer.
ANSWERS_LEAST = 20


@dataclass(frozen=True, slots=True)
class Vitals:
    """What a node holds of the machine."""

    pss_mib: float
    descriptors: int
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Service:
    """How the honest client was served in one attack, and by a node that is not attacked."""

    name: str
    p50_ms: float
    control_ms: float

    @property
    def slower(self) -> float:
        """How many times as long a round trip took as one to a node that is not attacked."""
        return self.p50_ms / self.control_ms


class Victim:
    """Two honest nodes A and B, and a client that measures A all the time."""

    def __init__(self, node: Node, other: Node, network: Network, probe: "Probe") -> None:
        self.node = node
        self.other = other
        self.network = network
        self.target = target_of(node)
        self.services: list[Service] = []
        self._probe = probe
        self._calm, _ = self._probe.answered()
        self._rest = vitals_of(node)

    @contextmanager
    def attacked(
        self, name: str, growth_mib: float = GROWTH_MIB_MAX, lost_max: float = 0
    ) -> Iterator[None]:
        """Hold an honest pair to its service during the block, and the node to what it had.

        `lost_max`: so often may the client, idle and no neighbour, give way to other members.
        """
        before = vitals_of(self.node)
        self._probe.begin()
        begin_s = time.monotonic()
        yield
        took_s = time.monotonic() - begin_s
        served, control = self._probe.answered()
        assert self.node.runs, self.node.tail()
        after = self._settled(before, growth_mib)
        service = Service(name, served["p50_ms"], control["p50_ms"])
        self.services.append(service)
        sys.stdout.write(
            f"\n{name}: p50 {service.p50_ms:.2f} ms, of a node that is not attacked "
            f"{service.control_ms:.2f} ms ({service.slower:.1f}x), "
            f"before {self._calm['p50_ms']:.2f} ms, p95 {served['p95_ms']:.1f} ms; "
            f"{served['lost']:.0f} lost; {took_s:.1f} s, "
            f"CPU {after.cpu_s - before.cpu_s:.2f} s, "
            f"memory {after.pss_mib - before.pss_mib:+.1f} MiB, "
            f"descriptors {after.descriptors - self._rest.descriptors:+d}\n"
        )
        assert served["lost"] <= lost_max, "the honest client lost its connection"
        assert self.other.peer in peers_of(self.node), "the honest node was pushed out"
        assert "Traceback" not in self.node.tail(), self.node.tail()
        assert not re.search(r'"event": ?"(\w+_failed|task_crashed)"', self.node.tail())

    def _settled(self, before: Vitals, growth_mib: float) -> Vitals:
        """Wait until what the attack has opened is closed."""
        most, before_mib = self._rest.descriptors + DESCRIPTORS_MAX, before.pss_mib

        def is_settled() -> bool:
            now = vitals_of(self.node)
            return now.descriptors <= most and now.pss_mib - before_mib < growth_mib

        until(is_settled, "descriptors and memory return")
        return vitals_of(self.node)

    def known(self) -> set[str]:
        """Give whom the node knows."""
        return known_to(self.node)

    def happened(self, event: str) -> list[dict[str, Any]]:
        """Give the lines of its log with this event."""
        lines = self.node.log.read_text(errors="replace").splitlines()
        found = (json.loads(line) for line in lines if line.startswith("{"))
        return [line for line in found if line.get("event") == event]


class Probe:
    """The process of the honest client; see `prober`."""

    def __init__(self, targets: Sequence[Target], network: Network) -> None:
        wanted = {
            "targets": [(each.key.hex(), each.address) for each in targets],
            "name": network.name,
            "salt": network.salt.hex(),
            "secrets": {key: secret.hex() for key, secret in network.secrets.items()},
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.adversaries.prober", json.dumps(wanted)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.begin()

    def begin(self) -> None:
        """Measure anew from now on."""
        self._ask("begin")

    def answered(self) -> list[dict[str, float]]:
        """Give what was measured since then, once both nodes have answered often enough."""
        sums: list[dict[str, float]] = []

        def is_enough() -> bool:
            sums[:] = self._ask("go on")
            return all(each["count"] >= ANSWERS_LEAST for each in sums)

        until(is_enough, "the honest client is answered")
        return sums

    def _ask(self, word: str) -> list[dict[str, float]]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        told: list[dict[str, float]] = json.loads(self._process.stdout.readline())
        return told

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE_S)
        self._process.stdout.close()


@contextmanager
def victim(
    folder: Path, spawner: Spawner, *, private: bool = False, **environ: str
) -> Iterator[Victim]:
    """Start two honest nodes that know each other, and the client that measures the first."""
    with ExitStack() as stack:
        node, other = stack.enter_context(nodes(folder, 2, spawner=spawner, **environ))
        found(node, private=private)
        node.fork().wait_ready()
        other.enter(node.commons("invite").strip())
        other.fork().wait_ready()
        until(lambda: other.peer in known_to(node), "the two know each other")
        network = network_of(node)
        probe = Probe([target_of(node), target_of(other)], network)
        stack.callback(probe.close)
        yield Victim(node, other, network, probe)


def found(node: Node, *, private: bool) -> Network:
    """Found a network, as `commons network new` does."""
    return Networks(_paths(node), SystemClock()).found("the besieged", private)


def network_of(node: Node) -> Network:
    """Give the network that a node uses, with its secrets, as it stands in its files."""
    return Networks(_paths(node), SystemClock()).active()


def target_of(node: Node) -> Target:
    """Say whom to attack."""
    address, key = parse_address(node.address)
    assert key is not None
    return Target(key, str(address))


def vitals_of(node: Node) -> Vitals:
    """Look at the process in /proc."""
    proc = Path(f"/proc/{node.pid}")
    rollup = (proc / "smaps_rollup").read_text()
    pss = re.search(r"^Pss: +(\d+) kB", rollup, re.MULTILINE)
    assert pss
    ticks = (proc / "stat").read_text().rpartition(") ")[2].split()
    cpu_s = (int(ticks[11]) + int(ticks[12])) / 100
    return Vitals(int(pss[1]) / 1024, len(list((proc / "fd").iterdir())), cpu_s)


def _paths(node: Node) -> Any:
    environ: Mapping[str, str] = {"COMMONS_HOME": str(node.home)}
    return find_paths(environ)
