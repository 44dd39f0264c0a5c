# SPDX-License-Identifier: MIT
"""Settles tensors: small ones inside the graph as plain bytes, large ones outside as blobs.

Where blobs go is said by whoever calls, as a :class:`Shelf`. This module imports onnx, so it
runs in the throw-away inspector alone.
"""

from typing import Protocol

from onnx import GraphProto, SparseTensorProto, StringStringEntryProto, TensorProto

from node.models.constants import External, check_tensor, raw_bytes, refuse, size_of
from node.models.policy import BLOB_BYTES_MIN, Policy
from protocol.model import TensorBlob


class Shelf(Protocol):
    """Where the bytes of tensors come from and go to. Digests are those of whoever keeps them."""

    def read(self, source: External) -> bytes:
        """Give the bytes of a small tensor that stands in a file beside the graph."""
        ...

    def take(self, source: External) -> bytes:
        """Make a blob of a part of such a file, and give its digest."""
        ...

    def put(self, data: bytes) -> bytes:
        """Make a blob of these bytes, and give its digest."""
        ...


class Claimed:
    """A shelf for graphs that are normal already: it believes their names, and keeps nothing."""

    def read(self, source: External) -> bytes:
        """Refuse: a normal graph has its small tensors inside."""
        raise refuse(f"it is not normalised: {source.size_bytes} bytes are outside of it")

    def take(self, source: External) -> bytes:
        """Give the digest that the name is. Whether the blob has it is checked elsewhere."""
        return bytes.fromhex(source.location)

    def put(self, data: bytes) -> bytes:
        """Refuse: a normal graph has its large tensors outside."""
        raise refuse(f"it is not normalised: {len(data)} bytes are inside of it")


class Settler:
    """Settles tensors in place, those of one model."""

    def __init__(self, shelf: Shelf, policy: Policy) -> None:
        """Settle by this shelf; what comes from outside passes the policy before it is inside."""
        self._shelf = shelf
        self._policy = policy

    def settle(self, tensor: TensorProto, name: str = "", *, may_be_blob: bool = True) -> None:
        """Give a checked tensor its one form; where it stands it may need no name."""
        if tensor.data_type == TensorProto.STRING:
            settled = TensorProto(dims=tensor.dims, data_type=tensor.data_type)
            settled.string_data.extend(tensor.string_data)
        else:
            settled = self._settled(tensor, may_be_blob=may_be_blob)
        if name:
            settled.name = name
        tensor.CopyFrom(settled)

    def settle_sparse(self, sparse: SparseTensorProto) -> None:
        """Settle both of its tensors; they stay inside, where the runtime wants them."""
        self.settle(sparse.values, sparse.values.name, may_be_blob=False)
        self.settle(sparse.indices, may_be_blob=False)

    def _settled(self, tensor: TensorProto, *, may_be_blob: bool) -> TensorProto:
        settled = TensorProto(dims=tensor.dims, data_type=tensor.data_type)
        external = check_tensor(tensor, self._policy)
        large = is_large(tensor)
        if external and large and not may_be_blob:
            raise refuse(f"{external.size_bytes} bytes of external data where a node wants them")
        if large and may_be_blob:
            shelf = self._shelf
            digest = shelf.take(external) if external else shelf.put(raw_bytes(tensor))
            settled.data_location = TensorProto.EXTERNAL
            entries = {"location": digest.hex(), "length": str(size_of(tensor))}
            for key, value in entries.items():
                settled.external_data.append(StringStringEntryProto(key=key, value=value))
        elif external:
            settled.raw_data = self._shelf.read(external) if external.size_bytes else b""
            check_tensor(settled, self._policy)
        else:
            settled.raw_data = raw_bytes(tensor)
        return settled


def is_large(tensor: TensorProto) -> bool:
    """Whether a tensor is a blob in a normal graph; strings have no form outside of one."""
    return tensor.data_type != TensorProto.STRING and size_of(tensor) >= BLOB_BYTES_MIN


def blobs_of(graph: GraphProto) -> tuple[TensorBlob, ...]:
    """Give the tensors of a normal graph that are blobs, in the order of their names."""
    found = []
    for tensor in graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL:
            digest = bytes.fromhex(tensor.external_data[0].value)
            found.append(TensorBlob(tensor.name, digest, size_of(tensor)))
    return tuple(sorted(found, key=lambda blob: blob.name))
