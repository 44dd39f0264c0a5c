# SPDX-License-Identifier: MIT
"""Measures what one core does with ONNX Runtime itself. What becomes of the figures: `hardware`.

Started as `python -m node.executor.child.probe SOCKET TASK`, where the task is JSON; it sends
one message, the figures as JSON, and ends (see `throwaway`, which starts it).

Three small graphs are run again and again, each a little while in turn, and the best run of
each counts, by the time that it had its core: other programs make runs slower and never
quicker. From probe to probe the middle of all runs varies by up to 40 % (the standard
deviation over the mean), the best by 4 %.

Bandwidth is that of a vector times matrices, as a decoder reads its weights. The matrices are
inputs: of constants with equal content ONNX Runtime reads one packed copy, and what seems to be
64 MiB is then 16 MiB that never leave the cache (seen: 73 GB/s where the memory gives 21).
"""

import json
import os
import re
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

# Read once, as they are imported: telemetry off, and no thread beside the one that measures.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"

# ruff: isort: split
import numpy as np
import onnxruntime as ort

from node.executor.providers import CPU, offered

# Three such matrices are small enough for the caches, and a product takes 0.3 to 30 ms.
SIDE = 384
ROW = 2048
MATRIX_MIB = ROW * ROW * 4 >> 20
ROUNDS = 4
FP32_S, INT8_S, MEMORY_S = 0.05, 0.04, 0.1
GPU_TOOL_S = 3.0
_FLOAT, _UINT8, _INT8, _INT32 = 1, 2, 3, 6
_GPU_FIELDS = "index,uuid,name,memory.total"
_GPUS_MAX = 64
_NAME_CHARACTERS_MAX = 120

Run = Callable[[], object]


def main(line: socket.socket, task: Mapping[str, Any]) -> None:
    """Measure, and say so."""
    _die_first()
    gpu_tool = _start_gpu_tool(task["gpu_tool"], task["libraries"])
    rates = measure(task["weights_mib"])
    document = {
        **rates,
        "providers": offered(ort.get_available_providers()),
        "gpus": _gpus(gpu_tool, task["gpus_visible"]),
        "runtime": f"onnxruntime {ort.__version__}",
    }
    message = json.dumps(document).encode()
    line.sendall(struct.pack("<I", len(message)) + message)


def measure(weights_mib: int) -> dict[str, int]:
    """Measure the three rates of one core, and how much of the time it had that core."""
    count = max(weights_mib // MATRIX_MIB, 1)
    operations = 2 * SIDE**3
    memory_bytes = count * (MATRIX_MIB << 20)
    works = ((_fp32(), FP32_S), (_int8(), INT8_S), (_memory(count), MEMORY_S))
    best_s = [float("inf")] * len(works)
    started_s, worked_s = time.perf_counter(), time.process_time()
    for _ in range(ROUNDS):
        for index, (work, budget_s) in enumerate(works):
            best_s[index] = min(best_s[index], _best_s(work, budget_s))
    took_s, worked_s = time.perf_counter() - started_s, time.process_time() - worked_s
    fp32_s, int8_s, memory_s = best_s
    return {
        "fp32_mflops": round(operations / fp32_s / 1e6),
        "int8_mops": round(operations / int8_s / 1e6),
        "memory_mbps": round(memory_bytes / memory_s / 1e6),
        "weights_mib": count * MATRIX_MIB,
        "on_core_percent": min(max(round(100 * worked_s / took_s), 1), 100),
    }


def _best_s(work: Run, budget_s: float) -> float:
    """Time the quickest run within a budget, at least one; the first only warms up.

    The budget is time on the clock. A run is timed by what it had of its core: where others
    want the core too, hardly a run is left alone for the milliseconds that it takes.
    """
    work()
    best_s = float("inf")
    begun_s = time.perf_counter()
    while time.perf_counter() - begun_s < budget_s:
        before_s = time.thread_time()
        work()
        best_s = min(best_s, time.thread_time() - before_s)
    return best_s


# --- the three works ------------------------------------------------------------------------------


def _fp32() -> Run:
    dice = np.random.default_rng(0)
    left, right = (dice.standard_normal((SIDE, SIDE), dtype=np.float32) for _ in range(2))
    return _session(fp32_graph(right.tobytes()), {"x": left})


def _int8() -> Run:
    dice = np.random.default_rng(1)
    left = dice.integers(0, 256, (SIDE, SIDE)).astype(np.uint8)
    right = dice.integers(-127, 128, (SIDE, SIDE)).astype(np.int8)
    return _session(int8_graph(right.tobytes()), {"x": left})


def _memory(count: int) -> Run:
    # of the size that keeps the vector as long as it is, from one product to the next
    matrix = np.random.default_rng(2).random((ROW, ROW), dtype=np.float32)
    matrix = (matrix - 0.5) * (12 / ROW) ** 0.5
    feed = {f"w{index}": matrix.copy() for index in range(count)}
    return _session(memory_graph(count), {"x": np.ones((1, ROW), dtype=np.float32), **feed})


def _session(model: bytes, feed: Mapping[str, object]) -> Run:
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = ort.InferenceSession(model, options, providers=[CPU], enable_fallback=0)
    return lambda: session.run(None, feed)


# --- graphs, written by hand ----------------------------------------------------------------------
# Three operators do not need the `onnx` package, which is kept for the inspector of models.


def fp32_graph(weights: bytes) -> bytes:
    """Write the graph of a product of two float32 matrices; the second is a constant."""
    square = (SIDE, SIDE)
    return _model(
        [_node("MatMul", ("x", "w"), "y")],
        [_value("x", _FLOAT, square)],
        [_value("y", _FLOAT, square)],
        [_tensor("w", _FLOAT, square, weights)],
    )


def int8_graph(weights: bytes) -> bytes:
    """Write the graph of a product of bytes and signed bytes, as quantised models have it."""
    square = (SIDE, SIDE)
    return _model(
        [_node("MatMulInteger", ("x", "w"), "y")],
        [_value("x", _UINT8, square)],
        [_value("y", _INT32, square)],
        [_tensor("w", _INT8, square, weights)],
    )


def memory_graph(count: int) -> bytes:
    """Write the graph of a vector that goes through so many matrices, which are inputs."""
    names = ["x", *(f"h{index}" for index in range(1, count)), "y"]
    steps = pairwise(names)
    return _model(
        [_node("MatMul", (left, f"w{index}"), right) for index, (left, right) in enumerate(steps)],
        [
            _value("x", _FLOAT, (1, ROW)),
            *(_value(f"w{index}", _FLOAT, (ROW, ROW)) for index in range(count)),
        ],
        [_value("y", _FLOAT, (1, ROW))],
        [],
    )


def _model(
    nodes: Sequence[bytes],
    inputs: Sequence[bytes],
    outputs: Sequence[bytes],
    tensors: Sequence[bytes],
) -> bytes:
    graph = b"".join(
        [
            *(_message(1, node) for node in nodes),
            _message(2, b"probe"),
            *(_message(5, tensor) for tensor in tensors),
            *(_message(11, value) for value in inputs),
            *(_message(12, value) for value in outputs),
        ]
    )
    return _number(1, 10) + _message(7, graph) + _message(8, _number(2, 21))  # IR 10, opset 21


def _node(operator: str, inputs: Sequence[str], output: str) -> bytes:
    fields = [_message(1, name.encode()) for name in inputs]
    return b"".join([*fields, _message(2, output.encode()), _message(4, operator.encode())])


def _value(name: str, element: int, dims: Sequence[int]) -> bytes:
    shape = b"".join(_message(1, _number(1, dim)) for dim in dims)
    tensor_type = _number(1, element) + _message(2, shape)
    return _message(1, name.encode()) + _message(2, _message(1, tensor_type))


def _tensor(name: str, element: int, dims: Sequence[int], data: bytes) -> bytes:
    fields = b"".join(_number(1, dim) for dim in dims)
    return fields + _number(2, element) + _message(8, name.encode()) + _message(9, data)


def _message(field: int, payload: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(payload)) + payload


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _varint(value: int) -> bytes:
    groups = []
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])


# --- what is around -------------------------------------------------------------------------------


def _start_gpu_tool(tool: str | None, libraries: str | None) -> subprocess.Popen[str] | None:
    """Ask for GPUs while the cores are measured: the answer can take a second."""
    if tool is None:
        return None
    try:
        return subprocess.Popen(  # noqa: S603 - the program that the daemon has found on its PATH
            [tool, f"--query-gpu={_GPU_FIELDS}", "--format=csv,noheader,nounits"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **({"LD_LIBRARY_PATH": libraries} if libraries else {})},
            text=True,
            errors="replace",
        )
    except OSError:  # not for this processor, or not a program at all
        return None


def _gpus(
    tool: subprocess.Popen[str] | None, visible: str | None, wait_s: float = GPU_TOOL_S
) -> list[list[object]]:
    """Read names and memory of the GPUs that this process may see; none when the tool fails."""
    if tool is None:
        return []
    try:
        said, _ = tool.communicate(timeout=wait_s)
    except subprocess.TimeoutExpired:
        # a broken driver holds the tool where no signal reaches it: do not wait for its end
        tool.kill()
        return []
    return gpus_in(said, visible) if tool.returncode == 0 else []


def gpus_in(said: str, visible: str | None) -> list[list[object]]:
    """Read the lines of the tool, less what `CUDA_VISIBLE_DEVICES` hides."""
    found: list[list[object]] = []
    shown = None if visible is None else [word.strip() for word in visible.split(",")]
    for line in said.splitlines():
        words = [word.strip() for word in line.split(",")]
        if len(words) < 4 or not re.fullmatch("[1-9][0-9]{0,8}", words[-1]):
            continue  # a GPU without memory of its own says [N/A]
        index, uuid, name = words[0], words[1], ", ".join(words[2:-1])
        if shown is None or any(w == index or (w and uuid.startswith(w)) for w in shown):
            printable = "".join(letter for letter in name if letter.isprintable())
            found.append([printable[:_NAME_CHARACTERS_MAX], int(words[-1])])
    return found[:_GPUS_MAX]


def _die_first() -> None:
    """Ask the kernel to end this process before any other when memory runs out."""
    with suppress(OSError):  # not Linux, or forbidden: then it is one process among others
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])), json.loads(sys.argv[2]))
