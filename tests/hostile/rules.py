# SPDX-License-Identifier: MIT
"""Models that break the rules of ONNX, or use parts of it that nobody should need."""

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import ModelProto, StringStringEntryProto, helper

from protocol.reasons import Reason
from tests.hostile.gates import (
    ANSWERS,
    REFUSED,
    UNPRICED,
    Inputs,
    at_load,
    at_precheck,
    harmless,
)
from tests.hostile.graphs import (
    BOOL,
    INT64,
    floats,
    gives,
    graph,
    identity,
    model,
    node,
    port,
    sum_with_weight,
    weight,
    weight_alone,
    writes,
)
from tests.hostile.kinds import Hostile, Plain, no_inputs

Spoil = Callable[[ModelProto], None]

_ONE = gives(floats(1))
_FOUR = gives(floats(1, 2, 3, 4))


def spoilt(spoil: Spoil, make: Callable[[], ModelProto] = identity) -> Callable[[], ModelProto]:
    """Give a maker of a harmless model with something done to it."""

    def made() -> ModelProto:
        good = make()
        spoil(good)
        return good

    return made


def imports(*pairs: tuple[str, int]) -> Spoil:
    def spoil(made: ModelProto) -> None:
        del made.opset_import[:]
        made.opset_import.extend(helper.make_opsetid(*pair) for pair in pairs)

    return spoil


def version(number: int) -> Spoil:
    def spoil(made: ModelProto) -> None:
        made.ir_version = number

    return spoil


def metadata(key: str, value: str) -> Spoil:
    def spoil(made: ModelProto) -> None:
        made.metadata_props.append(StringStringEntryProto(key=key, value=value))

    return spoil


def much_metadata(made: ModelProto) -> None:
    entries = (StringStringEntryProto(key=f"k{place}", value="v") for place in range(200_000))
    made.metadata_props.extend(entries)


def training(made: ModelProto) -> None:
    made.training_info.add().algorithm.CopyFrom(made.graph)


def operator(op: str, domain: str, **attributes: Any) -> Spoil:
    def spoil(made: ModelProto) -> None:
        made.graph.node[0].CopyFrom(node(op, ["x"], ["y"], domain=domain, **attributes))
        if domain:
            made.opset_import.append(helper.make_opsetid(domain, 1))

    return spoil


def reference(made: ModelProto) -> None:
    made.graph.node[0].CopyFrom(node("Elu", ["x"], ["y"]))
    made.graph.node[0].attribute.add(name="alpha", type=1, ref_attr_name="alpha")


def unknown_attribute(made: ModelProto) -> None:
    made.graph.node[0].attribute.append(helper.make_attribute("evil", 1))


def long_attribute(made: ModelProto) -> None:
    made.graph.node[0].CopyFrom(node("Constant", [], ["y"], value_ints=range(1_000_000)))
    made.graph.output[0].CopyFrom(port("y", None, INT64))


def many_attributes(made: ModelProto) -> None:
    made.graph.node[0].CopyFrom(node("Elu", ["x"], ["y"]))
    made.graph.node[0].attribute.extend(helper.make_attribute("alpha", 1.0) for _ in range(100_000))


def cycle(made: ModelProto) -> None:
    nodes = [node("Add", ["x", "b"], ["a"]), node("Neg", ["a"], ["b"]), node("Neg", ["b"], ["y"])]
    del made.graph.node[:]
    made.graph.node.extend(nodes)


def from_nowhere(made: ModelProto) -> None:
    made.graph.node[0].input[0] = "nowhere"


def to_nowhere(made: ModelProto) -> None:
    made.graph.output[0].name = "nowhere"


def same_output(made: ModelProto) -> None:
    made.graph.node.append(node("Neg", ["x"], ["y"]))


def same_input(made: ModelProto) -> None:
    made.graph.input.append(port("x"))


def output_twice(made: ModelProto) -> None:
    made.graph.output.append(made.graph.output[0])


def shadow() -> ModelProto:
    """Give a name in a branch that the graph around it has already."""
    one = graph([node("Neg", ["x"], ["x2"])], [], [port("x2")], [weight("x", [9])], "one")
    two = graph([node("Abs", ["x"], ["x3"])], [], [port("x3")], name="two")
    choice = node("If", ["c"], ["y"], then_branch=one, else_branch=two)
    return model([choice], [port("x"), port("c", [], BOOL)], [port("y")])


def rule(
    title: str,
    story: str,
    spoil: Spoil,
    plain: Plain = Plain.NOT_LOADED,
    make: Callable[[], ModelProto] = identity,
    inputs: Inputs | None = None,
    alone: frozenset[Reason | None] | None = None,
    reasons: frozenset[Reason] = REFUSED,
    mended: bool = False,
) -> Hostile:
    given = inputs or {identity: _ONE, sum_with_weight: _FOUR, weight_alone: no_inputs}[make]
    seen = ANSWERS if plain is Plain.ANSWERS else REFUSED
    return at_precheck(
        title,
        story,
        writes(spoilt(spoil, make)),
        plain,
        alone or seen,
        inputs=given,
        reasons=reasons,
        mended=mended,
    )


KINDS = (
    rule("custom domain", "An operator of somebody's own library.", operator("Evil", "evil.com")),
    rule(
        "unknown operator",
        "An operator that ONNX does not have.",
        operator("Evil", ""),
        reasons=UNPRICED,
    ),
    rule(
        "operator of a compiler",
        "EPContext, which loads what another compiler made.",
        operator("EPContext", "com.microsoft", ep_cache_context="../secret.bin", embed_mode=0),
    ),
    rule(
        "operator not listed",
        "FastGelu of com.microsoft, which nobody has vetted.",
        operator("FastGelu", "com.microsoft"),
        Plain.ANSWERS,
    ),
    rule(
        "internal operator",
        "An operator of ONNX Runtime's own optimiser.",
        operator("ReorderInput", "com.microsoft.nchwc"),
        inputs=gives(np.ones((1, 8, 2, 2), np.float32)),
    ),
    rule(
        "random numbers",
        "Numbers that nobody can check.",
        operator("RandomNormalLike", ""),
        Plain.ANSWERS,
    ),
    rule("opset 99", "An opset of the future.", imports(("", 99))),
    rule("opset 0", "An opset before the first.", imports(("", 0))),
    rule("negative opset", "An opset of minus one.", imports(("", -1))),
    rule(
        "opset said twice", "Two opsets for one domain.", imports(("", 21), ("", 7)), Plain.ANSWERS
    ),
    rule(
        "opset by two names",
        "The same domain by both its names.",
        imports(("", 21), ("ai.onnx", 7)),
        Plain.ANSWERS,
    ),
    rule("no opset", "No opset at all.", imports()),
    rule(
        "many opsets",
        "A hundred thousand domains.",
        imports(("", 21), *((f"d{place}", 1) for place in range(100_000))),
        Plain.ANSWERS,
        mended=True,
    ),
    rule("format of the future", "IR version 99.", version(99)),
    rule("format before the first", "IR version 0.", version(0), Plain.ANSWERS),
    rule("negative format", "IR version minus one.", version(-1), Plain.ANSWERS),
    rule(
        "settings in the model",
        "Settings of ONNX Runtime in the metadata.",
        metadata("ort_config", '{"session_options": {"intra_op_num_threads": 64}}'),
        Plain.ANSWERS,
    ),
    rule(
        "metadata without end",
        "Two hundred thousand entries.",
        much_metadata,
        Plain.ANSWERS,
        mended=True,
    ),
    rule("training", "A second graph, for training.", training, Plain.ANSWERS),
    rule(
        "reference to nothing",
        "An attribute of a function, outside of one.",
        reference,
        Plain.ANSWERS,
    ),
    at_load(
        "unknown attribute",
        "An attribute that the operator does not have.",
        writes(spoilt(unknown_attribute)),
        Plain.NOT_LOADED,
        inputs=_ONE,
    ),
    rule("same attribute often", "One attribute, a hundred thousand times.", many_attributes),
    rule("cycle", "Two nodes that wait for each other.", cycle),
    rule("input from nowhere", "A node reads what nobody makes.", from_nowhere),
    rule("output from nowhere", "The output is what nobody makes.", to_nowhere),
    rule("output made twice", "Two nodes make one tensor.", same_output),
    rule("input said twice", "Two inputs of one name.", same_input),
    rule("output said twice", "One output is given twice.", output_twice, Plain.ANSWERS),
    at_precheck(
        "shadow",
        "A branch has a name of the graph around it.",
        writes(shadow),
        Plain.ANSWERS,
        ANSWERS,
        inputs=gives(floats(1), np.array(True)),
    ),
    harmless(
        "list of a million",
        "An attribute of a million numbers.",
        writes(spoilt(long_attribute)),
        inputs=_ONE,
    ),
)
