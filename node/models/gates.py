# SPDX-License-Identifier: MIT
"""The gates for single things in a graph: names, types, tensors, what attributes hold.

How they hang together (graphs, scopes, nodes) is in `precheck`. This module imports onnx, so it
runs in the throw-away inspector alone.
"""

from typing import Final

from onnx import AttributeProto, SparseTensorProto, TensorProto, TypeProto

from node.models.constants import brief, check_tensor, element_of, elements_of, refuse, size_of
from node.models.policy import BLOB_BYTES_MIN, Policy
from protocol.errors import Refused
from protocol.limits import DIMENSION_MAX
from protocol.tensors import ElementType

#: In which field an attribute of each type has its content.
KINDS: Final = {
    int(AttributeProto.FLOAT): "f",
    int(AttributeProto.INT): "i",
    int(AttributeProto.STRING): "s",
    int(AttributeProto.TENSOR): "t",
    int(AttributeProto.GRAPH): "g",
    int(AttributeProto.SPARSE_TENSOR): "sparse_tensor",
    int(AttributeProto.TYPE_PROTO): "tp",
    int(AttributeProto.FLOATS): "floats",
    int(AttributeProto.INTS): "ints",
    int(AttributeProto.STRINGS): "strings",
    int(AttributeProto.TENSORS): "tensors",
    int(AttributeProto.GRAPHS): "graphs",
    int(AttributeProto.SPARSE_TENSORS): "sparse_tensors",
    int(AttributeProto.TYPE_PROTOS): "type_protos",
}
_CONTENT = frozenset(KINDS.values())
_MANY = frozenset(kind for kind in KINDS.values() if kind.endswith("s") and kind != "s")
_HEX = frozenset("0123456789abcdef")
_TYPE_DEPTH_MAX = 8


class Gates:
    """Lets single things through, and counts them. The first that may not pass ends it all."""

    def __init__(self, policy: Policy, *, normal: bool) -> None:
        """Begin with nothing counted; `normal` is what :func:`precheck.precheck` says it is."""
        self.policy = policy
        self.normal = normal
        self.tensors = 0
        self.external: dict[str, None] = {}
        self._parts = 0

    def look_at(self, *counts: int) -> None:
        """Count parts before they are looked at one by one."""
        self._parts += sum(counts)
        if self._parts > self.policy.parts_max:
            raise refuse(f"it has more than {self.policy.parts_max} parts")

    def name(self, name: object, what: str, *, empty: bool = False) -> str:
        """Give a name that is one: protobuf hands out what is no text as bytes."""
        if not isinstance(name, str) or not (name or empty):
            raise refuse(f"{what} has no name, or one that is no text: {brief(name)}")
        most = self.policy.name_bytes_max
        # Four bytes are the most for a character, so most names need not be encoded to be counted.
        if 4 * len(name) > most and len(name.encode("utf-8", "surrogatepass")) > most:
            raise refuse(f"{what} has a name of more than {most} bytes: {brief(name)}")
        if self.policy.strict and not name.isprintable():
            raise refuse(f"{what} has a name that deceives its reader: {brief(name)}")
        return name

    def type(self, its_type: TypeProto, what: str, depth: int = 0) -> None:
        """Look into sequences, optionals and maps, down to the tensors."""
        self.look_at(1)
        if depth > _TYPE_DEPTH_MAX:
            raise refuse(f"{what} has a type of types of types")
        kind = its_type.WhichOneof("value")
        if kind == "tensor_type":
            self._shape(its_type.tensor_type, what)
        elif kind == "sparse_tensor_type":
            self._shape(its_type.sparse_tensor_type, what)
        elif kind == "sequence_type":
            self.type(its_type.sequence_type.elem_type, what, depth + 1)
        elif kind == "optional_type":
            self.type(its_type.optional_type.elem_type, what, depth + 1)
        elif kind == "map_type":
            self.type(its_type.map_type.value_type, what, depth + 1)

    def _shape(self, tensor: TypeProto.Tensor | TypeProto.SparseTensor, what: str) -> None:
        if tensor.elem_type:
            element_of(tensor.elem_type)
        dims = tensor.shape.dim
        self.look_at(len(dims))
        if len(dims) > self.policy.rank_max:
            raise refuse(f"{what} has {len(dims)} dimensions, at most {self.policy.rank_max}")
        for dim in dims:
            if dim.HasField("dim_param"):
                self.name(dim.dim_param, f"a dimension of {what}", empty=True)
            elif self.policy.strict and not 0 <= dim.dim_value <= DIMENSION_MAX:
                raise refuse(f"{what} has a dimension of {dim.dim_value}")

    def kind(self, attribute: AttributeProto, what: str, *, inside: bool) -> str:
        """Say which field has the content; nothing for a reference, which a function may have."""
        filled = {field.name for field, _ in attribute.ListFields()} & _CONTENT
        kind = KINDS.get(attribute.type, "")
        if self.name(attribute.ref_attr_name, what, empty=True):
            # A graph that is referred to would be written again at each place: a bomb.
            if not inside or filled or kind in {"g", "graphs"}:
                raise refuse(f"{what} refers to what a function is given")
            return ""
        if not kind and not self.policy.strict and len(filled) == 1:
            (kind,) = filled  # files from before IR version 2 do not say it
        if not kind or not filled <= {kind}:
            raise refuse(f"{what} is of no known type, or not of the type that it says")
        if not filled and kind not in _MANY and (self.policy.strict or kind in {"t", "g"}):
            raise refuse(f"{what} is empty")
        return kind

    def content(self, attribute: AttributeProto, kind: str, what: str) -> None:
        """Check what an attribute holds, graphs apart."""
        policy = self.policy
        count = max(len(attribute.floats), len(attribute.ints), len(attribute.strings))
        if count > policy.values_max:
            raise refuse(f"{what} has {count} values, at most {policy.values_max}")
        longest = max(len(attribute.s), max(map(len, attribute.strings), default=0))
        if longest > policy.text_bytes_max:
            raise refuse(f"{what} has a text of {longest} bytes, at most {policy.text_bytes_max}")
        if kind == "t":
            self.tensor(attribute.t, what, may_be_blob=False)
        elif kind == "sparse_tensor":
            self.sparse(attribute.sparse_tensor, what)
        elif kind == "tp":
            self.type(attribute.tp, what)
        self.look_at(len(attribute.tensors), len(attribute.sparse_tensors))
        self.look_at(len(attribute.type_protos), len(attribute.graphs))
        for tensor in attribute.tensors:
            self.tensor(tensor, what, may_be_blob=False)
        for sparse in attribute.sparse_tensors:
            self.sparse(sparse, what)
        for its_type in attribute.type_protos:
            self.type(its_type, what)

    def tensor(self, tensor: TensorProto, what: str, *, may_be_blob: bool) -> None:
        """Take a tensor that is what it says, inside the graph or outside of it."""
        self.tensors += 1
        self.look_at(1, len(tensor.external_data), len(tensor.metadata_props))
        try:
            external = check_tensor(tensor, self.policy)
        except Refused as refused:
            raise refuse(f"{what}: {refused.detail}") from None
        if external is None:
            inside = self.normal and may_be_blob and tensor.data_type != ElementType.STRING
            if inside and size_of(tensor) >= BLOB_BYTES_MIN:
                raise refuse(f"{what} has {size_of(tensor)} bytes inside the graph")
            return
        if self.normal:
            name = external.location
            if not may_be_blob or len(name) != 64 or not _HEX.issuperset(name) or external.offset:
                raise refuse(f"{what} has external data that is no blob: {brief(name)}")
            if external.size_bytes < BLOB_BYTES_MIN:
                raise refuse(f"{what} is a blob of {external.size_bytes} bytes")
        self.external[external.location] = None

    def sparse(self, sparse: SparseTensorProto, what: str) -> None:
        """Take a sparse tensor; it will need as much memory as a dense one once it is loaded."""
        self.tensor(sparse.values, what, may_be_blob=False)
        self.tensor(sparse.indices, what, may_be_blob=False)
        try:
            elements_of(sparse.dims, self.policy)
        except Refused as refused:
            raise refuse(f"{what}: {refused.detail}") from None
        values, indices = list(sparse.values.dims), list(sparse.indices.dims)
        fits = indices in (values, [*values, len(sparse.dims)])
        if len(values) != 1 or not fits or sparse.indices.data_type != TensorProto.INT64:
            raise refuse(f"{what} is a sparse tensor whose values and places do not fit")
