# SPDX-License-Identifier: MIT
"""What the operators of ONNX cost on the reference machine: version 1 of the price table, as data.

Which operators a graph has, and with which shapes, is found out where ONNX is known (the
node's intake); what the sum of their costs is in CU is said in `price`.

A number in this file is part of the price: changing one is a new version of the table.
"""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from protocol.price import Polynomial

# Dimensions are numbers, or polynomials over the symbols of a model.
SizeT = TypeVar("SizeT", int, Polynomial)

#: Floating point operations for each element of the output. What is not listed costs 1.
FLOPS_PER_OUTPUT = {
    # several passes over the data, one of them with an exponential
    "Softmax": 5,
    "LogSoftmax": 5,
    "LayerNormalization": 8,
    "SimplifiedLayerNormalization": 8,
    "SkipLayerNormalization": 9,
    "SkipSimplifiedLayerNormalization": 9,
    "RMSNormalization": 8,
    "GroupNormalization": 8,
    "InstanceNormalization": 8,
    "LpNormalization": 4,
    "LRN": 8,
    "BatchNormalization": 2,
    # one pass with a function of several steps
    "Gelu": 8,
    "BiasGelu": 9,
    "FastGelu": 8,
    "QuickGelu": 6,
    "Swish": 5,
    "Mish": 8,
    "Erf": 8,
    "Sigmoid": 4,
    "Tanh": 4,
    "Softplus": 4,
    "RotaryEmbedding": 3,
    # another view of the same bytes, or of their shape
    "Identity": 0,
    "Reshape": 0,
    "Flatten": 0,
    "Squeeze": 0,
    "Unsqueeze": 0,
    "Shape": 0,
    "Size": 0,
}

#: These read no data either: they move no bytes.
VIEWS = frozenset(op for op, flops in FLOPS_PER_OUTPUT.items() if flops == 0)

#: What these cost, or how big their output is, is known only after the work is done.
NOT_PRICEABLE = frozenset(
    {
        # control flow: how often, or which branch
        "If",
        "Loop",
        "Scan",
        "SequenceMap",
        # dice: no second execution can check them
        "Bernoulli",
        "Dropout",
        "Multinomial",
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
        # the data decides on the shape
        "Compress",
        "NonMaxSuppression",
        "NonZero",
        "StringSplit",
        "Unique",
    }
)


def elementwise_flops(op: str, outputs: SizeT) -> SizeT:
    """Cost of an operator without a formula of its own, for so many elements of output."""
    return outputs * FLOPS_PER_OUTPUT.get(op, 1)


def matmul_flops(m: SizeT, n: SizeT, k: SizeT) -> SizeT:
    """Cost of [m, k] by [k, n]: also Gemm, MatMulNBits, and one step of attention."""
    return m * n * k * 2


def conv_flops(outputs: SizeT, channels_in: int, groups: int, kernel: Sequence[int]) -> SizeT:
    """Cost of a convolution, for so many elements of output; of input for a transposed one."""
    taps = channels_in // groups
    for size in kernel:
        taps *= size
    return outputs * taps * 2


def attention_flops(heads: SizeT, queries: SizeT, keys: SizeT, width: SizeT) -> SizeT:
    """Cost of fused attention: two products and a softmax; `heads` counts all of a batch."""
    scores = heads * queries * keys
    return scores * width * 4 + scores * FLOPS_PER_OUTPUT["Softmax"]


def recurrent_flops(gates: int, steps: SizeT, width_in: SizeT, hidden: SizeT) -> SizeT:
    """Cost of an RNN (1 gate), GRU (3) or LSTM (4); `steps` counts batch, length and directions."""
    return steps * hidden * (width_in + hidden) * (2 * gates)


def live_nodes(
    nodes: Sequence[tuple[Sequence[str], Sequence[str]]],
    graph_inputs: Iterable[str],
    graph_outputs: Iterable[str],
) -> tuple[int, ...]:
    """Find the nodes that cost something at each run, by their position.

    A node is given by the names of its inputs and of its outputs, in topological order. It
    is live when an output of the graph needs it and it depends on an input of the graph;
    the rest is dropped or folded when the model is loaded, and nobody pays for it.
    """
    varying = set(graph_inputs)
    for inputs, outputs in nodes:
        if not varying.isdisjoint(inputs):
            varying.update(filter(None, outputs))  # an absent optional output has no name
    needed = set(graph_outputs)
    live = []
    for index in range(len(nodes) - 1, -1, -1):
        inputs, outputs = nodes[index]
        if not needed.isdisjoint(outputs):
            needed.update(filter(None, inputs))
            if not varying.isdisjoint(inputs):
                live.append(index)
    return tuple(reversed(live))
