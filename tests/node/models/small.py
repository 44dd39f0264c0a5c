# SPDX-License-Identifier: MIT
"""Small models for tests, written as text where that says more, and a shelf to put tensors on."""

from collections.abc import Callable, Mapping
from hashlib import sha256
from types import MappingProxyType

from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, parser

from node.models.constants import External

Change = Callable[[ModelProto], object]

HEX = "ab" * 32


def model(
    body: str, *, opset: int = 21, ir: int = 10, functions: str = "", more: str = ""
) -> ModelProto:
    """A model from the text of its graph; `more` are further operator sets."""
    head = f'<ir_version: {ir}, opset_import: ["" : {opset}{more}]>'
    parsed = parser.parse_model(f"{head} {body} {functions}")
    assert isinstance(parsed, ModelProto)
    return parsed


def relu(*changes: Change) -> ModelProto:
    """The smallest model, changed."""
    made = model("small (float[N] x) => (float[N] y) { y = Relu(x) }")
    for change in changes:
        change(made)
    return made


def tensor(
    name: str = "w",
    element: int = TensorProto.FLOAT,
    dims: tuple[int, ...] = (2,),
    **fields: object,
) -> TensorProto:
    """A tensor with any fields, right or wrong."""
    return TensorProto(name=name, data_type=element, dims=dims, **fields)  # type: ignore[arg-type]  # wrong fields are the point


def external(
    dims: tuple[int, ...] = (2,),
    *,
    name: str = "w",
    entries: Mapping[str, str] = MappingProxyType({}),
    **more: str,
) -> TensorProto:
    """A float tensor that says where its data are."""
    made = tensor(name, dims=dims, data_location=TensorProto.EXTERNAL)
    for key, value in {**entries, **more}.items():
        made.external_data.add(key=key, value=value)
    return made


def having(*tensors: TensorProto) -> ModelProto:
    """The smallest model with these tensors beside its node; nothing uses them."""
    return relu(lambda made: made.graph.initializer.extend(tensors))


def node(operator: str, inputs: str = "x", outputs: str = "y", **attributes: object) -> NodeProto:
    """A node, its names divided by blanks."""
    return helper.make_node(operator, inputs.split(), outputs.split(), **attributes)  # type: ignore[arg-type]  # any attribute


def doing(*nodes: NodeProto, more: str = "") -> ModelProto:
    """A model from x to y that does this."""
    made = model("small (float[N] x) => (float[N] y) { y = Relu(x) }", more=more)
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    return made


def nested(depth: int) -> ModelProto:
    """Graphs within graphs, so deep."""
    inner = GraphProto(name="leaf", node=[node("Relu", "x", "leaf")])
    inner.output.add(name="leaf")
    for level in range(depth):
        name = f"out{level}"
        both = {"then_branch": inner, "else_branch": _other(level)}
        branch = node("If", "c", name, **both)
        inner = GraphProto(name=f"g{level}", node=[branch])
        inner.output.add(name=name)
    made = model("small (float[N] x, bool c) => (float[N] y) { y = Relu(x) }")
    del made.graph.node[:]
    made.graph.node.extend(inner.node)
    made.graph.output[0].name = inner.output[0].name
    return made


def _other(level: int) -> GraphProto:
    """Another leaf for the other branch: it is not the depth of both that counts."""
    other = GraphProto(name="other", node=[node("Relu", "x", f"other{level}")])
    other.output.add(name=f"other{level}")
    return other


class Box:
    """A shelf in memory. Files beside the graph are `files`, blobs are `blobs`."""

    def __init__(self, **files: bytes) -> None:
        self.files = files
        self.blobs: dict[bytes, bytes] = {}
        self.asked: list[External] = []

    def read(self, source: External) -> bytes:
        self.asked.append(source)
        data = self.files[source.location]
        return data[source.offset : source.offset + source.size_bytes]

    def take(self, source: External) -> bytes:
        return self.put(self.read(source))

    def put(self, data: bytes) -> bytes:
        digest = sha256(data).digest()
        self.blobs[digest] = data
        return digest
