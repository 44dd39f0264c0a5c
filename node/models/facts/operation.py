# SPDX-License-Identifier: MIT
"""One node of a graph as the rules see it: attributes, what goes in, and how to say no.

Whatever is not as the operator wants it is :class:`~.symbolic.Unpriceable`; the walk adds
which node it was.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from onnx import AttributeProto, NodeProto, TensorProto

from node.models.facts.space import Space
from node.models.facts.symbolic import Expression, Size, Unpriceable
from node.models.facts.tensors import Shaped, Value

#: Kernels, strides, pads and the like: anything larger is no window, and would overflow.
STEP_MAX: Final = 1 << 31

_ALIASES: Final = {"ai.onnx": ""}


def full_name(node: NodeProto) -> str:
    """Name an operator by its domain, which ONNX's own have none of."""
    domain = _ALIASES.get(node.domain, node.domain)
    return f"{domain}:{node.op_type}" if domain else node.op_type


@dataclass(frozen=True, slots=True)
class Operation:
    """A node with what is known of its inputs; None is an input that is absent."""

    node: NodeProto
    space: Space
    inputs: tuple[Shaped | None, ...]
    opset: int

    @property
    def outputs(self) -> int:
        """How many outputs the graph takes from it, absent ones in between included."""
        return len(self.node.output)

    def wants(self, place: int) -> bool:
        """Tell whether the graph takes an output."""
        return place < len(self.node.output) and bool(self.node.output[place])

    # --- inputs ------------------------------------------------------------------------------

    def maybe(self, place: int) -> Shaped | None:
        """Give an input that may be absent."""
        return self.inputs[place] if place < len(self.inputs) else None

    def given(self, place: int = 0) -> Shaped:
        """Give an input that has to be there."""
        found = self.maybe(place)
        if found is None:
            raise Unpriceable(f"input {place} is missing")
        return found

    def ranked(self, place: int, *ranks: int) -> Shaped:
        """Give an input that has to be there with one of these ranks."""
        found = self.given(place)
        if found.rank not in ranks:
            raise Unpriceable(f"input {place} has rank {found.rank}")
        return found

    def values(self, place: int) -> tuple[Value, ...]:
        """Give the elements of an input that has to be known by value, some of them maybe not."""
        found = self.given(place)
        if found.values is None:
            raise Unpriceable(f"a shape depends on the data of input {place}")
        return found.values

    def sizes(self, place: int) -> tuple[Size, ...]:
        """Give the elements of an input that says sizes or places."""
        return tuple(self._size(value, place) for value in self.values(place))

    def size(self, place: int) -> Size:
        """Give the one element of an input."""
        sizes = self.sizes(place)
        if len(sizes) != 1:
            raise Unpriceable(f"input {place} has {len(sizes)} elements where one is wanted")
        return sizes[0]

    def numbers(self, place: int) -> tuple[int, ...]:
        """Give the elements of an input that are constant."""
        sizes = self.sizes(place)
        found = tuple(size for size in sizes if isinstance(size, int))
        if len(found) != len(sizes):
            raise Unpriceable(f"input {place} should be constant")
        return found

    @staticmethod
    def _size(value: Value, place: int) -> Size:
        if isinstance(value, int | Expression):
            return value
        raise Unpriceable(f"a shape depends on the data of input {place}")

    # --- attributes --------------------------------------------------------------------------

    def _attribute(self, name: str, kind: "AttributeProto.AttributeType") -> AttributeProto | None:
        for attribute in self.node.attribute:
            if attribute.name == name:
                if attribute.type != kind:
                    raise Unpriceable(f"the attribute {name} is of the wrong type")
                return attribute
        return None

    def integer(self, name: str, default: int | None = None) -> int:
        """Give an attribute that is a number."""
        found = self._attribute(name, AttributeProto.INT)
        if found is not None:
            return found.i
        if default is None:
            raise Unpriceable(f"the attribute {name} is missing")
        return default

    def flag(self, name: str, default: int = 0) -> bool:
        """Give an attribute that is 0 or 1; kernels do not agree on what any other number says."""
        found = self.integer(name, default)
        if found not in {0, 1}:
            raise Unpriceable(f"{name} is {found}")
        return bool(found)

    def integers(self, name: str) -> tuple[int, ...] | None:
        """Give an attribute that is a list of numbers."""
        found = self._attribute(name, AttributeProto.INTS)
        return None if found is None else tuple(found.ints)

    def floats(self, name: str) -> tuple[float, ...] | None:
        """Give an attribute that is a list of floats."""
        found = self._attribute(name, AttributeProto.FLOATS)
        return None if found is None else tuple(found.floats)

    def text(self, name: str, default: str) -> str:
        """Give an attribute that is a word."""
        found = self._attribute(name, AttributeProto.STRING)
        return default if found is None else found.s.decode("utf-8", "replace")

    def tensor(self, name: str) -> TensorProto | None:
        """Give an attribute that is a tensor."""
        found = self._attribute(name, AttributeProto.TENSOR)
        return None if found is None else found.t

    def has(self, name: str) -> bool:
        """Tell whether an attribute is there."""
        return any(attribute.name == name for attribute in self.node.attribute)

    def steps(self, name: str, count: int, default: int, least: int = 1) -> tuple[int, ...]:
        """Give strides, pads and the like, one for each axis."""
        found = self.integers(name)
        if not found:
            return (default,) * count
        if len(found) != count or not all(least <= step < STEP_MAX for step in found):
            raise Unpriceable(f"{name} is {list(found[:8])}, for {count} axes")
        return found

    # --- axes --------------------------------------------------------------------------------

    def axis(self, rank: int, default: int | None = None) -> int:
        """Give the axis that an attribute names, counted from the front."""
        return place_of(self.integer("axis", default), rank)

    def axes(self, rank: int, place: int) -> tuple[int, ...] | None:
        """Give the axes that an attribute or (from some opset on) an input names; None: all."""
        listed = self.integers("axes")
        if listed is None and self.maybe(place) is not None:
            listed = self.numbers(place)
        return None if listed is None else places_of(listed, rank)


#: What an operator gives, in the order of its outputs; None for one that nothing is known of.
Outputs: TypeAlias = Sequence[Shaped | None]
Rule: TypeAlias = Callable[[Operation], Outputs]


def place_of(axis: int, rank: int) -> int:
    """Count an axis from the front."""
    if not -rank <= axis < rank:
        raise Unpriceable(f"axis {axis} of a tensor of rank {rank}")
    return axis % rank


def places_of(axes: Iterable[int], rank: int) -> tuple[int, ...]:
    """Count axes from the front, none of them twice."""
    places = tuple(place_of(axis, rank) for axis in axes)
    if len(set(places)) != len(places):
        raise Unpriceable(f"axes {list(places)} name one twice")
    return places
