# SPDX-License-Identifier: MIT
"""Models that take all the memory there is: at once, bit by bit, or before they are run."""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper

from protocol.tensors import Tensor
from tests.hostile.gates import (
    BIG,
    BIG_AT_LOAD,
    FAILED,
    at_load,
    at_precheck,
    at_run,
)
from tests.hostile.graphs import (
    BOOL,
    INT64,
    floats,
    gives,
    graph,
    ints,
    longs,
    model,
    node,
    port,
    weight,
    writes,
)
from tests.hostile.kinds import Hostile, Plain, Policy

GIANT = 25 * 10**9  # elements: 100 GB of floats

Inputs = Callable[[], tuple[Tensor, ...]]


def one_node(
    made: NodeProto, sizes: Sequence[str] = ("s",), weights: Sequence[TensorProto] = ()
) -> ModelProto:
    """Give a model of one node that reads its sizes from the inputs."""
    inputs = [port(name, None, INT64) for name in sizes]
    return model([made], inputs, [port("y", None)], weights)


def expand() -> ModelProto:
    return one_node(node("Expand", ["one", "s"], ["y"]), weights=[weight("one", [1])])


def tile() -> ModelProto:
    return one_node(node("Tile", ["one", "s"], ["y"]), weights=[weight("one", [1])])


def pad() -> ModelProto:
    return one_node(node("Pad", ["one", "s"], ["y"]), weights=[weight("one", [1])])


def count() -> ModelProto:
    weights = [ints("zero", 0), ints("one", 1)]
    made = node("Range", ["zero", "s", "one"], ["y"])
    return model([made], [port("s", [], INT64)], [port("y", None, INT64)], weights)


def one_hot() -> ModelProto:
    weights = [ints("at", [0]), weight("values", [0, 1])]
    return one_node(node("OneHot", ["at", "s", "values"], ["y"]), weights=weights)


def resize() -> ModelProto:
    made = node("Resize", ["one", "", "", "s"], ["y"], mode="nearest")
    weights = [weight("one", np.ones((1, 1, 1, 1)))]
    return model([made], [port("s", [4], INT64)], [port("y", None)], weights)


def window() -> ModelProto:
    return one_node(node("HannWindow", ["s"], ["y"]))


def affine_grid() -> ModelProto:
    theta = weight("theta", np.ones((1, 2, 3)))
    return one_node(node("AffineGrid", ["theta", "s"], ["y"]), weights=[theta])


def unpool() -> ModelProto:
    weights = [weight("one", np.ones((1, 1, 1, 1))), ints("at", np.zeros((1, 1, 1, 1)))]
    made = node("MaxUnpool", ["one", "at", "s"], ["y"], kernel_shape=[1, 1])
    return one_node(made, weights=weights)


def shape_from_input() -> ModelProto:
    return one_node(node("ConstantOfShape", ["s"], ["y"]))


def outer_product() -> ModelProto:
    """x by x: what a requester sends is small, what comes out is its square."""
    weights = [ints("column", [-1, 1]), ints("row", [1, -1])]
    nodes = [
        node("Reshape", ["x", "column"], ["a"]),
        node("Reshape", ["x", "row"], ["b"]),
        node("Mul", ["a", "b"], ["y"]),
    ]
    return model(nodes, [port("x")], [port("y", ["n", "n"])], weights)


def doubling(times: int) -> ModelProto:
    """Put x behind itself, again and again."""
    names = ["x", *(f"x{place}" for place in range(1, times)), "y"]
    nodes = [node("Concat", [one, one], [two], axis=0) for one, two in itertools.pairwise(names)]
    return model(nodes, [port("x")], [port("y", ["m"])])


def many_outputs() -> ModelProto:
    """Give 64 outputs of 64 MiB, none of which is large."""
    names = [f"y{place}" for place in range(64)]
    nodes = [node("Expand", ["x", "many"], [name]) for name in names]
    outputs = [port(name, [2**24]) for name in names]
    return model(nodes, [port("x", [1])], outputs, [ints("many", [2**24])])


def folded() -> ModelProto:
    """Ask for 100 GB in a constant, which is made when the model is read."""
    nodes = [node("ConstantOfShape", ["s"], ["a"]), node("Add", ["x", "a"], ["y"])]
    return model(nodes, [port("x", [1])], [port("y", None)], [ints("s", [GIANT])])


def folded_doubling() -> ModelProto:
    """Double a constant forty times while the model is read."""
    made = doubling(40)
    made.graph.initializer.append(weight("x", [1]))
    del made.graph.input[:]
    return made


def attribute_shape() -> ModelProto:
    """Ask for 4 TB of random numbers by an attribute."""
    return model([node("RandomNormal", [], ["y"], shape=[2**40])], [], [port("y", None)])


def transposed_convolution() -> ModelProto:
    """Spread one number over 10^10 by a stride."""
    made = node("ConvTranspose", ["x", "w"], ["y"], strides=[10**10])
    weights = [weight("w", np.ones((1, 1, 1)))]
    return model([made], [port("x", [1, 1, 2])], [port("y", None)], weights)


def sparse_weight() -> ModelProto:
    """Give one number in 2^40 places: a hundred bytes that are 4 TB when written out."""
    made = model([node("Add", ["x", "w"], ["y"])], [port("x", [1])], [port("y", None)])
    sparse = made.graph.sparse_initializer.add()
    sparse.values.CopyFrom(weight("w", [1.0]))
    sparse.indices.CopyFrom(ints("", [0]))
    sparse.dims.extend([2**20, 2**20])
    return made


def sparse_constant() -> ModelProto:
    """Give one number in 2^29 places: what ONNX Runtime still takes is 2 GiB written out."""
    sparse = helper.make_sparse_tensor(weight("v", [1.0]), ints("", [0]), [2**29 - 1])
    nodes = [node("Constant", [], ["w"], sparse_value=sparse), node("Add", ["x", "w"], ["y"])]
    return model(nodes, [port("x", [1])], [port("y", None)])


def growing_loop() -> ModelProto:
    """Keep 16 MiB of each of a thousand trips of a Loop."""
    body = graph(
        [
            node("Identity", ["go_on"], ["still"]),
            node("Constant", [], ["many"], value=ints("", [2**22])),
            node("Expand", ["x", "many"], ["kept"]),
        ],
        [port("trip", [], INT64), port("go_on", [], BOOL)],
        [port("still", [], BOOL), port("kept", [2**22])],
        name="body",
    )
    loop = node("Loop", ["trips", "yes"], ["y"], body=body)
    weights = [ints("trips", 1000), weight("yes", True, np.bool_)]
    return model([loop], [port("x", [1])], [port("y", None)], weights)


_ONE = gives(floats(1))


def _asked(name: str, make: Callable[[], ModelProto], *sizes: int, scalar: bool = False) -> Hostile:
    given = gives(np.array(sizes[0])) if scalar else gives(longs(*sizes))
    return at_run(
        f"giant {name}",
        f"{make().graph.node[0].op_type} to a size that the input asks for.",
        writes(make),
        Plain.FAILS,
        BIG,
        inputs=given,
    )


KINDS = (
    _asked("constant", shape_from_input, GIANT),
    _asked("expansion", expand, GIANT),
    at_run(
        "giant tiling",
        "Tile to a size that the input asks for; ONNX Runtime itself says no above 4 GB.",
        writes(tile),
        Plain.FAILS,
        BIG | FAILED,
        inputs=gives(longs(GIANT)),
    ),
    _asked("padding", pad, 0, GIANT),
    _asked("range", count, GIANT, scalar=True),
    _asked("one-hot", one_hot, GIANT),
    _asked("picture", resize, 1, 1, 150_000, 150_000),
    _asked("window", window, GIANT, scalar=True),
    _asked("grid", affine_grid, 1, 1, 150_000, 150_000),
    _asked("unpooling", unpool, 1, 1, 150_000, 150_000),
    at_run(
        "outer product",
        "Half a megabyte goes in, and its square of 64 GB would come out.",
        writes(outer_product),
        Plain.FAILS,
        BIG,
        inputs=gives(np.ones(128_000, np.float32)),
    ),
    at_run(
        "doubling",
        "Forty nodes, each of which doubles what the one before it gave.",
        writes(lambda: doubling(40)),
        Plain.FAILS,
        BIG,
        inputs=_ONE,
    ),
    at_run(
        "many medium outputs",
        "64 outputs of 64 MiB: none is large, all together are over the cap.",
        writes(many_outputs),
        Plain.FAILS,
        BIG,
        inputs=_ONE,
    ),
    at_run(
        "growing loop",
        "A Loop that keeps 16 MiB of each of a thousand trips.",
        writes(growing_loop),
        Plain.FAILS,
        BIG,
        inputs=_ONE,
        policy=Policy.LOCAL,
    ),
    at_run(
        "stride of ten billion",
        "A ConvTranspose whose stride spreads two numbers over 40 GB.",
        writes(transposed_convolution),
        Plain.FAILS,
        BIG,
        inputs=gives(np.ones((1, 1, 2), np.float32)),
    ),
    at_precheck(
        "random terabytes",
        "RandomNormal of 2^40 numbers, by an attribute; nobody could check random numbers anyway.",
        writes(attribute_shape),
        Plain.FAILS,
        BIG,
    ),
    at_run(
        "giant folded constant",
        "A constant of 100 GB: made when the model is read, and again when that failed.",
        writes(folded),
        Plain.FAILS,
        BIG_AT_LOAD,
        inputs=_ONE,
    ),
    at_load(
        "folded doubling",
        "A constant that is doubled forty times when the model is read.",
        writes(folded_doubling),
        Plain.NOT_LOADED,
        reasons=BIG_AT_LOAD,
    ),
    at_load(
        "sparse weight",
        "One number in a matrix of 2^40: a hundred bytes that are 4 TB when written out.",
        writes(sparse_weight),
        Plain.NOT_LOADED,
        inputs=_ONE,
        reasons=BIG_AT_LOAD,
    ),
    at_load(
        "sparse constant",
        "One number in a vector of 2 GiB, in an attribute: just what ONNX Runtime still takes.",
        writes(sparse_constant),
        Plain.NOT_LOADED,
        inputs=_ONE,
        reasons=BIG_AT_LOAD,
    ),
    at_run(
        "shape that overflows",
        "Dimensions whose product is more than 64 bits hold.",
        writes(shape_from_input),
        Plain.FAILS,
        BIG | FAILED,
        inputs=gives(longs(2**40, 2**40)),
    ),
    at_run(
        "shape that overflows to nothing",
        "Dimensions whose product is 2^64, which is 0 to a careless multiplication.",
        writes(shape_from_input),
        Plain.FAILS,
        BIG | FAILED,
        inputs=gives(longs(2**32, 2**32)),
    ),
    at_run(
        "negative shape",
        "A dimension of minus four, asked for when the model runs.",
        writes(shape_from_input),
        Plain.FAILS,
        FAILED,
        inputs=gives(longs(-4)),
    ),
    at_run(
        "negative tiling",
        "Minus a billion repetitions.",
        writes(tile),
        Plain.FAILS,
        FAILED,
        inputs=gives(longs(-(10**9))),
    ),
)
