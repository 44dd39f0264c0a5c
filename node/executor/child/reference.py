# SPDX-License-Identifier: MIT
"""What plain ONNX Runtime does with a model in a process of its own: the measure of our speed.

No sandbox, no second process between caller and model: `InferenceSession.run` as anybody would
call it. It is for models that the person who sits at this machine has chosen.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort

from node.executor.child.values import DTYPES, array_at, element_of
from protocol.tensors import parse_tensor

ROUNDS_MIN = 3


def main(folder: Path, items: Path, threads: int, budget_s: float) -> dict[str, object]:
    """Load and run until the time is over; the items are files of encoded tensors, in order."""
    begin_s = time.perf_counter()
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = ort.InferenceSession(
        str(folder / "graph.onnx"), options, providers=["CPUExecutionProvider"]
    )
    load_s = time.perf_counter() - begin_s
    tensors = [parse_tensor(path.read_bytes()) for path in sorted(items.iterdir())]
    inputs = session.get_inputs()
    for port in inputs:
        if element_of(port.type, port.name) not in DTYPES:
            return {"load_s": load_s, "failed": f"{port.name} is of a type that numpy lacks"}
    feeds = {
        port.name: array_at(each.header, memoryview(each.data))
        for port, each in zip(inputs, tensors, strict=True)
    }
    session.run(None, feeds)
    runs_s: list[float] = []
    end_s = time.perf_counter() + budget_s
    while len(runs_s) < ROUNDS_MIN or time.perf_counter() < end_s:
        begin_s = time.perf_counter()
        session.run(None, feeds)
        runs_s.append(time.perf_counter() - begin_s)
    return {"load_s": load_s, "median_s": float(np.median(runs_s)), "best_s": min(runs_s)}


if __name__ == "__main__":
    found = main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
    print(json.dumps(found), flush=True)  # noqa: T201 - it is read by the process that started this
