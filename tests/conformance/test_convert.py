# SPDX-License-Identifier: MIT
"""Numpy values and tensors say the same, bit by bit, in both directions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, numpy_helper

from protocol.tensors import ElementType, Tensor
from tests.conformance.convert import NotATensor, array_of, dtype_of, element_of, tensor_of
from tests.strategies import tensors

numbers = tensors().filter(lambda tensor: tensor.element is not ElementType.STRING)
texts = st.lists(st.text(max_size=4), max_size=6)


@given(numbers)
def test_every_tensor_of_numbers_survives_the_way_through_numpy(tensor: Tensor) -> None:
    array = array_of(tensor)
    assert array.dtype == dtype_of(tensor.element)
    assert tensor_of(array) == tensor


@given(texts)
def test_every_text_survives_the_way_through_a_tensor(words: list[str]) -> None:
    array = np.array(words, np.object_)
    tensor = tensor_of(array)
    assert tensor.element is ElementType.STRING
    assert array_of(tensor).tolist() == words


@given(numbers)
def test_onnx_itself_reads_the_same_bytes_the_same_way(tensor: Tensor) -> None:
    theirs = TensorProto(
        data_type=int(tensor.element), dims=tensor.dims, raw_data=bytes(tensor.data)
    )
    array = numpy_helper.to_array(theirs)
    assert array.dtype == dtype_of(tensor.element)
    assert array.tobytes() == array_of(tensor).tobytes()


@pytest.mark.parametrize("element", ElementType)
def test_every_element_type_has_one_numpy_type(element: ElementType) -> None:
    assert element_of(np.empty(0, dtype_of(element))) is element


def test_a_tensor_without_dimensions_keeps_none() -> None:
    assert tensor_of(np.float32(2)).dims == ()
    assert array_of(Tensor(ElementType.INT64, (), bytes(8))).shape == ()


def test_the_order_in_memory_does_not_matter() -> None:
    square = np.arange(6, dtype=np.int16).reshape(2, 3)
    assert tensor_of(square.T) == tensor_of(square.T.copy())
    assert tensor_of(square.astype(">i2")) == tensor_of(square)


def test_small_elements_are_packed_from_the_lowest_bits() -> None:
    nibbles = np.array([1, 2, 3], dtype_of(ElementType.UINT4))
    assert tensor_of(nibbles).data == b"\x21\x03"
    sixes = np.array([1, 2, 3], np.uint8).view(dtype_of(ElementType.FLOAT6E2M3))
    assert tensor_of(sixes).data == (1 | 2 << 6 | 3 << 12).to_bytes(3, "little")


def test_texts_of_any_width_are_strings() -> None:
    assert tensor_of(np.array(["a", "bcd"])) == tensor_of(np.array(["a", "bcd"], np.object_))


@pytest.mark.parametrize("value", [None, [], {}, [np.zeros(1)], "text", 1.0])
def test_what_is_no_tensor_is_said_to_be_none(value: object) -> None:
    with pytest.raises(NotATensor):
        tensor_of(value)


@pytest.mark.parametrize(
    "value",
    [
        np.array([b"bytes"], np.object_),
        np.array([1], np.object_),
        np.array([b"bytes"]),
        np.array([0], "datetime64[s]"),
    ],
)
def test_what_onnx_has_no_type_for_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        tensor_of(value)


def test_half_a_surrogate_is_no_text() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        tensor_of(np.array(["\ud800"], np.object_))


@pytest.mark.parametrize(
    "tensor",
    [
        Tensor(ElementType.FLOAT, (2,), bytes(7)),
        Tensor(ElementType.BOOL, (1,), b"\x02"),
        Tensor(ElementType.UINT4, (1,), b"\x10"),
        Tensor(ElementType.STRING, (1,), b"\x02\x00\x00\x00a"),
        Tensor(ElementType.STRING, (1,), b"\x01\x00\x00\x00\xff"),
    ],
)
def test_bytes_that_are_not_what_they_say_are_not_read(tensor: Tensor) -> None:
    with pytest.raises(ValueError, match=r"bytes|bool|unused|strings|decode"):
        array_of(tensor)
