# SPDX-License-Identifier: MIT
"""What can go wrong with one call of a simulated runner. Whoever makes the world chooses when.

A fault happens in the runner, behind the checks that real runners are behind: an output of
another shape is refused as `wrong_form`, one that is cut short breaks the link. Only wrong
values get through, as they would from a dishonest machine.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf

from node.executor.executor import Item, Model
from protocol.tensors import ElementType, Tensor
from simulations.made import remade


@dataclass(frozen=True, slots=True)
class Called:
    """A call that a fault may strike: the how many-th one of this executor, of what, on what."""

    number: int
    model: Model
    inputs: Item


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to a call.

    It takes `times` as long and `extra_s` more, which may be for ever. Then its runner dies, if
    `dies` says how (`lost`: together with all others, so that it is nobody's fault); or the
    model `fails` on these inputs, and the runner goes on; or what comes out is changed.
    """

    times: float = 1.0
    extra_s: float = 0.0
    fails: str = ""
    dies: str = ""
    lost: bool = False
    change: Callable[[Item], Item] | None = None


Faults = Callable[[Called], Fault | None]
"""Chooses the fault of a call. It rolls its own dice, if it needs any."""

NEVER_ANSWERS = Fault(extra_s=inf)
FAILS = Fault(fails="a division by zero")
CRASHES = Fault(dies="it was ended by SIGSEGV")
LOST = Fault(dies="it was lost together with the zygote", lost=True)

_NAN = {
    ElementType.FLOAT: b"\x00\x00\xc0\x7f",
    ElementType.DOUBLE: b"\x00\x00\x00\x00\x00\x00\xf8\x7f",
    ElementType.FLOAT16: b"\x00\x7e",
    ElementType.BFLOAT16: b"\xc0\x7f",
}


def late(extra_s: float) -> Fault:
    """Answer rightly, after this much more time."""
    return Fault(extra_s=extra_s)


def wrong_values(rows: Sequence[int] | None = None, *, times: float = 1.0) -> Fault:
    """Give made-up values in some rows, or in all; a cheat takes less time than the work."""

    def change(item: Item) -> Item:
        there = {each.dims[0] for each in item if each.dims}
        chosen = rows if rows is None else [row for row in rows if row < min(there, default=1)]
        return tuple(remade(each, chosen) for each in item)

    return Fault(change=change, times=times)


def not_finite() -> Fault:
    """Give a NaN at the beginning of each output that can have one."""
    return Fault(change=lambda item: tuple(_with_nan(each) for each in item))


def wrong_shape() -> Fault:
    """Give every output one dimension more."""
    return Fault(
        change=lambda item: tuple(Tensor(each.element, (*each.dims, 1), each.data) for each in item)
    )


def truncated() -> Fault:
    """Give every output without its last byte."""
    return Fault(
        change=lambda item: tuple(
            Tensor(each.element, each.dims, bytes(each.data)[:-1]) for each in item
        )
    )


def has_nan(item: Item) -> bool:
    """Tell whether somebody who looks finds what :func:`not_finite` has put there."""
    return any(
        bytes(each.data[: len(nan)]) == nan
        for each in item
        if (nan := _NAN.get(each.element)) and each.data
    )


def _with_nan(tensor: Tensor) -> Tensor:
    nan = _NAN.get(tensor.element, b"")
    data = bytes(tensor.data)
    return Tensor(tensor.element, tensor.dims, nan + data[len(nan) :] if data else data)
