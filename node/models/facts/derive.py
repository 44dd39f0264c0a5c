# SPDX-License-Identifier: MIT
"""The door: from a graph to everything that a manifest says of its interface and its price.

The graph was prechecked and normalised before: functions are inlined, and what only trains is
gone. What it says of its own shapes inside is not read.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from onnx import ModelProto, NodeProto

from node.models.constants import brief
from node.models.facts.costs import cost_of
from node.models.facts.export import Export, Exported
from node.models.facts.live import working
from node.models.facts.operation import Operation
from node.models.facts.ports import Inputs, read_inputs, state_pairs
from node.models.facts.space import Space
from node.models.facts.symbolic import Expression, Size, Unpriceable
from node.models.facts.tensors import Shaped
from node.models.facts.walk import MALFORMED, Graph, Walk, blame, read, refuse
from protocol.errors import Refused
from protocol.limits import PORTS_MAX, TENSOR_NAME_BYTES_MAX
from protocol.ports import Derived, Dimension, Port, StatePair
from protocol.price import PRICE_VERSION, Cost, Polynomial, Term, facts_of, rows_of_facts

_ONNX_DOMAINS = ("", "ai.onnx")


@dataclass(frozen=True, slots=True)
class Facts:
    """What a manifest says of a graph, under the same names; stage 0 alone."""

    symbols: tuple[str, ...]
    derived: tuple[Derived, ...]
    ports: tuple[Port, ...]
    dims: tuple[Dimension, ...]
    states: tuple[StatePair, ...]
    price_version: int
    costs: tuple[Cost, ...]
    terms: tuple[Term, ...]


def derive(model: ModelProto) -> Facts:
    """Derive interface and price; Refused (not_priceable) says which node is in the way and why."""
    if len(model.functions):
        raise refuse("it has functions that are not inlined")
    try:
        space = Space()
        inputs = read_inputs(model.graph, model.ir_version, space)
        graph = read(model.graph, _opset(model), inputs.shapes)
        walk = Walk(graph, space, inputs.shapes)
        walk.run()
        return _facts(space, inputs, graph, walk)
    except Unpriceable as error:
        raise refuse(str(error)) from error
    except MALFORMED as error:
        raise refuse(f"it is malformed: {type(error).__name__}") from error


def _opset(model: ModelProto) -> int:
    """Give the version of ONNX's own operators."""
    versions = [each.version for each in model.opset_import if each.domain in _ONNX_DOMAINS]
    return max(versions, default=1)


def _facts(space: Space, inputs: Inputs, graph: Graph, walk: Walk) -> Facts:
    ports_in = [(port.name, _known(walk, port.name)) for port in inputs.declared]
    ports_out = [(name, _known(walk, name)) for name in graph.outputs]
    if len(set(graph.outputs)) != len(graph.outputs) or not 0 < len(graph.outputs) <= PORTS_MAX:
        raise refuse(f"{len(graph.outputs)} outputs, at most {PORTS_MAX}, each of its own name")
    free = _free_in_use(inputs, ports_in)
    export = Export(space, free)
    for _, shaped in (*ports_in, *ports_out):
        for dim in shaped.dims:
            export.dimension(dim)
    costs_of = _Costs(walk, export).of
    nodes = [costs_of(graph.nodes[place]) for place in working(graph, walk, inputs.shapes)]
    exported = export.finish()
    final = facts_of((export.renumbered(flops), export.renumbered(moved)) for flops, moved in nodes)
    costs, terms = rows_of_facts([final])
    optional = {port.name for port in inputs.declared if port.optional}
    ports = tuple(
        Port(0, int(out), shaped.element, int(not out and name in optional), name)
        for out, side in enumerate((ports_in, ports_out))
        for name, shaped in side
    )
    dims = tuple(
        _dimension(place, dim, exported)
        for place, (_, shaped) in enumerate((*ports_in, *ports_out))
        for dim in shaped.dims
    )
    return Facts(
        symbols=tuple(inputs.names[symbol] for symbol in free),
        derived=exported.derived,
        ports=ports,
        dims=dims,
        states=_states(ports_in, ports_out, optional),
        price_version=PRICE_VERSION,
        costs=costs,
        terms=terms,
    )


def _known(walk: Walk, name: str) -> Shaped:
    shaped = walk.shape_of(name)
    if shaped is None or not 0 < len(name.encode()) <= TENSOR_NAME_BYTES_MAX:
        raise refuse(f"nothing is known of the port {brief(name)}")
    return shaped


def _free_in_use(inputs: Inputs, ports: Sequence[tuple[str, Shaped]]) -> list[int]:
    """Give the free symbols that were not solved for others, in the order of the ports."""
    used = {symbol for _, shaped in ports for dim in shaped.dims for symbol in _symbols(dim)}
    return [symbol for symbol in inputs.names if symbol in used]


def _symbols(dim: Size) -> set[int]:
    return dim.symbols() if isinstance(dim, Expression) else set()


class _Costs:
    """What nodes cost; those that do the same with the same shapes are looked at once."""

    def __init__(self, walk: Walk, export: Export) -> None:
        self._walk = walk
        self._export = export
        self._seen: dict[object, tuple[Polynomial, Polynomial]] = {}

    def of(self, node: NodeProto) -> tuple[Polynomial, Polynomial]:
        """Give operations and bytes of a node."""
        operation = self._walk.operation(node)
        assert isinstance(operation, Operation)  # the walk ended well, so every input is known
        outputs = tuple(self._walk.shape_of(name) if name else None for name in node.output)
        attributes = tuple(each.SerializeToString() for each in node.attribute)
        key = (node.domain, node.op_type, attributes, operation.inputs, outputs)
        if key not in self._seen:
            try:
                self._seen[key] = cost_of(operation, outputs, self._export.amount)
            except Unpriceable as error:
                raise blame(node, str(error)) from error
            except Refused as error:
                raise blame(node, error.detail) from error
        return self._seen[key]


def _dimension(port: int, dim: Size, exported: Exported) -> Dimension:
    if isinstance(dim, int):
        return Dimension(port, 0, dim)
    if dim.lone is not None:
        return Dimension(port, 1, exported.places[dim.lone])
    return Dimension(port, 1, exported.sums[dim])


def _states(
    ports_in: Sequence[tuple[str, Shaped]],
    ports_out: Sequence[tuple[str, Shaped]],
    optional: set[str],
) -> tuple[StatePair, ...]:
    given = [port for port in ports_in if port[0] not in optional]
    places = [place for place, (name, _) in enumerate(ports_in) if name not in optional]
    pairs = state_pairs(given, ports_out)
    return tuple(StatePair(places[into], len(ports_in) + out) for into, out in pairs)
