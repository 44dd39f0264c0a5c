# SPDX-License-Identifier: MIT
"""Names and types that break who reads, prints or keeps them; and calls that do not fit."""

from collections.abc import Callable

import numpy as np

from protocol.reasons import Reason
from tests.hostile import wire
from tests.hostile.gates import (
    ANSWERS,
    FAILED,
    REFUSED,
    UNPRICED,
    at_precheck,
    at_run,
    harmless,
)
from tests.hostile.graphs import (
    floats,
    gives,
    identity,
    node,
    port,
    writes,
)
from tests.hostile.kinds import Plain


def name(text: str | bytes) -> Callable[[], bytes]:
    """Give a maker of a model whose input has this name; by hand, it may be no text at all."""
    raw = text if isinstance(text, bytes) else text.encode()

    def make() -> bytes:
        ported = wire.piece(1, raw) + wire.piece(2, port("x").type.SerializeToString())
        one = wire.piece(wire.NODE_INPUT, raw) + wire.piece(wire.NODE_OUTPUT, b"y")
        return wire.framed(
            wire.piece(wire.GRAPH_NODE, one + wire.piece(wire.NODE_OP, b"Identity"))
            + wire.piece(wire.GRAPH_NAME, b"g")
            + wire.piece(wire.GRAPH_INPUT, ported)
            + wire.piece(wire.GRAPH_OUTPUT, port("y").SerializeToString())
        )

    return make


def nested_type(depth: int) -> Callable[[], bytes]:
    """Declare an input that is a sequence of sequences of sequences."""

    def make() -> bytes:
        kind = port("x").type.SerializeToString()
        for _ in range(depth):
            kind = wire.piece(4, wire.piece(1, kind))
        ported = wire.piece(1, b"x") + wire.piece(2, kind)
        return wire.framed(
            wire.piece(wire.GRAPH_NODE, node("Identity", ["x"], ["y"]).SerializeToString())
            + wire.piece(wire.GRAPH_NAME, b"g")
            + wire.piece(wire.GRAPH_INPUT, ported)
            + wire.piece(wire.GRAPH_OUTPUT, port("y").SerializeToString())
        )

    return make


_ONE = gives(floats(1))
_FOUR = gives(floats(1, 2, 3, 4))
_DEVIATES = frozenset({Reason.INPUT_DEVIATES})

KINDS = (
    at_precheck(
        "name of a megabyte",
        "An input with a name of a megabyte.",
        writes(name("n" * (1 << 20))),
        Plain.ANSWERS,
        REFUSED | ANSWERS,
        inputs=_ONE,
    ),
    at_precheck(
        "name that is no text",
        "An input whose name is no UTF-8.",
        writes(name(b"\xff\xfe\x80")),
        Plain.FAILS,
        REFUSED | FAILED,
        inputs=_ONE,
    ),
    at_precheck(
        "name that is empty",
        "An input without a name.",
        writes(name("")),
        Plain.NOT_LOADED,
        REFUSED,
        inputs=_ONE,
    ),
    at_precheck(
        "name with a NUL",
        "An input whose name ends early for some.",
        writes(name("x\0y")),
        Plain.ANSWERS,
        ANSWERS,
        inputs=_ONE,
    ),
    at_precheck(
        "name for a terminal",
        "A name that paints the reader's screen.",
        writes(name("\x1b[2J\x1b]0;owned\x07\r\n[info] all is well")),
        Plain.ANSWERS,
        ANSWERS,
        inputs=_ONE,
    ),
    harmless(
        "name like a path",
        "An input called ../../secret.bin.",
        writes(name("../../secret.bin")),
        inputs=_ONE,
    ),
    at_precheck(
        "sequence of sequences",
        "An input twenty sequences deep.",
        writes(nested_type(20)),
        Plain.NOT_LOADED,
        REFUSED,
        reasons=UNPRICED,
    ),
    at_precheck(
        "sequence without end",
        "An input ten thousand sequences deep.",
        writes(nested_type(10_000)),
        Plain.NOT_LOADED,
        REFUSED,
        reasons=UNPRICED,
    ),
    at_run(
        "no inputs",
        "A call without what the model needs.",
        writes(identity),
        Plain.FAILS,
        _DEVIATES,
    ),
    at_run(
        "too many inputs",
        "A call with more than the model takes.",
        writes(identity),
        Plain.FAILS,
        _DEVIATES,
        inputs=gives(floats(1), floats(2)),
    ),
    at_run(
        "input of another type",
        "Doubles for floats.",
        writes(identity),
        Plain.FAILS,
        _DEVIATES,
        inputs=gives(np.ones(1)),
    ),
    at_run(
        "input of another rank",
        "A matrix for a vector.",
        writes(identity),
        Plain.FAILS,
        _DEVIATES | FAILED,
        inputs=gives(np.ones((1, 1), np.float32)),
    ),
)
