# SPDX-License-Identifier: MIT
"""Models whose numbers are traps: divisions that stop the processor, indices far outside."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto

from tests.conformance.convert import element_of
from tests.hostile.gates import FAILED, at_run, harmless
from tests.hostile.graphs import (
    FLOAT,
    INT32,
    INT64,
    floats,
    gives,
    longs,
    model,
    node,
    port,
    writes,
)
from tests.hostile.kinds import Hostile, Plain

Array = npt.NDArray[np.generic]
SMALLEST = -(2**63)


def one(made: NodeProto, values: Sequence[Array], domain: str = "") -> ModelProto:
    """Give a model of one node, all inputs of which come from outside."""
    names = [name for name in made.input if name]
    inputs = [
        port(name, [f"{name}{axis}" for axis in range(value.ndim)], int(element_of(value)))
        for name, value in zip(names, values, strict=True)
    ]
    return model([made], inputs, [port("y", None)], domains=[(domain, 1)] if domain else [])


def trap(
    name: str,
    story: str,
    made: NodeProto,
    *values: Array,
    plain: Plain | tuple[Plain, ...] = Plain.FAILS,
    output: int = FLOAT,
    domain: str = "",
) -> Hostile:
    """A model of one node that does no good on these inputs."""

    def make() -> ModelProto:
        whole = one(made, values, domain)
        whole.graph.output[0].type.tensor_type.elem_type = output
        return whole

    return at_run(name, story, writes(make), plain, FAILED, inputs=gives(*values))


def odd(name: str, story: str, made: NodeProto, *values: Array) -> Hostile:
    """A model of one node that answers all the same."""
    return harmless(name, story, writes(lambda: one(made, values)), inputs=gives(*values))


DIES = Plain.DIES

KINDS = (
    trap(
        "division that traps",
        "The smallest integer divided by minus one: the processor stops the whole process.",
        node("Div", ["a", "b"], ["y"]),
        longs(SMALLEST),
        longs(-1),
        plain=DIES,
        output=INT64,
    ),
    trap(
        "division that traps, 32 bits",
        "The same with 32 bits.",
        node("Div", ["a", "b"], ["y"]),
        np.array([-(2**31)], np.int32),
        np.array([-1], np.int32),
        plain=DIES,
        output=INT32,
    ),
    trap(
        "remainder that traps",
        "The remainder of the same division.",
        node("Mod", ["a", "b"], ["y"]),
        longs(SMALLEST),
        longs(-1),
        plain=DIES,
        output=INT64,
    ),
    trap(
        "division by zero",
        "An integer divided by zero.",
        node("Div", ["a", "b"], ["y"]),
        longs(1),
        longs(0),
        output=INT64,
    ),
    trap(
        "remainder of zero",
        "The remainder of a division by zero.",
        node("Mod", ["a", "b"], ["y"]),
        longs(1),
        longs(0),
        output=INT64,
    ),
    trap(
        "index far outside",
        "Gather at minus 10^12.",
        node("Gather", ["a", "b"], ["y"]),
        floats(1, 2),
        longs(-(10**12)),
    ),
    trap(
        "indices far outside",
        "GatherND at 10^12.",
        node("GatherND", ["a", "b"], ["y"]),
        floats(1, 2),
        longs(10**12).reshape(1, 1),
    ),
    trap(
        "elements far outside",
        "GatherElements at 10^12.",
        node("GatherElements", ["a", "b"], ["y"]),
        floats(1, 2),
        longs(10**12),
    ),
    trap(
        "writing far outside",
        "ScatterND at 10^12.",
        node("ScatterND", ["a", "b", "c"], ["y"]),
        floats(1, 2),
        longs(10**12).reshape(1, 1),
        floats(3),
    ),
    trap(
        "scattering far outside",
        "ScatterElements at 10^12.",
        node("ScatterElements", ["a", "b", "c"], ["y"]),
        floats(1, 2),
        longs(10**12),
        floats(3),
    ),
    trap(
        "unpooling far outside",
        "MaxUnpool to a place that is not in the picture.",
        node("MaxUnpool", ["a", "b"], ["y"], kernel_shape=[2, 2], strides=[2, 2]),
        np.ones((1, 1, 1, 1), np.float32),
        np.full((1, 1, 1, 1), 10**12),
    ),
    trap(
        "batch far outside",
        "RoiAlign in the picture number 10^12.",
        node("RoiAlign", ["a", "b", "c"], ["y"]),
        np.ones((1, 1, 4, 4), np.float32),
        np.array([[0, 0, 4, 4]], np.float32),
        longs(10**12),
    ),
    trap(
        "regions of NaN",
        "RoiAlign with corners that are no numbers.",
        node("RoiAlign", ["a", "b", "c"], ["y"], sampling_ratio=1),
        np.ones((1, 1, 4, 4), np.float32),
        np.full((1, 4), np.nan, np.float32),
        longs(0),
    ),
    odd(
        "grid of infinities",
        "GridSample at infinity and at what is no number.",
        node("GridSample", ["a", "b"], ["y"]),
        np.ones((1, 1, 4, 4), np.float32),
        np.array([[[[np.inf, np.nan], [-np.inf, 1e38]]]], np.float32),
    ),
    trap(
        "sequence longer than it is",
        "An LSTM told of sequences longer than what it gets.",
        node("LSTM", ["a", "b", "c", "", "d"], ["y"], hidden_size=1),
        np.ones((2, 1, 1), np.float32),
        np.ones((1, 4, 1), np.float32),
        np.ones((1, 4, 1), np.float32),
        np.array([10**9], np.int32),
    ),
    trap(
        "more than there is",
        "TopK of ten billion out of two.",
        node("TopK", ["a", "b"], ["y", "z"]),
        floats(1, 2),
        longs(10**10),
    ),
    trap(
        "less than nothing",
        "TopK of minus one.",
        node("TopK", ["a", "b"], ["y", "z"]),
        floats(1, 2),
        longs(-1),
    ),
    trap(
        "step of zero",
        "Slice with steps of zero.",
        node("Slice", ["a", "b", "c", "d", "e"], ["y"]),
        *(floats(1, 2), longs(0), longs(1), longs(0), longs(0)),
    ),
    odd(
        "slice to the edge of numbers",
        "Slice with the smallest integer everywhere.",
        node("Slice", ["a", "b", "c", "d", "e"], ["y"]),
        *(floats(1, 2), longs(SMALLEST), longs(SMALLEST), longs(0), longs(SMALLEST)),
    ),
    trap(
        "range that never ends",
        "Range with a step of zero.",
        node("Range", ["a", "b", "c"], ["y"]),
        *(np.array(0), np.array(1), np.array(0)),
        output=INT64,
    ),
    trap(
        "scales of NaN",
        "Resize by what is no number.",
        node("Resize", ["a", "", "b"], ["y"]),
        np.ones((1, 1, 2, 2), np.float32),
        np.full(4, np.nan, np.float32),
    ),
    trap(
        "reshape that does not fit",
        "Four elements into a shape of minus one by seven.",
        node("Reshape", ["a", "b"], ["y"]),
        floats(1, 2, 3, 4),
        longs(-1, 7),
    ),
    trap(
        "axes far outside",
        "Unsqueeze at an axis of 2^62.",
        node("Unsqueeze", ["a", "b"], ["y"]),
        floats(1),
        longs(2**62),
    ),
    trap(
        "keys far outside",
        "Attention told of keys beyond its cache.",
        node(
            "GroupQueryAttention",
            ["a", "b", "c", "d", "e", "f", "g"],
            ["y", "z", "w"],
            domain="com.microsoft",
            num_heads=1,
            kv_num_heads=1,
        ),
        *(np.ones((1, 1, 8), np.float32) for _ in range(3)),
        *(np.ones((1, 1, 1, 8), np.float32) for _ in range(2)),
        np.array([10**8], np.int32),
        np.array(2, np.int32),
        domain="com.microsoft",
    ),
    trap(
        "position far outside",
        "RotaryEmbedding at position 10^12 of a table of two.",
        node("RotaryEmbedding", ["a", "b", "c", "d"], ["y"], domain="com.microsoft"),
        np.ones((1, 1, 8), np.float32),
        longs(10**12).reshape(1, 1),
        np.ones((2, 4), np.float32),
        np.ones((2, 4), np.float32),
        domain="com.microsoft",
    ),
    trap(
        "weights that are too short",
        "MatMulNBits with less weights than its attributes say.",
        node(
            "MatMulNBits",
            ["a", "b", "c"],
            ["y"],
            domain="com.microsoft",
            K=4096,
            N=4096,
            bits=4,
            block_size=32,
        ),
        np.ones((1, 4096), np.float32),
        np.ones((1, 1, 1), np.uint8),
        floats(1),
        domain="com.microsoft",
    ),
)
