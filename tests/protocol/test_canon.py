# SPDX-License-Identifier: MIT
"""The one way to write a message, held by every kind that exists."""

from hashlib import sha256
from typing import Annotated, Any, get_args

import msgpack
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from protocol.canon import (
    KINDS,
    VERSION,
    Key,
    Message,
    Row,
    Uint,
    UintCodec,
    decode,
    domain_tag,
    encode,
    message,
    row,
    rows_of,
    tagged_hash,
    values_of,
)
from protocol.cheque import Ack, Receipt
from protocol.codecs import pack_cells, unpack_cells
from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.hello import Hello
from protocol.invite import Invite
from protocol.reasons import CODE_PATTERN, Reason
from protocol.statements import Order, Refuse, Result
from tests.strategies import kinds, messages, part_of_examples

FOR_EVERY_KIND = pytest.mark.parametrize("cls", kinds(), ids=lambda cls: cls.KIND)
# Each of these runs for every kind, so each kind gets a part of the examples.
SOME = part_of_examples(5)
FEW = part_of_examples(12)
ACK = Ack(b"c" * 32, b"d" * 32, b"i" * 8, b"s" * 32, 7)
REFUSE = Refuse(b"w" * 32, b"r" * 32, b"i" * 8, b"o" * 32, "busy", 60)


def refused(body: bytes, reason: Reason, *expected: type[Message], match: str = ".") -> None:
    with pytest.raises(RemoteProtocolError, match=match) as caught:
        decode(body, *expected)
    assert caught.value.reason is reason


def cells_of(value: Message) -> list[Any]:
    return unpack_cells(encode(value), 64)


def spelled_longer(cell: object) -> bytes:
    """The same cell in a spelling that msgpack allows and this protocol does not."""
    match cell:
        case int():
            return b"\xcf" + cell.to_bytes(8, "big") if cell < 2**32 else b""
        case bytes():
            return b"\xc6" + len(cell).to_bytes(4, "big") + cell if len(cell) < 65536 else b""
        case str():
            return b"\xd9" + bytes([len(cell)]) + cell.encode()
    raise AssertionError(cell)


# --- every kind -----------------------------------------------------------------------------------


@FOR_EVERY_KIND
@SOME
@given(st.data())
def test_what_was_written_is_read_and_written_the_same_way(
    cls: type[Message], data: st.DataObject
) -> None:
    value = data.draw(messages(cls))
    body = encode(value)
    assert decode(body, cls) == value
    assert encode(decode(body, cls)) == body
    assert len(body) <= cls.BYTES_MAX


@FOR_EVERY_KIND
@SOME
@given(st.data())
def test_two_values_are_never_written_the_same_way(cls: type[Message], data: st.DataObject) -> None:
    one = data.draw(messages(cls))
    place = data.draw(st.integers(0, len(cls.CODECS) - 1))
    values = [*cls.CELLS(one)]
    values[place] = cls.CELLS(data.draw(messages(cls)))[place]
    other = cls(*values)
    assume(not other.broken_rule())
    assert (one == other) == (encode(one) == encode(other))


@FOR_EVERY_KIND
@SOME
@given(st.data())
def test_no_value_has_a_second_spelling(cls: type[Message], data: st.DataObject) -> None:
    value = data.draw(messages(cls))
    cells = cells_of(value)
    place = data.draw(st.integers(-1, len(cells) - 1))
    if place < 0:  # the head of the array
        other = (
            b"\xdc" + len(cells).to_bytes(2, "big") + encode(value)[1 if len(cells) < 16 else 3 :]
        )
    else:
        longer = spelled_longer(cells[place])
        packed = [msgpack.packb(cell) for cell in cells]
        packed[place] = longer or packed[place]
        other = msgpack.Packer().pack_array_header(len(cells)) + b"".join(packed)
    assume(other != encode(value))
    assert msgpack.unpackb(other) == cells
    most = len(other) > cls.BYTES_MAX
    refused(other, Reason.TOO_LARGE if most else Reason.NOT_CANONICAL, cls)


@FOR_EVERY_KIND
@FEW
@given(st.data())
def test_no_kind_passes_as_another(cls: type[Message], data: st.DataObject) -> None:
    body = encode(data.draw(messages(cls)))
    others = [other for other in KINDS.values() if other is not cls]
    with pytest.raises(RemoteProtocolError) as caught:
        decode(body, *others)
    assert caught.value.reason is Reason.UNKNOWN_KIND
    assert decode(body, *others, cls) == decode(body, cls)


@FOR_EVERY_KIND
def test_a_kind_is_a_short_word_and_found_by_it(cls: type[Message]) -> None:
    assert CODE_PATTERN.fullmatch(cls.KIND)
    assert KINDS[cls.KIND] is cls


# --- reading, step by step ------------------------------------------------------------------------


@pytest.mark.parametrize("more", [0, 1])
def test_a_body_over_the_cap_of_all_that_is_expected_is_not_even_parsed(more: int) -> None:
    body = bytes(Ack.BYTES_MAX + more)
    if more:
        refused(body, Reason.TOO_LARGE, Ack, match="4097 bytes, at most 4096")
    else:
        refused(body, Reason.MALFORMED, Ack)


def test_a_body_under_the_highest_cap_but_over_its_own_is_too_large() -> None:
    cells = [*cells_of(ACK), bytes(5000)]
    refused(pack_cells(cells), Reason.TOO_LARGE, Receipt, Ack, match="ack: .* at most 4096")


@pytest.mark.parametrize("body", [b"", b"\x01", b"\xff", b"\x80", b"\x91" * 99])
def test_a_body_that_is_no_array_is_malformed(body: bytes) -> None:
    refused(body, Reason.MALFORMED, Ack)


@pytest.mark.parametrize("cells", [[], ["ack"], [b"ack", 1], [7, 1], [["ack"], 1]])
def test_a_message_begins_with_its_kind_and_version(cells: list[Any]) -> None:
    refused(pack_cells(cells), Reason.MALFORMED, Ack, match="begins with its kind and version")


def test_a_kind_that_has_no_place_here_is_named_with_those_that_have() -> None:
    refused(
        encode(ACK), Reason.UNKNOWN_KIND, Refuse, Order, match="'ack', expected refuse or order"
    )


@pytest.mark.parametrize("version", [0, 2, b"1", "1"])
def test_another_version_is_refused_as_such(version: object) -> None:
    cells = [*cells_of(ACK)]
    cells[1] = version
    refused(pack_cells(cells), Reason.UNKNOWN_VERSION, Ack, match="not 1")


@pytest.mark.parametrize("truth", [b"\xc3", b"\xc0", b"\xcb?\xf0" + bytes(6), b"\x90"])
def test_nothing_else_passes_as_version_one(truth: bytes) -> None:
    """True and 1.0 equal 1 in Python."""
    refused(b"\x97\xa3ack" + truth + encode(ACK)[6:], Reason.UNKNOWN_VERSION, Ack)


@pytest.mark.parametrize("fields", [4, 6])
def test_a_missing_or_extra_field_is_malformed(fields: int) -> None:
    cells = [*cells_of(ACK), 1][: fields + 2]
    refused(pack_cells(cells), Reason.MALFORMED, Ack, match=f"{fields} fields, expected 5")


@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize("cell", [None, True, 1.5, "text", []])
def test_a_field_of_a_foreign_type_is_malformed(place: int, cell: object) -> None:
    cells = cells_of(ACK)
    cells[place + 2] = cell
    refused(pack_cells(cells), Reason.MALFORMED, Ack, match="ack: ")


def test_a_rule_between_fields_is_named() -> None:
    result = Result(b"w" * 32, b"r" * 32, b"i" * 8, b"o" * 32, 3, 4, 9, b"p" * 32, "cpu", 1, 5)
    cells = cells_of(result)
    cells[6], cells[7] = cells[7], cells[6]
    refused(pack_cells(cells), Reason.OUT_OF_RANGE, Result, match="covers 4 up to 3: nothing")


def test_a_list_in_a_longer_spelling_is_not_canonical_though_its_message_is() -> None:
    cells = cells_of(Receipt(bytes(65), b"", ()))
    cells[4] = b"\xdc\x00\x00"
    refused(pack_cells(cells), Reason.NOT_CANONICAL, Receipt, match="list")


def test_a_trailing_byte_is_malformed() -> None:
    refused(encode(ACK) + b"\0", Reason.MALFORMED, Ack)


# --- writing --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad",
    [
        Ack(b"short", b"d" * 32, b"i" * 8, b"s" * 32, 7),
        Ack(b"c" * 32, b"d" * 32, b"i" * 8, b"s" * 32, 0),
        Ack(b"c" * 32, b"d" * 32, b"i" * 8, b"s" * 32, True),
        Ack(None, b"d" * 32, b"i" * 8, b"s" * 32, 7),  # type: ignore[arg-type]  # that is the mistake
        Refuse(b"w" * 32, b"r" * 32, b"i" * 8, b"o" * 32, "No Code", 60),
        Refuse(b"w" * 32, b"r" * 32, b"i" * 8, b"o" * 32, 7, 60),  # type: ignore[arg-type]  # the same
        Receipt(bytes(65), b"", 7),  # type: ignore[arg-type]  # the same
    ],
)
def test_a_value_outside_its_schema_is_our_own_mistake(bad: Message) -> None:
    with pytest.raises(LocalProtocolError, match=f"{bad.KIND}: ") as caught:
        encode(bad)
    assert caught.value.reason is Reason.MISUSE


def test_a_value_that_breaks_a_rule_is_our_own_mistake() -> None:
    broken = Result(b"w" * 32, b"r" * 32, b"i" * 8, b"o" * 32, 4, 4, 9, b"p" * 32, "cpu", 1, 5)
    with pytest.raises(LocalProtocolError, match="result: covers 4 up to 4: nothing"):
        encode(broken)


def test_a_value_whose_parts_fit_may_still_be_too_large_as_a_whole() -> None:
    with pytest.raises(LocalProtocolError, match=r"receipt: .* at most 40000") as caught:
        encode(Receipt(bytes(65), b"", (bytes(4000),) * 12))
    assert caught.value.reason is Reason.TOO_LARGE


def test_a_message_is_one_flat_array_with_kind_and_version_first() -> None:
    assert msgpack.unpackb(encode(REFUSE)) == [
        "refuse",
        VERSION,
        b"w" * 32,
        b"r" * 32,
        b"i" * 8,
        b"o" * 32,
        b"busy",
        60,
    ]


# --- declaring ------------------------------------------------------------------------------------


def test_no_two_messages_are_of_one_kind() -> None:
    def declare_again() -> None:
        @message("ack")
        class Again(Message):
            total: Uint

    with pytest.raises(AssertionError, match="two messages of kind 'ack'"):
        declare_again()
    assert KINDS["ack"] is Ack


def test_messages_and_rows_are_values() -> None:
    assert Ack(*Ack.CELLS(ACK)) == ACK
    assert hash(Ack(*Ack.CELLS(ACK))) == hash(ACK)
    with pytest.raises(AttributeError):
        ACK.total = 9  # type: ignore[misc]  # that is the mistake


def test_a_row_of_one_column_and_a_list_of_values_are_written_alike() -> None:
    @row
    class Single(Row):
        number: Annotated[int, UintCodec(1, 9)]

    as_rows = rows_of(Single, 0, 3, ascending=True)
    as_values = values_of(UintCodec(1, 9), 0, 3, ascending=True)
    assert as_rows.pack((Single(1), Single(5))) == as_values.pack((1, 5)) == b"\x92\x01\x05"
    assert as_rows.unpack(b"\x92\x01\x05") == (Single(1), Single(5))
    with pytest.raises(ValueError, match="ascend"):
        as_rows.pack((Single(5), Single(1)))


def test_only_a_hello_an_order_of_lists_and_documents_are_longer_than_a_page() -> None:
    longer = {cls.KIND for cls in kinds() if cls.BYTES_MAX > 4096}
    assert {"hello", "receipt"} <= longer
    assert Invite.KIND not in longer
    assert Hello.BYTES_MAX == 6144


# --- domains --------------------------------------------------------------------------------------


def test_the_tag_of_a_kind_is_the_hash_of_its_name() -> None:
    assert domain_tag("order") == sha256(b"commons/v1/order").digest()
    assert len({domain_tag(kind) for kind in KINDS}) == len(KINDS)


def test_a_tagged_hash_covers_tag_and_parts() -> None:
    assert tagged_hash("network", b"ab", b"c") == sha256(domain_tag("network") + b"abc").digest()
    assert tagged_hash("network", b"abc") != tagged_hash("ack", b"abc")


def test_a_key_is_32_bytes() -> None:
    (codec,) = get_args(Key)[1:]
    assert codec.pack(bytes(32)) == bytes(32)
