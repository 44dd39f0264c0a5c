# SPDX-License-Identifier: MIT
"""The gates that a graph passes before anything else reads it: one walk over the whole proto.

Nothing is repaired here; that is `normalise`. The walk sees what can be seen without running
anything: operators, sizes, names, scopes, external data. It is no promise that the graph is
harmless, only that what is left can be contained by a deadline, a memory cap and a sandbox.

This module imports onnx, so it runs in the throw-away inspector alone.
"""

from dataclasses import dataclass

from google.protobuf.message import DecodeError
from onnx import (
    AttributeProto,
    FunctionProto,
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
)

from node.models.constants import brief, refuse
from node.models.gates import Gates
from node.models.policy import GRAPH_BYTES_MAX, ONNX_DOMAIN, ONNX_DOMAIN_SPELLED, Policy
from protocol.errors import Refused
from protocol.limits import PORTS_MAX
from protocol.reasons import Reason

# The file identifier of ONNX Runtime's own format, which it would detect and load.
_ORT_MAGIC = b"ORTM"

FunctionKey = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Checked:
    """What the walk has counted: nodes, tensors, files of external data, operator sets."""

    nodes: int
    tensors: int
    external: tuple[str, ...]
    opsets: tuple[tuple[str, int], ...]


def parse(data: bytes | memoryview) -> ModelProto:
    """Read a graph from its file's bytes; what is no graph is refused."""
    if len(data) > GRAPH_BYTES_MAX:
        raise Refused(Reason.TOO_LARGE, f"a graph of {len(data)} bytes, at most {GRAPH_BYTES_MAX}")
    if not data:
        raise refuse("the file is empty")
    if data[4:8] == _ORT_MAGIC:
        raise refuse("an .ort file: only .onnx files can be checked before they are loaded")
    model = ModelProto()
    try:
        model.ParseFromString(data)  # type: ignore[arg-type]  # the stub does not know views
    except DecodeError:
        raise refuse("not an ONNX file, cut off, nested too deep, or too large to read") from None
    if not model.HasField("graph"):
        raise refuse("an ONNX file without a graph")
    return model


def precheck(model: ModelProto, policy: Policy, *, normal: bool = False) -> Checked:
    """Refuse a graph that the policy does not allow. `normal`: it must be as normalise leaves it.

    Beyond the policy, a normal graph has no functions, no leftovers of training, and no tensor
    of a blob's size inside: its external data are blobs, named by their digests.
    """
    return _Walk(model, policy, normal=normal).check()


def domain_of(domain: str) -> str:
    """Spell the domain of ONNX's own operators in one way."""
    return ONNX_DOMAIN if domain == ONNX_DOMAIN_SPELLED else domain


def key_of(function: FunctionProto | NodeProto) -> FunctionKey:
    """Say by what a node names a function."""
    name = function.name if isinstance(function, FunctionProto) else function.op_type
    return domain_of(function.domain), name, function.overload


class _Scope:
    """The names that a graph defines, inside the scope of the graph around it."""

    __slots__ = ("names", "outer")

    def __init__(self, outer: "_Scope | None") -> None:
        self.names: set[str] = set()
        self.outer = outer

    def sees(self, name: str) -> bool:
        scope: _Scope | None = self
        while scope is not None:
            if name in scope.names:
                return True
            scope = scope.outer
        return False


class _Walk:
    """One walk over one model; it ends with the first thing that is not allowed."""

    def __init__(self, model: ModelProto, policy: Policy, *, normal: bool) -> None:
        self._model = model
        self._policy = policy
        self._gates = Gates(policy, normal=normal)
        self._functions: set[FunctionKey] = set()
        self._domains: set[str] = set()
        self._nodes = 0

    def check(self) -> Checked:
        model, policy, gates = self._model, self._policy, self._gates
        if model.ir_version not in policy.ir_versions:
            least, most = policy.ir_versions[0], policy.ir_versions[-1]
            raise refuse(f"IR version {model.ir_version}, this takes {least} to {most}")
        gates.look_at(
            *(len(model.functions), len(model.opset_import), len(model.metadata_props)),
            *(len(model.training_info), len(model.configuration)),
        )
        self._leftovers()
        for function in model.functions:
            for each in (function.domain, function.overload):
                gates.name(each, "a function's domain or overload", empty=True)
            what = f"the function {brief(gates.name(function.name, 'a function'))}"
            if key_of(function) in self._functions:
                raise refuse(f"{what} is defined twice")
            self._functions.add(key_of(function))
        self._graph(model.graph, None, 0, inside=False)
        for function in model.functions:
            self._function(function)
        return Checked(self._nodes, gates.tensors, tuple(gates.external), self._opsets())

    def _leftovers(self) -> None:
        """What no graph needs in order to run, and what could make it run in another way."""
        model, strict, normal = self._model, self._policy.strict, self._gates.normal
        if normal and (model.functions or model.metadata_props or model.configuration):
            raise refuse("it has functions, metadata or configurations: it is not normalised")
        if (strict or normal) and model.training_info:
            raise refuse("it carries a training graph")
        for entry in model.metadata_props if strict else ():
            if self._gates.name(entry.key, "metadata", empty=True).startswith("ort"):
                raise refuse(f"metadata for the runtime: {brief(entry.key)}")

    def _opsets(self) -> tuple[tuple[str, int], ...]:
        """Take each operator set once. One that nothing uses is harmless, but not normal."""
        opsets: dict[str, int] = {}
        for entry in self._model.opset_import:
            domain = domain_of(self._gates.name(entry.domain, "an operator set", empty=True))
            if domain in opsets:
                raise refuse(f"two versions of the operator set {brief(domain)}")
            opsets[domain] = entry.version
            if self._gates.normal or domain in self._domains:
                self._version(domain, entry.version)
        for domain in self._domains - opsets.keys():
            if self._policy.strict:
                raise refuse(f"no version of the operator set {brief(domain)}, which it uses")
        return tuple(sorted(opsets.items()))

    def _version(self, domain: str, version: int) -> None:
        domains = self._policy.domains
        if domains is None:
            return
        if domain not in domains:
            raise refuse(f"operators of the domain {brief(domain)} are not taken")
        if version not in domains[domain]:
            least, most = domains[domain][0], domains[domain][-1]
            detail = f"version {version} of the operator set {brief(domain)}"
            raise refuse(f"{detail}, this takes {least} to {most}")

    def _function(self, function: FunctionProto) -> None:
        what = f"function {brief(function.name)}"
        self._gates.look_at(
            *(len(function.input), len(function.output), len(function.node)),
            *(len(function.attribute), len(function.attribute_proto), len(function.opset_import)),
            *(len(function.value_info), len(function.metadata_props)),
        )
        for entry in function.opset_import:
            self._gates.name(entry.domain, f"an operator set of {what}", empty=True)
        for name in function.attribute:
            self._gates.name(name, f"an attribute of {what}")
        scope = _Scope(None)
        for name in function.input:
            self._define(scope, name, f"an input of {what}")
        for attribute in function.attribute_proto:
            self._attribute(attribute, scope, 0, what, inside=False)
        for index, node in enumerate(function.node):
            self._node(node, scope, 0, index, inside=True)
        for name in function.output:
            if not scope.sees(self._gates.name(name, f"an output of {what}")):
                raise refuse(f"{what} has an output {brief(name)} that nothing gives")

    def _graph(self, graph: GraphProto, outer: _Scope | None, depth: int, *, inside: bool) -> None:
        """Walk one graph; `inside`: it stands in a function, whose attributes it may refer to."""
        gates = self._gates
        if depth > self._policy.nesting_max:
            raise refuse(f"graphs nested deeper than {self._policy.nesting_max}")
        gates.look_at(
            *(len(graph.input), len(graph.output), len(graph.node), len(graph.initializer)),
            *(len(graph.sparse_initializer), len(graph.value_info)),
            *(len(graph.quantization_annotation), len(graph.metadata_props)),
        )
        scope = _Scope(outer)
        for value in graph.input:
            self._define(scope, value.name, "an input")
            self._value(value, depth)
        inputs = scope.names.copy()
        for tensor in graph.initializer:
            self._initialiser(scope, inputs, tensor)
        if max(len(inputs), len(graph.output)) > PORTS_MAX:
            raise refuse(f"{len(inputs)} inputs and {len(graph.output)} outputs")
        for sparse in graph.sparse_initializer:
            self._define(scope, sparse.values.name, "a sparse tensor")
            gates.sparse(sparse, f"sparse tensor {brief(sparse.values.name)}")
        for index, node in enumerate(graph.node):
            self._node(node, scope, depth, index, inside=inside)
        given = set()
        for value in graph.output:
            name = gates.name(value.name, "an output")
            if name not in scope.names or name in given:
                raise refuse(f"the output {brief(name)} is given twice, or by nothing")
            given.add(name)
            self._value(value, depth)

    def _initialiser(self, scope: _Scope, inputs: set[str], tensor: TensorProto) -> None:
        """An initialiser is a constant, or the default of an input of the same name."""
        if tensor.name in inputs:
            inputs.discard(tensor.name)
        else:
            self._define(scope, tensor.name, "a tensor")
        self._gates.tensor(tensor, f"tensor {brief(tensor.name)}", may_be_blob=True)

    def _define(self, scope: _Scope, name: str, what: str) -> None:
        """Each name means one thing. A strict policy wants that across nested graphs too."""
        self._gates.name(name, what)
        if name in scope.names or (self._policy.strict and scope.sees(name)):
            raise refuse(f"{what} {brief(name)} has the name of something else")
        scope.names.add(name)

    def _value(self, value: ValueInfoProto, depth: int) -> None:
        what = f"port {brief(value.name)}"
        if value.HasField("type"):
            self._gates.type(value.type, what)
        if self._policy.strict and not depth and not value.type.tensor_type.elem_type:
            raise refuse(f"{what} is no tensor of a known type")

    def _node(
        self, node: NodeProto, scope: _Scope, depth: int, index: int, *, inside: bool
    ) -> None:
        self._nodes += 1
        if self._nodes > self._policy.nodes_max:
            raise refuse(f"more than {self._policy.nodes_max} nodes")
        self._gates.look_at(
            *(len(node.input), len(node.output), len(node.attribute)),
            *(len(node.metadata_props), len(node.device_configurations)),
        )
        what = f"node {index} ({brief(node.op_type)[1:-1]})"
        self._operator(node, what)
        for name in node.input:
            if name and not scope.sees(name):  # what is no text was defined by nothing
                raise refuse(f"{what} takes {brief(name)}, which nothing before it gives")
        seen: set[str] = set()
        for attribute in node.attribute:
            if attribute.name in seen:
                raise refuse(f"{what} has the attribute {brief(attribute.name)} twice")
            seen.add(attribute.name)
            self._attribute(attribute, scope, depth, what, inside=inside)
        for name in node.output:
            if name:
                self._define(scope, name, f"an output of {what}")

    def _operator(self, node: NodeProto, what: str) -> None:
        policy, gates = self._policy, self._gates
        domain = domain_of(gates.name(node.domain, f"the domain of {what}", empty=True))
        operator = gates.name(node.op_type, f"the operator of {what}")
        if (domain, operator, gates.name(node.overload, what, empty=True)) in self._functions:
            return
        self._domains.add(domain)
        if policy.domains is not None and domain not in policy.domains:
            raise refuse(f"{what} is of the domain {brief(domain)}, which is not taken")
        if policy.strict and node.overload:
            raise refuse(f"{what} is an overload of a function that does not exist")
        allowed = policy.operators.get(domain)
        if allowed is not None and operator not in allowed:
            raise refuse(f"{what} of {domain} is not among the operators that are taken")
        # Before it is normalised, a Dropout may yet turn out to do nothing.
        if operator in policy.denied and (gates.normal or operator != "Dropout"):
            raise refuse(f"{what} may run for ever, or differently each time")

    def _attribute(
        self, attribute: AttributeProto, scope: _Scope, depth: int, what: str, *, inside: bool
    ) -> None:
        name = self._gates.name(attribute.name, f"an attribute of {what}")
        what = f"attribute {brief(name)} of {what}"
        kind = self._gates.kind(attribute, what, inside=inside)
        if kind:
            self._gates.content(attribute, kind, what)
            for graph in (attribute.g,) if kind == "g" else attribute.graphs:
                self._graph(graph, scope, depth + 1, inside=inside)
