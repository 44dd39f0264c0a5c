# SPDX-License-Identifier: MIT
"""How the corpus writes graphs and tensors, in few words. What is hostile is elsewhere."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from onnx import (
    FunctionProto,
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    helper,
    numpy_helper,
)

from protocol.tensors import Tensor
from tests.conformance.convert import tensor_of
from tests.hostile.kinds import SECRET

FLOAT, DOUBLE, FLOAT16, STRING, BOOL, UINT8, INT32, INT64 = (
    int(TensorProto.DataType.Value(name))
    for name in ["FLOAT", "DOUBLE", "FLOAT16", "STRING", "BOOL", "UINT8", "INT32", "INT64"]
)

Dims = Sequence[int | str] | None
OPSET, IR = 21, 10

node = helper.make_node


def port(name: str, dims: Dims = ("n",), element: int = FLOAT) -> ValueInfoProto:
    """Declare an input or an output."""
    return helper.make_tensor_value_info(name, element, dims)


def weight(name: str, values: npt.ArrayLike, dtype: npt.DTypeLike = np.float32) -> TensorProto:
    """Give an initialiser with its data inside."""
    return numpy_helper.from_array(np.asarray(values, dtype), name)


def ints(name: str, values: npt.ArrayLike) -> TensorProto:
    """Give an initialiser of integers, such as a shape."""
    return weight(name, values, np.int64)


def graph(
    nodes: Sequence[NodeProto],
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[ValueInfoProto],
    weights: Sequence[TensorProto] = (),
    name: str = "g",
) -> GraphProto:
    """Put a graph together."""
    return helper.make_graph(nodes, name, inputs, outputs, list(weights))


def model(
    nodes: Sequence[NodeProto],
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[ValueInfoProto],
    weights: Sequence[TensorProto] = (),
    *,
    functions: Sequence[FunctionProto] = (),
    domains: Iterable[tuple[str, int]] = (),
    opset: int = OPSET,
    ir: int = IR,
) -> ModelProto:
    """Put a model together that ONNX Runtime would take, as far as its frame goes."""
    imports = [helper.make_opsetid(*domain) for domain in (("", opset), *domains)]
    return helper.make_model(
        graph(nodes, inputs, outputs, weights),
        opset_imports=imports,
        ir_version=ir,
        functions=list(functions),
    )


def identity() -> ModelProto:
    """Give the most harmless model, to be spoiled: y is x."""
    return model([node("Identity", ["x"], ["y"])], [port("x")], [port("y")])


def sum_with_weight() -> ModelProto:
    """Give the most harmless model with a weight, to be spoiled: y is x + w."""
    four = [port("x", [4])], [port("y", [4])]
    return model([node("Add", ["x", "w"], ["y"])], *four, [weight("w", [1, 2, 3, 4])])


def weight_alone() -> ModelProto:
    """Give a model that answers with its weight."""
    return model([node("Identity", ["w"], ["y"])], [], [port("y", None)], [weight("w", [1])])


def put(folder: Path, content: ModelProto | bytes) -> None:
    """Write the graph of a model into its folder."""
    raw = content if isinstance(content, bytes) else content.SerializeToString()
    (folder / "graph.onnx").write_bytes(raw)


def writes(make: Callable[[], ModelProto | bytes]) -> Callable[[Path], None]:
    """Give the builder of a folder with nothing but a graph in it."""

    def build(folder: Path) -> None:
        put(folder, make())

    return build


def secret_beside(folder: Path) -> Path:
    """Write what nobody may read beside the model's folder."""
    path = folder.parent / "secret.bin"
    path.write_bytes(SECRET)
    return path


def gives(*values: npt.NDArray[np.generic]) -> Callable[[], tuple[Tensor, ...]]:
    """Give the inputs of a call from arrays."""

    def inputs() -> tuple[Tensor, ...]:
        return tuple(tensor_of(value) for value in values)

    return inputs


def floats(*numbers: float) -> npt.NDArray[np.generic]:
    """Give a vector of floats."""
    return np.array(numbers, np.float32)


def longs(*numbers: int) -> npt.NDArray[np.generic]:
    """Give a vector of integers."""
    return np.array(numbers, np.int64)


def words(*texts: str) -> npt.NDArray[np.generic]:
    """Give a vector of strings."""
    return np.array(texts, np.object_)
