# SPDX-License-Identifier: MIT
"""Over a graph from its inputs to its outputs: the shape of every tensor that is needed.

The walk begins anew as long as it finds dimensions that have to be equal and are not yet (see
`space`). A node that fails on the way may do so because of such a pair, so its outputs are
left open, and it is to blame only when nothing else is left to solve.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from onnx import GraphProto, NodeProto, TensorProto

from node.models.constants import brief
from node.models.facts.operation import Operation, full_name
from node.models.facts.rules import RULES
from node.models.facts.space import Space
from node.models.facts.symbolic import Expression, Unpriceable, coefficients, terms_of
from node.models.facts.tensors import Shaped, checked_dims, constant
from protocol.errors import Refused
from protocol.limits import NODES_MAX
from protocol.reasons import Reason
from protocol.roofline import NOT_PRICEABLE

# Real graphs need two or three walks; each one more had to find something new to solve.
WALKS_MAX: Final = 8

# A step is about a microsecond. The largest real decoders take less than a million.
_STEPS_MAX: Final = 3_000_000
_VALUE_STEPS: Final = 128

# What hostile attributes can make of honest arithmetic.
MALFORMED: Final = (
    *(ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError),
)


@dataclass(frozen=True, slots=True)
class Graph:
    """The parts of a graph that count: `nodes` are those that an output needs, in their order."""

    nodes: tuple[NodeProto, ...]
    constants: Mapping[str, TensorProto]
    outputs: tuple[str, ...]
    opset: int


def refuse(detail: str) -> Refused:
    """Make the refusal of a graph."""
    return Refused(Reason.NOT_PRICEABLE, detail)


def blame(node: NodeProto, why: str) -> Refused:
    """Make the refusal of a graph because of one node."""
    name = node.name or next(filter(None, node.output), "")
    return refuse(f"node {brief(name)} ({brief(full_name(node))}): {why}")


def read(graph: GraphProto, opset: int, inputs: Iterable[str]) -> Graph:
    """Take a graph apart; every name is made once, before it is used."""
    if len(graph.node) > NODES_MAX:
        raise refuse(f"{len(graph.node)} nodes, at most {NODES_MAX}")
    if len(graph.sparse_initializer):
        raise refuse("a sparse constant")
    overridden = set(inputs)
    made = set(overridden)
    constants = {}
    for tensor in graph.initializer:
        if tensor.name in constants or not tensor.name:
            raise refuse(f"the constant {brief(tensor.name)} is there twice, or has no name")
        constants[tensor.name] = tensor
        made.add(tensor.name)
    for node in graph.node:
        for name in node.input:
            if name and name not in made:
                raise blame(node, f"it takes {brief(name)}, which nothing before it makes")
        for name in filter(None, node.output):
            if name in made:
                raise blame(node, f"it makes {brief(name)}, which is there already")
            made.add(name)
    outputs = tuple(output.name for output in graph.output)
    for name in outputs:
        if name not in made:
            raise refuse(f"the output {brief(name)} is never made")
    fixed = {name: tensor for name, tensor in constants.items() if name not in overridden}
    nodes = needed(graph)
    for node in nodes:
        if node.op_type in NOT_PRICEABLE:
            raise blame(node, "what it costs is known only afterwards")
        if full_name(node) not in RULES:
            raise blame(node, "there is no rule for this operator")
    return Graph(nodes, fixed, outputs, opset)


def needed(graph: GraphProto) -> tuple[NodeProto, ...]:
    """Give the nodes that an output needs, in their order; the graph has no graphs inside.

    ONNX Runtime runs the others too, so whoever takes pay for a graph takes them out of it.
    """
    wanted = {output.name for output in graph.output}
    nodes = []
    for node in reversed(graph.node):
        if not wanted.isdisjoint(filter(None, node.output)):
            wanted.update(filter(None, node.input))
            nodes.append(node)
    return tuple(reversed(nodes))


class Walk:
    """Finds the shapes of one graph."""

    __slots__ = ("_constants", "_graph", "_inputs", "_space", "_steps", "shapes")

    def __init__(self, graph: Graph, space: Space, inputs: Mapping[str, Shaped]) -> None:
        """Take the graph, its inputs, and the symbols that they brought along."""
        self._graph = graph
        self._space = space
        self._inputs = inputs
        self._constants: dict[str, Shaped] = {}
        self._steps = 0
        #: What is known of each tensor; None where it could not be found out.
        self.shapes: dict[str, Shaped | None] = {}

    def run(self) -> None:
        """Walk until nothing contradicts itself, or raise Refused."""
        for _ in range(WALKS_MAX):
            self._space.forget()
            self.shapes = {
                name: Shaped(each.element, tuple(map(self._space.rewrite, each.dims)))
                for name, each in self._inputs.items()
            }
            failure = self._once()
            if not self._space.solve():
                if failure is not None:
                    raise failure
                return
        raise refuse(f"after {WALKS_MAX} walks there still are dimensions to be made equal")

    def operation(self, node: NodeProto) -> Operation | None:
        """Give a node with what is known of its inputs; None where one is not known."""
        inputs = tuple(self.shape_of(name) if name else None for name in node.input)
        if any(each is None and name for each, name in zip(inputs, node.input, strict=True)):
            return None
        return Operation(node, self._space, inputs, self._graph.opset)

    def shape_of(self, name: str) -> Shaped | None:
        """Give what is known of a tensor, a constant too; None where nothing is."""
        if name in self._graph.constants:
            if name not in self._constants:
                try:
                    self._constants[name] = constant(self._graph.constants[name])
                except Unpriceable as error:
                    raise refuse(f"the constant {brief(name)}: {error}") from error
            return self._constants[name]
        return self.shapes[name]

    def _once(self) -> Refused | None:
        failure = None
        for node in self._graph.nodes:
            operation = self.operation(node)
            outputs: tuple[Shaped | None, ...] = ()
            if operation is not None:
                try:
                    outputs = self._applied(operation)
                except Unpriceable as error:
                    failure = failure or blame(node, str(error))
            for place, name in enumerate(node.output):
                if name:
                    self.shapes[name] = outputs[place] if place < len(outputs) else None
        return failure

    def _applied(self, operation: Operation) -> tuple[Shaped | None, ...]:
        """Apply the rule of a node, and check what it gives."""
        rule = RULES[full_name(operation.node)]
        self._charge(operation)
        try:
            outputs = tuple(rule(operation))
        except MALFORMED as error:
            raise Unpriceable(f"it is malformed: {type(error).__name__}") from error
        for place, output in enumerate(outputs):
            if output is not None and operation.wants(place):
                for dim in checked_dims(output.dims):
                    if isinstance(dim, Expression) and min(coefficients(dim)) < 0:
                        self._space.need(dim)
        if any(operation.wants(place) for place in range(len(outputs), operation.outputs)):
            raise Unpriceable(f"it has {operation.outputs} outputs, of {len(outputs)}")
        return outputs

    def _charge(self, operation: Operation) -> None:
        """Bound the work of all walks together, whatever the graph is made of."""
        terms = widest = 1
        for shaped in filter(None, operation.inputs):
            for dim in shaped.dims:
                count = len(terms_of(dim))
                terms, widest = terms + count, max(widest, count)
            for value in shaped.values or ():
                terms += _VALUE_STEPS * len(value.terms) if isinstance(value, Expression) else 4
        self._steps += len(operation.node.attribute) + operation.outputs + terms * widest
        if self._steps + self._space.steps > _STEPS_MAX:
            raise refuse("its shapes take too long to compute")
