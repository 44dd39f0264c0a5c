# SPDX-License-Identifier: MIT
"""Tests of `protocol.tensors`: one tensor, one row of bytes, one digest."""

import struct
from hashlib import sha256
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.canon import domain_tag
from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.limits import (
    PORTS_MAX,
    RANK_MAX,
    STRING_BYTES_MAX,
    STRINGS_PER_TENSOR_MAX,
    TENSOR_BYTES_MAX,
)
from protocol.reasons import Reason
from protocol.tensors import (
    ElementType,
    Tensor,
    TensorHasher,
    TensorHeader,
    encode_header,
    encode_tensor,
    flat,
    item_digest,
    item_digest_from,
    parse_header,
    parse_tensor,
    tensor_digest,
)
from tests.strategies import tensors


def raw_header(element: int, dims: tuple[int, ...], size: int) -> bytes:
    return struct.pack(f"<BB{len(dims) + 1}Q", element, len(dims), *dims, size)


def strings(*texts: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(text)) + text for text in texts)


def hash_bytewise(tensor: Tensor) -> bytes:
    hasher = TensorHasher(tensor.header)
    for byte in tensor.data:
        hasher.update(bytes([byte]))
    return hasher.digest()


def test_element_types_have_the_numbers_and_widths_of_onnx() -> None:
    assert [element.value for element in ElementType] == list(range(1, 29))
    assert ElementType(16) is ElementType.BFLOAT16
    widths = "32 8 8 16 16 32 64 0 8 16 64 32 64 64 128 16 8 8 8 8 4 4 4 8 2 2 6 6"
    assert " ".join(str(element.bits) for element in ElementType) == widths


def test_a_tensor_is_written_as_the_specification_says() -> None:
    tensor = Tensor(ElementType.FLOAT, (2, 1), struct.pack("<2f", 1.0, -2.0))
    expected = bytes.fromhex(
        "01 02 0200000000000000 0100000000000000 0800000000000000 0000803f 000000c0"
    )
    assert encode_tensor(tensor) == expected
    assert tensor_digest(tensor) == sha256(domain_tag("tensor") + expected).digest()


@given(tensors())
def test_a_written_tensor_is_read_back_and_written_again_alike(tensor: Tensor) -> None:
    wire = encode_tensor(tensor)
    read = parse_tensor(wire)
    assert read == tensor
    assert encode_tensor(read) == wire
    assert parse_header(encode_header(tensor.header)) == tensor.header


@given(tensors(), st.data())
def test_a_digest_does_not_depend_on_how_the_data_were_cut(
    tensor: Tensor, data: st.DataObject
) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(tensor.data)), max_size=6).map(sorted))
    hasher = TensorHasher(tensor.header)
    for start, end in pairwise([0, *cuts, len(tensor.data)]):
        hasher.update(tensor.data[start:end])
    assert hasher.digest() == tensor_digest(tensor)


@given(tensors(), tensors())
def test_different_tensors_have_different_bytes_and_digests(one: Tensor, other: Tensor) -> None:
    same = one == other
    assert (encode_tensor(one) == encode_tensor(other)) is same
    assert (tensor_digest(one) == tensor_digest(other)) is same
    assert not encode_tensor(one).startswith(encode_tensor(other)) or same


@given(tensors(), st.data())
def test_no_single_bit_can_be_turned_without_being_refused_or_seen(
    tensor: Tensor, data: st.DataObject
) -> None:
    wire = bytearray(encode_tensor(tensor))
    bit = data.draw(st.integers(0, 8 * len(wire) - 1))
    wire[bit // 8] ^= 1 << bit % 8
    try:
        read = parse_tensor(wire)
    except RemoteProtocolError:
        return
    assert encode_tensor(read) == wire
    assert tensor_digest(read) != tensor_digest(tensor)


@pytest.mark.parametrize("element", ElementType)
def test_every_type_has_scalars_and_empty_tensors(element: ElementType) -> None:
    size = (element.bits + 7) // 8 or 4
    scalar = Tensor(element, (), bytes(size))
    empty = Tensor(element, (3, 0), b"")
    assert parse_tensor(encode_tensor(scalar)) == scalar
    assert scalar.header.elements == 1
    assert parse_tensor(encode_tensor(empty)) == empty
    assert tensor_digest(empty) != tensor_digest(Tensor(element, (0, 3), b""))
    assert Tensor(element, (), bytes(size + 1)).broken_rule()
    assert Tensor(element, (), bytes(size - 1)).broken_rule()


@pytest.mark.parametrize(
    ("element", "dims", "good", "bad"),
    [
        (ElementType.BOOL, (2,), b"\1\0", b"\1\2"),
        (ElementType.UINT4, (3,), b"\xff\x0f", b"\xff\x1f"),
        (ElementType.INT2, (5,), b"\xff\x03", b"\xff\x04"),
        (ElementType.FLOAT6E2M3, (1,), b"\x3f", b"\x40"),
        (ElementType.STRING, (2,), strings(b"", b"ab"), strings(b"ab") + b"\0\0"),
        (ElementType.STRING, (1,), strings(b"abcd"), strings(b"", b"")),
        (ElementType.STRING, (1,), strings(b"abc"), b"\4\0\0\0abc"),
    ],
)
def test_data_with_a_second_spelling_are_refused(
    element: ElementType, dims: tuple[int, ...], good: bytes, bad: bytes
) -> None:
    fine = Tensor(element, dims, good)
    assert hash_bytewise(fine) == tensor_digest(fine)
    tensor = Tensor(element, dims, bad)
    with pytest.raises(RemoteProtocolError) as remote:
        parse_tensor(raw_header(element, dims, len(bad)) + bad)
    assert remote.value.reason is Reason.MALFORMED
    with pytest.raises(RemoteProtocolError):
        hash_bytewise(tensor)
    for ours in (encode_tensor, tensor_digest):
        with pytest.raises(LocalProtocolError):
            ours(tensor)


def test_a_bool_far_inside_a_large_tensor_is_looked_at() -> None:
    data = bytearray(200_000)
    assert Tensor(ElementType.BOOL, (200_000,), data).broken_rule() == ""
    data[150_000] = 2
    assert "0 or 1" in Tensor(ElementType.BOOL, (200_000,), data).broken_rule()


@pytest.mark.parametrize(
    ("element", "dims", "size"),
    [
        (0, (), 4),
        (29, (), 4),
        (1, (1,) * (RANK_MAX + 1), 4),
        (1, (2,), 4),
        (1, (2,), 9),
        (1, (TENSOR_BYTES_MAX // 4 + 1,), TENSOR_BYTES_MAX + 4),
        (1, (2**62, 4), 0),  # 2^64 elements: a product that overflows to nothing
        (1, (2**32, 2**32, 4), 0),
        (1, (0, 2**62, 2**62), 0),  # empty, but its strides overflow
        (8, (2,), 7),
        (8, (0,), 1),
        (8, (1,), 4 + STRING_BYTES_MAX + 1),
        (8, (STRINGS_PER_TENSOR_MAX + 1,), 4 * STRINGS_PER_TENSOR_MAX + 4),
        (8, (STRINGS_PER_TENSOR_MAX,), TENSOR_BYTES_MAX + 1),
    ],
)
def test_a_header_out_of_range_is_refused(element: int, dims: tuple[int, ...], size: int) -> None:
    with pytest.raises(RemoteProtocolError) as remote:
        parse_header(raw_header(element, dims, size))
    assert remote.value.reason is Reason.OUT_OF_RANGE


def test_the_largest_tensors_are_taken() -> None:
    for header in (
        TensorHeader(ElementType.INT2, (4 * TENSOR_BYTES_MAX,), TENSOR_BYTES_MAX),
        TensorHeader(ElementType.UINT8, (TENSOR_BYTES_MAX, 0), 0),
        TensorHeader(ElementType.FLOAT, (1,) * RANK_MAX, 4),
        TensorHeader(ElementType.STRING, (1,), 4 + STRING_BYTES_MAX),
        TensorHeader(ElementType.STRING, (STRINGS_PER_TENSOR_MAX,), TENSOR_BYTES_MAX),
    ):
        assert parse_header(encode_header(header)) == header


@pytest.mark.parametrize("wire", [b"", b"\1", b"\1\0", raw_header(1, (1,), 4)[:-1]])
def test_a_header_that_was_cut_is_refused(wire: bytes) -> None:
    for parse in (parse_header, parse_tensor):
        with pytest.raises(RemoteProtocolError) as remote:
            parse(wire)
        assert remote.value.reason is Reason.MALFORMED
    with pytest.raises(RemoteProtocolError, match="a tensor header of 19 bytes"):
        parse_header(raw_header(1, (1,), 4) + b"\0")


def test_a_string_above_its_cap_is_refused_when_its_length_is_there() -> None:
    hasher = TensorHasher(TensorHeader(ElementType.STRING, (2,), 8 + STRING_BYTES_MAX))
    with pytest.raises(RemoteProtocolError, match="at most 65536"):
        hasher.update(struct.pack("<I", STRING_BYTES_MAX + 1))


def test_data_of_another_size_than_promised_are_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="3 bytes of data, 4 promised"):
        parse_tensor(raw_header(1, (), 4) + b"abc")
    hasher = TensorHasher(TensorHeader(ElementType.FLOAT, (), 4))
    hasher.update(b"abc")
    with pytest.raises(LocalProtocolError, match="1 bytes of the tensor are still to come"):
        hasher.digest()
    with pytest.raises(RemoteProtocolError, match="1 bytes too many"):
        hasher.update(b"de")


def test_our_own_broken_headers_are_our_own_mistake() -> None:
    for dims, size in (((-1,), -4), ((-1, -4), 16), ((2, 2), 12)):
        with pytest.raises(LocalProtocolError):
            encode_header(TensorHeader(ElementType.FLOAT, dims, size))


def test_only_plain_bytes_are_data() -> None:
    assert bytes(flat(bytearray(b"ab"))) == b"ab"
    assert bytes(flat(memoryview(b"abc")[1:])) == b"bc"
    for view in (memoryview(b"abcd").cast("I"), memoryview(b"abcd")[::2]):
        with pytest.raises(LocalProtocolError, match="expected plain bytes"):
            flat(view)


@given(st.lists(tensors(), max_size=3))
def test_an_item_is_the_ordered_list_of_its_tensors(item: list[Tensor]) -> None:
    digests = [tensor_digest(tensor) for tensor in item]
    assert item_digest(item) == item_digest_from(digests)
    assert item_digest(item) != item_digest_from([*digests, bytes(32)])
    if digests != digests[::-1]:
        assert item_digest(item[::-1]) != item_digest(item)


def test_an_item_of_too_many_or_broken_digests_is_refused() -> None:
    assert item_digest_from([bytes(32)] * PORTS_MAX)
    for digests in ([bytes(32)] * (PORTS_MAX + 1), [bytes(31)]):
        with pytest.raises(LocalProtocolError):
            item_digest_from(digests)
