# SPDX-License-Identifier: MIT
"""Shapes of items: they give every symbol its value, or end the order."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import RemoteProtocolError
from protocol.interface import Interface
from protocol.limits import DIMENSION_MAX
from protocol.ports import Derived
from protocol.price import price_v1
from protocol.reasons import Reason
from protocol.tensors import ElementType
from tests.protocol.little_decoder import (
    DECODER,
    HEAD,
    HEADS,
    LORA,
    SHAPE,
    STRING,
    VOCABULARY,
    WIDTH,
)


def test_the_shape_of_an_item_gives_every_symbol_its_value() -> None:
    whole, first, second = DECODER.interfaces()
    values = whole.bind(SHAPE)
    assert values == (2, 3, 7, 0, 10)
    assert whole.output_shape(values) == ((2, 3, VOCABULARY), (2, HEADS, 10, HEAD))
    assert first.bind(SHAPE[:1]) == (2, 3, 0, 0, 0)  # the rest belongs to the other stage
    assert second.bind((*SHAPE[1:], (2, 3, WIDTH))) == values
    assert [port.name for port in second.outputs] == ["logits", "present_0"]
    assert (whole.states, first.states, second.states) == (((2, 1),), (), ((1, 1),))


def test_an_adapter_fills_its_places_and_no_others() -> None:
    whole = DECODER.interfaces()[0]
    (port,) = LORA.interfaces()[0].inputs
    assert whole.bind(SHAPE, {port.name: port.at(())}) == (2, 3, 7, 8, 10)
    for adapter in ({"lora_B": (8, WIDTH)}, {"lora_A": (WIDTH + 1, 8)}, {"lora_A": (WIDTH,)}):
        with pytest.raises(RemoteProtocolError) as caught:
            whole.bind(SHAPE, adapter)
        assert caught.value.reason is Reason.INPUT_DEVIATES


@pytest.mark.parametrize(
    "shape",
    [
        (),
        SHAPE[:2],
        (*SHAPE, (WIDTH, 8)),  # what is optional is no part of an item
        ((2, 3, 1), *SHAPE[1:]),  # another rank
        ((2,), *SHAPE[1:]),
        ((3, 3), *SHAPE[1:]),  # two batches
        ((2, 4), *SHAPE[1:]),  # 7 + 4 is not 10
        (*SHAPE[:2], (2, HEADS + 1, 7, HEAD)),
        ((2, -1), *SHAPE[1:]),
        ((2, DIMENSION_MAX + 1), *SHAPE[1:]),
        ((2, DIMENSION_MAX), *SHAPE[1:]),  # the sum would be too large
    ],
)
def test_shapes_that_are_not_those_of_the_model_end_the_order(
    shape: tuple[tuple[int, ...], ...],
) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        DECODER.interfaces()[0].bind(shape)
    assert caught.value.reason is Reason.INPUT_DEVIATES


@given(*(st.integers(0, 10**6) for _ in range(3)))
def test_every_shape_that_the_symbols_allow_is_bound_to_them(
    batch: int, length: int, past: int
) -> None:
    shape = ((batch, length), (batch, past + length), (batch, HEADS, past, HEAD))
    assert DECODER.interfaces()[0].bind(shape) == (batch, length, past, 0, past + length)


@pytest.mark.parametrize(("size", "expected"), [(224, 112), (225, 113), (7, 4), (1, 1), (0, 0)])
def test_a_dimension_after_a_convolution_is_derived(size: int, expected: int) -> None:
    """Kernel 7, stride 2, padding 3 on both sides: (size + 6 - 7) // 2 + 1 = (size + 1) // 2."""
    rule = Derived(0, 1, 0, 0, 1, 0, 2)
    assert rule.broken_rule(1) == ""
    assert rule.at((size,)) == expected


def test_an_image_smaller_than_its_kernel_is_refused() -> None:
    port = replace(DECODER.interfaces()[0].inputs[0], dims=((1, 0),))
    valid = Interface((port,), (), (), 1, (Derived(0, 1, 0, 0, 0, 6, 1),))
    assert valid.bind(((6,),)) == (6, 0)
    with pytest.raises(RemoteProtocolError, match="dimension of -1"):
        valid.bind(((5,),))


def test_what_travels_for_an_item_is_counted_and_in_a_session_its_state_is_not() -> None:
    whole = DECODER.interfaces()[0]
    values = whole.bind(SHAPE, {"lora_A": (WIDTH, 8)})
    words = 8 * (2 * 3 + 2 * 10) + 4 * 2 * 3 * VOCABULARY
    state = 4 * 2 * HEADS * HEAD * (7 + 10)
    assert whole.io_bytes(values, session=True) == words
    assert whole.io_bytes(values) == words + state


def test_a_string_counts_as_32_bytes_and_a_nibble_as_half_a_byte() -> None:
    port = DECODER.interfaces()[0].inputs[0]
    assert replace(port, element=STRING).bytes_at((2, 3)) == 6 * 32
    assert replace(port, element=ElementType.INT4).bytes_at((1, 3)) == 2


def test_the_price_of_an_item_follows_from_its_shape() -> None:
    whole = DECODER.interfaces()[0]
    values = whole.bind(SHAPE)
    embed_ps, attend_ps = 10 * 2 * 3 * 4 * WIDTH, 2 * (2 * 3 * 10 * 4 * WIDTH)
    io_bytes = whole.io_bytes(values)
    expected = 1 + -(-(embed_ps + attend_ps) // 10**6) + -(-io_bytes // 1000)
    assert price_v1(DECODER.price_facts()[0], values, io_bytes) == expected
