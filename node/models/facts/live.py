# SPDX-License-Identifier: MIT
"""Which nodes are paid for: those that work at each run. The rule is in protocol/roofline.py.

What depends on no input of the graph is folded when a model is loaded, as that rule says; but
not everything is. Whoever runs ONNX Runtime sees it leave many constants for the run: those of
packed or half types, those that its own operators or functions make, very large ones, those
that are outputs of the graph, and those whose shape it has not yet found out. A product of two
of them would be work at each run that nobody pays for. So only what is certain to be folded is
free: the operators below, on plain types. Everything else is paid like work on an input.
"""

from collections.abc import Iterable
from math import prod
from typing import Final

from onnx import NodeProto

from node.models.facts.operation import full_name
from node.models.facts.tensors import static
from node.models.facts.walk import Graph, Walk
from protocol.roofline import live_nodes
from protocol.tensors import ElementType

#: Folded, if the rest is as it should be.
FOLDED: Final = frozenset(
    {
        *("Abs", "Cast", "Ceil", "Cos", "Erf", "Exp", "Floor", "Log", "Neg", "Not", "Reciprocal"),
        *("Relu", "Round", "Sigmoid", "Sign", "Sin", "Sqrt", "Tanh"),
        *("Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Sum", "And", "Or", "Xor"),
        *("Equal", "Less", "Greater", "Where", "MatMul", "Gemm", "CumSum", "Trilu"),
        *("ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum"),
        *("Constant", "Identity", "Shape", "Size", "Concat", "Flatten", "Gather", "Transpose"),
        *("ConstantOfShape", "Expand", "Range", "Reshape", "Slice", "Split", "Squeeze", "Tile"),
        "Unsqueeze",
    }
)

#: Of these the shape comes from what these inputs say, so that has to be plain to see.
SHAPED_BY: Final = {
    "ConstantOfShape": range(1),
    "Range": range(3),
    **dict.fromkeys(("Expand", "Reshape", "Split", "Squeeze", "Tile", "Unsqueeze"), range(1, 2)),
    "Slice": range(1, 5),
    **dict.fromkeys(("ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd"), range(1, 2)),
    "ReduceSum": range(1, 2),
}

_TYPES: Final = frozenset(
    {ElementType.FLOAT, ElementType.INT64, ElementType.INT32, ElementType.BOOL}
)

# ONNX Runtime folds nothing larger than 1 GiB.
_BYTES_MAX: Final = 1 << 28

# A name that stands for an input: no graph has it, and if one had, it would only pay more.
_UNFOLDED: Final = "\0 not folded"


def working(graph: Graph, walk: Walk, inputs: Iterable[str]) -> tuple[int, ...]:
    """Give the positions of the nodes that are paid for."""
    plain = set(graph.constants)
    results = set(graph.outputs)
    named = []
    for node in graph.nodes:
        folds = results.isdisjoint(node.output) and _folds(node, walk, plain)
        if full_name(node) == "Constant":
            plain.update(node.output)
        named.append((tuple(node.input) + (() if folds else (_UNFOLDED,)), tuple(node.output)))
    return live_nodes(named, (*inputs, _UNFOLDED), graph.outputs)


def _folds(node: NodeProto, walk: Walk, plain: set[str]) -> bool:
    """Whether a node is folded for certain when its inputs are constant."""
    op = full_name(node)
    if op not in FOLDED:
        return False
    for place in SHAPED_BY.get(op, ()):
        if place < len(node.input) and node.input[place] and node.input[place] not in plain:
            return False
    tensors = [walk.shape_of(name) for name in (*node.input, *node.output) if name]
    return all(
        tensor is not None
        and tensor.element in _TYPES
        and (dims := static(tensor.dims)) is not None
        and prod(dims) * tensor.element.bits <= 8 * _BYTES_MAX
        for tensor in tensors
    )
