# SPDX-License-Identifier: MIT
"""ONNX Runtime itself behind the sandbox: it loads, computes the same numbers, and stays inside."""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from node.executor.sandbox.confine import LAYERS, STRANGERS_NEED
from node.executor.sandbox.syscalls import this_machine
from tests.node.executor.forked import (
    NOBODY,
    STARTS,
    landlock_here,
    skip_unless_possible,
    skip_without_namespaces,
)
from tests.tree import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        this_machine() is None or not landlock_here(), reason="strangers are not held here"
    ),
]

WITHOUT_NAMESPACES = ("namespaces", "threads", "root")


def external(name: str, folder: Path, values: np.ndarray) -> TensorProto:
    """Put a tensor into the folder, named by its hash, as the models of the mesh have them."""
    raw = values.tobytes()
    digest = hashlib.sha256(raw).hexdigest()
    (folder / digest).write_bytes(raw)
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=values.shape)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", digest), ("offset", "0"), ("length", str(len(raw)))):
        tensor.external_data.add(key=key, value=value)
    return tensor


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A model whose weights lie beside it. Only who owns it may enter the folder above it."""
    with tempfile.TemporaryDirectory() as name:
        above = Path(name)
        folder = above / "model"
        folder.mkdir()
        dice = np.random.default_rng(1)
        weights = dice.standard_normal((512, 1024), dtype=np.float32)
        graph = helper.make_graph(
            [
                helper.make_node("MatMul", ["x", "w"], ["a"]),
                helper.make_node("Sigmoid", ["a"], ["s"]),
                helper.make_node("Mul", ["a", "s"], ["y"]),
            ],
            "gate",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 512])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1024])],
            [external("w", folder, weights)],
        )
        opsets = [helper.make_opsetid("", 21)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
        (folder / "graph.onnx").write_bytes(model.SerializeToString())
        onnx.checker.check_model(str(folder / "graph.onnx"))
        folder.chmod(0o755)
        yield folder


def run(folder: Path, start: str, *left_out: str) -> dict[str, Any]:
    skip_unless_possible(start)
    command = [sys.executable, "-m", "tests.node.executor.sandboxed_inference"]
    done = subprocess.run(
        [*command, str(folder), start, *left_out],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


@pytest.mark.parametrize("left_out", [(), WITHOUT_NAMESPACES], ids=["all layers", "no namespaces"])
@pytest.mark.parametrize("start", STARTS)
def test_a_model_with_its_weights_beside_it_computes_the_same_numbers(
    folder: Path, start: str, left_out: tuple[str, ...]
) -> None:
    if not left_out:
        skip_without_namespaces()
    # who may not enter the folder above has to be given a root directory that spares him the way
    above = folder.parent
    if os.geteuid() == 0:
        os.chown(above, *((NOBODY, NOBODY) if start == "unprivileged" else (0, 0)))
    above.chmod(0o755 if left_out and start == "root" else 0o700)

    said = run(folder, start, *left_out)
    assert set(said["on"]) == {*LAYERS, "seccomp_run"} - {"descriptors", *left_out}
    assert said["strangers"]
    assert set(said["on"]) > STRANGERS_NEED
    assert set(said["answers"]) == {said["free"]}
    assert "memory" in said["too much"] or "bad_alloc" in said["too much"]
    assert said["afterwards"] == said["free"]
    assert said["again"] != "loaded"
