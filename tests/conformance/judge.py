# SPDX-License-Identifier: MIT
"""Whether outputs are those that the suite expects. Who made them does not matter here.

The rules are those of the suite's own runner: shape and type are equal, numbers are near
(NaN is near NaN), a bfloat16 may be off by two of its last digits. Integers, booleans and
strings are equal, where the suite's own tolerance of a thousandth lets large integers differ.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from protocol.tensors import ElementType
from tests.conformance.convert import Array, element_of

# A tensor, a sequence, a map, an optional without a value.
Value: TypeAlias = "Array | list[Value] | dict[object, object] | None"

_BFLOAT16_RTOL = 2**-6


def difference(got: Sequence[Value], want: Sequence[Value], rtol: float, atol: float) -> str:
    """Say where the outputs first differ from those expected; empty when they do not."""
    if len(got) != len(want):
        return f"{len(got)} outputs, expected {len(want)}"
    for place, (one, other) in enumerate(zip(got, want, strict=True)):
        if found := _value_difference(one, other, rtol, atol):
            return f"output {place}: {found}"
    return ""


def _value_difference(got: Value, want: Value, rtol: float, atol: float) -> str:
    if isinstance(got, np.ndarray | np.generic) and isinstance(want, np.ndarray | np.generic):
        return _array_difference(np.asarray(got), np.asarray(want), rtol, atol)
    if isinstance(got, list | tuple) and isinstance(want, list | tuple):
        if len(got) != len(want):
            return f"a sequence of {len(got)}, expected {len(want)}"
        for place, (one, other) in enumerate(zip(got, want, strict=True)):
            if found := _value_difference(one, other, rtol, atol):
                return f"element {place}: {found}"
        return ""
    if isinstance(got, dict) and isinstance(want, dict):
        return _map_difference(got, want, rtol, atol)
    if got is None and want is None:
        return ""
    return f"a {type(got).__name__}, expected a {type(want).__name__}"


def _map_difference(
    got: dict[object, object], want: dict[object, object], rtol: float, atol: float
) -> str:
    if got.keys() != want.keys():
        return f"the keys {sorted(map(str, got))}, expected {sorted(map(str, want))}"
    for key, value in got.items():
        found = _value_difference(np.asarray(value), np.asarray(want[key]), rtol, atol)
        if found:
            return f"at {key!r}: {found}"
    return ""


def _array_difference(got: Array, want: Array, rtol: float, atol: float) -> str:
    element = element_of(got)
    if element is not element_of(want):
        return f"{element.name}, expected {element_of(want).name}"
    if got.shape != want.shape:
        return f"shape {got.shape}, expected {want.shape}"
    if element is ElementType.STRING or got.dtype.kind in "biu":
        wrong = np.asarray(got != want)
    else:
        if element is ElementType.BFLOAT16:
            rtol = max(rtol, _BFLOAT16_RTOL)
        if got.dtype.kind != "c":
            # Numpy cannot compare the types that it does not know; double holds them all exactly.
            got, want = got.astype(np.float64), want.astype(np.float64)
        wrong = ~np.isclose(got, want, rtol=rtol, atol=atol, equal_nan=True)
    if not wrong.any():
        return ""
    where = tuple(int(index) for index in np.argwhere(wrong)[0])
    share = f"{int(wrong.sum())} of {wrong.size} differ"
    return f"{share}, first at {where}: {got[where]!r}, expected {want[where]!r}"
