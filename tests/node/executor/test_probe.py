# SPDX-License-Identifier: MIT
"""What runs in the process of the probe: right graphs, no telemetry, no trust in a GPU tool."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from node.executor import hardware
from node.executor.child import probe as child
from node.executor.providers import CPU
from tests.tree import ROOT


@pytest.mark.slow
def test_the_probe_calls_nobody(tmp_path: Path) -> None:
    """No telemetry: no file of it, and no thread; also when nobody has set the variables."""
    program = """
import json, os
from node.executor.child import probe
rates = probe.measure(1)
print(json.dumps([rates, len(os.listdir("/proc/self/task"))]))
"""
    home = tmp_path / "home"
    home.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")},
        capture_output=True,
        text=True,
        check=True,
    )
    rates, threads = json.loads(done.stdout)
    assert rates["weights_mib"] == child.MATRIX_MIB == hardware.MATRIX_MIB
    assert threads == 1
    assert list(home.rglob("*")) == []


def test_the_graphs_are_valid_and_compute_what_they_say() -> None:
    dice = np.random.default_rng(5)
    square = (child.SIDE, child.SIDE)
    left, right = (dice.standard_normal(square, dtype=np.float32) for _ in range(2))
    small, signed = dice.integers(0, 256, square, np.uint8), dice.integers(-127, 128, square)
    signed = signed.astype(np.int8)
    row = np.ones((1, child.ROW), np.float32)
    first, second = (np.eye(child.ROW, dtype=np.float32) * factor for factor in (2, 3))
    for graph, feed, expected in (
        (child.fp32_graph(right.tobytes()), {"x": left}, left @ right),
        (child.int8_graph(signed.tobytes()), {"x": small}, small.astype(int) @ signed.astype(int)),
        (child.memory_graph(2), {"x": row, "w0": first, "w1": second}, row * 6),
    ):
        onnx.checker.check_model(onnx.load_from_string(graph), full_check=True)
        session = ort.InferenceSession(graph, providers=[CPU], enable_fallback=0)
        (given,) = session.run(None, feed)
        assert np.allclose(given, expected, rtol=1e-4, atol=1e-3)


# --- GPUs -----------------------------------------------------------------------------------------

TWO = "0, GPU-11aa, NVIDIA H200, 143771\n1, GPU-22bb, NVIDIA A10, 23028\n"


@pytest.mark.parametrize(
    ("said", "visible", "names"),
    [
        (TWO, None, ["NVIDIA H200", "NVIDIA A10"]),
        (TWO, "1", ["NVIDIA A10"]),
        (TWO, "GPU-11", ["NVIDIA H200"]),
        (TWO, "1,0", ["NVIDIA H200", "NVIDIA A10"]),
        (TWO, "", []),
        (TWO, "-1", []),
        ("0, GPU-1, Orin, [N/A]\n", None, []),
        ("No devices were found\n", None, []),
        ("0, GPU-1, A name, with a comma, 10\n", None, ["A name, with a comma"]),
        ("0, GPU-1, a\x1b[31mb, 10\n", None, ["a[31mb"]),
        ("0, GPU-1, x, 0\n\n,,,\n", None, []),
        (TWO * 1000, None, ["NVIDIA H200", "NVIDIA A10"] * 32),
    ],
)
def test_the_lines_of_the_gpu_tool_are_read(
    said: str, visible: str | None, names: list[str]
) -> None:
    assert [name for name, _ in child.gpus_in(said, visible)] == names


def tool(folder: Path, script: str) -> str:
    """A program in the place of the GPU tool."""
    path = folder / "nvidia-smi"
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("echo 0, GPU-1, A GPU, 24000", [["A GPU", 24000]]),
        ("echo 0, GPU-1, $LD_LIBRARY_PATH, 24000", [["here", 24000]]),
        ("echo 0, GPU-1, A GPU, 24000; exit 9", []),
        ("echo NVIDIA-SMI has failed", []),
    ],
)
def test_a_gpu_tool_is_believed_when_it_ends_well(
    tmp_path: Path, script: str, found: list[object]
) -> None:
    started = child._start_gpu_tool(tool(tmp_path, script), "here")
    assert child._gpus(started, None) == found


def test_a_gpu_tool_that_hangs_is_left_behind(tmp_path: Path) -> None:
    started = child._start_gpu_tool(tool(tmp_path, "exec sleep 3600"), None)
    assert started
    assert child._gpus(started, None, wait_s=0.01) == []
    assert started.wait() < 0
    assert started.stdout
    started.stdout.close()


@pytest.mark.parametrize("path", [None, "/there/is/no/such/tool", "/etc/hostname"])
def test_a_gpu_tool_that_does_not_start_is_none(path: str | None) -> None:
    assert child._gpus(child._start_gpu_tool(path, None), None) == []
