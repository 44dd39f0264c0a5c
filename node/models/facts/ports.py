# SPDX-License-Identifier: MIT
"""The inputs and outputs of a graph: what it says of them, and which of them are a session's state.

Of inputs everything is believed, because the interface holds every item to it. Of outputs
only the names are.

Dimensions of the same name are one symbol, those without a name are one each. A name that is a
sum of other names (`past_sequence_length + sequence_length`, `past + 1`, as exporters write
them) is that sum, if each of its parts is a dimension of its own elsewhere.

An input with a default in the graph is optional: an adapter may fill it, and without one the
default counts. So a symbol there is nobody else's, and 0 in the default, as the interface says
of symbols that nothing binds; any other dimension of it is what the default has.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final

from onnx import GraphProto, TensorProto, ValueInfoProto

from node.models.constants import brief
from node.models.facts.space import Space
from node.models.facts.symbolic import Expression, Size, Unpriceable
from node.models.facts.tensors import Shaped, checked_dims, element_type
from protocol.limits import NAME_BYTES_MAX, PORTS_MAX, TENSOR_NAME_BYTES_MAX
from protocol.tensors import ElementType

_TERM: Final = re.compile(r"\s*(?:(\d{1,9})\s*\*\s*)?([A-Za-z_][\w.]*)\s*")
_NUMBER: Final = re.compile(r"\s*(\d{1,9})\s*")

#: What is not printed as it is written has no place in a name that people read.
_UNPRINTABLE: Final = re.compile(r"[^ -~]")

# How exporters name state that goes out to what comes in, in the order in which it is tried.
_STATE_NAMES: Final = (
    (r"past_key_values", "present"),
    (r"past_key_values", "present_key_values"),
    (r"past", "present"),
    (r"_in$", "_out"),
    (r"_0$", "_n"),
    (r"^h0$", "hn"),
    (r"^c0$", "cn"),
    (r"state$", "stateN"),
)


@dataclass(frozen=True, slots=True)
class Declared:
    """What a graph says of a port: None for a shape or a dimension that it leaves open."""

    name: str
    element: int
    dims: tuple[int | str | None, ...] | None
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Inputs:
    """The ports that go in, by name, and the names of the symbols that they brought along."""

    declared: tuple[Declared, ...]
    shapes: Mapping[str, Shaped]
    names: Mapping[int, str]


def declared(port: ValueInfoProto, *, optional: bool = False) -> Declared:
    """Read what a graph says of a port."""
    if port.type.WhichOneof("value") != "tensor_type":
        raise Unpriceable(f"the port {brief(port.name)} is no tensor")
    tensor = port.type.tensor_type
    if not tensor.HasField("shape"):
        return Declared(port.name, tensor.elem_type, None, optional)
    dims: list[int | str | None] = []
    for dim in tensor.shape.dim:
        kind = dim.WhichOneof("value")
        if kind == "dim_value":
            dims.append(dim.dim_value)
        else:
            dims.append(dim.dim_param or None if kind == "dim_param" else None)
    return Declared(port.name, tensor.elem_type, tuple(dims), optional)


def defaults_of(graph: GraphProto, ir_version: int) -> tuple[Mapping[str, TensorProto], set[str]]:
    """Give the defaults of inputs, and the inputs that are constants: before IR 4 all are."""
    names = {port.name for port in graph.input}
    defaults = {each.name: each for each in graph.initializer if each.name in names}
    return ({}, set(defaults)) if ir_version < 4 else (defaults, set())


def read_inputs(graph: GraphProto, ir_version: int, space: Space) -> Inputs:
    """Give each input its shape, and make the symbols of it."""
    defaults, constants = defaults_of(graph, ir_version)
    listed = tuple(
        declared(port, optional=port.name in defaults)
        for port in graph.input
        if port.name not in constants
    )
    if len({port.name for port in listed}) != len(listed) or len(listed) > PORTS_MAX:
        raise Unpriceable(f"{len(listed)} inputs, at most {PORTS_MAX}, each with a name of its own")
    symbols = _Symbols(space)
    shapes = {}
    plain = [port for port in listed if not port.optional]
    for port in plain:
        symbols.note(port)
    for port in plain:
        shapes[port.name] = Shaped(_element(port), checked_dims(symbols.dims(port)))
    for port in listed:
        if port.optional:
            default = defaults[port.name]
            if default.data_type != port.element:
                raise Unpriceable(f"the default of {brief(port.name)} is of another type")
            dims = symbols.optional_dims(port, tuple(default.dims))
            shapes[port.name] = Shaped(_element(port), checked_dims(dims))
    return Inputs(listed, shapes, symbols.names)


def _element(port: Declared) -> ElementType:
    if not 0 < len(port.name.encode()) <= TENSOR_NAME_BYTES_MAX:
        raise Unpriceable(f"a port of the name {brief(port.name)}")
    return element_type(port.element)


class _Symbols:
    """Makes one symbol of each name, and one of each dimension without a name."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._by_text: dict[str, Size] = {}
        self.names: dict[int, str] = {}
        self._taken: set[str] = set()

    def note(self, port: Declared) -> None:
        """Make a symbol of each plain name, in the order of the ports."""
        for text in port.dims or ():
            if isinstance(text, str) and _TERM.fullmatch(text) and not _NUMBER.match(text):
                self._named(text)

    def dims(self, port: Declared) -> tuple[Size, ...]:
        """Give the dimensions of an input that every item has."""
        if port.dims is None:
            raise Unpriceable(f"the input {brief(port.name)} does not say its shape")
        dims: list[Size] = []
        for axis, dim in enumerate(port.dims):
            if isinstance(dim, int):
                dims.append(dim)
            elif dim is None:
                dims.append(self._new(f"{port.name}.{axis}", solvable=True))
            else:
                total = self._sum(dim)
                dims.append(self._named(dim) if total is None else total)
        return tuple(dims)

    def optional_dims(self, port: Declared, default: tuple[int, ...]) -> tuple[Size, ...]:
        """Give the dimensions of an input that an adapter may fill."""
        if port.dims is not None and len(port.dims) != len(default):
            raise Unpriceable(f"the default of {brief(port.name)} has rank {len(default)}")
        mine: dict[str, Size] = {}
        dims: list[Size] = []
        for axis, real in enumerate(default):
            dim = real if port.dims is None else port.dims[axis]
            if isinstance(dim, int) and dim != real:
                raise Unpriceable(f"the default of {brief(port.name)} has a dimension of {real}")
            if isinstance(dim, int) or real:
                dims.append(real)
            else:
                text = dim or f"{port.name}.{axis}"
                if text not in mine:
                    mine[text] = self._new(text, solvable=False)
                dims.append(mine[text])
        return tuple(dims)

    def _named(self, text: str) -> Size:
        if text not in self._by_text:
            self._by_text[text] = self._new(text, solvable=True)
        return self._by_text[text]

    def _sum(self, text: str) -> Size | None:
        """Read a sum of names that are known."""
        if "+" not in text and "*" not in text:
            return None
        total: Size = 0
        for part in text.split("+"):
            number, term = _NUMBER.fullmatch(part), _TERM.fullmatch(part)
            if number:
                total = total + int(number[1])
            elif term and term[2] in self._by_text:
                total = total + self._by_text[term[2]] * int(term[1] or 1)
            else:
                return None
        return total

    def _new(self, text: str, *, solvable: bool) -> Expression:
        name = next(name for name in _spellings(text) if name not in self._taken)
        made = self._space.free(name, solvable=solvable)
        assert made.lone is not None
        self._taken.add(name)
        self.names[made.lone] = name
        return made


def _spellings(text: str) -> Iterator[str]:
    """Give a name in ways that a manifest takes, until one is free."""
    plain = _UNPRINTABLE.sub("?", text) or "?"
    yield plain[:NAME_BYTES_MAX]
    for number in count(2):
        tail = f" ({number})"
        yield plain[: NAME_BYTES_MAX - len(tail)] + tail


def state_pairs(
    inputs: Sequence[tuple[str, Shaped]], outputs: Sequence[tuple[str, Shaped]]
) -> tuple[tuple[int, int], ...]:
    """Pair inputs with the outputs that become them in the next call, by name, type and shape.

    The shape may differ in one axis, along which a cache grows. An input that a call may leave
    out is no state.
    """
    places = {name: place for place, (name, _) in enumerate(outputs)}
    pairs = []
    for place, (name, shaped) in enumerate(inputs):
        for pattern, replacement in _STATE_NAMES:
            other = re.sub(pattern, replacement, name)
            found = places.get(other) if other != name else None
            if found is not None and _continues(shaped, outputs[found][1]):
                pairs.append((place, found))
                del places[other]
                break
    return tuple(pairs)


def _continues(one: Shaped, other: Shaped) -> bool:
    if one.element is not other.element or one.rank != other.rank:
        return False
    return sum(mine != its for mine, its in zip(one.dims, other.dims, strict=True)) <= 1
