# SPDX-License-Identifier: MIT
"""Tensors on both sides of ONNX Runtime: bytes on ours, numpy arrays and addresses on its own.

An element type that numpy has goes in and out as an array, which is quickest. The others
(bfloat16, the small floats) go by their address: `bind_input` takes ONNX's number of the type,
and an output's bytes stand at its `data_ptr`. Strings exist only as Python objects.
"""

import ctypes
import mmap
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from protocol.errors import Refused
from protocol.limits import STRING_BYTES_MAX, STRINGS_PER_TENSOR_MAX, TENSOR_BYTES_MAX
from protocol.reasons import Reason
from protocol.tensors import ElementType, TensorHeader

Array = npt.NDArray[np.generic]

#: The types that numpy has by itself.
DTYPES: dict[ElementType, np.dtype[np.generic]] = {
    ElementType.FLOAT: np.dtype(np.float32),
    ElementType.UINT8: np.dtype(np.uint8),
    ElementType.INT8: np.dtype(np.int8),
    ElementType.UINT16: np.dtype(np.uint16),
    ElementType.INT16: np.dtype(np.int16),
    ElementType.INT32: np.dtype(np.int32),
    ElementType.INT64: np.dtype(np.int64),
    ElementType.BOOL: np.dtype(np.bool_),
    ElementType.FLOAT16: np.dtype(np.float16),
    ElementType.DOUBLE: np.dtype(np.float64),
    ElementType.UINT32: np.dtype(np.uint32),
    ElementType.UINT64: np.dtype(np.uint64),
    ElementType.COMPLEX64: np.dtype(np.complex64),
    ElementType.COMPLEX128: np.dtype(np.complex128),
}
_FLOATS = {
    *(ElementType.FLOAT, ElementType.DOUBLE, ElementType.FLOAT16),
    *(ElementType.COMPLEX64, ElementType.COMPLEX128),
}
# Where numpy has no such type: the bits to look at, and what they are in NaN and infinity.
_BITS_OF_NO_NUMBER = {
    ElementType.BFLOAT16: (0x7F80, 0x7F80),
    ElementType.FLOAT8E4M3FN: (0x7F, 0x7F),
    ElementType.FLOAT8E4M3FNUZ: (0xFF, 0x80),
    ElementType.FLOAT8E5M2: (0x7C, 0x7C),
    ElementType.FLOAT8E5M2FNUZ: (0xFF, 0x80),
    ElementType.FLOAT8E8M0: (0xFF, 0xFF),
}
# How ONNX Runtime writes the types of its ports.
_ORT_NAMES = {f"tensor({element.name.lower()})": element for element in ElementType}
_SUM_BYTES = 1 << 20
_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.mmap.restype = ctypes.c_void_p
_LIBC.mmap.argtypes = (
    *(ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long),
)


def element_of(ort_type: str, port: str) -> ElementType:
    """Read the type of a port; sequences, maps and optionals have no bytes here."""
    if ort_type not in _ORT_NAMES:
        raise Refused(Reason.MODEL_REFUSED, f"{port} is a {ort_type}: only tensors are carried")
    return _ORT_NAMES[ort_type]


def array_at(header: TensorHeader, data: memoryview) -> Array:
    """View data as an array of its form; strings become objects."""
    if header.element is ElementType.STRING:
        return _strings(header, data)
    array: Array = np.frombuffer(data, DTYPES[header.element]).reshape(header.dims)
    return array


def data_of(array: Array, element: ElementType) -> bytes | memoryview:
    """Give the bytes of an array, in row-major order."""
    if element is ElementType.STRING:
        return _string_data(array)
    # ascontiguousarray would make one dimension of none
    flat = np.asarray(array, order="C")
    if flat.size == 0 or flat.ndim == 0:
        return flat.tobytes()
    return flat.reshape(-1).view(np.uint8).data


def address_of(data: memoryview) -> int:
    """Say where a buffer stands, for as long as the caller keeps it."""
    return int(np.frombuffer(data, np.uint8).ctypes.data) if len(data) else 0


def bytes_at(address: int, size_bytes: int) -> memoryview:
    """View memory that ONNX Runtime owns, for as long as the caller keeps its owner."""
    if not size_bytes:
        return memoryview(b"")
    return memoryview((ctypes.c_char * size_bytes).from_address(address)).cast("B")


def map_room(fd: int, *, writable: bool) -> memoryview:
    """Map a descriptor's memory. Python's own mmap would keep a copy of the descriptor.

    That takes a system call which a runner does not have.
    """
    size_bytes = os.fstat(fd).st_size
    rights = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
    address = _LIBC.mmap(None, size_bytes, rights, mmap.MAP_SHARED, fd, 0)
    if address == ctypes.c_void_p(-1).value:
        raise MemoryError(f"{size_bytes} shared bytes cannot be mapped")
    return bytes_at(address, size_bytes)


def unmap_room(room: memoryview) -> None:
    """Give a room back; nobody may have a view of it any more."""
    if room:
        _LIBC.munmap(ctypes.c_void_p(address_of(room)), ctypes.c_size_t(len(room)))


def size_of(element: ElementType, dims: tuple[int, ...]) -> int:
    """Give the size of a tensor whose type says it."""
    elements = 1
    for dim in dims:
        elements *= dim
    size_bytes = (elements * element.bits + 7) // 8
    if size_bytes > TENSOR_BYTES_MAX:
        raise Refused(Reason.OVER_MEMORY, f"an output of {size_bytes} bytes")
    return size_bytes


def all_finite(element: ElementType, data: memoryview) -> bool:
    """Look for NaN and infinity, a megabyte at a time."""
    if element in _BITS_OF_NO_NUMBER:
        mask, special = _BITS_OF_NO_NUMBER[element]
        codes = np.frombuffer(data, np.uint16 if element.bits == 16 else np.uint8)
        return not any(((part & mask) == special).any() for part in _parts(codes))
    if element not in _FLOATS:
        return True
    with np.errstate(all="ignore"):
        # a sum has them when a part has; only when it has may it be too large by itself
        return all(
            np.isfinite(part.sum()) or np.isfinite(part).all()
            for part in _parts(np.frombuffer(data, DTYPES[element]))
        )


def _parts(values: Array) -> Iterator[Any]:
    step = _SUM_BYTES // values.itemsize
    return (values[start : start + step] for start in range(0, values.size, step))


def _strings(header: TensorHeader, data: memoryview) -> Array:
    texts = np.empty(header.elements, object)
    at = 0
    for index in range(header.elements):
        size = int.from_bytes(data[at : at + 4], "little")
        at += 4 + size
        try:
            texts[index] = str(data[at - size : at], "utf-8")
        except UnicodeDecodeError as error:
            raise Refused(Reason.INPUT_DEVIATES, f"string {index} is not UTF-8: {error}") from None
    shaped: Array = texts.reshape(header.dims)
    return shaped


def _string_data(array: Array) -> bytes:
    if array.size > STRINGS_PER_TENSOR_MAX:
        raise Refused(Reason.WRONG_FORM, f"an output of {array.size} strings")
    parts = []
    for text in array.reshape(-1).tolist():
        encoded = str(text).encode("utf-8", "replace")
        if len(encoded) > STRING_BYTES_MAX:
            raise Refused(Reason.WRONG_FORM, f"an output string of {len(encoded)} bytes")
        parts += [len(encoded).to_bytes(4, "little"), encoded]
    return b"".join(parts)
