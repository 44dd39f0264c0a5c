# SPDX-License-Identifier: MIT
"""A small part of the suite that stands for all of it. The choice is a rule, not a list.

Each case shows some **traits**: an operator, a type that goes in or comes out, a tensor
without dimensions, one without elements, a number of outputs. A cover is a set of cases that
shows every trait that is still to be shown: the case that shows most of them first, until
nothing is new. So a new version of the suite brings its news into the slice by itself.

A case that ONNX Runtime itself cannot do shows nothing, and only running it tells; so the
slice is made of a few covers, one after the other (see `baseline`).
"""

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet

import numpy as np
from onnx import GraphProto, TypeProto

from tests.conformance.judge import Value
from tests.conformance.suite import KINDS, SLOW_TO_MAKE, Case, all_cases, node_kind

# What ONNX Runtime 1.31 does not read would show its traits to nobody.
_IR_MAX, _OPSET_MAX = 13, 26

# Models of photos take seconds each, and have no operator that the other kinds have not.
_KINDS = tuple(kind for kind in KINDS if kind not in {"node", "light"})


def candidates() -> tuple[Case, ...]:
    """Make what the slice is chosen from, in about a second.

    The average and Lp pools are missing: making their cases takes longer than everything else.
    """
    cases = [*node_kind(without=SLOW_TO_MAKE), *all_cases(_KINDS)]
    return tuple(case for case in cases if _is_readable(case))


def cover(cases: Iterable[Case], shown: AbstractSet[str]) -> tuple[Case, ...]:
    """Choose cases that show every trait of these cases that is not shown yet."""
    every = {case.name: (case, set(traits(case))) for case in cases}
    left = {name: showing - shown for name, (_, showing) in every.items()}
    chosen: list[Case] = []
    while left:
        # Of equals the simplest: it is the likeliest to pass. Then the first by name, because
        # the order in which cases were made must not matter.
        name = min(left, key=lambda each: (-len(left[each]), len(every[each][1]), each))
        new = left.pop(name)
        if not new:
            break
        chosen.append(every[name][0])
        left = {other: rest - new for other, rest in left.items()}
    return tuple(chosen)


def traits(case: Case) -> Iterator[str]:
    """Name what there is to see in a case."""
    yield f"kind {case.kind}"
    yield from (f"operator {name}" for name in _operators(case.model.graph))
    for direction, ports in (("in", case.model.graph.input), ("out", case.model.graph.output)):
        yield f"{len(ports)} {direction}"
        yield from (f"{direction} {_type(port.type)}" for port in ports)
    for gone_in, out in case.data_sets:
        yield from (f"in: {shape}" for value in gone_in for shape in _shapes(value))
        yield from (f"out: {shape}" for value in out for shape in _shapes(value))


def _is_readable(case: Case) -> bool:
    opset = max((entry.version for entry in case.model.opset_import), default=0)
    return case.model.ir_version <= _IR_MAX and opset <= _OPSET_MAX


def _operators(graph: GraphProto) -> Iterator[str]:
    for node in graph.node:
        yield f"{node.domain}:{node.op_type}"
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _operators(attribute.g)


def _type(declared: TypeProto) -> str:
    """Name a type without its shape."""
    kind = declared.WhichOneof("value") or "nothing"
    if kind == "tensor_type":
        return f"tensor of {declared.tensor_type.elem_type}"
    if kind == "sequence_type":
        return f"sequence of {_type(declared.sequence_type.elem_type)}"
    if kind == "optional_type":
        return f"optional of {_type(declared.optional_type.elem_type)}"
    return kind


def _shapes(value: Value) -> Iterator[str]:
    if value is None:
        yield "absent"
    elif isinstance(value, list):
        yield from (f"a sequence of {shape}" for part in value for shape in _shapes(part))
        if not value:
            yield "an empty sequence"
    elif isinstance(value, np.ndarray):
        yield f"{value.ndim} dimensions"
        if not value.size:
            yield f"no elements, {value.ndim} dimensions"
