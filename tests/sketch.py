# SPDX-License-Identifier: MIT
"""Writes graphs down as exporters do. Whole models are in `models_in_code`."""

import os
from collections.abc import Sequence
from typing import Any

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # whoever has a model soon runs it

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

Array = npt.NDArray[Any]
Dims = Sequence[int | str | None] | None

#: What every ONNX Runtime of ours takes; onnx itself would write newer ones.
OPSET, IR = 21, 10


class Sketch:
    """A graph in the making: nodes in order, weights from seeded dice."""

    def __init__(self, seed: int = 0) -> None:
        self.dice = np.random.default_rng(seed)
        self.nodes: list[NodeProto] = []
        self.weights: dict[str, Array] = {}
        self.inputs: list[ValueInfoProto] = []
        self.outputs: list[ValueInfoProto] = []
        self.version = OPSET
        self._count = 0

    def takes(self, name: str, dims: Dims, element: int = TensorProto.FLOAT) -> str:
        """An input of the graph."""
        self.inputs.append(helper.make_tensor_value_info(name, element, dims))
        return name

    def gives(self, name: str, dims: Dims = None, element: int = TensorProto.FLOAT) -> None:
        """An output of the graph."""
        self.outputs.append(helper.make_tensor_value_info(name, element, dims))

    def weight(self, *dims: int, scale: float | None = None) -> str:
        """A constant of small random numbers."""
        spread = scale if scale is not None else 1 / np.sqrt(dims[0] if len(dims) > 1 else 4)
        return self.put((self.dice.standard_normal(dims) * spread).astype(np.float32))

    def put(self, value: object, name: str = "") -> str:
        """A constant; whole numbers have 64 bits."""
        array = np.asarray(value)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        name = name or f"w{len(self.weights)}"
        self.weights[name] = array
        return name

    def add(self, op: str, *names: str, into: str = "", domain: str = "", **attributes: Any) -> str:
        """A node with one output; gives its name."""
        return self.many(op, names, [into or self._fresh(op)], domain=domain, **attributes)[0]

    def many(
        self,
        op: str,
        names: Sequence[str],
        into: Sequence[str],
        domain: str = "",
        **attributes: Any,
    ) -> Sequence[str]:
        """A node with outputs of these names."""
        name = f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(
            helper.make_node(op, list(names), list(into), name=name, domain=domain, **attributes)
        )
        return into

    def _fresh(self, op: str) -> str:
        self._count += 1
        return f"{op.lower()}.{self._count}"

    def model(self) -> ModelProto:
        """The whole."""
        graph = helper.make_graph(
            self.nodes,
            "graph",
            self.inputs,
            self.outputs,
            [numpy_helper.from_array(array, name) for name, array in self.weights.items()],
        )
        opsets = [helper.make_opsetid("", self.version)]
        if any(node.domain for node in self.nodes):
            opsets.append(helper.make_opsetid("com.microsoft", 1))
        return helper.make_model(graph, opset_imports=opsets, ir_version=IR)

    # --- what exporters write ----------------------------------------------------------------

    def dim(self, tensor: str, axis: int) -> str:
        """One dimension of a tensor, as a shape of one element."""
        whole = self.add("Shape", tensor)
        one = self.add("Gather", whole, self.put(np.int64(axis)), axis=0)
        return self.add("Unsqueeze", one, self.put(np.array([0])))

    def shaped(self, tensor: str, *dims: str | int) -> str:
        """A reshape to dimensions that are numbers or shapes of one element."""
        parts = [self.put(np.array([dim])) if isinstance(dim, int) else dim for dim in dims]
        return self.add("Reshape", tensor, self.add("Concat", *parts, axis=0))

    def linear(self, tensor: str, width_in: int, width_out: int) -> str:
        """A product and a bias."""
        product = self.add("MatMul", tensor, self.weight(width_in, width_out))
        return self.add("Add", product, self.weight(width_out))

    def norm(self, tensor: str, width: int) -> str:
        """A normalised layer."""
        ones, zeros = self.put(np.ones(width)), self.put(np.zeros(width))
        return self.add("LayerNormalization", tensor, ones, zeros, axis=-1, epsilon=1e-5)
