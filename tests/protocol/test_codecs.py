# SPDX-License-Identifier: MIT
"""Single fields: one raw form for each value, and a ValueError for everything else."""

import re
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.codecs import (
    BytesCodec,
    Codec,
    ListCodec,
    NotCanonicalError,
    TextCodec,
    UintCodec,
    pack_cells,
    unpack_cells,
)
from protocol.limits import UINT_MAX
from tests.strategies import TEXTS

NUMBERS = ListCodec((UintCodec(),), 1, 3, lambda cell: cell, lambda cell: (cell,))
RISING = ListCodec((UintCodec(),), 0, 3, lambda cell: cell, lambda cell: (cell,), ascending=True)
PAIRS = ListCodec((UintCodec(), BytesCodec(0, 4)), 0, 3, lambda *row: row, lambda row: row)


def refused(codec: Codec, raw: object, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        codec.unpack(raw)


# --- numbers --------------------------------------------------------------------------------------


@given(st.integers(0, UINT_MAX))
def test_an_unsigned_integer_is_its_own_raw_form(number: int) -> None:
    assert UintCodec().unpack(UintCodec().pack(number)) == number


@pytest.mark.parametrize("number", [-1, UINT_MAX + 1])
def test_a_number_beyond_63_bits_is_refused(number: int) -> None:
    refused(UintCodec(), number, f"{number} is not within")


@pytest.mark.parametrize(("number", "fits"), [(2, False), (3, True), (7, True), (8, False)])
def test_both_ends_of_a_range_belong_to_it(number: int, fits: bool) -> None:
    codec = UintCodec(3, 7)
    if fits:
        assert codec.pack(number) == codec.unpack(number) == number
    else:
        refused(codec, number, f"{number} is not within 3..7")
        with pytest.raises(ValueError, match="not within"):
            codec.pack(number)


@pytest.mark.parametrize("raw", [True, 1.0, "1", b"1", None, [1]])
def test_what_only_looks_like_an_integer_is_refused(raw: object) -> None:
    refused(UintCodec(), raw, f"expected an integer, got {type(raw).__name__}")


# --- bytes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "fits"), [(0, False), (1, False), (2, True), (4, True), (5, False)]
)
def test_both_ends_of_a_length_belong_to_it(size: int, fits: bool) -> None:
    codec = BytesCodec(2, 4)
    if fits:
        assert codec.unpack(codec.pack(bytes(size))) == bytes(size)
    else:
        refused(codec, bytes(size), f"{size} bytes are not within 2..4")


def test_optional_bytes_may_be_none_at_all_but_not_a_few() -> None:
    codec = BytesCodec(4, 4, or_empty=True)
    assert codec.unpack(b"") == b""
    assert codec.unpack(b"four") == b"four"
    refused(codec, b"two", "3 bytes are not within")


@pytest.mark.parametrize("raw", ["text", 1, bytearray(4), None])
def test_what_only_looks_like_bytes_is_refused(raw: object) -> None:
    refused(BytesCodec(0, 9), raw, f"expected bytes, got {type(raw).__name__}")


# --- texts ----------------------------------------------------------------------------------------


@given(st.text(TEXTS, max_size=16))
def test_text_comes_back_as_it_was_written(text: str) -> None:
    codec = TextCodec(64)
    assert codec.unpack(codec.pack(text)) == text


@pytest.mark.parametrize(
    "sign",
    "\0\t\n\r\x1b\x7f\x85\x9f\u061c\u200b\u200e\u200f\u2060\u2065\u2028\u2029\u202a\u202e\u2066\u2069\ufeff",
)
def test_text_that_could_pass_as_another_line_is_refused(sign: str) -> None:
    with pytest.raises(ValueError, match="control or direction"):
        TextCodec(64).pack(f"a{sign}b")
    refused(TextCodec(64), f"a{sign}b".encode(), "control or direction")


@pytest.mark.parametrize(
    "sign", " ~\xa0\u061b\u200a\u200c\u200d\u2010\u2027\u202f\u205f\u206a\ufefeé語🙂"
)
def test_the_neighbours_of_those_signs_are_text(sign: str) -> None:
    assert TextCodec(64).unpack(sign.encode()) == sign


def test_the_size_of_a_text_is_counted_in_bytes() -> None:
    codec = TextCodec(4, 2)
    assert codec.pack("éé") == b"\xc3\xa9\xc3\xa9"
    for text in ("a", "ééé"):
        with pytest.raises(ValueError, match=r"bytes is not within 2\.\.4"):
            codec.pack(text)


@pytest.mark.parametrize("raw", [b"\xff", b"\xc0\x80", b"\xed\xa0\x80"])
def test_bytes_that_are_no_utf8_are_no_text(raw: bytes) -> None:
    refused(TextCodec(64), raw, "codec can't decode")


def test_half_of_a_surrogate_pair_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        TextCodec(64).pack("\ud800")


@pytest.mark.parametrize("raw", ["text", 1, None])
def test_text_travels_as_bytes_only(raw: object) -> None:
    refused(TextCodec(64), raw, f"expected text, got {type(raw).__name__}")


def test_a_pattern_has_to_fit_the_whole_text() -> None:
    codec = TextCodec(9, 0, re.compile("a+"))
    assert codec.pack("aa") == b"aa"
    refused(codec, b"aab", "'aab' is not of the form")
    refused(codec, b"aa\xc3\xa9", "not of the form")


# --- lists ----------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, UINT_MAX), st.binary(max_size=4)), max_size=3).map(tuple))
def test_rows_come_back_in_their_order(rows: tuple[tuple[int, bytes], ...]) -> None:
    assert PAIRS.unpack(PAIRS.pack(rows)) == rows


@pytest.mark.parametrize("count", [0, 4])
def test_a_list_has_as_many_rows_as_it_may_have(count: int) -> None:
    with pytest.raises(ValueError, match=f"{count} rows are not within 1..3"):
        NUMBERS.pack(tuple(range(count)))
    refused(NUMBERS, pack_cells(list(range(count))), "cells are not 1..3 rows|not the msgpack")


@pytest.mark.parametrize("count", [1, 3])
def test_a_list_may_be_as_short_and_as_long_as_it_says(count: int) -> None:
    rows = tuple(range(count))
    assert NUMBERS.unpack(NUMBERS.pack(rows)) == rows


def test_half_a_row_is_refused() -> None:
    refused(PAIRS, pack_cells([1, b"", 2]), "3 cells are not 0..3 rows of 2")


def test_a_bad_cell_in_a_row_is_named() -> None:
    refused(PAIRS, pack_cells([1, b"five!"]), "5 bytes are not within 0..4")
    with pytest.raises(ValueError, match="5 bytes"):
        PAIRS.pack(((1, b"five!"),))


@pytest.mark.parametrize("rows", [(1, 1), (2, 1), (1, 3, 2)])
def test_a_list_without_meaning_in_its_order_has_one_order(rows: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="strictly ascend"):
        RISING.pack(rows)
    refused(RISING, pack_cells(list(rows)), "strictly ascend")
    assert NUMBERS.unpack(NUMBERS.pack(rows)) == rows


def test_a_list_that_ascends_is_taken() -> None:
    assert RISING.unpack(RISING.pack((1, 2, 9))) == (1, 2, 9)


@pytest.mark.parametrize("raw", [[1], "1", None])
def test_a_list_travels_as_bytes_only(raw: object) -> None:
    refused(NUMBERS, raw, f"expected a list, got {type(raw).__name__}")


@pytest.mark.parametrize(
    "raw", [b"\x91\xcc\x01", b"\xdc\x00\x01\x01", b"\x91\xcf" + bytes(7) + b"\1"]
)
def test_a_longer_spelling_of_a_list_is_refused_as_such(raw: bytes) -> None:
    assert msgpack.unpackb(raw) == [1]
    with pytest.raises(NotCanonicalError):
        NUMBERS.unpack(raw)


# --- arrays of cells ------------------------------------------------------------------------------


@given(st.lists(st.integers(0, UINT_MAX) | st.binary(max_size=300), max_size=20))
def test_cells_come_back_as_they_were(cells: list[Any]) -> None:
    assert unpack_cells(pack_cells(cells), 20) == cells


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x92\x01",  # ends early
        b"\x91\x01\x01",  # goes on
        b"\x93\x01\x02\x03",  # too many
        b"\x91\x81\x01\x02",  # a map
        b"\x91\x81\xc4\x01a\x02",  # a map whose key is bytes
        b"\x91\xd4\x01\x00",  # an extension
        b"\x91\xd6\xff\x00\x00\x00\x00",  # a time
        b"\x91\xc1",  # no msgpack
        b"\x91\xa1\xff",  # text that is none
        b"\x91\xd9\x41" + b"a" * 65,  # a kind of 65 letters
    ],
)
def test_what_is_no_array_of_this_protocol_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match="not the msgpack array"):
        unpack_cells(data, 2)


@pytest.mark.parametrize("data", [b"\x01", b"\xc0", b"\xa1a", b"\x80"])
def test_what_is_no_array_at_all_is_named(data: bytes) -> None:
    with pytest.raises(ValueError, match="expected an array, got"):
        unpack_cells(data, 2)
