# SPDX-License-Identifier: MIT
"""Random graphs that compute with shapes, as exporters do and as they never would.

A program is grown node by node. A node that ONNX Runtime does not run is taken back, and most
of those that have no price are, so that what is left says something about both.
"""

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

import numpy as np
import onnxruntime as ort
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from node.models.facts.derive import derive
from protocol.errors import Refused
from tests.sketch import Array

SYMBOLS = ("a", "b", "c")
_ELEMENTS_MAX, _RANK_MAX = 20_000, 6
_ENDS = (0, 1, 2, 3, 4, -1, -2, 2**31 - 1, 2**63 - 1)


class Untaken(Exception):
    """A node that nobody wants."""


class Program:
    """A graph of two inputs with symbolic dimensions, and what its tensors hold."""

    def __init__(self, dice: Random) -> None:
        self.dice = dice
        self.nodes: list[NodeProto] = []
        self.arrays: dict[str, Array] = {}
        self.constants: dict[str, Array] = {}
        self.sizes = {name: dice.randint(1, 6) for name in SYMBOLS}
        choices = (*SYMBOLS, "a", "b", 1, 2, 3, 4)
        self.inputs = {
            name: [dice.choice(choices) for _ in range(dice.choice((1, 2, 2, 3)))] for name in "xy"
        }
        self.arrays |= self.feeds(self.sizes)

    def feeds(self, sizes: Mapping[str, int]) -> dict[str, Array]:
        """Arrays for the inputs."""
        return {
            name: np.ones([sizes[d] if isinstance(d, str) else d for d in dims], np.float32)
            for name, dims in self.inputs.items()
        }

    def model(self) -> ModelProto:
        """The program so far; what nobody takes is an output."""
        taken = {name for node in self.nodes for name in node.input}
        ports = [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(self.arrays[name].dtype), None
            )
            for node in self.nodes
            for name in node.output
            if name not in taken
        ]
        inputs = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, dims)
            for name, dims in self.inputs.items()
        ]
        constants = [
            numpy_helper.from_array(array, name)
            for name, array in self.constants.items()
            if name in taken
        ]
        graph = helper.make_graph(self.nodes, "program", inputs, ports, constants)
        opsets = [helper.make_opsetid("", 21)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10)

    def grow(self, want: int) -> None:
        """Add nodes until there are so many, or for long enough."""
        for _ in range(4 * want):
            if len(self.nodes) >= want:
                return
            before = len(self.nodes), dict(self.arrays), dict(self.constants)
            try:
                self._take(STEPS[self.dice.choice(tuple(STEPS))](self))
            except Untaken:
                self.nodes, self.arrays, self.constants = (
                    self.nodes[: before[0]],
                    before[1],
                    before[2],
                )

    def _take(self, nodes: list[NodeProto]) -> None:
        for node in nodes:
            if node.op_type == "Einsum" and any(not self.arrays[n].size for n in node.input):
                raise Untaken  # it would take the whole process down
            try:
                made = _alone(node, self.arrays, self.constants)
            except Exception as error:
                raise Untaken from error
            if any(array.size > _ELEMENTS_MAX or array.ndim > _RANK_MAX for array in made):
                raise Untaken
            self.nodes.append(node)
            self.arrays |= zip(node.output, made, strict=True)
        if self.dice.random() < 0.8:
            try:
                derive(self.model())
            except Refused as error:
                raise Untaken from error

    # --- something to work on ----------------------------------------------------------------

    def put(self, value: object) -> str:
        """A constant."""
        name = f"k{len(self.constants)}"
        self.constants[name] = np.asarray(value)
        return name

    def fresh(self) -> str:
        """A name."""
        return f"t{len(self.arrays)}"

    def data(self) -> str:
        """A tensor of floats."""
        kind = np.dtype(np.float32)
        return self.dice.choice([name for name, a in self.arrays.items() if a.dtype == kind])

    def whole(self, rank: int | None = None) -> str:
        """A small tensor of whole numbers."""
        there = [
            name
            for name, array in self.arrays.items()
            if array.dtype == np.dtype(np.int64) and array.size <= 32
            if rank in (None, array.ndim)
        ]
        if there and self.dice.random() < 0.85:
            return self.dice.choice(there)
        if rank == 0:
            return self.put(np.int64(self.dice.choice((0, 1, 2, 3, -1, 4))))
        return self.put(
            [self.dice.choice((0, 1, 2, 3, -1, 4)) for _ in range(self.dice.randint(1, 3))]
        )

    def one(self) -> str:
        """A place on an axis."""
        there = [
            name
            for name, array in self.arrays.items()
            if array.dtype == np.dtype(np.int64) and array.shape == (1,)
        ]
        if there and self.dice.random() < 0.75:
            return self.dice.choice(there)
        return self.put([self.dice.choice(_ENDS)])

    def axis_of(self, name: str) -> str:
        """An axis of a tensor, in a constant."""
        rank = max(self.arrays[name].ndim, 1)
        return self.put([self.dice.randrange(-rank, rank)])


def _alone(
    node: NodeProto, arrays: Mapping[str, Array], constants: Mapping[str, Array]
) -> list[Array]:
    """Run one node."""
    named = {name for name in node.input if name}
    inputs = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(arrays[name].dtype), [None] * arrays[name].ndim
        )
        for name in sorted(named & arrays.keys())
    ]
    outputs = [ValueInfoProto(name=name) for name in node.output]
    weights = [
        numpy_helper.from_array(constants[name], name) for name in sorted(named & constants.keys())
    ]
    graph = helper.make_graph([node], "one", inputs, outputs, weights)
    opsets = [helper.make_opsetid("", 21)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"], enable_fallback=0
    )
    made: list[Array] = session.run(None, {name: arrays[name] for name in named & arrays.keys()})
    return made


Step = Callable[[Program], list[NodeProto]]
Drawn = dict[str, Any]


def _plain(
    ops: tuple[str, ...], *kinds: Callable[[Program], str], **choices: tuple[object, ...]
) -> Step:
    """A step that makes one node of some operator, with inputs and attributes drawn."""

    def step(program: Program) -> list[NodeProto]:
        attributes: Drawn = {name: program.dice.choice(each) for name, each in choices.items()}
        inputs = [kind(program) for kind in kinds]
        op = program.dice.choice(ops)
        return [helper.make_node(op, inputs, [program.fresh()], **attributes)]

    return step


def _axes(op: tuple[str, ...], *, may_miss: bool = False, **choices: tuple[object, ...]) -> Step:
    """A step over axes of a tensor."""

    def step(program: Program) -> list[NodeProto]:
        name = program.data()
        named = [] if may_miss and program.dice.random() < 0.3 else [program.axis_of(name)]
        attributes: Drawn = {key: program.dice.choice(each) for key, each in choices.items()}
        made = helper.make_node(
            program.dice.choice(op), [name, *named], [program.fresh()], **attributes
        )
        return [made]

    return step


def _compare(program: Program) -> list[NodeProto]:
    condition, one, other = f"c{len(program.arrays)}", program.whole(), program.whole()
    op = program.dice.choice(("Less", "Greater", "Equal", "LessOrEqual", "GreaterOrEqual"))
    if program.dice.random() < 0.3:
        op, other = "Equal", program.put([-1])
    chosen = [condition, program.whole(), program.whole()]
    return [
        helper.make_node(op, [one, other], [condition]),
        helper.make_node("Where", chosen, [f"{condition}.where"]),
    ]


def _cast(program: Program) -> list[NodeProto]:
    between = f"c{len(program.arrays)}"
    kinds = (TensorProto.INT32, TensorProto.FLOAT, TensorProto.BOOL, TensorProto.DOUBLE)
    return [
        helper.make_node("Cast", [program.whole()], [between], to=program.dice.choice(kinds)),
        helper.make_node("Cast", [between], [f"{between}.back"], to=TensorProto.INT64),
    ]


def _joined(program: Program) -> list[NodeProto]:
    kinds = [program.one if program.dice.random() < 0.8 else program.whole for _ in range(3)]
    parts = [kind() for kind in kinds[: program.dice.randint(1, 3)]]
    return [helper.make_node("Concat", parts, [program.fresh()], axis=0)]


def _sliced(program: Program) -> list[NodeProto]:
    name = program.data()
    inputs = [name, program.one(), program.one(), program.axis_of(name)]
    if program.dice.random() < 0.5:
        inputs.append(program.put([program.dice.choice((1, 1, 2, 3, -1, -2))]))
    return [helper.make_node("Slice", inputs, [program.fresh()])]


def _sliced_shape(program: Program) -> list[NodeProto]:
    start, end = (program.put([program.dice.choice(_ENDS)]) for _ in range(2))
    inputs = [program.whole(1), start, end, program.put([0])]
    return [helper.make_node("Slice", inputs, [program.fresh()])]


def _transposed(program: Program) -> list[NodeProto]:
    name = program.data()
    order = list(range(program.arrays[name].ndim))
    if not order:
        raise Untaken
    program.dice.shuffle(order)
    return [helper.make_node("Transpose", [name], [program.fresh()], perm=order)]


def _split(program: Program) -> list[NodeProto]:
    count = program.dice.choice((2, 2, 3))
    outputs = [f"{program.fresh()}.{each}" for each in range(count)]
    axis = program.dice.choice((0, -1, 1))
    if program.dice.random() < 0.6:
        return [helper.make_node("Split", [program.data()], outputs, axis=axis, num_outputs=count)]
    return [helper.make_node("Split", [program.data(), program.whole(1)], outputs, axis=axis)]


def _resized(program: Program) -> list[NodeProto]:
    name = program.data()
    rank = program.arrays[name].ndim
    scales = np.array([program.dice.choice((1, 2, 0.5, 1.5, 3)) for _ in range(rank)], np.float32)
    tail = [program.put(scales)] if program.dice.random() < 0.5 else ["", program.whole(1)]
    return [helper.make_node("Resize", [name, "", *tail], [program.fresh()], mode="nearest")]


def _windowed(program: Program) -> list[NodeProto]:
    row, dice = f"u{len(program.arrays)}", program.dice
    op = dice.choice(("Conv", "ConvTranspose", "MaxPool", "AveragePool"))
    size = dice.randint(1, 3)
    attributes: Drawn = dice.choice(
        [
            {},
            {"strides": [2]},
            {"pads": [1, 1]},
            {"strides": [3], "pads": [2, 1]},
            {"auto_pad": "SAME_UPPER", "strides": [2]},
            {"dilations": [2], "pads": [1, 0]},
        ]
    )
    attributes = attributes | {"kernel_shape": [size]}
    inputs = [row]
    if op.startswith("Conv"):
        inputs.append(program.put(np.ones((1, 1, size), np.float32)))
    else:
        attributes["ceil_mode"] = dice.randint(0, 1)
    flat = helper.make_node("Reshape", [program.data(), program.put([1, 1, -1])], [row])
    return [flat, helper.make_node(op, inputs, [f"{row}.out"], **attributes)]


def _top(program: Program) -> list[NodeProto]:
    outputs = [program.fresh(), f"{program.fresh()}.places"]
    axis = program.dice.choice((0, -1))
    return [helper.make_node("TopK", [program.data(), program.one()], outputs, axis=axis)]


def _rank(rank: int) -> Callable[[Program], str]:
    return lambda program: program.whole(rank)


def _among(*values: object) -> Callable[[Program], str]:
    return lambda program: program.put(program.dice.choice(values))


_DATA, _WHOLE, _ONE = Program.data, Program.whole, Program.one
_EQUATIONS = ("ab,bc->ac", "ab,cb->ac", "a,b->ab", "ab,ab->a", "...a,ab->...b", "ab,b", "ab,ac->bc")

STEPS: dict[str, Step] = {
    "shape": _plain(("Shape",), _DATA),
    "some of a shape": _plain(("Shape",), _DATA, start=(0, 1, -1), end=(1, 2, 3)),
    "size": _plain(("Size",), _DATA),
    "dimension": _plain(("Gather",), _rank(1), _among([0], [1], [-1], 0, 1, -1)),
    "number": _plain(("Gather",), _rank(1), _among(np.int64(0), np.int64(1))),
    "sum": _plain(("Add", "Sub", "Mul"), _WHOLE, _WHOLE),
    "more sums": _plain(("Add", "Sub"), _WHOLE, _WHOLE),
    "quotient": _plain(("Div", "Mod"), _WHOLE, _WHOLE),
    "extreme": _plain(("Min", "Max"), _WHOLE, _WHOLE),
    "sign": _plain(("Neg", "Abs"), _WHOLE),
    "total": _plain(("ReduceProd", "ReduceSum", "ReduceMax"), _rank(1), keepdims=(0, 1)),
    "scalar": _plain(("Squeeze",), _ONE, _among([0])),
    "vector": _plain(("Unsqueeze",), _rank(0), _among([0])),
    "compare": _compare,
    "cast": _cast,
    "joined": _joined,
    "joined again": _joined,
    "part of a shape": _sliced_shape,
    "reshape": _plain(("Reshape",), _DATA, _rank(1)),
    "reshape with zero": _plain(("Reshape",), _DATA, _rank(1), allowzero=(1,)),
    "expand": _plain(("Expand", "Tile"), _DATA, _rank(1)),
    "filled": _plain(("ConstantOfShape",), _rank(1)),
    "range": _plain(("Range",), _rank(0), _rank(0), _among(*map(np.int64, (1, 1, 2, 3, -1, -2)))),
    "slice": _sliced,
    "another slice": _sliced,
    "pad": _plain(("Pad",), _DATA, _rank(1)),
    "concat": _plain(("Concat",), _DATA, _DATA, axis=(0, -1, 1)),
    "broadcast": _plain(("Add", "Mul", "PRelu", "Max"), _DATA, _DATA),
    "product": _plain(("MatMul",), _DATA, _DATA),
    "gemm": _plain(("Gemm",), _DATA, _DATA, transA=(0, 1), transB=(0, 1)),
    "einsum": _plain(("Einsum",), _DATA, _DATA, equation=_EQUATIONS),
    "transpose": _transposed,
    "flatten": _plain(("Flatten",), _DATA, axis=(0, 1, -1, 2)),
    "split": _split,
    "resize": _resized,
    "window": _windowed,
    "gather": _plain(("Gather",), _DATA, _among([0, 0]), axis=(0, -1)),
    "reduce": _axes(("ReduceSum", "ReduceMax", "ReduceMean"), keepdims=(0, 1)),
    "squeeze": _axes(("Squeeze",), may_miss=True),
    "unsqueeze": _plain(("Unsqueeze",), _DATA, _among([0], [1], [-1])),
    "top": _top,
    "one hot": _plain(
        ("OneHot",), _WHOLE, _rank(0), _among(np.array([0, 1], np.float32)), axis=(-1, 0)
    ),
    "same": _plain(("Softmax", "Relu"), _DATA),
}
