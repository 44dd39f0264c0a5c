# SPDX-License-Identifier: MIT
"""Numpy values as the protocol's tensors and back. Values that are no tensors stay outside.

Numpy has no types of two, four and six bits: ml_dtypes gives each element a byte of its own,
the protocol packs them without gaps. Strings are Python's `str` in arrays of objects, because
that is the only form in which ONNX Runtime takes and gives them from Python.
"""

from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

from protocol.tensors import ElementType, Tensor

Array = npt.NDArray[Any]

_NUMPY: dict[ElementType, np.dtype[Any]] = {
    ElementType[name]: np.dtype(scalar)
    for name, scalar in {
        "FLOAT": np.float32,
        "UINT8": np.uint8,
        "INT8": np.int8,
        "UINT16": np.uint16,
        "INT16": np.int16,
        "INT32": np.int32,
        "INT64": np.int64,
        "STRING": np.object_,
        "BOOL": np.bool_,
        "FLOAT16": np.float16,
        "DOUBLE": np.float64,
        "UINT32": np.uint32,
        "UINT64": np.uint64,
        "COMPLEX64": np.complex64,
        "COMPLEX128": np.complex128,
        "BFLOAT16": ml_dtypes.bfloat16,
        "FLOAT8E4M3FN": ml_dtypes.float8_e4m3fn,
        "FLOAT8E4M3FNUZ": ml_dtypes.float8_e4m3fnuz,
        "FLOAT8E5M2": ml_dtypes.float8_e5m2,
        "FLOAT8E5M2FNUZ": ml_dtypes.float8_e5m2fnuz,
        "UINT4": ml_dtypes.uint4,
        "INT4": ml_dtypes.int4,
        "FLOAT4E2M1": ml_dtypes.float4_e2m1fn,
        "FLOAT8E8M0": ml_dtypes.float8_e8m0fnu,
        "UINT2": ml_dtypes.uint2,
        "INT2": ml_dtypes.int2,
        "FLOAT6E2M3": ml_dtypes.float6_e2m3fn,
        "FLOAT6E3M2": ml_dtypes.float6_e3m2fn,
    }.items()
}
_ELEMENTS = {dtype: element for element, dtype in _NUMPY.items()}


class NotATensor(TypeError):
    """A sequence, an optional without a value or a map: the protocol carries tensors only."""


def dtype_of(element: ElementType) -> np.dtype[Any]:
    """Give numpy's type of an element type."""
    return _NUMPY[element]


def element_of(array: Array) -> ElementType:
    """Give the element type of an array; texts of any width are strings."""
    if array.dtype.kind == "U":
        return ElementType.STRING
    if array.dtype.newbyteorder("=") not in _ELEMENTS:
        raise TypeError(f"no element type is {array.dtype}")
    return _ELEMENTS[array.dtype.newbyteorder("=")]


def tensor_of(value: object) -> Tensor:
    """Write an array, or a scalar of numpy, as a tensor."""
    if not isinstance(value, np.ndarray | np.generic):
        raise NotATensor(f"a {type(value).__name__} is no tensor")
    # Not ascontiguousarray: it gives a tensor without dimensions one.
    array = np.asarray(value, order="C")
    element = element_of(array)
    if element is ElementType.STRING:
        data = _strings(array)
    elif element.bits < 8:
        data = _packed(array.view(np.uint8), element.bits)
    else:
        data = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    tensor = Tensor(element, array.shape, data)
    if broken := tensor.broken_rule():
        raise ValueError(broken)
    return tensor


def array_of(tensor: Tensor) -> Array:
    """Read a tensor as an array of its own; ValueError when its bytes are not what it says."""
    if broken := tensor.broken_rule():
        raise ValueError(broken)
    data = bytes(tensor.data)
    count = tensor.header.elements
    dtype = _NUMPY[tensor.element]
    if tensor.element is ElementType.STRING:
        return _texts(data, count).reshape(tensor.dims)
    if tensor.element.bits < 8:
        flat = _unpacked(data, tensor.element.bits, count).view(dtype)
    else:
        flat = np.frombuffer(data, dtype.newbyteorder("<")).astype(dtype)
    return flat.reshape(tensor.dims)


def _packed(elements: npt.NDArray[np.uint8], bits: int) -> bytes:
    spread = np.unpackbits(elements.reshape(-1, 1), axis=1, bitorder="little")
    return np.packbits(spread[:, :bits], bitorder="little").tobytes()


def _unpacked(data: bytes, bits: int, count: int) -> npt.NDArray[np.uint8]:
    flat = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[: count * bits]
    return np.packbits(flat.reshape(count, bits), axis=1, bitorder="little").reshape(count)


def _strings(array: Array) -> bytes:
    pieces = []
    for text in array.ravel():
        if not isinstance(text, str):
            raise TypeError(f"a string is a str, and no {type(text).__name__}")
        raw = text.encode()  # UnicodeEncodeError is a ValueError: half a surrogate is no text
        pieces += [len(raw).to_bytes(4, "little"), raw]
    return b"".join(pieces)


def _texts(data: bytes, count: int) -> Array:
    texts = np.empty(count, np.object_)
    at = 0
    for index in range(count):
        end = at + 4 + int.from_bytes(data[at : at + 4], "little")
        texts[index] = data[at + 4 : end].decode()
        at = end
    return texts
