# SPDX-License-Identifier: MIT
"""Ten nodes through half an hour of churn: what a daemon takes of its machine does not grow.

`COMMONS_SOAK_S` is how long (1,800 by default; 60 to see that it runs), `COMMONS_SOAK_SEED` what
happens. Lines are fitted to each process that lived long, without the first half, in which
caches and the ring of happenings fill; of a shorter soak they are printed and not judged. Each
sample is a line of `samples.jsonl` in the test's folder.
"""

import json
import os
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import onnx
import pytest

from tests.e2e.churn import Churn
from tests.e2e.measuring import Life, slope_of
from tests.e2e.nodes import Node, cluster, everybody, known_to, until
from tests.models_in_code import mlp

pytestmark = pytest.mark.soak

SOAK_S = float(os.environ.get("COMMONS_SOAK_S", "1800"))
SEED = int(os.environ.get("COMMONS_SOAK_SEED", "1"))
NODES, STEADY = 10, 3
EVERY_S = 4.0
LOOK_S = min(10.0, SOAK_S / 30)
WARM_S = SOAK_S / 2
JUDGED_S = 1500.0

#: What a process may surely gain in a minute in which fifteen things happen to the network.
BOUNDS = {"memory_mib": 0.1, "tasks": 0.2, "descriptors": 0.2, "threads": 0.1, "children": 0.05}


@pytest.fixture
def ten(tmp_path: Path) -> Iterator[list[Node]]:
    with cluster(tmp_path, NODES, "--hurry") as made:
        yield made


def test_memory_tasks_and_descriptors_stay_flat_through_churn(
    ten: list[Node], tmp_path: Path
) -> None:
    model = tmp_path / "mlp.onnx"
    onnx.save(mlp(), model)
    churn = Churn(ten, STEADY, model, random.Random(SEED), EVERY_S)
    begin_s = look_s = time.monotonic()
    try:
        while time.monotonic() - begin_s < SOAK_S:
            churn.tick()
            if time.monotonic() >= look_s:
                look_s += LOOK_S
                churn.look()
            time.sleep(0.1)
    finally:
        churn.end()
    wanted = everybody(ten)
    until(lambda: all(is_home(each) for each in ten), "all are back in their network")
    until(lambda: all(known_to(each) == wanted - {each.peer} for each in ten), "all know all")

    sys.stdout.write(f"\n{dict(churn.counts)}; tries without an end: {dict(churn.refusals)}\n")
    with (tmp_path / "samples.jsonl").open("w") as file:
        for life in churn.lives.values():
            for sample in life.samples:
                file.write(
                    json.dumps({"name": life.name, "pid": life.pid, **asdict(sample)}) + "\n"
                )
    lived = [each for each in churn.lives.values() if lived_long(each)]
    assert len(lived) >= STEADY
    too_steep = [line for life in lived for line in judged(life)]
    assert {each for each in churn.counts if each.startswith("ended")} <= {"ended with 0"}
    broken = [line for node in ten for line in tracebacks(node)]
    assert not broken
    assert not too_steep or SOAK_S < JUDGED_S


def is_home(node: Node) -> bool:
    network = node.get("/v1/status")["network"]
    return network is not None and network["name"] == "cluster"


def lived_long(life: Life) -> bool:
    samples = life.after(WARM_S)
    return len(samples) > 5 and samples[-1].at_s - samples[0].at_s > SOAK_S / 4


def judged(life: Life) -> list[str]:
    """Print the slopes of one process; give those that are too steep."""
    samples = life.after(WARM_S)
    last = samples[-1]
    sys.stdout.write(
        f"{life.name}: {last.at_s:.0f} s, {len(samples)} samples; at the end RSS {last.rss_mib:.1f}"
        f" PSS {last.pss_mib:.1f} MiB, {last.connected} peers\n"
    )
    steep = []
    for name, bound in BOUNDS.items():
        slope = slope_of(samples, name)
        line = (
            f"  {name:12} {slope.begin:8.2f}, {slope.per_peer:+7.2f} a peer, "
            f"{slope.per_minute:+.4f} a minute (standard error {slope.error:.4f}; surely at most "
            f"{bound})"
        )
        sys.stdout.write(line + "\n")
        if slope.surely > bound:
            steep.append(f"{life.name}: {line.strip()}")
    return steep


def tracebacks(node: Node) -> list[str]:
    """Give the lines of a node's log that tell of a mistake of ours."""
    text = node.log.read_text(errors="replace")
    return [line[:2000] for line in text.splitlines() if "Traceback" in line]
