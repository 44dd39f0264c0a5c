# SPDX-License-Identifier: MIT
"""What can be said of a graph without walking over it: its ports, and how its results compare.

This is for graphs that have no price (local work), and for choices that others make: which
comparator a model could have at best, and whether its items could share a call. Nothing here
is a fact that anybody is paid by.
"""

from dataclasses import dataclass
from typing import Final

from onnx import GraphProto, ModelProto, TensorProto, ValueInfoProto

from node.models.facts.derive import Facts
from node.models.facts.operation import full_name
from node.models.facts.ports import Declared, declared, defaults_of
from node.models.facts.symbolic import Unpriceable
from protocol.compare import EXACT, F32, HALF
from protocol.tensors import ElementType

_HALF: Final = {TensorProto.FLOAT16, TensorProto.BFLOAT16}
_FLOATS: Final = _HALF | {TensorProto.FLOAT, TensorProto.DOUBLE}

# These find a scale for their input in the run: one for all that is in it.
_QUANTISING: Final = frozenset({"DynamicQuantizeLinear", "com.microsoft:DynamicQuantizeMatMul"})
# Products with packed weights that may turn their input into small integers too, row by row.
_PACKED: Final = "com.microsoft:MatMulNBits"
_SMALL_INTEGERS: Final = 4


@dataclass(frozen=True, slots=True)
class Hint:
    """The comparator that a graph could have at best, and whether rows may share a call."""

    comparator: int
    batchable: bool
    why: str


@dataclass(frozen=True, slots=True)
class Described:
    """A port: `element` is None when it is no tensor, `dims` when its rank is not said.

    A dimension is a number, a name, or "" when nothing is said of it.
    """

    name: str
    output: bool
    element: ElementType | None
    optional: bool
    dims: tuple[int | str, ...] | None


def describe(model: ModelProto) -> tuple[Described, ...]:
    """Give the ports as the graph declares them: inputs, then outputs."""
    defaults, constants = defaults_of(model.graph, model.ir_version)
    inputs = tuple(
        _described(port, output=False, optional=port.name in defaults)
        for port in model.graph.input
        if port.name not in constants
    )
    return inputs + tuple(_described(port, output=True) for port in model.graph.output)


def _described(port: ValueInfoProto, *, output: bool, optional: bool = False) -> Described:
    try:
        said: Declared = declared(port)
        element = ElementType(said.element)
    except (Unpriceable, ValueError):
        return Described(port.name, output, None, optional, None)
    dims = None if said.dims is None else tuple("" if dim is None else dim for dim in said.dims)
    return Described(port.name, output, element, optional, dims)


def comparator_hint(model: ModelProto) -> Hint:
    """Say how close two honest results can be at best; calibration finds out how close they are."""
    quantising = _first_quantising(model.graph)
    if quantising:
        return Hint(EXACT, batchable=False, why=f"{quantising} makes one scale for a whole call")
    elements = {port.type.tensor_type.elem_type for port in model.graph.output}
    if elements.isdisjoint(_FLOATS):
        return Hint(EXACT, batchable=True, why="no output is a float")
    if _has_half(model.graph):
        return Hint(HALF, batchable=True, why="it computes with 16 bits")
    return Hint(F32, batchable=True, why="it computes with 32 bits")


def _first_quantising(graph: GraphProto) -> str:
    """Name an operator that turns its input into small integers in the run."""
    for node in graph.node:
        op = full_name(node)
        levels = [each.i for each in node.attribute if each.name == "accuracy_level"]
        if op in _QUANTISING or (op == _PACKED and _SMALL_INTEGERS in levels):
            return op
    return ""


def _has_half(graph: GraphProto) -> bool:
    ports = [*graph.input, *graph.output]
    if any(port.type.tensor_type.elem_type in _HALF for port in ports):
        return True
    if any(tensor.data_type in _HALF for tensor in graph.initializer):
        return True
    return any(
        attribute.i in _HALF
        for node in graph.node
        for attribute in node.attribute
        if attribute.name in {"to", "dtype", "output_dtype"}
    )


def batch_symbol(facts: Facts) -> int | None:
    """Give the symbol along which items can be put together: the first axis of every port.

    No port may have it on another axis, not even as a part of a derived dimension: what several
    items share in one call would then not be the sum of what each of them has.
    """
    first: list[tuple[int, int]] = []
    elsewhere: set[int] = set()
    for place, port in enumerate(facts.ports):
        dims = [(dim.symbolic, dim.value) for dim in facts.dims if dim.port == place]
        if not port.optional:
            first += dims[:1] or [(0, 0)]
            dims = dims[1:]
        elsewhere |= {value for symbolic, value in dims if symbolic}
    for index in range(len(facts.derived) - 1, -1, -1):
        if len(facts.symbols) + index in elsewhere:
            rule = facts.derived[index]
            elsewhere |= {rule.first} | ({rule.second} if rule.second_times else set())
    symbolic, value = first[0]
    if len(set(first)) > 1 or not symbolic or value >= len(facts.symbols) or value in elsewhere:
        return None
    return value
