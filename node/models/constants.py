# SPDX-License-Identifier: MIT
"""The tensors that stand in a graph: whether they are what they say, and their plain bytes.

Which of them become blobs is said in `normalise`. This module imports onnx, so it runs in the
throw-away inspector alone.
"""

import sys
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from onnx import TensorProto

from node.models.dialogue import broken_file_name
from node.models.policy import Policy
from protocol.errors import Refused
from protocol.limits import STRING_BYTES_MAX, STRINGS_PER_TENSOR_MAX
from protocol.reasons import Reason
from protocol.tensors import ElementType

# Where ONNX keeps the elements of each type when they are not in `raw_data`, and how Python's
# `array` writes them down. Types below 8 bits are already packed into bytes there.
_FIELDS = {
    ElementType[name]: (field, code)
    for field, code, names in (
        ("float_data", "f", "FLOAT COMPLEX64"),
        ("double_data", "d", "DOUBLE COMPLEX128"),
        ("int64_data", "q", "INT64"),
        ("uint64_data", "Q", "UINT64"),
        ("uint64_data", "I", "UINT32"),
        ("int32_data", "i", "INT32"),
        ("int32_data", "h", "INT16"),
        ("int32_data", "b", "INT8"),
        ("int32_data", "H", "UINT16 FLOAT16 BFLOAT16"),
        ("int32_data", "B", "UINT8 BOOL FLOAT8E4M3FN FLOAT8E4M3FNUZ FLOAT8E5M2 FLOAT8E5M2FNUZ"),
        ("int32_data", "B", "FLOAT8E8M0 UINT4 INT4 FLOAT4E2M1 UINT2 INT2"),
    )
    for name in names.split()
}
_TYPED = ("float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data")
_COMPLEX = {ElementType.COMPLEX64, ElementType.COMPLEX128}
_SPAN_MAX = (1 << 63) - 1
_LOOK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class External:
    """Where the bytes of a tensor stand outside the graph; `size_bytes` is what its type says."""

    location: str
    offset: int
    size_bytes: int


def refuse(detail: str) -> Refused:
    """Make the refusal of a graph."""
    return Refused(Reason.MODEL_REFUSED, detail)


def brief(text: object) -> str:
    """Quote a name that somebody else chose: short, and without characters that do things."""
    if isinstance(text, bytes):
        return repr(text[:60])
    return ascii(str(text)[:80])


def is_text(given: object) -> bool:
    """Whether it is text: protobuf hands out what it cannot decode as bytes."""
    return isinstance(given, str)


def element_of(number: int) -> ElementType:
    """Give an element type, or refuse a number that is none."""
    try:
        return ElementType(number)
    except ValueError:
        raise refuse(f"there is no element type {number}") from None


def elements_of(dims: Sequence[int], policy: Policy) -> int:
    """Count the elements; refuse dimensions that no machine could hold."""
    if len(dims) > policy.rank_max:
        raise refuse(f"rank {len(dims)}, at most {policy.rank_max}")
    if any(dim < 0 for dim in dims):
        raise refuse(f"a negative dimension in {list(dims)}")
    # Zeros left out: readers compute strides, and those must not overflow in an empty tensor.
    if prod(dim or 1 for dim in dims) > min(policy.elements_max, _SPAN_MAX):
        raise refuse(f"dimensions {list(dims)} span more than {policy.elements_max} elements")
    return prod(dims)


def size_of(tensor: TensorProto) -> int:
    """Give the bytes of a tensor that is no string, from its type and dimensions."""
    return (prod(tensor.dims) * ElementType(tensor.data_type).bits + 7) // 8


def check_tensor(tensor: TensorProto, policy: Policy) -> External | None:
    """Refuse a tensor that is not what it says; say where its bytes are when they are outside."""
    element = element_of(tensor.data_type)
    elements = elements_of(tensor.dims, policy)
    if tensor.HasField("segment"):
        raise refuse("it is one segment of a larger one")
    filled = [field for field in _TYPED if len(getattr(tensor, field))]
    if tensor.HasField("raw_data"):
        filled.append("raw_data")
    if tensor.data_location == TensorProto.EXTERNAL:
        if filled or element is ElementType.STRING:
            raise refuse("it has its data both inside and outside the graph, or is of strings")
        return _external(tensor, size_of(tensor))
    if len(tensor.external_data):
        raise refuse("it names external data and does not say that it has some")
    if len(filled) > 1:
        raise refuse(f"it has its data twice, as {' and '.join(filled)}")
    if element is ElementType.STRING:
        _check_strings(tensor, filled, elements)
    elif filled == ["raw_data"]:
        if len(tensor.raw_data) != size_of(tensor):
            have, want = len(tensor.raw_data), size_of(tensor)
            raise refuse(f"{have} bytes of data, its type and dimensions want {want}")
    else:
        _check_typed(tensor, filled, element, elements)
    if element is ElementType.BOOL:
        _check_bools(tensor)
    return None


def raw_bytes(tensor: TensorProto) -> bytes:
    """Give the elements as they stand in `raw_data`; the tensor is checked, and not of strings."""
    if tensor.HasField("raw_data"):
        return tensor.raw_data
    field, code = _FIELDS.get(ElementType(tensor.data_type), ("int32_data", "B"))
    values = getattr(tensor, field)
    try:
        packed = array(code, values)
    except OverflowError:
        # Half floats and packed types are bit patterns, which some writers sign-extend.
        bits = 8 * array(code).itemsize
        if code not in "BH" or any(not -1 << bits - 1 <= each < 1 << bits for each in values):
            raise refuse("a value is outside what its type can hold") from None
        packed = array(code, [each & (1 << bits) - 1 for each in values])
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def _external(tensor: TensorProto, size_bytes: int) -> External:
    """Read the entries of external data, none of them twice."""
    entries: dict[str, str] = {}
    for entry in tensor.external_data:
        if not (is_text(entry.key) and is_text(entry.value)):
            raise refuse("its external data is described in broken text")
        if entry.key in entries:
            raise refuse(f"its external data has two entries {brief(entry.key)}")
        entries[entry.key] = entry.value
    location = entries.get("location", "")
    if broken := broken_file_name(location):
        raise refuse(f"its external data {broken}")
    offset = _natural(entries.get("offset", "0"))
    if _natural(entries.get("length", str(size_bytes))) != size_bytes:
        want = f"its type and dimensions want {size_bytes}"
        raise refuse(f"external data of {brief(entries['length'])} bytes, {want}")
    return External(location, offset, size_bytes)


def _natural(text: str) -> int:
    """Read digits: `int` also takes signs, blanks, underscores and other alphabets."""
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise refuse(f"{brief(text)} is no offset and no length of external data")
    return int(text)


def _check_strings(tensor: TensorProto, filled: list[str], elements: int) -> None:
    if filled not in ([], ["string_data"]) or len(tensor.string_data) != elements:
        have = len(tensor.string_data)
        raise refuse(f"{have} strings, its dimensions want {elements}")
    if elements > STRINGS_PER_TENSOR_MAX:
        raise refuse(f"{elements} strings, at most {STRINGS_PER_TENSOR_MAX}")
    longest = max(map(len, tensor.string_data), default=0)
    if longest > STRING_BYTES_MAX:
        raise refuse(f"a string of {longest} bytes, at most {STRING_BYTES_MAX}")


def _check_typed(
    tensor: TensorProto, filled: list[str], element: ElementType, elements: int
) -> None:
    field, _ = _FIELDS.get(element, ("", ""))
    if filled and filled != [field]:
        raise refuse(f"elements of type {element.name} do not go into {filled[0]}")
    each = 2 if element in _COMPLEX else 1
    want = size_of(tensor) if element.bits < 8 else elements * each
    have = len(getattr(tensor, field)) if filled else 0
    if have != want:
        raise refuse(f"{have} values in {field or 'no field'}, its dimensions want {want}")


def _check_bools(tensor: TensorProto) -> None:
    """Kernels read a bool as one bit of its byte, and disagree on which."""
    data = raw_bytes(tensor)
    for start in range(0, len(data), _LOOK_BYTES):
        if data[start : start + _LOOK_BYTES].translate(None, b"\0\1"):
            raise refuse("a bool is 0 or 1")
