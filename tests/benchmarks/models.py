# SPDX-License-Identifier: MIT
"""The models that the executor is measured with: made in code, with weights from a fixed seed."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from node.executor.executor import Model
from protocol.interface import Interface, PortShape
from protocol.ports import Derived
from protocol.tensors import ElementType

OPSET, IR = 21, 10
WIDTH, LENGTH, ENCODER_LAYERS = 256, 64, 4
DECODER_WIDTH, HEADS, DECODER_LAYERS = 384, 6, 8
HEAD_WIDTH = DECODER_WIDTH // HEADS

Ports = list[tuple[str, list[int | str]]]

_DICE = np.random.default_rng(7)


def add_one(folder: Path) -> Model:
    """Nothing but moving data: y = x + 1."""
    nodes = [helper.make_node("Add", ["x", "one"], ["y"])]
    _save(folder, nodes, [("x", ["n"])], [("y", ["n"])], {"one": np.ones(1, np.float32)})
    port = PortShape("x", ElementType.FLOAT, False, ((1, 0),))
    out = PortShape("y", ElementType.FLOAT, False, ((1, 0),))
    return Model(b"add", folder, Interface((port,), (out,), (), 1, ()))


def layer(folder: Path) -> Model:
    """One layer on wide rows: what real work on a large tensor is like."""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    _save(folder, nodes, [("x", ["n", 1024])], [("y", ["n", 1024])], {"w": _weights(1024, 1024)})
    ports = [PortShape(name, ElementType.FLOAT, False, ((1, 0), (0, 1024))) for name in "xy"]
    return Model(b"layer", folder, Interface((ports[0],), (ports[1],), (), 1, ()))


def encoder(folder: Path) -> Model:
    """A mid-size encoder: some milliseconds for one item."""
    nodes: list[onnx.NodeProto] = []
    weights: dict[str, npt.NDArray[Any]] = {}
    x = "x"
    for each in range(ENCODER_LAYERS):
        for name, rows, columns in (("q", 1, 1), ("k", 1, 1), ("v", 1, 1), ("up", 1, 4)):
            weights[f"{name}{each}"] = _weights(rows * WIDTH, columns * WIDTH)
        weights[f"down{each}"] = _weights(4 * WIDTH, WIDTH)
        weights[f"g{each}"] = np.ones(WIDTH, np.float32)
        nodes += [_node("MatMul", [x, f"{name}{each}"], f"{name}_{each}") for name in "qkv"]
        nodes += [
            helper.make_node("Transpose", [f"k_{each}"], [f"kt_{each}"], perm=[0, 2, 1]),
            _node("MatMul", [f"q_{each}", f"kt_{each}"], f"s_{each}"),
            helper.make_node("Softmax", [f"s_{each}"], [f"p_{each}"], axis=-1),
            _node("MatMul", [f"p_{each}", f"v_{each}"], f"a_{each}"),
            _node("Add", [f"a_{each}", x], f"r_{each}"),
            helper.make_node("LayerNormalization", [f"r_{each}", f"g{each}"], [f"n_{each}"]),
            _node("MatMul", [f"n_{each}", f"up{each}"], f"u_{each}"),
            _node("Relu", [f"u_{each}"], f"h_{each}"),
            _node("MatMul", [f"h_{each}", f"down{each}"], f"d_{each}"),
            _node("Add", [f"d_{each}", f"n_{each}"], f"x_{each}"),
        ]
        x = f"x_{each}"
    nodes.append(_node("Identity", [x], "y"))
    dims: list[int | str] = ["n", LENGTH, WIDTH]
    _save(folder, nodes, [("x", dims)], [("y", dims)], weights)
    shape = ((1, 0), (0, LENGTH), (0, WIDTH))
    ports = [PortShape(name, ElementType.FLOAT, False, shape) for name in "xy"]
    return Model(b"encoder", folder, Interface((ports[0],), (ports[1],), (), 1, ()))


def decoder(folder: Path) -> Model:
    """A decoder that keeps keys and values: one step takes some milliseconds."""
    nodes: list[onnx.NodeProto] = []
    weights: dict[str, npt.NDArray[Any]] = {}
    x = "x"
    inputs: Ports = [("x", [1, DECODER_WIDTH])]
    outputs: Ports = []
    weights["split"] = np.array([1, HEADS, HEAD_WIDTH], np.int64)
    weights["whole"] = np.array([1, DECODER_WIDTH], np.int64)
    for each in range(DECODER_LAYERS):
        for name in "qkvo":
            weights[f"{name}{each}"] = _weights(DECODER_WIDTH, DECODER_WIDTH)
        weights[f"up{each}"] = _weights(DECODER_WIDTH, 4 * DECODER_WIDTH)
        weights[f"down{each}"] = _weights(4 * DECODER_WIDTH, DECODER_WIDTH)
        for name in "qkv":
            nodes += [
                _node("MatMul", [x, f"{name}{each}"], f"{name}f{each}"),
                _node("Reshape", [f"{name}f{each}", "split"], f"{name}s{each}"),
                helper.make_node(
                    "Transpose", [f"{name}s{each}"], [f"{name}_{each}"], perm=[1, 0, 2]
                ),
            ]
        for name in "kv":
            inputs.append((f"past_{name}{each}", [HEADS, "past", HEAD_WIDTH]))
            outputs.append((f"present_{name}{each}", [HEADS, "now", HEAD_WIDTH]))
            nodes.append(
                helper.make_node(
                    "Concat",
                    [f"past_{name}{each}", f"{name}_{each}"],
                    [f"present_{name}{each}"],
                    axis=1,
                )
            )
        nodes += [
            helper.make_node("Transpose", [f"present_k{each}"], [f"kt{each}"], perm=[0, 2, 1]),
            _node("MatMul", [f"q_{each}", f"kt{each}"], f"s{each}"),
            helper.make_node("Softmax", [f"s{each}"], [f"p{each}"], axis=-1),
            _node("MatMul", [f"p{each}", f"present_v{each}"], f"a{each}"),
            helper.make_node("Transpose", [f"a{each}"], [f"at{each}"], perm=[1, 0, 2]),
            _node("Reshape", [f"at{each}", "whole"], f"af{each}"),
            _node("MatMul", [f"af{each}", f"o{each}"], f"of{each}"),
            _node("Add", [f"of{each}", x], f"r{each}"),
            _node("MatMul", [f"r{each}", f"up{each}"], f"u{each}"),
            _node("Relu", [f"u{each}"], f"h{each}"),
            _node("MatMul", [f"h{each}", f"down{each}"], f"d{each}"),
            _node("Tanh", [f"d{each}"], f"x{each}"),
        ]
        x = f"x{each}"
    nodes.append(_node("Identity", [x], "y"))
    _save(folder, nodes, inputs, [("y", [1, DECODER_WIDTH]), *outputs], weights)
    row = ((0, 1), (0, DECODER_WIDTH))
    before = ((0, HEADS), (1, 0), (0, HEAD_WIDTH))
    after = ((0, HEADS), (1, 1), (0, HEAD_WIDTH))
    caches = [name for name, _ in inputs[1:]]
    interface = Interface(
        (
            PortShape("x", ElementType.FLOAT, False, row),
            *(PortShape(name, ElementType.FLOAT, False, before) for name in caches),
        ),
        (
            PortShape("y", ElementType.FLOAT, False, row),
            *(PortShape(name, ElementType.FLOAT, False, after) for name, _ in outputs),
        ),
        tuple((index, index) for index in range(1, len(caches) + 1)),
        1,
        (Derived(0, 1, 0, 0, 1, 0, 1),),
    )
    return Model(b"decoder", folder, interface)


def heavy(folder: Path, size_mib: int) -> Model:
    """Weights outside of the graph, as blobs are: what a cold start is about."""
    nodes: list[onnx.NodeProto] = []
    weights: dict[str, npt.NDArray[Any]] = {}
    x = "x"
    for each in range(size_mib // 4):
        weights[f"w{each}"] = _weights(1024, 1024)
        nodes.append(_node("MatMul", [x, f"w{each}"], f"y{each}"))
        x = f"y{each}"
    nodes.append(_node("Identity", [x], "y"))
    _save(folder, nodes, [("x", ["n", 1024])], [("y", ["n", 1024])], weights, outside=True)
    ports = [PortShape(name, ElementType.FLOAT, False, ((1, 0), (0, 1024))) for name in "xy"]
    return Model(b"heavy", folder, Interface((ports[0],), (ports[1],), (), 1, ()))


def _weights(rows: int, columns: int) -> npt.NDArray[np.float32]:
    return _DICE.standard_normal((rows, columns), dtype=np.float32) / np.float32(rows**0.5)


def _node(op: str, inputs: list[str], output: str) -> onnx.NodeProto:
    return helper.make_node(op, inputs, [output])


def _save(
    folder: Path,
    nodes: list[onnx.NodeProto],
    inputs: Ports,
    outputs: Ports,
    weights: dict[str, npt.NDArray[Any]],
    *,
    outside: bool = False,
) -> None:
    folder.mkdir()
    tensors = []
    for name, value in weights.items():
        tensor = numpy_helper.from_array(value, name)
        if outside:
            (folder / name).write_bytes(tensor.raw_data)
            tensor.ClearField("raw_data")
            tensor.data_location = TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value=name)
            tensor.external_data.add(key="length", value=str(value.nbytes))
        tensors.append(tensor)
    graph = helper.make_graph(
        nodes,
        "benchmark",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name, dims in inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name, dims in outputs],
        tensors,
    )
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=IR)
    (folder / "graph.onnx").write_bytes(model.SerializeToString())
