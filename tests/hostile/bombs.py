# SPDX-License-Identifier: MIT
"""Small files that become large, or deep, or slow, when they are read."""

import itertools

import numpy as np
from onnx import FunctionProto, ModelProto, helper

from tests.hostile import wire
from tests.hostile.endless import loop_body
from tests.hostile.gates import (
    ANSWERS,
    BIG_AT_LOAD,
    LATE,
    REFUSED,
    at_load,
    at_precheck,
    harmless,
)
from tests.hostile.graphs import (
    BOOL,
    floats,
    gives,
    graph,
    ints,
    model,
    node,
    port,
    weight,
    writes,
)
from tests.hostile.kinds import Plain

_LOCAL = "local"


def _function(name: str, *calls: tuple[str, str, str]) -> FunctionProto:
    nodes = [
        node(called, [given], [made], domain=_LOCAL if called.startswith("f") else "")
        for called, given, made in calls
    ]
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid(_LOCAL, 1)]
    return helper.make_function(_LOCAL, name, ["x"], ["y"], nodes, opsets)


def _calling(first: str, functions: list[FunctionProto]) -> ModelProto:
    call = node(first, ["x"], ["y"], domain=_LOCAL)
    return model([call], [port("x")], [port("y")], functions=functions, domains=[(_LOCAL, 1)])


def inlining(depth: int) -> ModelProto:
    """Each function calls the one before it twice: 2^depth nodes in two kilobytes."""
    functions = [_function("f0", ("Neg", "x", "y"))]
    for place in range(1, depth):
        before = f"f{place - 1}"
        functions.append(_function(f"f{place}", (before, "x", "t"), (before, "t", "y")))
    return _calling(f"f{depth - 1}", functions)


def recursion() -> ModelProto:
    return _calling("f0", [_function("f0", ("f0", "x", "y"))])


def recursion_of_two() -> ModelProto:
    return _calling("f0", [_function("f0", ("f1", "x", "y")), _function("f1", ("f0", "x", "y"))])


def called_like_an_operator() -> ModelProto:
    """Name a function with one input like an operator with two."""
    opset = [helper.make_opsetid("", 21)]
    function = helper.make_function(_LOCAL, "Add", ["x"], ["y"], [node("Neg", ["x"], ["y"])], opset)
    return _calling("Add", [function])


def folding() -> ModelProto:
    """Multiply large constants: it is done when the model is read, in one kernel."""
    nodes = [
        node("ConstantOfShape", ["side"], ["a"]),
        node("MatMul", ["a", "a"], ["b"]),
        node("ReduceMax", ["b"], ["c"], keepdims=0),
        node("Add", ["x", "c"], ["y"]),
    ]
    return model(nodes, [port("x", [1])], [port("y", [1])], [ints("side", [8192, 8192])])


def folded_loop() -> ModelProto:
    """Loop over constants for ever."""
    weights = [ints("trips", 2**62), weight("yes", True, np.bool_), weight("zero", [0])]
    nodes = [
        node("Loop", ["trips", "yes", "zero"], ["c"], body=loop_body()),
        node("Add", ["x", "c"], ["y"]),
    ]
    return model(nodes, [port("x", [1])], [port("y", [1])], weights)


def chain(length: int) -> bytes:
    """Put nodes behind each other, by hand: a library takes seconds for it."""
    names = [b"x", *(b"%x" % place for place in range(1, length)), b"y"]
    operator = wire.piece(wire.NODE_OP, b"Neg")
    nodes = b"".join(
        wire.piece(
            wire.GRAPH_NODE,
            wire.piece(wire.NODE_INPUT, one) + wire.piece(wire.NODE_OUTPUT, two) + operator,
        )
        for one, two in itertools.pairwise(names)
    )
    return wire.framed(nodes + _frame_of_ports())


def _frame_of_ports() -> bytes:
    return (
        wire.piece(wire.GRAPH_NAME, b"g")
        + wire.piece(wire.GRAPH_INPUT, port("x", [1]).SerializeToString())
        + wire.piece(wire.GRAPH_OUTPUT, port("y", [1]).SerializeToString())
    )


def nesting(depth: int) -> bytes:
    """Put an If into an If into an If, by hand: a library would run out of stack."""

    def leaf(name: bytes) -> bytes:
        made = node("Identity", ["x"], [name.decode()]).SerializeToString()
        out = port(name.decode(), [1]).SerializeToString()
        return (
            wire.piece(wire.GRAPH_NODE, made)
            + wire.piece(wire.GRAPH_NAME, b"g")
            + wire.piece(wire.GRAPH_OUTPUT, out)
        )

    inner = leaf(b"o0")
    for place in range(1, depth + 1):
        name = b"o%d" % place if place < depth else b"y"
        branches = ((b"then_branch", inner), (b"else_branch", leaf(b"e%d" % place)))
        attributes = b"".join(
            wire.piece(
                wire.NODE_ATTRIBUTE,
                wire.piece(wire.ATTRIBUTE_NAME, branch)
                + wire.piece(wire.ATTRIBUTE_GRAPH, content)
                + wire.number(wire.ATTRIBUTE_TYPE, wire.A_GRAPH),
            )
            for branch, content in branches
        )
        choice = (
            wire.piece(wire.NODE_INPUT, b"c")
            + wire.piece(wire.NODE_OUTPUT, name)
            + wire.piece(wire.NODE_OP, b"If")
            + attributes
        )
        inner = (
            wire.piece(wire.GRAPH_NODE, choice)
            + wire.piece(wire.GRAPH_NAME, b"g")
            + wire.piece(wire.GRAPH_OUTPUT, port(name.decode(), [1]).SerializeToString())
        )
    ports = (port("x", [1]), port("c", [], BOOL))
    return wire.framed(
        inner + b"".join(wire.piece(wire.GRAPH_INPUT, one.SerializeToString()) for one in ports)
    )


def wide(count: int) -> ModelProto:
    """Add one tensor to itself, by naming it so often."""
    return model([node("Sum", ["x"] * count, ["y"])], [port("x")], [port("y")])


def same_constant(count: int) -> ModelProto:
    """Give so many equal constants, which are compared with each other."""
    nodes = [node("Constant", [], [f"c{place}"], value_float=1.0) for place in range(count)]
    total = node("Sum", [f"c{place}" for place in range(count)], ["c"])
    return model([*nodes, total, node("Add", ["x", "c"], ["y"])], [port("x")], [port("y")])


def many_branches(count: int) -> ModelProto:
    """Choose so often, with both branches written out."""
    nodes, before = [], "x"
    for place in range(count):
        after = f"t{place}" if place < count - 1 else "y"
        one, two = (
            graph([node(op, [before], [op])], [], [port(op)], name=op) for op in ("Neg", "Abs")
        )
        nodes.append(node("If", ["c"], [after], then_branch=one, else_branch=two))
        before = after
    return model(nodes, [port("x"), port("c", [], BOOL)], [port("y")])


_ONE = gives(floats(1))
_TRUE = gives(floats(1), np.array(True))

KINDS = (
    at_precheck(
        "inlining bomb",
        "22 functions of two kilobytes together, each of which calls the one before it twice.",
        writes(lambda: inlining(22)),
        Plain.LOAD_HANGS,
        REFUSED,
        inputs=_ONE,
    ),
    at_precheck(
        "function that calls itself",
        "A function whose body is a call of itself.",
        writes(recursion),
        Plain.NOT_LOADED,
        REFUSED,
        inputs=_ONE,
    ),
    at_precheck(
        "functions that call each other",
        "Two functions, each of which is a call of the other.",
        writes(recursion_of_two),
        Plain.NOT_LOADED,
        REFUSED,
        inputs=_ONE,
    ),
    at_load(
        "function called like an operator",
        "A function Add of one input: an optimiser reads the second. Inlined, it is harmless.",
        writes(called_like_an_operator),
        Plain.LOAD_DIES,
        inputs=_ONE,
    ),
    at_load(
        "folding bomb",
        "A product of large constants, which is computed when the model is read.",
        writes(folding),
        Plain.LOAD_HANGS,
        inputs=_ONE,
    ),
    at_precheck(
        "loop over constants",
        "A Loop for ever that depends on nothing, so that it could be computed at once.",
        writes(folded_loop),
        Plain.HANGS,
        REFUSED | LATE,
        inputs=_ONE,
    ),
    at_precheck(
        "chain of 100 000 nodes",
        "A hundred thousand nodes behind each other.",
        writes(lambda: chain(100_000)),
        (Plain.ANSWERS, Plain.LOAD_HANGS),
        BIG_AT_LOAD | ANSWERS,
        inputs=_ONE,
    ),
    at_precheck(
        "nest of 25",
        "An If in an If, 25 deep.",
        writes(lambda: nesting(25)),
        Plain.ANSWERS,
        ANSWERS,
        inputs=_TRUE,
    ),
    at_precheck(
        "nest of 200",
        "An If in an If, 200 deep.",
        writes(lambda: nesting(200)),
        Plain.NOT_LOADED,
        REFUSED,
        inputs=_TRUE,
    ),
    at_precheck(
        "nest of 2 000",
        "An If in an If, two thousand deep, which would take the stack of who follows it down.",
        writes(lambda: nesting(2_000)),
        Plain.NOT_LOADED,
        REFUSED,
        inputs=_TRUE,
    ),
    harmless(
        "a thousand branches",
        "A thousand times If, with both branches written out.",
        writes(lambda: many_branches(1_000)),
        inputs=_TRUE,
    ),
    harmless(
        "sum of 100 000",
        "A node that names its input a hundred thousand times.",
        writes(lambda: wide(100_000)),
        inputs=_ONE,
    ),
    harmless(
        "20 000 equal constants",
        "Constants to be compared with each other.",
        writes(lambda: same_constant(20_000)),
        inputs=_ONE,
    ),
)
