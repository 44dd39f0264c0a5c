# SPDX-License-Identifier: MIT
"""Models that take all the time they are given."""

import numpy as np
from onnx import GraphProto, ModelProto, helper

from tests.hostile.gates import LATE, UNPRICED, at_load, at_precheck, at_run
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
from tests.hostile.kinds import Plain, Policy

FOR_EVER = 2**62


def loop_body() -> GraphProto:
    """Add one, and go on."""
    return graph(
        [
            node("Identity", ["go_on"], ["still"]),
            node("Constant", [], ["one"], value_float=1.0),
            node("Add", ["v", "one"], ["w"]),
        ],
        [port("trip", [], INT64), port("go_on", [], BOOL), port("v", ["n"])],
        [port("still", [], BOOL), port("w", ["n"])],
        name="body",
    )


def endless_loop() -> ModelProto:
    """Loop 2^62 times."""
    loop = node("Loop", ["trips", "yes", "x"], ["y"], body=loop_body())
    weights = [ints("trips", FOR_EVER), weight("yes", True, np.bool_)]
    return model([loop], [port("x")], [port("y")], weights)


def loop_without_count() -> ModelProto:
    """Loop while true is true."""
    loop = node("Loop", ["", "yes", "x"], ["y"], body=loop_body())
    return model([loop], [port("x")], [port("y")], [weight("yes", True, np.bool_)])


def loop_in_branch() -> ModelProto:
    """Loop in a branch that the input chooses."""
    weights = [ints("trips", FOR_EVER), weight("yes", True, np.bool_)]
    loop = node("Loop", ["trips", "yes", "x"], ["a"], body=loop_body())
    then = graph([loop], [], [port("a")], weights, "then")
    other = graph([node("Identity", ["x"], ["b"])], [], [port("b")], name="other")
    choice = node("If", ["c"], ["y"], then_branch=then, else_branch=other)
    return model([choice], [port("x"), port("c", [], BOOL)], [port("y")])


def loop_in_function() -> ModelProto:
    """Loop in a function, where no list of the graph's own operators shows it."""
    nodes = [
        node("Constant", [], ["trips"], value=ints("", FOR_EVER)),
        node("Constant", [], ["yes"], value=weight("", True, np.bool_)),
        node("Loop", ["trips", "yes", "x"], ["y"], body=loop_body()),
    ]
    opset = [helper.make_opsetid("", 21)]
    function = helper.make_function("local", "Quiet", ["x"], ["y"], nodes, opset)
    call = node("Quiet", ["x"], ["y"], domain="local")
    return model([call], [port("x")], [port("y")], functions=[function], domains=[("local", 1)])


def scan_over_nothing() -> ModelProto:
    """Scan over 2^40 rows without elements, which take no memory at all."""
    body = graph(
        [node("Identity", ["s"], ["t"])], [port("s"), port("row", [0])], [port("t")], name="body"
    )
    nodes = [
        node("Expand", ["nothing", "many"], ["rows"]),
        node("Scan", ["x", "rows"], ["y"], body=body, num_scan_inputs=1),
    ]
    weights = [weight("nothing", np.zeros((1, 0))), ints("many", [2**40, 0])]
    return model(nodes, [port("x")], [port("y")], weights)


def huge_kernel() -> ModelProto:
    """Multiply two large matrices: one node, one kernel, inside which nothing can be asked."""
    nodes = [
        node("ConstantOfShape", ["side"], ["a"]),
        node("MatMul", ["a", "a"], ["b"]),
        node("ReduceMax", ["b"], ["y"], keepdims=0),
    ]
    return model(nodes, [port("side", [2], INT64)], [port("y", [])])


def wide_pool() -> ModelProto:
    """Pool a million numbers with a window of a million: 10^12 steps on eight megabytes."""
    nodes = [
        node("Expand", ["x", "many"], ["row"]),
        node("LpPool", ["row"], ["y"], kernel_shape=[2**20], pads=[2**19, 2**19 - 1]),
    ]
    return model(nodes, [port("x", [1, 1, 1])], [port("y", None)], [ints("many", [1, 1, 2**20])])


def tree_that_never_ends() -> ModelProto:
    """Ask a decision tree whose first node leads to itself."""
    tree = node(
        "TreeEnsembleRegressor",
        ["x"],
        ["y"],
        domain="ai.onnx.ml",
        n_targets=1,
        nodes_treeids=[0, 0, 0],
        nodes_nodeids=[0, 1, 2],
        nodes_featureids=[0, 0, 0],
        nodes_values=[0.0, 0.0, 0.0],
        nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"],
        nodes_truenodeids=[0, 0, 0],
        nodes_falsenodeids=[0, 0, 0],
        nodes_missing_value_tracks_true=[0, 0, 0],
        target_treeids=[0, 0],
        target_nodeids=[1, 2],
        target_ids=[0, 0],
        target_weights=[1.0, 2.0],
    )
    return model([tree], [port("x", [1, 1])], [port("y", None)], domains=[("ai.onnx.ml", 3)])


def greedy_boxes() -> ModelProto:
    """Compare 300 000 boxes with each other, none of which covers another."""
    nodes = [
        node("Range", ["zero", "many", "one"], ["left"]),
        node("Unsqueeze", ["left", "axes"], ["column"]),
        node("Concat", ["column", "column", "column", "column"], ["boxes"], axis=2),
        node("Expand", ["one", "shape"], ["scores"]),
        node("NonMaxSuppression", ["boxes", "scores", "most", "half"], ["y"]),
    ]
    weights = [
        *(weight("zero", 0.0), weight("one", 1.0), weight("half", [0.5])),
        *(ints("axes", [0, 2]), ints("shape", [1, 1, 300_000]), ints("most", [2**40])),
    ]
    return model(nodes, [port("many", [])], [port("y", None, INT64)], weights)


_TRUE = gives(floats(1), np.array(True))
_ONE = gives(floats(1))

KINDS = (
    *(
        at_run(name, story, writes(make), Plain.HANGS, LATE, inputs=inputs, policy=Policy.LOCAL)
        for name, story, make, inputs in (
            ("endless loop", "A Loop of 2^62 trips.", endless_loop, _ONE),
            ("loop without a count", "A Loop while true is true.", loop_without_count, _ONE),
            ("loop in a branch", "The Loop is in the branch of an If.", loop_in_branch, _TRUE),
            (
                "loop in a function",
                "The Loop is in a function of the model's own.",
                loop_in_function,
                _ONE,
            ),
            ("scan over nothing", "A Scan over 2^40 empty rows.", scan_over_nothing, _ONE),
        )
    ),
    *(
        at_precheck(
            f"a stranger's {name}",
            f"{story} A walk over the graph finds it, wherever it hides.",
            writes(make),
            Plain.HANGS,
            LATE,
            inputs=inputs,
            reasons=UNPRICED,
        )
        for name, story, make, inputs in (
            ("endless loop", "A Loop of 2^62 trips.", endless_loop, _ONE),
            ("loop in a branch", "The Loop is in the branch of an If.", loop_in_branch, _TRUE),
            (
                "loop in a function",
                "The Loop is in a function of the model's own.",
                loop_in_function,
                _ONE,
            ),
            ("scan over nothing", "A Scan over 2^40 empty rows.", scan_over_nothing, _ONE),
        )
    ),
    at_run(
        "huge kernel",
        "One MatMul of 8 192 by 8 192: no node ends, so nobody is asked whether to go on.",
        writes(huge_kernel),
        Plain.HANGS,
        LATE,
        inputs=gives(longs(8192, 8192)),
    ),
    at_run(
        "wide pool",
        "An LpPool with a window of a million over a million: little memory, 10^12 steps.",
        writes(wide_pool),
        Plain.HANGS,
        LATE,
        inputs=gives(np.ones((1, 1, 1), np.float32)),
    ),
    at_run(
        "greedy boxes",
        "NonMaxSuppression of 300 000 boxes, which is quadratic inside one kernel.",
        writes(greedy_boxes),
        Plain.HANGS,
        LATE,
        inputs=gives(np.array(300_000, np.float32)),
    ),
    at_load(
        "tree that never ends",
        "A decision tree whose first node leads to itself.",
        writes(tree_that_never_ends),
        Plain.NOT_LOADED,
        inputs=gives(np.zeros((1, 1), np.float32)),
    ),
)
