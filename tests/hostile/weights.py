# SPDX-License-Identifier: MIT
"""Weights whose data are not what type and dimensions say."""

from collections.abc import Callable

from onnx import ModelProto, TensorProto

from protocol.reasons import Reason
from tests.hostile.gates import (
    ANSWERS,
    FAILED,
    REFUSED,
    at_precheck,
)
from tests.hostile.graphs import (
    BOOL,
    FLOAT,
    STRING,
    floats,
    gives,
    model,
    node,
    port,
    sum_with_weight,
    weight,
    weight_alone,
    writes,
)
from tests.hostile.kinds import Plain
from tests.hostile.rules import Spoil, rule


def same_weight(made: ModelProto) -> None:
    made.graph.initializer.append(weight("w", [5, 6, 7, 8]))


def weight_is_output(made: ModelProto) -> None:
    made.graph.initializer.append(weight("y", [5, 6, 7, 8]))


def tensor(**fields: object) -> Spoil:
    """Put other fields into the weight."""

    def spoil(made: ModelProto) -> None:
        given = TensorProto(name="w", **fields)  # type: ignore[arg-type]  # wrong on purpose
        made.graph.initializer[0].CopyFrom(given)

    return spoil


def both_data(made: ModelProto) -> None:
    made.graph.initializer[0].float_data.extend([9, 9, 9, 9])


def segment(made: ModelProto) -> None:
    made.graph.initializer[0].segment.begin = 0
    made.graph.initializer[0].segment.end = 2**62


def rank(made: ModelProto) -> None:
    made.graph.initializer[0].dims[:] = [1] * 100_000 + [4]


def truth_of_two() -> ModelProto:
    """Give a boolean that is neither."""
    value = TensorProto(name="w", data_type=BOOL, dims=[1], raw_data=b"\x02")
    return model([node("Identity", ["w"], ["y"])], [], [port("y", [1], BOOL)], [value])


def small_floats(kind: int, raw: bytes) -> Callable[[], ModelProto]:
    def make() -> ModelProto:
        value = TensorProto(name="w", data_type=kind, dims=[4], raw_data=raw)
        return model([node("Cast", ["w"], ["y"], to=FLOAT)], [], [port("y", [4])], [value])

    return make


def halves_in_words() -> ModelProto:
    """Give bfloat16 as integers that are far too large for it."""
    value = TensorProto(name="w", data_type=TensorProto.BFLOAT16, dims=[4])
    value.int32_data.extend([2**31 - 1, -(2**31), 2**20, -1])
    return model([node("Cast", ["w"], ["y"], to=FLOAT)], [], [port("y", [4])], [value])


_ONE = gives(floats(1))
_FOUR = gives(floats(1, 2, 3, 4))

KINDS = (
    rule(
        "weight said twice", "Two weights of one name.", same_weight, Plain.ANSWERS, sum_with_weight
    ),
    rule(
        "weight that is made",
        "A weight has the name of what a node makes.",
        weight_is_output,
        make=sum_with_weight,
    ),
    rule(
        "short data",
        "Two bytes for four floats.",
        tensor(data_type=FLOAT, dims=[4], raw_data=b"\0\0"),
        make=sum_with_weight,
    ),
    rule(
        "long data",
        "A hundred bytes for four floats.",
        tensor(data_type=FLOAT, dims=[4], raw_data=bytes(100)),
        make=sum_with_weight,
    ),
    rule(
        "no data",
        "No bytes for four floats.",
        tensor(data_type=FLOAT, dims=[4]),
        make=sum_with_weight,
    ),
    rule(
        "negative dimension",
        "A weight of minus four.",
        tensor(data_type=FLOAT, dims=[-4], raw_data=bytes(16)),
        make=sum_with_weight,
    ),
    rule(
        "dimensions that overflow",
        "A weight of 2^64 elements.",
        tensor(data_type=FLOAT, dims=[2**32, 2**32]),
        make=weight_alone,
    ),
    rule(
        "dimensions that overflow to four",
        "A weight of 2^64 + 4 elements.",
        tensor(data_type=FLOAT, dims=[4, 2**62 + 1], raw_data=bytes(16)),
        make=weight_alone,
    ),
    rule(
        "no type",
        "A weight of type 0.",
        tensor(data_type=0, dims=[4], raw_data=bytes(16)),
        make=sum_with_weight,
    ),
    rule(
        "unknown type",
        "A weight of type 99.",
        tensor(data_type=99, dims=[4], raw_data=bytes(16)),
        make=sum_with_weight,
    ),
    rule(
        "text in raw bytes",
        "Strings in a field that holds none.",
        tensor(data_type=STRING, dims=[4], raw_data=bytes(16)),
        make=sum_with_weight,
    ),
    rule(
        "data in two fields",
        "Four floats, and four others.",
        both_data,
        Plain.ANSWERS,
        sum_with_weight,
    ),
    rule(
        "segment",
        "A part of a tensor whose rest nobody has.",
        segment,
        Plain.ANSWERS,
        sum_with_weight,
    ),
    rule(
        "rank of 100 001",
        "A weight of a hundred thousand dimensions, and so the output.",
        rank,
        Plain.ANSWERS,
        sum_with_weight,
        alone=frozenset({Reason.WRONG_FORM, Reason.MODEL_REFUSED, Reason.RUN_FAILED}),
    ),
    at_precheck(
        "neither true nor false",
        "A boolean of two.",
        writes(truth_of_two),
        Plain.ANSWERS,
        ANSWERS | FAILED,
    ),
    at_precheck(
        "float8 too long",
        "Eight bytes for four float8.",
        writes(small_floats(int(TensorProto.FLOAT8E4M3FN), bytes(8))),
        Plain.NOT_LOADED,
        REFUSED,
    ),
    at_precheck(
        "bfloat16 too short",
        "Five bytes for four bfloat16.",
        writes(small_floats(int(TensorProto.BFLOAT16), bytes(5))),
        Plain.NOT_LOADED,
        REFUSED,
    ),
    at_precheck(
        "bfloat16 out of range",
        "Integers that no bfloat16 is.",
        writes(halves_in_words),
        Plain.NOT_LOADED,
        REFUSED,
    ),
)
