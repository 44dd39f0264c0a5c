# SPDX-License-Identifier: MIT
"""The words between daemon and runner: what is written is read back, and nothing else gets in."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.executor.wire import (
    ALIGNMENT,
    FINITE,
    HEAD,
    INLINE_BYTES_MAX,
    TABLE_BYTES_MAX,
    Head,
    Op,
    Place,
    Placed,
    failure_table,
    head_bytes,
    inline_table,
    layout,
    parse_failure,
    parse_head,
    parse_table,
    table_bytes,
)
from protocol.errors import RemoteProtocolError
from protocol.limits import PORTS_MAX, RANK_MAX, TENSOR_BYTES_MAX
from protocol.reasons import Reason
from protocol.tensors import ElementType, Tensor, TensorHeader

U16, U32, U64 = ((1 << bits) - 1 for bits in (16, 32, 64))
ROW_BYTES = 11

elements = st.sampled_from([each for each in ElementType if each is not ElementType.STRING])
small_dims = st.lists(st.integers(0, 5), max_size=4).map(tuple)


@st.composite
def headers(draw: st.DrawFn) -> TensorHeader:
    element, dims = draw(elements), draw(small_dims)
    bare = TensorHeader(element, dims, 0)
    return replace(bare, size_bytes=(bare.elements * element.bits + 7) // 8)


@st.composite
def tables(draw: st.DrawFn) -> tuple[Placed, ...]:
    """Draw tensors in a row, some in the message and some in shared memory."""
    placed, inline = [], 0
    for header in draw(st.lists(headers(), max_size=6)):
        if draw(st.booleans()):
            placed.append(Placed(Place.SHARED, header, draw(st.integers(0, 1 << 20))))
        else:
            placed.append(Placed(Place.INLINE, header, inline))
            inline += header.size_bytes
    return tuple(placed)


def inline_bytes_of(placed: tuple[Placed, ...]) -> int:
    return sum(each.header.size_bytes for each in placed if each.place is Place.INLINE)


def head_of(table: bytes, count: int = 0, inline_bytes: int = 0) -> Head:
    return parse_head(
        head_bytes(Op.DONE, table, count=count, inline_bytes=inline_bytes)[: HEAD.size]
    )


# --- what is written is read back -----------------------------------------------------------------


@given(
    st.sampled_from(Op),
    st.binary(max_size=100),
    st.integers(0, 2 * PORTS_MAX),
    st.integers(0, INLINE_BYTES_MAX),
    st.integers(0, U32),
    st.sampled_from([0, FINITE]),
    st.integers(0, U64),
)
def test_a_head_is_read_back(
    op: Op, table: bytes, count: int, inline_bytes: int, session: int, flags: int, busy_us: int
) -> None:
    data = head_bytes(
        op,
        table,
        count=count,
        inline_bytes=inline_bytes,
        session=session,
        flags=flags,
        busy_us=busy_us,
    )
    assert data[HEAD.size :] == table
    assert parse_head(data[: HEAD.size]) == Head(
        len(table), op, flags, count, session, inline_bytes, busy_us
    )


@given(tables())
def test_a_table_is_read_back(placed: tuple[Placed, ...]) -> None:
    table = table_bytes(placed)
    head = head_of(table, len(placed), inline_bytes_of(placed))
    room = max((each.end for each in placed if each.place is Place.SHARED), default=0)
    assert parse_table(head, table, room) == placed


@given(st.lists(headers(), max_size=6))
def test_places_in_shared_memory_do_not_overlap(wanted: list[TensorHeader]) -> None:
    placed, end = layout(wanted)
    assert [each.header for each in placed] == wanted
    assert all(each.offset % ALIGNMENT == 0 for each in placed)
    ends = [0, *(each.end for each in placed)]
    assert all(before <= each.offset for before, each in zip(ends, placed, strict=False))
    assert end >= ends[-1]


@given(st.lists(st.binary(max_size=50), max_size=5))
def test_tensors_in_a_message_are_read_back(parts: list[bytes]) -> None:
    tensors = [Tensor(ElementType.UINT8, (len(part),), part) for part in parts]
    table, data, size_bytes = inline_table(tensors)
    got = parse_table(head_of(table, len(parts), size_bytes), table, 0)
    inline = b"".join(data)
    assert [inline[each.offset : each.end] for each in got] == parts
    assert len(inline) == size_bytes


@given(st.sampled_from(Reason), st.text(max_size=600))
def test_a_reason_is_read_back_and_its_detail_does_nothing_to_a_terminal(
    reason: Reason, detail: str
) -> None:
    got, said = parse_failure(failure_table(reason, detail), frozenset({reason}))
    assert got is reason
    assert said.isprintable()
    assert len(said) <= 500
    if detail.isprintable() and len(detail) <= 400:
        assert said == detail


def test_the_bytes_of_a_message() -> None:
    """A message that was written by hand once: nothing about it changes by accident."""
    placed = [
        Placed(Place.INLINE, TensorHeader(ElementType.FLOAT, (2,), 8), 0),
        Placed(Place.SHARED, TensorHeader(ElementType.INT64, (), 8), 64),
    ]
    message = head_bytes(
        Op.RUN, table_bytes(placed), count=2, inline_bytes=8, session=5, flags=1, busy_us=6
    )
    assert message.hex(" ", -4) == (
        "32000000 01010200 05000000 08000000 00000000 06000000 00000000 "  # head
        "00120000 00000000 00000001 0a004000 00000000 00000101 02000000 00000000 "
        "08000000 00000000 07000800 00000000 0000"
    )


# --- nothing else gets in -------------------------------------------------------------------------


@given(st.binary(min_size=HEAD.size, max_size=HEAD.size))
def test_a_head_of_any_bytes_is_capped_or_refused(data: bytes) -> None:
    try:
        head = parse_head(data)
    except RemoteProtocolError as error:
        assert error.reason is Reason.BROKEN_FRAME
    else:
        assert head.table_bytes <= TABLE_BYTES_MAX
        assert head.inline_bytes <= INLINE_BYTES_MAX
        assert head.count <= 2 * PORTS_MAX


@pytest.mark.parametrize(
    "lie",
    [
        {"table_bytes": TABLE_BYTES_MAX + 1},
        {"table_bytes": U32},
        {"count": 2 * PORTS_MAX + 1},
        {"count": U16},
        {"inline_bytes": INLINE_BYTES_MAX + 1},
        {"inline_bytes": U64},
    ],
    ids=str,
)
def test_a_head_that_announces_too_much_is_refused(lie: dict[str, int]) -> None:
    fields = {"table_bytes": 0, "count": 0, "inline_bytes": 0, **lie}
    data = HEAD.pack(fields["table_bytes"], 64, 0, fields["count"], 0, fields["inline_bytes"], 0)
    with pytest.raises(RemoteProtocolError):
        parse_head(data)


def test_what_a_head_may_announce_at_most_is_read() -> None:
    data = HEAD.pack(TABLE_BYTES_MAX, 64, 0, 2 * PORTS_MAX, 0, INLINE_BYTES_MAX, 0)
    assert parse_head(data).table_bytes == TABLE_BYTES_MAX


@given(st.integers(0, 9), st.binary(max_size=200), st.integers(0, 300), st.integers(0, 1 << 12))
def test_a_table_of_any_bytes_lies_inside_or_is_refused(
    count: int, table: bytes, inline_bytes: int, room: int
) -> None:
    check_what_comes_out(count, table, inline_bytes, room)


@given(tables(), st.data())
def test_a_table_that_was_changed_lies_inside_or_is_refused(
    placed: tuple[Placed, ...], data: st.DataObject
) -> None:
    table = bytearray(table_bytes(placed))
    for _ in range(data.draw(st.integers(0, 4)) if table else 0):
        at = data.draw(st.integers(0, len(table) - 1))
        table[at] = data.draw(st.integers(0, 255) | st.sampled_from([0, 1, 2, 127, 128, 255]))
    cut = data.draw(st.integers(0, len(table)))
    count = data.draw(st.just(len(placed)) | st.integers(0, 9))
    inline = data.draw(st.just(inline_bytes_of(placed)) | st.integers(0, 1 << 12))
    for each in (bytes(table), bytes(table[:cut]), bytes(table) + b"\0"):
        check_what_comes_out(count, each, inline, 1 << 20)


def check_what_comes_out(count: int, table: bytes, inline_bytes: int, room: int) -> None:
    try:
        placed = parse_table(head_of(table, count, inline_bytes), table, room)
    except RemoteProtocolError:
        return
    assert len(placed) == count
    assert inline_bytes_of(placed) == inline_bytes
    for each in placed:
        assert not each.header.broken_rule()
        limit = inline_bytes if each.place is Place.INLINE else room
        assert 0 <= each.offset <= each.end <= limit


def row(place: int, header_bytes: int, offset: int) -> bytes:
    return (
        place.to_bytes(1, "little")
        + header_bytes.to_bytes(2, "little")
        + offset.to_bytes(8, "little")
    )


def raw_header(element: int, dims: tuple[int, ...], size_bytes: int) -> bytes:
    numbers = b"".join(each.to_bytes(8, "little") for each in (*dims, size_bytes))
    return bytes([element, len(dims)]) + numbers


FLOAT_OF_2 = raw_header(1, (2,), 8)


@pytest.mark.parametrize(
    ("row_bytes", "header", "inline_bytes"),
    [
        (row(1, 18, 57), FLOAT_OF_2, 0),
        (row(1, 18, 64), FLOAT_OF_2, 0),
        (row(1, 18, U64), FLOAT_OF_2, 0),
        (row(1, 18, U64 - 7), FLOAT_OF_2, 0),
        (row(2, 18, 0), FLOAT_OF_2, 0),
        (row(255, 18, 0), FLOAT_OF_2, 0),
        (row(0, 18, 0), FLOAT_OF_2, 7),
        (row(0, 18, 0), FLOAT_OF_2, 9),
        (row(0, 18, 0), FLOAT_OF_2, 0),
        (row(1, 18, 0), FLOAT_OF_2, 8),
        (row(0, 17, 0), FLOAT_OF_2, 8),
        (row(0, 19, 0), FLOAT_OF_2, 8),
        (row(0, 0, 0), FLOAT_OF_2, 8),
        (row(0, U16, 0), FLOAT_OF_2, 8),
        (row(0, 18, 0), FLOAT_OF_2 + b"\0", 8),
        (row(0, 18, 0)[:-1], b"", 8),
        (b"", FLOAT_OF_2[:5], 8),
        (row(1, 18, 0), raw_header(1, (2,), 9), 0),
        (row(1, 18, 0), raw_header(0, (2,), 8), 0),
        (row(1, 18, 0), raw_header(29, (2,), 8), 0),
        (row(1, 18, 0), raw_header(1, (U64,), 8), 0),
        (row(1, 26, 0), raw_header(1, (1 << 63, 2), 0), 0),
        (row(1, 26, 0), raw_header(1, (0, U64), 0), 0),
        (row(1, 18, 0), raw_header(1, (TENSOR_BYTES_MAX,), 4 * TENSOR_BYTES_MAX), 0),
        (row(1, 18, 0), raw_header(8, (U32,), U32), 0),
        (row(1, 18 + 8 * RANK_MAX, 0), raw_header(1, (1,) * (RANK_MAX + 1), 4), 0),
    ],
)
def test_a_tensor_where_nothing_is_or_of_no_size_is_refused(
    row_bytes: bytes, header: bytes, inline_bytes: int
) -> None:
    table = row_bytes + header
    with pytest.raises(RemoteProtocolError):
        parse_table(head_of(table, 1, inline_bytes), table, 64)


def test_the_last_place_of_a_room_is_inside() -> None:
    table = row(1, 18, 56) + FLOAT_OF_2
    assert parse_table(head_of(table, 1), table, 64)[0].end == 64


def test_as_many_tensors_as_a_call_may_have_fit_into_a_table() -> None:
    widest = TensorHeader(ElementType.UINT8, (1,) * RANK_MAX, 1)
    table = table_bytes([Placed(Place.SHARED, widest, 0)] * (2 * PORTS_MAX))
    assert len(table) <= TABLE_BYTES_MAX
    assert len(parse_table(head_of(table, 2 * PORTS_MAX), table, 1)) == 2 * PORTS_MAX


@given(st.binary(max_size=3000))
def test_a_failure_of_any_bytes_gives_a_reason_that_is_allowed(table: bytes) -> None:
    allowed = frozenset({Reason.RUN_FAILED})
    for each in (table, b"run_failed\n" + table, memoryview(table)):
        try:
            reason, detail = parse_failure(each, allowed)
        except RemoteProtocolError as error:
            assert str(error).isprintable()
            assert len(str(error)) < 300
        else:
            assert reason is Reason.RUN_FAILED
            assert detail.isprintable()
            assert len(detail) <= 500


def test_a_failure_is_bounded() -> None:
    long = failure_table(Reason.RUN_FAILED, "x" * 100_000)
    assert len(long) <= 2000
    allowed = frozenset({Reason.RUN_FAILED})
    assert len(parse_failure(long * 100, allowed)[1]) == 500
    with pytest.raises(RemoteProtocolError) as caught:
        parse_failure(b"y" * 100_000, allowed)
    assert len(str(caught.value)) < 300


def test_a_reason_that_is_not_the_runners_business_is_refused() -> None:
    allowed = frozenset({Reason.RUN_FAILED})
    for reason in set(Reason) - allowed:
        with pytest.raises(RemoteProtocolError, match="not its business"):
            parse_failure(failure_table(reason, "it was you"), allowed)


def test_a_detail_cannot_speak_to_a_terminal() -> None:
    evil = "\x1b[2J\x1b]0;title\x07 \u202e\u2028 all is well\r\n\x9b31m"
    _, detail = parse_failure(
        failure_table(Reason.RUN_FAILED, evil), frozenset({Reason.RUN_FAILED})
    )
    assert detail.isprintable()
    assert "all is well" in detail
