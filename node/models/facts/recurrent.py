# SPDX-License-Identifier: MIT
"""Recurrent operators: RNN, GRU and LSTM."""

from dataclasses import dataclass
from typing import Final

from node.models.facts.operation import Operation, Outputs, Rule
from node.models.facts.symbolic import Size, Unpriceable
from node.models.facts.tensors import Shaped

Dims = tuple[Size, ...]

_DIRECTIONS: Final = {"forward": 1, "reverse": 1, "bidirectional": 2}


@dataclass(frozen=True, slots=True)
class Sequence:
    """What a recurrent operator reads, and how wide its state is."""

    length: Size
    batch: Size
    width: Size
    directions: int
    hidden: Size
    batch_first: bool


def sequence_of(operation: Operation) -> Sequence:
    """Read shapes and attributes: [length, batch, width], or the batch first."""
    source, recurrence = operation.ranked(0, 3), operation.ranked(2, 3)
    batch_first = operation.flag("layout")
    length, batch = source.dims[:2]
    if batch_first:
        length, batch = batch, length
    direction = operation.text("direction", "forward")
    if direction not in _DIRECTIONS:
        raise Unpriceable(f"the direction {direction[:40]!r}")
    hidden = operation.space.same(recurrence.dims[2], operation.integer("hidden_size"))
    return Sequence(length, batch, source.dims[2], _DIRECTIONS[direction], hidden, batch_first)


def recurrent(operation: Operation) -> Outputs:
    """Give the states of all steps, the last one, and for an LSTM its cells."""
    found = sequence_of(operation)
    element = operation.given().element
    states: Dims = (found.length, found.directions, found.batch, found.hidden)
    last: Dims = (found.directions, found.batch, found.hidden)
    if found.batch_first:
        states = (found.batch, found.length, found.directions, found.hidden)
        last = (found.batch, found.directions, found.hidden)
    return (Shaped(element, states), Shaped(element, last), Shaped(element, last))


RULES: Final[dict[str, Rule]] = dict.fromkeys(("RNN", "GRU", "LSTM"), recurrent)
