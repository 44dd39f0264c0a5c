# SPDX-License-Identifier: MIT
"""Inputs and outputs as rows of a manifest, and the rules between rows. Use is in `interface`.

A dimension of a port is a number or a **symbol**. Free symbols take their value from the
shapes of an item's inputs; derived ones are computed from others, as the length of a cache
is from past and new tokens, or the height of an image after a convolution with strides.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated

from protocol.canon import Flag, Row, TextCodec, UintCodec, row
from protocol.codecs import OutOfRangeError
from protocol.limits import (
    DERIVED_MAX,
    DIMENSION_MAX,
    PORTS_MAX,
    RANK_MAX,
    STAGE_PORTS_MAX,
    STAGES_MAX,
    SYMBOLS_MAX,
    TENSOR_NAME_BYTES_MAX,
)
from protocol.tensors import ElementType

Size = Annotated[int, UintCodec(0, DIMENSION_MAX)]
SymbolIndex = Annotated[int, UintCodec(0, SYMBOLS_MAX + DERIVED_MAX - 1)]
PortIndex = Annotated[int, UintCodec(0, STAGE_PORTS_MAX - 1)]
TensorName = Annotated[str, TextCodec(TENSOR_NAME_BYTES_MAX, 1)]


@dataclass(frozen=True, slots=True)
class ElementCodec:
    """An element type, written as ONNX's number of it."""

    def pack(self, value: ElementType) -> int:
        """Write the number."""
        return int(ElementType(value))

    def unpack(self, raw: object) -> ElementType:
        """Read the number of a type that this version knows."""
        if type(raw) is not int:
            raise ValueError(f"expected an integer, got {type(raw).__name__}")
        try:
            return ElementType(raw)
        except ValueError as error:
            raise OutOfRangeError(str(error)) from error


@row
class Port(Row):
    """One input or output of a stage; stage 0 is the whole model.

    An `optional` input has a default inside the graph. It is no part of an item: the tensors
    of an adapter go there, or nothing does.
    """

    stage: Annotated[int, UintCodec(0, STAGES_MAX)]
    output: Flag
    element: Annotated[ElementType, ElementCodec()]
    optional: Flag
    name: TensorName


@row
class Dimension(Row):
    """One dimension of a port, in their order: a symbol's index or a fixed size."""

    port: PortIndex
    symbolic: Flag
    value: Size


@row
class Derived(Row):
    """A symbol computed from two others that come before it, rounded down.

    ``(first * first_times + second * second_times + add - less) // over``
    """

    first: SymbolIndex
    first_times: Annotated[int, UintCodec(1, DIMENSION_MAX)]
    second: SymbolIndex
    second_times: Size
    add: Size
    less: Size
    over: Annotated[int, UintCodec(1, DIMENSION_MAX)]

    def at(self, values: Sequence[int]) -> int:
        """Evaluate; the result can be below zero, which no dimension may be."""
        ahead = values[self.first] * self.first_times + values[self.second] * self.second_times
        return (ahead + self.add - self.less) // self.over

    def broken_rule(self, index: int) -> str:
        """Each symbol has one definition and one way to write it; `index` is its own."""
        if self.first >= index or self.second >= index:
            return f"symbol {index} is derived from one that does not come before it"
        if self.second and not self.second_times:
            return f"symbol {index} names a second source and does not use it"
        return f"symbol {index} both adds and takes away" if self.add and self.less else ""


@row
class StatePair(Row):
    """What comes out of `output` in one call goes into `input` in the next one of a session."""

    input: PortIndex
    output: PortIndex


def broken_ports(ports: Sequence[Port], stages: int) -> str:
    """Stage after stage, inputs before outputs, and no name twice on one side."""
    sides = [(port.stage, port.output) for port in ports]
    if sides != sorted(sides):
        return "ports go stage by stage, inputs before outputs"
    if sides and sides[-1][0] > stages:
        return f"a port of stage {sides[-1][0]}, of {stages}"
    if len({(port.stage, port.output, port.name) for port in ports}) != len(ports):
        return "names a port twice"
    if any(count > PORTS_MAX for count in Counter(sides).values()):
        return f"more than {PORTS_MAX} ports on one side of a stage"
    optional_output = any(port.output and port.optional for port in ports)
    return "an output is never optional" if optional_output else ""


def broken_dims(dims: Sequence[Dimension], ports: int, symbols: int) -> str:
    """Dimensions stand port by port, and every symbol exists."""
    of_ports = [dim.port for dim in dims]
    if of_ports != sorted(of_ports):
        return "dimensions go port by port"
    if of_ports and of_ports[-1] >= ports:
        return f"a dimension of port {of_ports[-1]}, of {ports}"
    if any(late == early for late, early in zip(of_ports[RANK_MAX:], of_ports, strict=False)):
        return f"a port of more than {RANK_MAX} dimensions"
    lost = any(dim.symbolic and dim.value >= symbols for dim in dims)
    return "a dimension names a symbol that does not exist" if lost else ""


def broken_states(states: Iterable[StatePair], ports: Sequence[Port]) -> str:
    """State goes from an output to an input of the same stage and type, each used once."""
    used: set[int] = set()
    for pair in states:
        if max(pair.input, pair.output) >= len(ports) or not used.isdisjoint(
            (pair.input, pair.output)
        ):
            return f"state goes from port {pair.output} to {pair.input}: missing, or used twice"
        used |= {pair.input, pair.output}
        into, out_of = ports[pair.input], ports[pair.output]
        if (into.output, out_of.output, into.optional) != (0, 1, 0):
            return "state goes from an output to an input that every call has"
        if (into.stage, into.element) != (out_of.stage, out_of.element):
            return "state stays in its stage and keeps its type"
    return ""


def broken_derived(derived: Iterable[Derived], free: int) -> str:
    """Give the first rule that one of the derived symbols breaks."""
    broken = (rule.broken_rule(index) for index, rule in enumerate(derived, free))
    return next(filter(None, broken), "")


def broken_wiring(ports: Sequence[Port]) -> str:
    """Each stage takes what the model is given or an earlier stage made; the last ones give all."""
    there = {(port.name, port.element) for port in ports if not port.stage and not port.output}
    for port in ports:
        if port.stage:
            if port.output:
                there.add((port.name, port.element))
            elif (port.name, port.element) not in there:
                return f"stage {port.stage} takes {port.name!r}, which nothing before it gives"
    if any(port.stage for port in ports):
        for port in ports:
            if port.output and not port.stage and (port.name, port.element) not in there:
                return f"no stage gives the output {port.name!r}"
    return ""
