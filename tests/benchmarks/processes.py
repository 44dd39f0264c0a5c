# SPDX-License-Identifier: MIT
"""What a daemon costs while nobody wants anything: its start, its memory, its processor time.

The reference is a process of py-libp2p alone (`bare`). All run at the same time, or in turns:

- start: from the start of `commons run` to its line that says that it is ready, in a home that
  was used before; against the start of a bare host until it listens;
- memory: the proportional size (PSS) of a daemon in a network with 20 others; against a bare
  host with as many connections. No zygote runs on either side before the first order;
- idle: the processor time of that daemon over a minute. 1.0 is one percent of a core.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter

from tests.benchmarks.figures import Figure
from tests.e2e.measuring import MIB, children_of, cpu_s_of, memory_of
from tests.e2e.nodes import Node, cluster, known_to, nodes, peers_of, until
from tests.tree import ROOT

STARTS, PEERS = 7, 20
CALM_S, IDLE_S = 20.0, 60.0


def run() -> Iterator[Figure]:
    """Measure everything, one figure after the other."""
    with tempfile.TemporaryDirectory() as folder, nodes(Path(folder), 1) as (node,):
        yield _start(node)
    with tempfile.TemporaryDirectory() as folder:
        yield from _idle(Path(folder))


def _start(node: Node) -> Figure:
    ratios, times = [], []
    for turn in range(STARTS + 1):
        begin = perf_counter()
        with _bare(1):
            theirs = perf_counter() - begin
        begin = perf_counter()
        node.start()
        mine = perf_counter() - begin
        node.stop()
        if turn:  # the first one makes its key and its tables
            ratios.append(mine / theirs)
            times.append((mine, theirs))
    ours, bare = (median(column) for column in zip(*times, strict=True))
    meaning = f"{ours:.2f} s to ready / a bare host that listens, {bare:.2f} s; at most 1.3"
    return Figure("start of the daemon", median(ratios), meaning)


def _idle(folder: Path) -> Iterator[Figure]:
    with ExitStack() as stack:
        others = stack.enter_context(cluster(folder / "others", PEERS))
        [node] = stack.enter_context(nodes(folder / "own", 1))
        node.enter(others[0].commons("invite").strip())
        node.start()
        until(lambda: len(known_to(node)) == PEERS, f"it knows {PEERS} others")
        time.sleep(CALM_S)
        connected = len(peers_of(node))
        _, addresses = stack.enter_context(_bare(connected))
        bare, _ = stack.enter_context(_bare(1, *addresses))
        before = [cpu_s_of(pid) for pid in (node.pid, bare)]
        time.sleep(IDLE_S)
        mine, theirs = (
            (cpu_s_of(pid) - begin_s) / IDLE_S
            for pid, begin_s in zip((node.pid, bare), before, strict=True)
        )
        assert not children_of(node.pid), "a zygote would have to be counted on both sides"
        own, plain = (memory_of(pid)["Pss"] / MIB for pid in (node.pid, bare))
    meaning = f"PSS {own:.1f} MiB / a bare host with {connected} connections too, {plain:.1f} MiB"
    yield Figure(f"memory among {PEERS} others", own / plain, f"{meaning}; at most 1.25")
    meaning = f"{mine:.2%} of a core / 1 % of a core (a bare host: {theirs:.2%}); at most 1"
    yield Figure(f"idle among {PEERS} others", mine * 100, meaning)


@contextmanager
def _bare(count: int, *addresses: str) -> Iterator[tuple[int, list[str]]]:
    """Run a process of bare hosts; give its pid, and where they are."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.bare", str(count), *addresses],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, "the bare host ended before it listened"
        yield process.pid, json.loads(line)
    finally:
        process.communicate(b"\n", timeout=30)


if __name__ == "__main__":
    for name, ratio, meaning in run():
        print(f"{ratio:7.2f} x  {name:28} {meaning}")
