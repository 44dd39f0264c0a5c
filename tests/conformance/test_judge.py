# SPDX-License-Identifier: MIT
"""The judge lets pass what the suite's own runner would, and nothing that merely looks alike."""

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest

from tests.conformance.convert import Array
from tests.conformance.judge import Value, difference

NAN, INF = float("nan"), float("inf")
TEXTS = np.array(["a", "é"], np.object_)


def arr(numbers: object, dtype: npt.DTypeLike = np.float32) -> Array:
    return np.array(numbers, dtype)


def judge(got: Value, want: Value) -> str:
    return difference([got], [want], rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize(
    ("got", "want"),
    [
        (arr([1, NAN, INF]), arr([1.0005, NAN, INF])),
        (arr(3, np.float64), arr(3, np.float64)),
        (arr([1 + 1j], np.complex64), arr([1.0001 + 1j], np.complex64)),
        (TEXTS, TEXTS.copy()),
        (np.zeros((0, 3), np.int64), np.zeros((0, 3), np.int64)),
        (arr([1, NAN], ml_dtypes.float8_e5m2), arr([1, NAN], ml_dtypes.float8_e5m2)),
        (arr([1.0], ml_dtypes.bfloat16), arr([1.0078125], ml_dtypes.bfloat16)),
        (arr([-8, 7], ml_dtypes.int4), arr([-8, 7], ml_dtypes.int4)),
        ([arr([1]), arr([2, 3])], [arr([1]), arr([2, 3])]),
        ([], []),
        (None, None),
        ({1: 0.5}, {1: 0.5}),
    ],
)
def test_equals_pass(got: Value, want: Value) -> None:
    assert judge(got, want) == ""


@pytest.mark.parametrize(
    ("got", "want", "found"),
    [
        (arr([1]), arr([1.01]), "1 of 1 differ, first at (0,)"),
        (arr([NAN]), arr([1]), "1 of 1 differ"),
        (arr([INF]), arr([-INF]), "1 of 1 differ"),
        (arr([1]), arr([1], np.float64), "FLOAT, expected DOUBLE"),
        (arr([1]), arr(1), "shape (1,), expected ()"),
        (arr([10**6], np.int64), arr([10**6 + 1], np.int64), "1 of 1 differ"),
        (arr([True]), arr([False]), "1 of 1 differ"),
        (TEXTS, arr(["a", "e"], np.object_), "first at (1,)"),
        (arr([1], ml_dtypes.float8_e4m3fn), arr([1], ml_dtypes.float8_e5m2), "expected"),
        (arr([1.0], ml_dtypes.bfloat16), arr([1.03125], ml_dtypes.bfloat16), "differ"),
        ([arr([1])], [], "a sequence of 1, expected 0"),
        ([arr([1])], [arr([2])], "element 0: 1 of 1 differ"),
        (None, arr([1]), "a NoneType, expected a ndarray"),
        ({1: 0.5}, {2: 0.5}, "the keys ['1'], expected ['2']"),
        ({1: 0.5}, {1: 0.6}, "at 1: 1 of 1 differ"),
    ],
)
def test_what_differs_is_named(got: Value, want: Value, found: str) -> None:
    assert found in judge(got, want)


def test_a_missing_output_is_named() -> None:
    assert difference([], [arr([1])], 0, 0) == "0 outputs, expected 1"
