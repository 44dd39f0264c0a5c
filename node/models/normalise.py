# SPDX-License-Identifier: MIT
"""Brings a checked graph into the one form in which graphs are stored, sent and loaded.

In a normal graph there are no functions; no Dropout that does nothing; no descriptions, names
of nodes, hints and unknown fields; and every tensor of at least BLOB_BYTES_MIN is a blob of its
own, an external tensor whose location is the SHA-256 of its bytes. The same graph always
becomes the same bytes, and a normal graph becomes itself: that is how one is recognised.

This module imports onnx, so it runs in the throw-away inspector alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from google.protobuf.message import EncodeError, Message
from onnx import (
    AttributeProto,
    GraphProto,
    ModelProto,
    NodeProto,
    OperatorSetIdProto,
    TensorProto,
    TypeProto,
    ValueInfoProto,
)

from node.models.constants import refuse
from node.models.functions import graphs_of, inline, nodes_within
from node.models.gates import KINDS
from node.models.policy import BLOB_BYTES_MIN, GRAPH_BYTES_MAX, ONNX_DOMAIN, Policy
from node.models.precheck import domain_of
from node.models.shelf import Settler, Shelf, blobs_of, is_large
from protocol.errors import Refused
from protocol.model import TensorBlob
from protocol.reasons import Reason

# From these versions on, Dropout does nothing unless ... (before: unless it says is_test).
_DROPOUT_IS_INFERENCE = 7
# ... its third input says that it trains.
_DROPOUT_MAY_TRAIN = 12
# From this version on, an input with a tensor of its name has a default; before, a constant.
_IR_WITH_DEFAULTS = 4

_KINDS_OF_FIELDS = {field: kind for kind, field in KINDS.items()}
_KEPT: dict[type[Message], set[str]] = {
    ModelProto: {"ir_version", "opset_import", "graph"},
    GraphProto: {"name", "node", "initializer", "sparse_initializer", "input", "output"},
    NodeProto: {"input", "output", "op_type", "domain", "attribute"},
    AttributeProto: {"name", "type", *_KINDS_OF_FIELDS},
    ValueInfoProto: {"name", "type"},
}


@dataclass(frozen=True, slots=True)
class Normal:
    """A normal graph, its bytes, and the tensors that were taken out of it."""

    model: ModelProto
    graph: bytes
    tensors: tuple[TensorBlob, ...]


def normalise(model: ModelProto, policy: Policy, shelf: Shelf) -> Normal:
    """Bring a model that has passed the precheck into its normal form. It is changed on the way."""
    if model.ir_version < _IR_WITH_DEFAULTS:
        _make_constants(model)
    settler = Settler(shelf, policy)
    # Before functions are inlined: that copies the model twice.
    for tensor in model.graph.initializer:
        settler.settle(tensor, tensor.name)
    model = inline(model, policy)
    _Work(model, settler).graph(model.graph, {}, top=True)
    _import_used(model)
    _keep(model)
    model.DiscardUnknownFields()
    try:
        graph = model.SerializeToString(deterministic=True)
    except (EncodeError, ValueError) as error:
        raise refuse(f"the normal graph cannot be written: {error}") from None
    if len(graph) > GRAPH_BYTES_MAX:
        raise Refused(Reason.TOO_LARGE, f"a normal graph of {len(graph)} bytes")
    return Normal(model, graph, blobs_of(model.graph))


class _Work:
    """One normalisation on its way: all graphs of one model, the inner ones first."""

    def __init__(self, model: ModelProto, settler: Settler) -> None:
        """Look at all names: which are used, and which mean two things in two graphs."""
        self._settler = settler
        self._version = 0
        for entry in model.opset_import:
            if domain_of(entry.domain) == ONNX_DOMAIN:
                self._version = entry.version
        self._used: set[str] = set()
        self._names: set[str] = set()
        self._ambiguous: set[str] = set()
        self._false: set[str] = set()
        self._hoisted: list[TensorProto] = []
        self._learn_names(model.graph)

    def graph(self, graph: GraphProto, names: dict[str, str], *, top: bool) -> None:
        """Normalise a graph; `names` says which values around it have another name now."""
        names = dict(names)
        for value in graph.input:
            names.pop(value.name, None)
        inputs = {value.name for value in graph.input}
        outputs = {value.name for value in graph.output}
        for value in (*graph.input, *graph.output):
            _keep(value)
            if value.HasField("type"):
                _keep_type(value.type)
        kept = [] if top else self._hoist_initialisers(graph, inputs)
        for tensor in graph.initializer:
            names.pop(tensor.name, None)
            if tensor.name not in inputs:
                self._note_false(tensor.name, tensor)
        for sparse in graph.sparse_initializer:
            names.pop(sparse.values.name, None)
            self._settler.settle_sparse(sparse)
        for node in graph.node:
            self._node(node, names)
            kept += self._replaced(node, names, outputs, top=top)
        del graph.node[:]
        graph.node.extend(kept)
        if top:
            graph.initializer.extend(self._hoisted)
        _keep(graph)
        graph.name = "graph"

    def _node(self, node: NodeProto, names: dict[str, str]) -> None:
        """Bring a node and all that is in it into form, but for what replaces it."""
        node.domain = domain_of(node.domain)
        if not node.domain:
            node.ClearField("domain")
        _keep(node)
        for place, name in enumerate(node.input):
            if name in names:
                node.input[place] = names[name]
        for name in node.output:
            names.pop(name, None)
        for attribute in node.attribute:
            for described, _ in attribute.ListFields():
                if not attribute.type and described.name in _KINDS_OF_FIELDS:
                    attribute.type = _KINDS_OF_FIELDS[described.name]  # type: ignore[assignment]  # the stub wants its own kind of int
            _keep(attribute)
            for inner in graphs_of(attribute):
                self.graph(inner, names, top=False)
            if attribute.HasField("sparse_tensor"):
                self._settler.settle_sparse(attribute.sparse_tensor)
            for sparse in attribute.sparse_tensors:
                self._settler.settle_sparse(sparse)
            if attribute.HasField("t") and not (_is_constant(node) and is_large(attribute.t)):
                self._settler.settle(attribute.t, may_be_blob=False)
            for tensor in attribute.tensors:
                self._settler.settle(tensor, may_be_blob=False)
            if attribute.HasField("tp"):
                _keep_type(attribute.tp)
            for its_type in attribute.type_protos:
                _keep_type(its_type)

    def _replaced(
        self, node: NodeProto, names: dict[str, str], outputs: set[str], *, top: bool
    ) -> list[NodeProto]:
        """Give what stands for a node in a normal graph: mostly itself."""
        if _is_constant(node):
            return self._constant(node, top=top)
        if node.op_type != "Dropout" or node.domain or not self._does_nothing(node):
            return [node]
        source, target = node.input[0], node.output[0]
        if target in outputs or not self._ambiguous.isdisjoint((source, target)):
            return [_identity(source, target)]
        names[target] = source
        return []

    # --- Dropout ----------------------------------------------------------------------------

    def _does_nothing(self, node: NodeProto) -> bool:
        """Whether a Dropout gives what it takes, and nobody asks for its mask."""
        if not (node.input and node.input[0] and node.output and node.output[0]):
            return False
        if any(name and name in self._used for name in node.output[1:]):
            return False
        if self._version >= _DROPOUT_MAY_TRAIN:
            return len(node.input) < 3 or not node.input[2] or node.input[2] in self._false
        says_is_test = any(each.name == "is_test" and each.i for each in node.attribute)
        return self._version >= _DROPOUT_IS_INFERENCE or says_is_test

    def _note_false(self, name: str, tensor: TensorProto) -> None:
        """Remember names that are a constant `false` wherever they are seen."""
        if tensor.data_type == TensorProto.BOOL and name not in self._ambiguous:
            data = tensor.raw_data
            if data and len(data) < BLOB_BYTES_MIN and not any(data):
                self._false.add(name)

    # --- constants --------------------------------------------------------------------------

    def _constant(self, node: NodeProto, *, top: bool) -> list[NodeProto]:
        """Take a large constant out of its node; in an inner graph the node still gives it."""
        if len(node.attribute) != 1 or len(node.output) != 1 or not node.output[0]:
            return [node]
        (attribute,), (name,) = node.attribute, node.output
        tensor = attribute.t if attribute.HasField("t") else _listed(attribute)
        if not is_large(tensor):
            self._note_false(name, tensor)
            return [node]
        if top:
            self._hoist(tensor, name)
            return []
        return [_identity(self._hoist(tensor, self._fresh(name)), name)]

    def _hoist_initialisers(self, graph: GraphProto, inputs: set[str]) -> list[NodeProto]:
        """Move the large tensors of an inner graph to the outermost, where all blobs are named."""
        kept, given = [], []
        for tensor in graph.initializer:
            if is_large(tensor) and tensor.name not in inputs:
                name = tensor.name  # which hoisting changes
                given.append(_identity(self._hoist(tensor, self._fresh(name)), name))
            else:
                self._settler.settle(tensor, tensor.name)
                kept.append(tensor)
        if given:
            del graph.initializer[:]
            graph.initializer.extend(kept)
        return given

    def _hoist(self, tensor: TensorProto, name: str) -> str:
        self._settler.settle(tensor, name)
        self._hoisted.append(tensor)
        return name

    # --- names ------------------------------------------------------------------------------

    def _fresh(self, name: str) -> str:
        """Find a name that nothing has, the same one for the same model."""
        number = 1
        while f"{name}~{number}" in self._names:
            number += 1
        self._names.add(f"{name}~{number}")
        return f"{name}~{number}"

    def _learn_names(self, graph: GraphProto) -> None:
        inputs = {value.name for value in graph.input}
        self._define(inputs)
        self._define(tensor.name for tensor in graph.initializer if tensor.name not in inputs)
        self._define(sparse.values.name for sparse in graph.sparse_initializer)
        self._used.update(value.name for value in graph.output)
        for node in graph.node:
            self._used.update(node.input)
            self._define(name for name in node.output if name)
            for attribute in node.attribute:
                for inner in graphs_of(attribute):
                    self._learn_names(inner)

    def _define(self, names: Iterable[str]) -> None:
        for name in names:
            if name in self._names:
                self._ambiguous.add(name)
            self._names.add(name)


def _make_constants(model: ModelProto) -> None:
    """Write as constants what was constant in the first versions: inputs with a tensor."""
    names = {tensor.name for tensor in model.graph.initializer}
    kept = [value for value in model.graph.input if value.name not in names]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    model.ir_version = _IR_WITH_DEFAULTS


def _import_used(model: ModelProto) -> None:
    """Keep the operator sets that are used, and ONNX's own, which runtimes expect."""
    used = {node.domain for node in nodes_within(model.graph.node)} | {ONNX_DOMAIN}
    versions = {domain_of(entry.domain): entry.version for entry in model.opset_import}
    del model.opset_import[:]
    for domain in sorted(used & versions.keys()):
        model.opset_import.append(OperatorSetIdProto(domain=domain, version=versions[domain]))


def _keep(message: Message) -> None:
    """Clear what no runtime needs. Naming what is kept also clears the fields of newer versions."""
    kept = _KEPT[type(message)]
    for described, _ in message.ListFields():
        if described.name not in kept:
            message.ClearField(described.name)


def _keep_type(its_type: TypeProto) -> None:
    its_type.ClearField("denotation")
    kind = its_type.WhichOneof("value")
    if kind == "tensor_type":
        for dim in its_type.tensor_type.shape.dim:
            dim.ClearField("denotation")
    elif kind == "sequence_type":
        _keep_type(its_type.sequence_type.elem_type)
    elif kind == "optional_type":
        _keep_type(its_type.optional_type.elem_type)
    elif kind == "map_type":
        _keep_type(its_type.map_type.value_type)


def _is_constant(node: NodeProto) -> bool:
    return node.op_type == "Constant" and not node.domain


def _listed(attribute: AttributeProto) -> TensorProto:
    """Write a constant that lists its numbers as a tensor; an empty one for any other."""
    if attribute.name == "value_floats":
        count = len(attribute.floats)
        return TensorProto(data_type=TensorProto.FLOAT, dims=[count], float_data=attribute.floats)
    if attribute.name == "value_ints":
        count = len(attribute.ints)
        return TensorProto(data_type=TensorProto.INT64, dims=[count], int64_data=attribute.ints)
    return TensorProto(data_type=TensorProto.FLOAT, dims=[0])


def _identity(source: str, target: str) -> NodeProto:
    return NodeProto(op_type="Identity", input=[source], output=[target])
