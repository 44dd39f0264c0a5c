# SPDX-License-Identifier: MIT
"""What goes into one stage of a model and what comes out. How it is written is in `ports`.

The shape of an item (the dimensions of each of its inputs) gives each symbol its value; the
values give the shapes of the outputs, the bytes that travel, and with the price facts the
price.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from protocol.errors import RemoteProtocolError
from protocol.limits import DIMENSION_MAX
from protocol.ports import Derived
from protocol.reasons import Reason
from protocol.tensors import ElementType

# What a string counts for when bytes are priced: shapes do not say how long each one is.
_STRING_BITS = 32 * 8

Dims = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PortShape:
    """A port with its dimensions: pairs of (symbolic, value)."""

    name: str
    element: ElementType
    optional: bool
    dims: tuple[tuple[int, int], ...]

    def at(self, values: Sequence[int]) -> Dims:
        """Give the dimensions for some values of the symbols."""
        return tuple(values[value] if symbolic else value for symbolic, value in self.dims)

    def symbols(self) -> set[int]:
        """The symbols that occur here."""
        return {value for symbolic, value in self.dims if symbolic}

    def bytes_at(self, values: Sequence[int]) -> int:
        """Give the size of the tensor for some values of the symbols."""
        return (prod(self.at(values)) * (self.element.bits or _STRING_BITS) + 7) // 8


@dataclass(frozen=True, slots=True)
class Interface:
    """The ports of one stage, and how its symbols get their values.

    `states` pairs positions in `inputs` with positions in `outputs`.
    """

    inputs: tuple[PortShape, ...]
    outputs: tuple[PortShape, ...]
    states: tuple[tuple[int, int], ...]
    free: int
    derived: tuple[Derived, ...]

    def known(self) -> set[int]:
        """The symbols that the inputs determine, directly or by derivation."""
        known = {index for port in self.inputs for index in port.symbols() if index < self.free}
        for index, rule in enumerate(self.derived, self.free):
            if rule.first in known and (rule.second in known or not rule.second_times):
                known.add(index)
        return known

    def bind(self, shape: Sequence[Dims], adapter: Mapping[str, Dims] | None = None) -> Dims:
        """Give the value of each symbol for one item's shape, and the adapter's tensors by name.

        Raises RemoteProtocolError (input_deviates) when the shapes are not those of this
        interface or contradict each other. A symbol that only an absent adapter or another
        stage would bind is 0.
        """
        given = tuple(self._pairs(shape, adapter or {}))
        values = [0] * (self.free + len(self.derived))
        for port, dims in given:
            _bind_port(port, dims, values, self.free)
        known = self.known()
        for index, rule in enumerate(self.derived, self.free):
            if index in known:
                values[index] = rule.at(values)
                if not 0 <= values[index] <= DIMENSION_MAX:
                    raise _deviates(f"these inputs give a dimension of {values[index]}")
        for port, dims in given:
            if port.at(values) != tuple(dims):
                raise _deviates(f"{port.name} is {dims}, expected {port.at(values)}")
        return tuple(values)

    def _pairs(
        self, shape: Sequence[Dims], adapter: Mapping[str, Dims]
    ) -> Iterator[tuple[PortShape, Dims]]:
        """Say which dimensions belong to which port."""
        items = [port for port in self.inputs if not port.optional]
        optional = {port.name: port for port in self.inputs if port.optional}
        if len(shape) != len(items):
            raise _deviates(f"{len(shape)} inputs, expected {len(items)}")
        yield from zip(items, shape, strict=True)
        for name, dims in adapter.items():
            if name not in optional:
                raise _deviates(f"the adapter has a tensor {name!r}, the model no place for it")
            yield optional[name], dims

    def output_shape(self, values: Sequence[int]) -> tuple[Dims, ...]:
        """Give the dimensions that the outputs must have."""
        return tuple(port.at(values) for port in self.outputs)

    def io_bytes(self, values: Sequence[int], *, session: bool = False) -> int:
        """Give the bytes that travel for one item; in a session state stays where it is."""
        stays = set(self.states) if session else set()
        kept_inputs = {place for place, _ in stays}
        kept_outputs = {place for _, place in stays}
        return sum(
            port.bytes_at(values)
            for ports, kept in ((self.inputs, kept_inputs), (self.outputs, kept_outputs))
            for place, port in enumerate(ports)
            if place not in kept and not port.optional
        )


def _bind_port(port: PortShape, dims: Dims, values: list[int], free: int) -> None:
    """Take the free symbols of one port. Whether all ports agree on them is checked afterwards."""
    if len(dims) != len(port.dims):
        raise _deviates(f"{port.name} has {len(dims)} dimensions, expected {len(port.dims)}")
    for size, (symbolic, value) in zip(dims, port.dims, strict=True):
        if not 0 <= size <= DIMENSION_MAX:
            raise _deviates(f"{port.name} has a dimension of {size}")
        if symbolic and value < free:
            values[value] = size


def _deviates(detail: str) -> RemoteProtocolError:
    return RemoteProtocolError(Reason.INPUT_DEVIATES, detail)
