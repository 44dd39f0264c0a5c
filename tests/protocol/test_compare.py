# SPDX-License-Identifier: MIT
"""When two outputs are the same: honest noise passes, known cheats do not."""

import struct
from dataclasses import replace
from math import cos, inf, nan, sqrt

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from protocol.compare import (
    ERROR_MAX,
    EXACT,
    F32,
    FLOORS,
    HALF,
    TOKENS,
    UNMEASURED,
    Deviation,
    broken_tolerance,
    calibrate,
    judge_item,
    margin,
    measure,
    verdict,
)
from protocol.limits import TOLERANCE_MAX
from protocol.reasons import Reason
from protocol.tensors import ElementType, Tensor
from tests.strategies import tensors

CODES = {
    ElementType.FLOAT: "f",
    ElementType.DOUBLE: "d",
    ElementType.FLOAT16: "e",
    ElementType.COMPLEX64: "f",
    ElementType.COMPLEX128: "d",
    ElementType.INT32: "i",
    ElementType.INT64: "q",
    ElementType.UINT32: "I",
    ElementType.UINT64: "Q",
}
PARTS = {ElementType.COMPLEX64: 2, ElementType.COMPLEX128: 2}


def tensor(values: list[float] | list[int], element: ElementType = ElementType.FLOAT) -> Tensor:
    data = struct.pack(f"<{len(values)}{CODES[element]}", *values)
    return Tensor(element, (len(values) // PARTS.get(element, 1),), data)


def judged(
    got: list[float],
    reference: list[float],
    comparator: int = F32,
    element: ElementType = ElementType.FLOAT,
) -> Reason | None:
    return verdict(
        comparator, FLOORS[comparator], measure(tensor(got, element), tensor(reference, element))
    )


def answer(seed: int, size: int = 400) -> list[float]:
    """An output of a model that never was: smooth, and another one for each seed."""
    return [cos(0.37 * place * (seed + 1) + seed) + 0.1 for place in range(size)]


def off_by(values: list[float], ratio: float) -> list[float]:
    """The same output, off by `ratio` of itself everywhere, up and down in turn."""
    return [value * (1 + (ratio if place % 2 else -ratio)) for place, value in enumerate(values)]


def norm(values: list[float]) -> float:
    return sqrt(sum(value * value for value in values))


finite = st.floats(-1e6, 1e6, width=32)
answers = st.lists(finite, min_size=1, max_size=30)


# --- verdicts on whole outputs --------------------------------------------------------------------


@pytest.mark.parametrize("comparator", [F32, HALF])
@given(seed=st.integers(0, 50), share=st.floats(0, 0.5))
def test_noise_up_to_half_of_the_tolerance_passes(comparator: int, seed: int, share: float) -> None:
    got = off_by(answer(seed), share * FLOORS[comparator] / 1e9)
    assert judged(got, answer(seed), comparator, ElementType.DOUBLE) is None


@pytest.mark.parametrize("comparator", [F32, HALF])
@given(seed=st.integers(0, 50), times=st.floats(2, 1000))
def test_twice_the_tolerance_is_wrong(comparator: int, seed: int, times: float) -> None:
    got = off_by(answer(seed), times * FLOORS[comparator] / 1e9)
    wrong = judged(got, answer(seed), comparator, ElementType.DOUBLE)
    assert wrong is Reason.RESULT_WRONG


@pytest.mark.parametrize(("comparator", "largest"), [(F32, 1e-4), (HALF, 1e-2)])
def test_a_single_value_may_be_further_off_than_all_together_but_not_much(
    comparator: int, largest: float
) -> None:
    reference = [1.0] * 4000  # one value more or less is nothing in the mean
    for ratio, expected in ((0.99, None), (1.01, Reason.RESULT_WRONG)):
        got = [1.0 + ratio * largest, *reference[1:]]
        assert judged(got, reference, comparator, ElementType.DOUBLE) is expected


@pytest.mark.parametrize("seed", range(5))
def test_class_1_finds_half_precision_stale_and_constant_answers(seed: int) -> None:
    right = answer(seed)
    halves = list(struct.unpack("<400e", struct.pack("<400e", *right)))
    mean = sum(right) / len(right)
    assert judged(right, right) is None
    assert judged(halves, right) is Reason.RESULT_WRONG
    assert judged(answer(seed + 1), right) is Reason.RESULT_WRONG
    assert judged([mean] * len(right), right) is Reason.RESULT_WRONG
    assert judged([0.0] * len(right), right) is Reason.RESULT_WRONG


def test_class_2_lets_half_precision_pass_and_finds_bfloat16() -> None:
    right = answer(3)
    halves = list(struct.unpack("<400e", struct.pack("<400e", *right)))
    cut = [struct.pack("<f", value)[2:] for value in right]
    brains = [struct.unpack("<f", b"\0\0" + half)[0] for half in cut]
    assert judged(halves, right, HALF) is None
    assert judged(brains, right, HALF) is Reason.RESULT_WRONG


@given(answers, answers)
def test_the_comparator_is_as_symmetric_as_a_relative_error_can_be(
    one: list[float], other: list[float]
) -> None:
    size = min(len(one), len(other))
    left = tensor(one[:size], ElementType.DOUBLE)
    right = tensor(other[:size], ElementType.DOUBLE)
    there, back = measure(left, right), measure(right, left)
    for error, reverse in ((there.rel_l2, back.rel_l2), (there.max_rel, back.max_rel)):
        if error < 10**9 / 2:
            ratio = error / 1e9
            assert reverse <= ratio / (1 - ratio) * 1e9 + 2


@given(answers, st.lists(st.floats(-1, 1), min_size=30, max_size=30))
def test_errors_are_the_formulas(reference: list[float], noise: list[float]) -> None:
    assume(any(reference))
    got = [value + gap for value, gap in zip(reference, noise, strict=False)]
    gaps = [mine - other for mine, other in zip(got, reference, strict=True)]
    deviation = measure(tensor(got, ElementType.DOUBLE), tensor(reference, ElementType.DOUBLE))
    scale = max(map(abs, reference))
    assume(scale > 1e-6)
    assert deviation.rel_l2 == pytest.approx(norm(gaps) / norm(reference) * 1e9, abs=1, rel=1e-9)
    assert deviation.max_rel == pytest.approx(max(map(abs, gaps)) / scale * 1e9, abs=1, rel=1e-9)


# --- form, bytes, NaN -----------------------------------------------------------------------------


@pytest.mark.parametrize("comparator", [EXACT, F32, HALF, TOKENS])
@given(one=tensors())
def test_an_output_is_the_same_as_itself(comparator: int, one: Tensor) -> None:
    twin = Tensor(one.element, one.dims, memoryview(bytes(one.data)))
    assert judge_item(comparator, FLOORS[comparator], [one], [twin]) is None


@pytest.mark.parametrize("comparator", [EXACT, F32, HALF, TOKENS])
def test_another_type_shape_or_number_of_outputs_is_wrong_form(comparator: int) -> None:
    one = tensor([1.0, 2.0])
    flat = Tensor(ElementType.FLOAT, (2, 1), one.data)
    whole = Tensor(ElementType.INT32, (2,), one.data)
    for got in ([flat], [whole], [], [one, one]):
        assert judge_item(comparator, FLOORS[comparator], got, [one]) is Reason.WRONG_FORM


def test_exact_means_bytes() -> None:
    assert judged([0.0], [-0.0], EXACT) is Reason.RESULT_WRONG
    assert judged([1.0, nan], [1.0, nan], EXACT) is None
    assert judged([0.0, 1.0], [-0.0, 1.0]) is None


@pytest.mark.parametrize("comparator", [F32, HALF, TOKENS])
@pytest.mark.parametrize(
    ("element", "got", "reference"),
    [
        (ElementType.STRING, b"\1\0\0\0a", b"\1\0\0\0b"),
        (ElementType.BOOL, b"\1", b"\0"),
        (ElementType.INT8, b"\1", b"\2"),
        (ElementType.UINT4, b"\1", b"\2"),
        (ElementType.FLOAT4E2M1, b"\1", b"\2"),
    ],
)
def test_what_is_not_rounded_is_compared_by_its_bytes(
    comparator: int, element: ElementType, got: bytes, reference: bytes
) -> None:
    pair = (Tensor(element, (1,), got), Tensor(element, (1,), reference))
    assert verdict(comparator, TOLERANCE_MAX, measure(*pair)) is Reason.RESULT_WRONG


def test_whole_numbers_are_exact_where_they_are_no_tokens() -> None:
    deviation = measure(tensor([1, 2], ElementType.INT64), tensor([1, 3], ElementType.INT64))
    assert verdict(F32, TOLERANCE_MAX, deviation) is Reason.RESULT_WRONG


@pytest.mark.parametrize(
    ("got", "reference", "expected"),
    [
        ([1.0, nan], [1.0, nan], None),
        ([1.0, inf, -inf], [1.0, inf, -inf], None),
        ([nan, inf], [nan, inf], None),
        ([1.0, 2.0], [1.0, nan], Reason.NOT_FINITE),
        ([1.0, nan], [1.0, 2.0], Reason.NOT_FINITE),
        ([1.0, inf], [1.0, -inf], Reason.NOT_FINITE),
        ([1.0, inf], [1.0, nan], Reason.NOT_FINITE),
        ([1.0 + 1e-6, nan], [1.0, nan], None),
        ([1.1, nan], [1.0, nan], Reason.RESULT_WRONG),
    ],
)
def test_nan_and_infinity_stand_only_where_the_reference_has_them(
    got: list[float], reference: list[float], expected: Reason | None
) -> None:
    assert judged(got, reference) is expected


def test_another_nan_is_a_nan() -> None:
    quiet = Tensor(ElementType.FLOAT, (1,), bytes.fromhex("0000c07f"))
    other = Tensor(ElementType.FLOAT, (1,), bytes.fromhex("0100c0ff"))
    assert verdict(F32, FLOORS[F32], measure(quiet, other)) is None


def test_against_zeros_only_zeros_are_right() -> None:
    assert judged([0.0, -0.0], [0.0, 0.0]) is None
    assert judged([0.0, 1e-30], [0.0, 0.0]) is Reason.RESULT_WRONG
    assert measure(tensor([1e-30]), tensor([0.0])).rel_l2 == UNMEASURED


def test_empty_outputs_and_single_values_are_compared_like_others() -> None:
    nothing = Tensor(ElementType.FLOAT, (0, 3), b"")
    assert measure(nothing, nothing).same
    scalar, close, other = (
        Tensor(ElementType.DOUBLE, (), struct.pack("<d", value)) for value in (2, 2 + 1e-6, 3)
    )
    assert judge_item(F32, FLOORS[F32], [close], [scalar]) is None
    assert judge_item(F32, FLOORS[F32], [other], [scalar]) is Reason.RESULT_WRONG


def test_very_large_and_very_small_values_keep_their_measure() -> None:
    for scale in (1e300, 5e-300):
        reference = [scale, -scale / 3]
        near = [value * (1 + 1e-6) for value in reference]
        far = [value * 1.01 for value in reference]
        assert judged(near, reference, F32, ElementType.DOUBLE) is None
        assert judged(far, reference, F32, ElementType.DOUBLE) is Reason.RESULT_WRONG
    wild = measure(tensor([1.7e308], ElementType.DOUBLE), tensor([-1.7e308], ElementType.DOUBLE))
    assert wild.rel_l2 == ERROR_MAX
    beyond = measure(tensor([1e300], ElementType.DOUBLE), tensor([1e-300], ElementType.DOUBLE))
    assert beyond.rel_l2 == ERROR_MAX
    large = measure(tensor([1e30]), tensor([1e-9]))
    assert large.rel_l2 == large.max_rel == ERROR_MAX


def test_a_difference_is_found_wherever_it_stands_in_a_large_output() -> None:
    reference = [1.0] * 70_000
    for place in (0, 65_535, 65_536, 69_999):
        got = list(reference)
        got[place] = 1.1
        assert judged(got, reference) is Reason.RESULT_WRONG
        got[place] = nan
        assert judged(got, reference) is Reason.NOT_FINITE


# --- the formats of floats ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "element",
    [ElementType.DOUBLE, ElementType.FLOAT16, ElementType.COMPLEX64, ElementType.COMPLEX128],
)
def test_wide_and_narrow_floats_are_measured_alike(element: ElementType) -> None:
    deviation = measure(tensor([1.5, 1.0], element), tensor([1.0, 1.0], element))
    assert deviation.max_rel == 500_000_000
    assert deviation.rel_l2 == 353_553_391


def bits_of(element: ElementType, *codes: int) -> Tensor:
    size = element.bits // 8
    return Tensor(element, (len(codes),), b"".join(code.to_bytes(size, "little") for code in codes))


@pytest.mark.parametrize(
    ("element", "one", "one_and_a_half", "largest_over_one"),
    [
        (ElementType.BFLOAT16, 0x3F80, 0x3FC0, (0x4380, 256)),
        (ElementType.FLOAT8E4M3FN, 0x38, 0x3C, (0x7E, 448)),
        (ElementType.FLOAT8E4M3FNUZ, 0x40, 0x44, (0x7F, 240)),
        (ElementType.FLOAT8E5M2, 0x3C, 0x3E, (0x7B, 57344)),
        (ElementType.FLOAT8E5M2FNUZ, 0x40, 0x42, (0x7F, 57344)),
    ],
)
def test_short_floats_have_the_values_that_their_standard_says(
    element: ElementType, one: int, one_and_a_half: int, largest_over_one: tuple[int, int]
) -> None:
    deviation = measure(bits_of(element, one_and_a_half), bits_of(element, one))
    assert deviation.max_rel == 500_000_000
    code, value = largest_over_one
    assert measure(bits_of(element, code), bits_of(element, one)).max_rel == (value - 1) * 10**9
    sign = 1 << element.bits - 1
    assert measure(bits_of(element, one | sign), bits_of(element, one)).max_rel == 2 * 10**9


@pytest.mark.parametrize(
    ("element", "smallest", "twice"),
    [
        (ElementType.FLOAT8E4M3FN, 1, 2),
        (ElementType.FLOAT8E4M3FN, 7, 14),  # across the border to normal numbers
        (ElementType.FLOAT8E5M2, 1, 2),
        (ElementType.FLOAT8E5M2, 3, 6),
        (ElementType.FLOAT8E8M0, 0, 1),
        (ElementType.FLOAT8E8M0, 127, 128),
    ],
)
def test_the_smallest_floats_are_evenly_spaced(
    element: ElementType, smallest: int, twice: int
) -> None:
    assert measure(bits_of(element, twice), bits_of(element, smallest)).max_rel == 10**9


@pytest.mark.parametrize(
    ("element", "code", "other"),
    [
        (ElementType.FLOAT8E4M3FN, 0x7F, 0xFF),
        (ElementType.FLOAT8E5M2, 0x7D, 0xFF),
        (ElementType.BFLOAT16, 0x7FC0, 0xFFC1),
        (ElementType.FLOAT16, 0x7E00, 0xFE01),
    ],
)
def test_short_floats_have_nan_too(element: ElementType, code: int, other: int) -> None:
    nans = bits_of(element, code), bits_of(element, other)
    assert measure(*nans).rel_l2 == 0
    assert not measure(bits_of(element, 0), nans[0]).finite


@pytest.mark.parametrize(
    ("element", "code"),
    [
        (ElementType.FLOAT8E4M3FNUZ, 0x80),
        (ElementType.FLOAT8E5M2FNUZ, 0x80),
        (ElementType.FLOAT8E8M0, 0xFF),
        (ElementType.FLOAT8E5M2, 0x7C),  # infinity
        (ElementType.FLOAT8E5M2, 0xFC),
    ],
)
def test_what_is_no_number_is_not_finite(element: ElementType, code: int) -> None:
    assert not measure(bits_of(element, code), bits_of(element, 1)).finite


# --- tokens ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("different", "expected"), [(0, None), (3, None), (4, Reason.RESULT_WRONG)]
)
@pytest.mark.parametrize("element", [ElementType.INT64, ElementType.UINT32])
def test_three_tokens_in_a_hundred_may_differ(
    element: ElementType, different: int, expected: Reason | None
) -> None:
    reference = list(range(100))
    got = [0 if place > 99 - different else place for place in reference]
    deviation = measure(tensor(got, element), tensor(reference, element))
    assert verdict(TOKENS, FLOORS[TOKENS], deviation) is expected


def test_a_near_tie_excuses_all_that_follows_it() -> None:
    deviation = measure(tensor([1, 5, 6], ElementType.INT32), tensor([1, 2, 3], ElementType.INT32))
    near = replace(deviation, margin=margin([3.0, -10.0, 9.99, 0.0, 0.0, 9.95], 5, 2))
    far = replace(deviation, margin=margin([3.0, -10.0, 9.99, 0.0, 0.0, 9.5], 5, 2))
    assert verdict(TOKENS, FLOORS[TOKENS], near) is None
    assert verdict(TOKENS, FLOORS[TOKENS], far) is Reason.RESULT_WRONG
    assert verdict(TOKENS, FLOORS[TOKENS], deviation) is Reason.RESULT_WRONG


@pytest.mark.parametrize("logits", [[0.0, 0.0], [nan, 1.0], [1.0, inf]])
def test_a_margin_that_cannot_be_measured_excuses_nothing(logits: list[float]) -> None:
    assert margin(logits, 0, 1) == UNMEASURED


def test_floats_beside_tokens_are_judged_as_those_of_a_half_model() -> None:
    right = answer(1)
    assert judged(off_by(right, 1e-3), right, TOKENS) is None
    assert judged(off_by(right, 5e-3), right, TOKENS) is Reason.RESULT_WRONG


def test_the_first_wrong_output_decides() -> None:
    right, wrong = tensor([1.0]), tensor([2.0])
    lost = tensor([nan])
    assert judge_item(F32, FLOORS[F32], [right, wrong, lost], [right] * 3) is Reason.RESULT_WRONG
    assert judge_item(F32, FLOORS[F32], [right, lost, wrong], [right] * 3) is Reason.NOT_FINITE
    assert judge_item(F32, FLOORS[F32], [], []) is None


def test_a_deviation_can_be_measured_elsewhere() -> None:
    by_numpy = Deviation(form=True, same=False, rel_l2=19_999, max_rel=99_999)
    assert verdict(F32, FLOORS[F32], by_numpy) is None
    assert verdict(F32, FLOORS[F32], replace(by_numpy, rel_l2=20_001)) is Reason.RESULT_WRONG
    assert verdict(F32, FLOORS[F32], replace(by_numpy, max_rel=100_001)) is Reason.RESULT_WRONG


# --- calibration ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("comparator", "noise", "spread", "expected"),
    [
        (F32, 700, 600_000_000, (F32, 20_000)),
        (F32, 2_000, 600_000_000, (F32, 40_000)),
        (F32, 700, 400_000, (F32, 20_000)),
        (F32, 700, 399_999, (EXACT, 0)),
        (F32, 10**9, 10**9, (EXACT, 0)),
        (HALF, 10_000, 600_000_000, (HALF, 3_000_000)),
        (HALF, 10_000, 30_000_000, (EXACT, 0)),  # a stale answer of the CNN was 4.5e-2 away
        (TOKENS, 0, 0, (TOKENS, 10_000_000)),
        (EXACT, 0, 0, (EXACT, 0)),
    ],
)
def test_a_tolerance_is_wide_enough_for_noise_and_narrow_enough_for_strangers(
    comparator: int, noise: int, spread: int, expected: tuple[int, int]
) -> None:
    assert calibrate(comparator, noise, spread) == expected


@given(st.integers(0, 3), st.integers(0, 10**8), st.integers(0, 2 * 10**9))
def test_what_calibration_gives_a_manifest_may_say(
    comparator: int, noise: int, spread: int
) -> None:
    assert broken_tolerance(*calibrate(comparator, noise, spread), spread) == ""


@pytest.mark.parametrize(
    ("comparator", "tolerance", "spread"),
    [
        (EXACT, 1, 10**9),
        (F32, 19_999, 10**9),
        (F32, 20_000, 399_999),
        (HALF, 2_999_999, 10**9),
        (TOKENS, TOLERANCE_MAX + 1, 10**9),
    ],
)
def test_a_tolerance_that_tells_nothing_apart_is_refused(
    comparator: int, tolerance: int, spread: int
) -> None:
    assert broken_tolerance(comparator, tolerance, spread)
