# SPDX-License-Identifier: MIT
"""How far an output is from a re-executed one, and whether that is still the same result.

Honest machines differ in the last bits: fp32 results by 1e-6 in relative L2. The cheapest
cheat, fp16 weights, differs by 4e-4. A comparator is a line between the two. Each model
has one of four, with a tolerance in units of 1e-9, and both are signed in the order:

==  ======  =========================================================================
0   exact   the same bytes
1   f32     relative L2 <= tolerance (2e-5 at least), largest difference <= 5 x tolerance
2   half    relative L2 <= tolerance (3e-3 at least), largest <= 10/3 x tolerance
3   tokens  97 % of the tokens, or a near tie between two tokens at the first difference
==  ======  =========================================================================

with ``relative L2 = |y - y0| / |y0|`` and ``largest = max|y - y0| / max|y0|``, where y0 is
the reference. Against an all-zero reference only zeros are right. Strings, bools, integers
(but tokens) and floats below eight bits are right when their bytes are.

Measuring and judging are apart: :func:`measure` is in plain Python, about 1 us a value,
and the node may measure with faster means; :func:`verdict` judges either.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import starmap
from math import ceil, fsum, inf, isfinite, isnan, nan, sqrt
from operator import eq
from struct import unpack

from protocol.limits import TOLERANCE_MAX, UINT_MAX
from protocol.reasons import Reason
from protocol.tensors import ElementType, Tensor

EXACT, F32, HALF, TOKENS = range(4)

#: The least tolerance of each class, in 1e-9; that of tokens bounds the margin of a near tie.
FLOORS = {EXACT: 0, F32: 20_000, HALF: 3_000_000, TOKENS: 10_000_000}

#: A right answer must be this much closer than noise is wide, and than other answers are.
NOISE_FACTOR = SPREAD_FACTOR = 20

#: Of the tokens, this share is equal.
TOKENS_EQUAL_PERCENT = 97

#: The error where there is nothing to measure by: no floats, or a reference of zeros only.
UNMEASURED = UINT_MAX

#: The largest error that is measured; a wilder one counts as this.
ERROR_MAX = UNMEASURED - 1

_UNITS = 10**9
# The largest single difference may be this much larger than the one in the mean.
_LARGEST = {F32: (5, 1), HALF: (10, 3), TOKENS: (10, 3)}
# A ratio above this says all there is to say, and its square is still a float.
_BEYOND = 1e100
_CHUNK_BYTES = 1 << 18
_TOKEN_TYPES = {
    ElementType.INT32: "i",
    ElementType.INT64: "q",
    ElementType.UINT32: "I",
    ElementType.UINT64: "Q",
}


@dataclass(frozen=True, slots=True)
class Deviation:
    """How far an output is from the reference; errors in 1e-9, rounded up.

    `form`: same type and dimensions. `same`: the same bytes. `finite`: NaN and infinity
    stand only where the reference has the same. `margin` is for tokens: see :func:`margin`.
    """

    form: bool
    same: bool
    finite: bool = True
    rel_l2: int = UNMEASURED
    max_rel: int = UNMEASURED
    tokens: int = 0
    tokens_equal: int = 0
    margin: int = UNMEASURED


def verdict(comparator: int, tolerance: int, deviation: Deviation) -> Reason | None:
    """Say what is wrong with an output, None when nothing is."""
    if not deviation.form:
        return Reason.WRONG_FORM
    if deviation.same:
        return None
    if comparator == EXACT:
        return Reason.RESULT_WRONG
    if not deviation.finite:
        return Reason.NOT_FINITE
    if comparator == TOKENS and deviation.tokens:
        most = deviation.tokens_equal * 100 >= deviation.tokens * TOKENS_EQUAL_PERCENT
        right = most or deviation.margin <= tolerance
    else:
        times, over = _LARGEST[comparator]
        # Floats beside tokens are hidden states of a half model: judged like those.
        tolerance = FLOORS[HALF] if comparator == TOKENS else tolerance
        right = deviation.rel_l2 <= tolerance and deviation.max_rel * over <= tolerance * times
    return None if right else Reason.RESULT_WRONG


def measure(got: Tensor, reference: Tensor) -> Deviation:
    """Measure one output against its re-execution."""
    if (got.element, got.dims) != (reference.element, reference.dims):
        return Deviation(form=False, same=False)
    if got.data == reference.data:
        return Deviation(form=True, same=True, rel_l2=0, max_rel=0)
    if code := _TOKEN_TYPES.get(got.element):
        chunks = _chunks(got, reference, _numbers(code, got.element.bits // 8))
        equal = sum(sum(map(eq, ours, theirs)) for ours, theirs in chunks)
        count = reference.header.elements
        return Deviation(form=True, same=False, tokens=count, tokens_equal=equal)
    if read := _READERS.get(got.element):
        errors = _errors(got, reference, read)
        if errors is None:
            return Deviation(form=True, same=False, finite=False)
        return Deviation(form=True, same=False, rel_l2=errors[0], max_rel=errors[1])
    return Deviation(form=True, same=False)


def judge_item(
    comparator: int, tolerance: int, got: Sequence[Tensor], reference: Sequence[Tensor]
) -> Reason | None:
    """Say what is wrong with the outputs of one item, None when nothing is."""
    if len(got) != len(reference):
        return Reason.WRONG_FORM
    pairs = zip(got, reference, strict=True)
    verdicts = (verdict(comparator, tolerance, each) for each in starmap(measure, pairs))
    return next(filter(None, verdicts), None)


def margin(logits: Sequence[float], chosen: int, expected: int) -> int:
    """Measure how near a tie was: by how much `expected` beats `chosen` in the reference's logits.

    The logits are those of the first token that differs, with the noise of the sampler (same
    seed) added; the unit is 1e-9 of the largest among them, as for a largest difference.
    """
    largest = max((abs(logit) for logit in logits if isfinite(logit)), default=0.0)
    gap = abs(logits[expected] - logits[chosen])
    return _in_units(gap / largest) if largest and isfinite(gap) else UNMEASURED


def calibrate(comparator: int, noise: int, spread: int) -> tuple[int, int]:
    """Choose class and tolerance from measured noise between honest set-ups and from the spread.

    Where outputs of different inputs lie so close together (`spread`, the relative L2
    between them) that the tolerance would take one for the other, only class 0 is left.
    """
    tolerance = max(FLOORS[comparator], NOISE_FACTOR * noise)
    usable = not broken_tolerance(comparator, tolerance, spread)
    return (comparator, tolerance) if usable and comparator != EXACT else (EXACT, 0)


def broken_tolerance(comparator: int, tolerance: int, spread: int) -> str:
    """Say why a model may not be judged by this tolerance, empty when it may."""
    if comparator == EXACT:
        return "an exact comparison has no tolerance" if tolerance else ""
    if not FLOORS[comparator] <= tolerance <= TOLERANCE_MAX:
        return f"tolerance {tolerance} is not {FLOORS[comparator]}..{TOLERANCE_MAX}"
    if comparator != TOKENS and tolerance * SPREAD_FACTOR > spread:
        return f"not calibrated: outputs lie {spread} apart, too close for tolerance {tolerance}"
    return ""


# --- measuring ------------------------------------------------------------------------------------

_Read = Callable[[memoryview], Sequence[float]]
_Chunk = tuple[Sequence[float], Sequence[float]]


def _chunks(got: Tensor, reference: Tensor, read: _Read) -> Iterator[_Chunk]:
    """Read both sides piece by piece, so that a large tensor is never a list of floats."""
    ours, theirs = memoryview(got.data), memoryview(reference.data)
    for start in range(0, len(theirs), _CHUNK_BYTES):
        piece = slice(start, start + _CHUNK_BYTES)
        yield read(ours[piece]), read(theirs[piece])


def _errors(got: Tensor, reference: Tensor, read: _Read) -> tuple[int, int] | None:
    """Measure relative L2 and largest difference; None when NaN or infinity is out of place."""
    scale = top = 0.0
    for ours, theirs in _chunks(got, reference, read):
        for mine, other in zip(ours, theirs, strict=True):
            if not (isfinite(mine) and isfinite(other)) and not _same_kind(mine, other):
                return None
        scale = max(scale, max((abs(other) for other in theirs if isfinite(other)), default=0.0))
        top = max(top, max((abs(mine) for mine in ours if isfinite(mine)), default=0.0))
    if not scale:
        return (UNMEASURED, UNMEASURED) if top else (0, 0)
    largest = 0.0
    squares: list[float] = []
    reference_squares: list[float] = []
    for ours, theirs in _chunks(got, reference, read):
        pairs = [pair for pair in zip(ours, theirs, strict=True) if isfinite(pair[1])]
        # In parts of the largest value: squares of very large and very small ones survive.
        gaps = [abs(mine - other) / scale for mine, other in pairs]
        largest = max(largest, max(gaps, default=0.0))
        if largest > _BEYOND:
            return ERROR_MAX, ERROR_MAX
        squares.append(fsum(gap * gap for gap in gaps))
        reference_squares.append(fsum((other / scale) ** 2 for _, other in pairs))
    return _in_units(sqrt(fsum(squares) / fsum(reference_squares))), _in_units(largest)


def _same_kind(mine: float, other: float) -> bool:
    return mine == other or (isnan(mine) and isnan(other))


def _in_units(ratio: float) -> int:
    return min(ceil(ratio * _UNITS), ERROR_MAX)


def _numbers(code: str, size: int) -> _Read:
    return lambda data: unpack(f"<{len(data) // size}{code}", data)


def _bfloat16(data: memoryview) -> Sequence[float]:
    """A bfloat16 is the upper half of a float32."""
    wide = bytearray(2 * len(data))
    wide[2::4], wide[3::4] = data[0::2], data[1::2]
    return unpack(f"<{len(data) // 2}f", wide)


def _eight_bits(
    exponent_bits: int, bias: int, special: Callable[[int], float | None], *, signed: bool = True
) -> _Read:
    """Read floats of eight bits from a table of their 256 values."""
    mantissa_bits = 7 - exponent_bits if signed else 8 - exponent_bits
    table = []
    for code in range(256):
        mantissa = (code & ((1 << mantissa_bits) - 1)) / (1 << mantissa_bits)
        exponent = code >> mantissa_bits & ((1 << exponent_bits) - 1)
        if exponent or not signed:
            value = (1 + mantissa) * 2.0 ** (exponent - bias)
        else:
            value = mantissa * 2.0 ** (1 - bias)
        found = special(code)
        table.append(found if found is not None else -value if signed and code >> 7 else value)
    values = tuple(table)
    return lambda data: [values[code] for code in data]


def _e5m2(code: int) -> float | None:
    if code & 0x7F < 0x7C:
        return None
    return nan if code & 3 else -inf if code >> 7 else inf


def _only(*codes: int) -> Callable[[int], float | None]:
    return lambda code: nan if code in codes else None


_READERS: dict[ElementType, _Read] = {
    ElementType.FLOAT: _numbers("f", 4),
    ElementType.DOUBLE: _numbers("d", 8),
    ElementType.FLOAT16: _numbers("e", 2),
    ElementType.BFLOAT16: _bfloat16,
    ElementType.COMPLEX64: _numbers("f", 4),  # real and imaginary parts, one after the other
    ElementType.COMPLEX128: _numbers("d", 8),
    ElementType.FLOAT8E4M3FN: _eight_bits(4, 7, _only(0x7F, 0xFF)),
    ElementType.FLOAT8E4M3FNUZ: _eight_bits(4, 8, _only(0x80)),
    ElementType.FLOAT8E5M2: _eight_bits(5, 15, _e5m2),
    ElementType.FLOAT8E5M2FNUZ: _eight_bits(5, 16, _only(0x80)),
    ElementType.FLOAT8E8M0: _eight_bits(8, 127, _only(0xFF), signed=False),
}
