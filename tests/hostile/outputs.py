# SPDX-License-Identifier: MIT
"""Models whose outputs are not what they said: in number, type, shape or kind."""

import itertools
from collections.abc import Callable

import numpy as np
from onnx import ModelProto, TensorProto, ValueInfoProto, helper

from protocol.interface import Interface, PortShape
from protocol.reasons import Reason
from protocol.tensors import ElementType
from tests.hostile.gates import ANSWERS, REFUSED, UNPRICED, Inputs, at_load, at_precheck
from tests.hostile.graphs import (
    DOUBLE,
    FLOAT,
    INT64,
    STRING,
    floats,
    gives,
    identity,
    ints,
    model,
    node,
    port,
    words,
    writes,
)
from tests.hostile.kinds import Hostile, Plain, Policy, Stage, no_inputs

WRONG = frozenset({Reason.WRONG_FORM})
NOT_FINITE = frozenset({Reason.NOT_FINITE})

_F = ElementType.FLOAT
_N, _ONE = (1, 0), (0, 1)  # a dimension that is the symbol 0; one that is 1


_TWO = gives(floats(1, 2))


def claims(*outputs: tuple[ElementType, tuple[tuple[int, int], ...]]) -> Interface:
    """Claim that a vector x goes in and these come out."""
    ports = tuple(
        PortShape(f"y{place}" if place else "y", element, optional=False, dims=dims)
        for place, (element, dims) in enumerate(outputs)
    )
    return Interface((PortShape("x", _F, optional=False, dims=(_N,)),), ports, (), 1, ())


def lying(
    name: str,
    story: str,
    make: Callable[[], ModelProto],
    interface: Interface | None,
    reasons: frozenset[Reason] = WRONG,
    inputs: Inputs = _TWO,
) -> Hostile:
    """A model that answers, with something else than the interface says."""
    return Hostile(
        name,
        story,
        writes(make),
        Stage.OUTPUT,
        reasons,
        frozenset({Plain.ANSWERS}),
        # Where nobody knows what should come out, only what no tensor can be is wrong.
        frozenset(reasons) | (frozenset() if interface else ANSWERS),
        inputs,
        Policy.LOCAL,
        interface,
    )


def twice() -> ModelProto:
    return model(
        [node("Concat", ["x", "x"], ["y"], axis=0)], [port("x", ["n"])], [port("y", ["n"])]
    )


def sixteen_and_more() -> ModelProto:
    nodes = [node("Reshape", ["x", "shape"], ["y"])]
    return model(nodes, [port("x")], [port("y", None)], [ints("shape", [2, *[1] * 19])])


def quotient() -> ModelProto:
    return model([node("Div", ["x", "x"], ["y"])], [port("x")], [port("y")])


def power() -> ModelProto:
    return model([node("Exp", ["x"], ["y"])], [port("x")], [port("y")])


def quotient_of_halves() -> ModelProto:
    nodes = [
        node("Cast", ["x"], ["h"], to=int(TensorProto.BFLOAT16)),
        node("Cast", ["h"], ["y"], to=int(TensorProto.BFLOAT16)),
    ]
    return model(nodes, [port("x")], [port("y", ["n"], int(TensorProto.BFLOAT16))])


def long_text() -> ModelProto:
    """Double a text seventeen times."""
    names = ["x", *(f"x{place}" for place in range(16)), "y"]
    pairs = itertools.pairwise(names)
    nodes = [node("StringConcat", [one, one], [two]) for one, two in pairs]
    return model(nodes, [port("x", ["n"], STRING)], [port("y", ["n"], STRING)])


def half_a_letter() -> ModelProto:
    """Give a text that is no UTF-8."""
    text = TensorProto(name="w", data_type=STRING, dims=[1], string_data=[b"\xff\xfe"])
    return model([node("Identity", ["w"], ["y"])], [], [port("y", [1], STRING)], [text])


def sequence() -> ModelProto:
    kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(FLOAT, ["n"]))
    output = helper.make_value_info("y", kind)
    return model([node("SequenceConstruct", ["x"], ["y"])], [port("x")], [output])


def absent() -> ModelProto:
    kind = helper.make_optional_type_proto(helper.make_tensor_type_proto(FLOAT, ["n"]))
    output = helper.make_value_info("y", kind)
    return model([node("Optional", ["x"], ["y"])], [port("x")], [output])


def dictionary() -> ModelProto:
    made = node("ZipMap", ["x"], ["y"], domain="ai.onnx.ml", classlabels_int64s=[1, 2])
    output = ValueInfoProto(name="y")
    value = output.type.sequence_type.elem_type.map_type
    value.key_type = INT64
    value.value_type.tensor_type.elem_type = FLOAT
    return model([made], [port("x", [1, 2])], [output], domains=[("ai.onnx.ml", 1)])


def many() -> ModelProto:
    names = [f"y{place}" for place in range(2000)]
    nodes = [node("Identity", ["x"], [name]) for name in names]
    return model(nodes, [port("x")], [port(name) for name in names])


def declared(dims: tuple[int | str, ...] | None, element: int = FLOAT) -> ModelProto:
    """Give the harmless model, with something else declared to come out."""
    made = identity()
    made.graph.output[0].CopyFrom(port("y", dims, element))
    return made


def wrong_inside(element: int, dims: tuple[int, ...]) -> ModelProto:
    """Declare something else of a tensor in the middle."""
    nodes = [node("Neg", ["x"], ["m"]), node("Neg", ["m"], ["y"])]
    made = model(nodes, [port("x", [2])], [port("y", [2])])
    made.graph.value_info.append(port("m", dims, element))
    return made


def small_buffer() -> ModelProto:
    """Declare a tensor a tenth of what it is, beside one that is as small as declared."""
    nodes = [
        node("Slice", ["x", "zero", "tenth"], ["a"]),
        node("Neg", ["a"], ["b"]),
        node("Concat", ["b"] * 10, ["c"], axis=0),
        node("Neg", ["c"], ["d"]),
        node("Neg", ["d"], ["e"]),
        node("Abs", ["e"], ["y"]),
    ]
    weights = [ints("zero", [0]), ints("tenth", [10_000])]
    made = model(nodes, [port("x")], [port("y", None)], weights)
    made.graph.value_info.extend(port(name, [10_000]) for name in "abcde")
    return made


def found() -> ModelProto:
    return model([node("NonZero", ["x"], ["y"])], [port("x")], [port("y", [1, "n"], INT64)])


_PAIR = gives(np.ones((1, 2), np.float32))

KINDS = (
    lying("twice as much", "Declared as long as x, and twice as long.", twice, claims((_F, (_N,)))),
    lying(
        "another type",
        "A float where the interface says double.",
        identity,
        claims((ElementType.DOUBLE, (_N,))),
    ),
    lying(
        "another rank",
        "A vector where the interface says matrix.",
        identity,
        claims((_F, (_N, _ONE))),
    ),
    lying(
        "one output less",
        "One output where the interface says two.",
        identity,
        claims((_F, (_N,)), (_F, (_N,))),
        WRONG | REFUSED,
    ),
    lying(
        "too many dimensions",
        "Twenty dimensions, which no tensor of ours has.",
        sixteen_and_more,
        None,
        WRONG | REFUSED,
    ),
    lying(
        "text too long",
        "A text of 128 KiB, which no tensor of ours holds.",
        long_text,
        None,
        inputs=gives(words("a")),
    ),
    lying(
        "text that is none",
        "A text that is no UTF-8.",
        half_a_letter,
        None,
        WRONG | {Reason.RUN_FAILED},
        no_inputs,
    ),
    lying(
        "no number",
        "Zero divided by zero.",
        quotient,
        claims((_F, (_N,))),
        NOT_FINITE,
        gives(floats(0)),
    ),
    lying(
        "infinity", "e to the 1 000.", power, claims((_F, (_N,))), NOT_FINITE, gives(floats(1000))
    ),
    lying(
        "no number, short",
        "NaN as a bfloat16, which numpy does not know.",
        quotient_of_halves,
        claims((ElementType.BFLOAT16, (_N,))),
        NOT_FINITE,
        gives(floats(float("nan"))),
    ),
    at_load(
        "declared as another type",
        "A float declared as double.",
        writes(lambda: declared(("n",), DOUBLE)),
        Plain.NOT_LOADED,
        inputs=_TWO,
    ),
    at_load(
        "declared as text inside",
        "Numbers declared as text.",
        writes(lambda: wrong_inside(STRING, (2,))),
        Plain.NOT_LOADED,
        inputs=_TWO,
    ),
    at_precheck(
        "declared as a matrix",
        "A vector declared as matrix.",
        writes(lambda: declared(("n", "m"))),
        Plain.ANSWERS,
        ANSWERS,
        inputs=_TWO,
        reasons=UNPRICED,
        mended=True,
    ),
    at_precheck(
        "declared as another size",
        "Two elements declared as three, inside.",
        writes(lambda: wrong_inside(FLOAT, (3,))),
        Plain.ANSWERS,
        ANSWERS,
        inputs=_TWO,
        reasons=UNPRICED,
        mended=True,
    ),
    at_precheck(
        "buffer that is too small",
        "Declared so that a small buffer is used again for much.",
        writes(small_buffer),
        Plain.FAILS,
        REFUSED | {Reason.RUN_FAILED},
        inputs=gives(np.ones(100_000, np.float32)),
        reasons=UNPRICED,
        mended=True,
    ),
    at_precheck(
        "sequence for an output",
        "A sequence of tensors comes out.",
        writes(sequence),
        Plain.ANSWERS,
        REFUSED,
        inputs=_TWO,
        reasons=UNPRICED,
    ),
    at_precheck(
        "optional for an output",
        "An optional comes out.",
        writes(absent),
        Plain.ANSWERS,
        REFUSED,
        inputs=_TWO,
        reasons=UNPRICED,
    ),
    at_precheck(
        "map for an output",
        "A list of maps comes out.",
        writes(dictionary),
        Plain.ANSWERS,
        REFUSED,
        inputs=_PAIR,
        reasons=UNPRICED,
    ),
    at_precheck(
        "two thousand outputs",
        "More outputs than a model has.",
        writes(many),
        Plain.ANSWERS,
        REFUSED | ANSWERS,
        inputs=_TWO,
    ),
    at_precheck(
        "shape out of the data",
        "NonZero: how much comes out is known when it has.",
        writes(found),
        Plain.ANSWERS,
        ANSWERS,
        inputs=_TWO,
        reasons=UNPRICED,
    ),
)
