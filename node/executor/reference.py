# SPDX-License-Identifier: MIT
"""Measures what plain ONNX Runtime does with a model, for people who compare. See the child."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import trio

from node.executor.environment import child_environment
from protocol.errors import Refused
from protocol.reasons import Reason
from protocol.tensors import Tensor, encode_tensor

MODULE = "node.executor.child.reference"
SPARE_S = 60.0


@dataclass(frozen=True, slots=True)
class Reference:
    """Seconds to load the model, and for one call."""

    load_s: float
    run_s: float


async def measure_plain(
    folder: Path, inputs: Sequence[Tensor], items: Path, *, threads: int, budget_s: float
) -> Reference:
    """Run a model of our own without a sandbox, in a process that does nothing else.

    `items` is an empty folder for the inputs. The order of `inputs` is that of the graph.
    """
    for index, tensor in enumerate(inputs):
        (items / f"{index:04}").write_bytes(encode_tensor(tensor))
    words = [str(folder), str(items), str(threads), str(budget_s)]
    with trio.move_on_after(SPARE_S + 20 * budget_s):
        done = await trio.run_process(
            [sys.executable, "-P", "-m", MODULE, *words],
            capture_stdout=True,
            stderr=subprocess.DEVNULL,
            check=False,
            env=child_environment(),
        )
        if done.returncode or not done.stdout:
            detail = f"plain ONNX Runtime left with status {done.returncode}"
            raise Refused(Reason.RUN_FAILED, detail)
        found = json.loads(done.stdout)
        if "failed" in found:
            raise Refused(Reason.RUN_FAILED, str(found["failed"]))
        return Reference(found["load_s"], found["median_s"])
    raise Refused(Reason.DEADLINE, "plain ONNX Runtime was too slow to be measured")
