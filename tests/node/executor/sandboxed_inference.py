# SPDX-License-Identifier: MIT
"""Loads and runs a model behind the sandbox, and says how that went: a process of its own.

Only here: the process of the tests has threads and handlers, and what is confined has none.
"""

import hashlib
import json
import os
import sys

import numpy as np
import onnxruntime as ort

from node.executor.sandbox.confine import (
    LAYERS,
    Confinement,
    close_files,
    confine,
    holds_strangers,
)
from tests.node.executor.forked import become_nobody, in_a_fork

MEMORY_BYTES = 300 << 20
X = np.linspace(-1, 1, 64 * 512, dtype=np.float32).reshape(64, 512)
TOO_MUCH = np.zeros((1 << 18, 512), np.float32)  # the answer takes twice as much, 1 GiB


def load(folder: str) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 2
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    providers = ["CPUExecutionProvider"]
    path = f"{folder}/graph.onnx"
    return ort.InferenceSession(path, options, providers=providers, enable_fallback=0)


def answer(session: ort.InferenceSession, x: np.ndarray = X) -> str:
    (y,) = session.run(None, {"x": x})
    return hashlib.sha256(np.asarray(y).tobytes()).hexdigest()


def live(folder: str, left_out: set[str]) -> dict[str, object]:
    """Load behind filter 1, run behind filter 2, and try what should not work."""
    confined = confine(Confinement(folder, MEMORY_BYTES), only=set(LAYERS) - left_out)
    session = load(confined.folder)
    layers = (*confined.layers, close_files())
    said: dict[str, object] = {
        "on": [layer.name for layer in layers if layer.on],
        "strangers": holds_strangers(layers),
        "answers": [answer(session) for _ in range(3)],
    }
    try:
        said["too much"] = answer(session, TOO_MUCH)
    except Exception as error:  # noqa: BLE001 - whatever it raises is what we want to see
        said["too much"] = str(error)
    said["afterwards"] = answer(session)
    try:
        load(confined.folder)
        said["again"] = "loaded"
    except Exception as error:  # noqa: BLE001 - whatever it raises is what we want to see
        said["again"] = str(error)
    return said


def main(folder: str, start: str, *left_out: str) -> None:
    free = in_a_fork(lambda: answer(load(folder)))
    if start == "unprivileged" and os.geteuid() == 0:
        become_nobody()
    sys.stdout.write(json.dumps({"free": free, **live(folder, set(left_out))}))


if __name__ == "__main__":
    main(*sys.argv[1:])
