# SPDX-License-Identifier: MIT
"""What the facts say of a graph beside what ONNX Runtime does with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnxruntime as ort
from onnx import GraphProto, ModelProto, TensorProto, helper

from node.models.facts.derive import Facts, derive
from node.models.facts.ports import read_inputs
from node.models.facts.space import Space
from node.models.facts.symbolic import Size
from node.models.facts.walk import Walk, read
from protocol.compare import F32
from protocol.interface import Dims, Interface
from protocol.model import MODEL, Manifest
from protocol.price import NodeCost, price_v1
from tests.sketch import Array

Known = tuple[int, Dims]


def manifest_of(facts: Facts) -> Manifest:
    """A manifest that says what the facts say, and as little as it can besides."""
    return Manifest(
        name="made in code",
        kind=MODEL,
        base=b"",
        graph=bytes(32),
        graph_bytes=1,
        symbols=facts.symbols,
        derived=facts.derived,
        ports=facts.ports,
        dims=facts.dims,
        states=facts.states,
        comparator=F32,
        tolerance=20_000,
        spread=900_000_000,
        price_version=facts.price_version,
        costs=facts.costs,
        terms=facts.terms,
        tensors=(),
        stages=(),
        stage_tensors=(),
        files=(),
        licence="",
        made_by="",
        source=b"",
    )


def interface_of(facts: Facts) -> Interface:
    """The interface as a worker reads it out of a manifest."""
    return manifest_of(facts).interfaces()[0]


def costs_of(facts: Facts) -> tuple[NodeCost, ...]:
    """The price facts as a worker reads them out of a manifest."""
    return manifest_of(facts).price_facts()[0]


def price_of(facts: Facts, shape: Sequence[Dims]) -> int:
    """What an item of this shape costs."""
    interface = interface_of(facts)
    values = interface.bind(shape)
    return price_v1(costs_of(facts), values, interface.io_bytes(values))


@dataclass(frozen=True, slots=True)
class Seen:
    """A walk that ended well, to look at the tensors inside."""

    space: Space
    walk: Walk
    symbols: tuple[int, ...]

    def at(self, size: Size, values: Sequence[int]) -> int:
        """The number that a size is for some values of the free symbols."""
        if isinstance(size, int):
            return size
        known = dict(zip(self.symbols, values, strict=False))
        total = 0
        for symbols, factor in size.terms:
            product = factor
            for each in symbols:
                mine = self.space.symbols[each]
                inner = mine.numerator
                product *= known[each] if inner is None else self.at(inner, values) // mine.over
            total += product
        return total

    def tensor(self, name: str, values: Sequence[int]) -> Known:
        """Element type and dimensions of a tensor, for some values of the free symbols."""
        shaped = self.walk.shape_of(name)
        assert shaped is not None
        return int(shaped.element), tuple(self.at(dim, values) for dim in shaped.dims)


def seen(model: ModelProto) -> Seen:
    """Walk over a graph that has facts."""
    facts = derive(model)
    space = Space()
    inputs = read_inputs(model.graph, model.ir_version, space)
    opset = max(each.version for each in model.opset_import if not each.domain)
    walk = Walk(read(model.graph, opset, inputs.shapes), space, inputs.shapes)
    walk.run()
    places = {name: symbol for symbol, name in inputs.names.items()}
    return Seen(space, walk, tuple(places[name] for name in facts.symbols))


def exposed(model: ModelProto, found: Seen) -> ModelProto:
    """A copy that also gives out every tensor inside."""
    copy = ModelProto()
    copy.CopyFrom(model)
    there = {port.name for port in copy.graph.output}
    made = [name for node in copy.graph.node for name in node.output if name]
    for name in made:
        if name not in there and name in found.walk.shapes:
            element, _ = found.tensor(name, [1] * len(found.symbols))
            copy.graph.output.append(helper.make_tensor_value_info(name, element, None))
    for port in copy.graph.output:
        element, _ = found.tensor(port.name, [1] * len(found.symbols))
        port.type.tensor_type.elem_type = element
        port.type.tensor_type.ClearField("shape")  # what it says may be wrong, as in life
    return copy


def session_of(model: ModelProto, level: str = "ORT_DISABLE_ALL") -> ort.InferenceSession:
    """ONNX Runtime without optimisations, so that every tensor is there to be seen."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
    return ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"], enable_fallback=0
    )


def real(session: ort.InferenceSession, feeds: Mapping[str, Array]) -> dict[str, Known]:
    """What comes out: element type and shape of each tensor, by name."""
    names = [port.name for port in session.get_outputs()]
    given = {name: ort.OrtValue.ortvalue_from_numpy(array) for name, array in feeds.items()}
    outputs = session.run_with_ort_values(names, given)
    return {
        name: (value.element_type(), tuple(value.shape()))
        for name, value in zip(names, outputs, strict=True)
    }


def disagreements(model: ModelProto, feeds: Mapping[str, Array]) -> list[str]:
    """Every tensor that is not as predicted; the interface must take the feeds."""
    facts = derive(model)
    interface = interface_of(facts)
    ports = [port.name for port in interface.inputs if not port.optional]
    values = interface.bind([feeds[name].shape for name in ports])
    found = seen(model)
    got = real(session_of(exposed(model, found)), feeds)
    free = values[: len(facts.symbols)]
    wrong = [
        f"{name} is {got[name]}, expected {expected}"
        for name in got
        if got[name] != (expected := found.tensor(name, free))
    ]
    promised = interface.output_shape(values)
    return wrong + [
        f"the port {port.name} is {got[port.name][1]}, promised {dims}"
        for port, dims in zip(interface.outputs, promised, strict=True)
        if got[port.name][1] != dims
    ]


def outside(graph: GraphProto, least_bytes: int = 4096) -> None:
    """Take the data of large constants out of a graph, as intake does."""
    for tensor in graph.initializer:
        if tensor.data_location != TensorProto.EXTERNAL and len(tensor.raw_data) >= least_bytes:
            tensor.ClearField("raw_data")
            tensor.data_location = TensorProto.EXTERNAL
            tensor.external_data.add(key="location", value="0" * 64)
