# SPDX-License-Identifier: MIT
"""Small models as the executor takes them: a folder with a graph, and the interface beside it."""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, TensorProto, ValueInfoProto, numpy_helper
from onnx import helper as helper

from node.executor.executor import Model
from protocol.interface import Interface, PortShape
from protocol.tensors import ElementType, Tensor

FLOAT, INT64, STRING = ElementType.FLOAT, ElementType.INT64, ElementType.STRING

Port = tuple[str, ElementType, tuple[int | str, ...]]
X: Port = ("x", FLOAT, ("n",))
Y: Port = ("y", FLOAT, ("n",))

_OPSET, _IR = 23, 11


def write(
    above: Path,
    nodes: Sequence[NodeProto],
    inputs: Sequence[Port],
    outputs: Sequence[Port],
    *,
    weights: Sequence[TensorProto] = (),
    bound: bool = True,
    states: tuple[tuple[int, int], ...] = (),
    memory_bytes: int = 0,
) -> Model:
    """Write a graph into a folder of its own; unless `bound`, the model has no interface."""
    graph = helper.make_graph(
        nodes, "g", [_declared(each) for each in inputs], [_declared(each) for each in outputs]
    )
    graph.initializer.extend(weights)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)])
    proto.ir_version = _IR
    data = proto.SerializeToString()
    digest = sha256(data).digest()
    above.chmod(0o755)  # whoever the runner becomes comes through
    folder = above / digest.hex()
    folder.mkdir(mode=0o755, exist_ok=True)
    (folder / "graph.onnx").write_bytes(data)
    interface = interface_of(inputs, outputs, states) if bound else None
    return Model(digest, folder, interface, memory_bytes)


def interface_of(
    inputs: Sequence[Port], outputs: Sequence[Port], states: tuple[tuple[int, int], ...] = ()
) -> Interface:
    """Number the symbols in the order in which the inputs name them."""
    symbols = list(dict.fromkeys(d for _, _, dims in inputs for d in dims if isinstance(d, str)))

    def shape(port: Port) -> PortShape:
        name, element, dims = port
        pairs = tuple((1, symbols.index(d)) if isinstance(d, str) else (0, d) for d in dims)
        return PortShape(name, element, False, pairs)

    return Interface(
        tuple(map(shape, inputs)), tuple(map(shape, outputs)), states, len(symbols), ()
    )


def _declared(port: Port) -> ValueInfoProto:
    name, element, dims = port
    return helper.make_tensor_value_info(name, int(element), list(dims))


def tensor(values: npt.ArrayLike, dtype: npt.DTypeLike = np.float32) -> Tensor:
    """Make a tensor of a type that numpy has."""
    array = np.asarray(values, dtype, order="C")
    return Tensor(
        ElementType(helper.np_dtype_to_tensor_dtype(array.dtype)), array.shape, array.tobytes()
    )


def array(given: Tensor, dtype: npt.DTypeLike = np.float32) -> npt.NDArray[np.generic]:
    """Read a tensor of a type that numpy has."""
    return np.frombuffer(given.data, dtype).reshape(given.dims)


def strings(*texts: str | bytes, dims: tuple[int, ...] | None = None) -> Tensor:
    """Make a tensor of strings, or of bytes that are none."""
    parts = [text.encode() if isinstance(text, str) else text for text in texts]
    data = b"".join(len(part).to_bytes(4, "little") + part for part in parts)
    return Tensor(STRING, (len(parts),) if dims is None else dims, data)


# --- models ---------------------------------------------------------------------------------------


def add_one(above: Path, *, bound: bool = True, memory_bytes: int = 0) -> Model:
    """Give x + 1."""
    nodes = [helper.make_node("Add", ["x", "one"], ["y"])]
    weights = [numpy_helper.from_array(np.ones(1, np.float32), "one")]
    return write(above, nodes, [X], [Y], weights=weights, bound=bound, memory_bytes=memory_bytes)


def identity(above: Path, element: ElementType = FLOAT, *, bound: bool = True) -> Model:
    """Give x, which ONNX Runtime copies."""
    inputs: list[Port] = [("x", element, ("n",))]
    nodes = [helper.make_node("Identity", ["x"], ["y"])]
    return write(above, nodes, inputs, [("y", element, ("n",))], bound=bound)


def handed_through(
    above: Path,
    element: ElementType = FLOAT,
    dims: tuple[int | str, ...] = ("n",),
    *,
    bound: bool = True,
) -> Model:
    """Give x, which is an output by itself: nothing computes it. The second output is computed."""
    inputs: list[Port] = [("x", element, dims), ("f", FLOAT, ("m",))]
    outputs: list[Port] = [("x", element, dims), ("g", FLOAT, ("m",))]
    return write(above, [helper.make_node("Neg", ["f"], ["g"])], inputs, outputs, bound=bound)


def constant(above: Path, *, bound: bool = True) -> Model:
    """Give a weight that is an output by itself, large enough for shared memory, and -x."""
    weights = [numpy_helper.from_array(np.arange(100_000, dtype=np.float32), "w")]
    nodes = [helper.make_node("Neg", ["x"], ["y"])]
    outputs: list[Port] = [("w", FLOAT, (100_000,)), Y]
    return write(above, nodes, [X], outputs, weights=weights, bound=bound)


def endless(above: Path) -> Model:
    """Add one to x, 2^62 times."""
    body = helper.make_graph(
        [
            helper.make_node("Add", ["x_in", "one"], ["x_out"]),
            helper.make_node("Identity", ["go_in"], ["go_out"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_in", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x_in", TensorProto.FLOAT, ["n"]),
        ],
        [
            helper.make_tensor_value_info("go_out", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x_out", TensorProto.FLOAT, ["n"]),
        ],
    )
    weights = [
        numpy_helper.from_array(np.asarray(1 << 62, np.int64), "times"),
        numpy_helper.from_array(np.asarray(True), "go"),
        numpy_helper.from_array(np.ones(1, np.float32), "one"),
    ]
    nodes = [helper.make_node("Loop", ["times", "go", "x"], ["y"], body=body)]
    return write(above, nodes, [X], [Y], weights=weights)


def product(above: Path) -> Model:
    """Multiply two matrices whose side the input says: one kernel that no flag interrupts."""
    nodes = [
        helper.make_node("ConstantOfShape", ["s"], ["a"]),
        helper.make_node("MatMul", ["a", "a"], ["b"]),
        helper.make_node("ReduceSum", ["b"], ["y"], keepdims=0),
    ]
    return write(above, nodes, [("s", INT64, (2,))], [("y", FLOAT, ())])


def filled(above: Path, dims: tuple[int | str, ...] = (), *, memory_bytes: int = 0) -> Model:
    """Give zeros in the shape that the input says; with `dims`, that is the declared one."""
    nodes = [helper.make_node("ConstantOfShape", ["s"], ["y"])]
    outputs: list[Port] = [("y", FLOAT, dims or ("a", "b"))]
    return write(
        above, nodes, [("s", INT64, (2,))], outputs, bound=bool(dims), memory_bytes=memory_bytes
    )


def divided(above: Path) -> Model:
    """Divide whole numbers; the lowest one by -1 is a trap of the processor."""
    nodes = [helper.make_node("Div", ["x", "d"], ["y"])]
    ports: list[Port] = [("x", INT64, ("n",)), ("d", INT64, ("n",))]
    return write(above, nodes, ports, [("y", INT64, ("n",))])


def root(above: Path) -> Model:
    """Give the square root of x: NaN below zero."""
    return write(above, [helper.make_node("Sqrt", ["x"], ["y"])], [X], [Y])


def accumulate(above: Path) -> Model:
    """Keep the sum of all inputs, and give it."""
    nodes = [
        helper.make_node("Add", ["x", "past"], ["present"]),
        helper.make_node("Identity", ["present"], ["y"]),
    ]
    inputs, outputs = [X, ("past", FLOAT, ("n",))], [Y, ("present", FLOAT, ("n",))]
    return write(above, nodes, inputs, outputs, states=((1, 1),))


def delayed(above: Path) -> Model:
    """Give what came one step before. Nothing is computed: both ports are handed through."""
    inputs: list[Port] = [X, ("past", FLOAT, ("n",))]
    outputs: list[Port] = [("past", FLOAT, ("n",)), X]
    return write(above, [], inputs, outputs, states=((1, 1),))


def chosen(above: Path) -> Model:
    """Say where x is not zero: how much comes out depends on what is in it."""
    nodes = [helper.make_node("NonZero", ["x"], ["y"])]
    return write(above, nodes, [X], [("y", INT64, (1, "k"))], bound=False)


def doubled(above: Path) -> Model:
    """Give x twice, and claim that it comes out once."""
    return write(above, [helper.make_node("Concat", ["x", "x"], ["y"], axis=0)], [X], [Y])
