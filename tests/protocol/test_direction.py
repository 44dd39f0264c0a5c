# SPDX-License-Identifier: MIT
"""Tests of `protocol.direction`: which frame may follow which."""

import pytest

from protocol.direction import BrokenRuleError, Direction
from protocol.frames import (
    BlobPiece,
    BlobWant,
    CancelFrame,
    DocumentFrame,
    End,
    Frame,
    Paused,
    Ping,
    Pong,
    Resumed,
    StatementFrame,
    TensorData,
    TensorStart,
    Window,
)
from protocol.limits import PINGS_UNANSWERED_MAX, WINDOW_BYTES_DEFAULT, WINDOW_BYTES_MAX
from protocol.reasons import Reason
from protocol.tensors import ElementType, TensorHeader

STATEMENT = StatementFrame(bytes(65))
ORDER, SESSION, ACCEPT = (
    StatementFrame(bytes(64) + head + bytes([0xA0 + len(kind)]) + kind)
    for head, kind in (
        (b"\xdc\x00\x13", b"order"),
        (b"\xdc\x00\x14", b"session"),
        (b"\x9a", b"accept"),
    )
)
DOCUMENT = DocumentFrame(b"x")
WANT = BlobWant(bytes(32), 0, 1)
PIECE = BlobPiece(bytes(32), 0, b"x")
CANCEL = CancelFrame("busy")
PAUSED = Paused(1, "paused")
TO_THE_CAP = Window(WINDOW_BYTES_MAX - WINDOW_BYTES_DEFAULT)


def start(size: int, item: int = 0, port: int = 0) -> TensorStart:
    return TensorStart(item, port, TensorHeader(ElementType.UINT8, (size,), size))


def say(*said: Frame, back: Direction | None = None) -> Direction:
    direction = Direction()
    for each in said:
        direction.advance(each, back or Direction())
    return direction


@pytest.mark.parametrize(
    "said",
    [
        [start(3), TensorData(b"ab"), TensorData(b"c"), End()],
        [start(0), start(0, 0, 1), start(0, 1, 0), End()],
        [start(2), STATEMENT, DOCUMENT, WANT, PIECE, PAUSED, TensorData(b"ab"), Resumed(), End()],
        [start(2), TensorData(b"a"), CANCEL, STATEMENT, DOCUMENT, WANT, PAUSED, End()],
        [start(0, 5), ORDER, start(0, 0), SESSION, start(0, 0), ACCEPT, start(0, 0), End()],
        [start(9), CANCEL, ORDER, start(1), TensorData(b"a"), CANCEL, End()],
        [PAUSED, ORDER, PAUSED, Resumed()],
        [PAUSED, PAUSED, Resumed(), PAUSED],
        [End(), Ping(1), Window(1), CANCEL],
        [CANCEL, End(), Ping(1)],
        [TO_THE_CAP],
        [Ping(1)] * PINGS_UNANSWERED_MAX,
    ],
)
def test_what_may_be_said(said: list[Frame]) -> None:
    back = Direction()
    say(*said, back=back)


@pytest.mark.parametrize(
    ("said", "broken", "reason"),
    [
        ([], TensorData(b"x"), Reason.BROKEN_FRAME),
        ([start(2)], TensorData(b"abc"), Reason.BROKEN_FRAME),
        ([start(2), TensorData(b"ab")], TensorData(b"c"), Reason.BROKEN_FRAME),
        ([start(2)], start(2, 1), Reason.UNEXPECTED),
        ([start(2), TensorData(b"a")], End(), Reason.UNEXPECTED),
        ([start(0, 1, 1)], start(0, 1, 1), Reason.UNEXPECTED),
        ([start(0, 1, 1)], start(0, 1, 0), Reason.UNEXPECTED),
        ([start(0, 1, 1)], start(0, 0, 2), Reason.UNEXPECTED),
        ([], Resumed(), Reason.UNEXPECTED),
        ([PAUSED, Resumed()], Resumed(), Reason.UNEXPECTED),
        ([CANCEL], CANCEL, Reason.UNEXPECTED),
        ([CANCEL], start(0), Reason.UNEXPECTED),
        ([CANCEL, STATEMENT], start(0), Reason.UNEXPECTED),
        ([start(0, 1, 1), STATEMENT], start(0, 1, 1), Reason.UNEXPECTED),
        ([start(2)], ACCEPT, Reason.UNEXPECTED),
        ([PAUSED, ORDER], Resumed(), Reason.UNEXPECTED),
        ([CANCEL], PIECE, Reason.UNEXPECTED),
        ([start(2), CANCEL], TensorData(b"a"), Reason.BROKEN_FRAME),
        ([End(), CANCEL], CANCEL, Reason.UNEXPECTED),
        ([], Pong(1), Reason.BROKEN_FRAME),
        ([Ping(1)] * PINGS_UNANSWERED_MAX, Ping(1), Reason.BROKEN_FRAME),
        ([TO_THE_CAP], Window(1), Reason.BROKEN_FRAME),
        *[
            ([End()], after, Reason.UNEXPECTED)
            for after in (STATEMENT, DOCUMENT, start(0), PIECE, WANT, PAUSED, Resumed(), End())
        ],
        ([End()], TensorData(b"x"), Reason.BROKEN_FRAME),
    ],
)
def test_what_may_not_be_said(said: list[Frame], broken: Frame, reason: Reason) -> None:
    back = Direction()
    direction = say(*said, back=back)
    with pytest.raises(BrokenRuleError) as error:
        direction.advance(broken, back)
    assert error.value.reason is reason
    assert error.value.detail


def test_data_use_up_the_window_and_windows_widen_the_other_direction() -> None:
    mine, theirs = Direction(), Direction()
    mine.advance(start(10), theirs)
    mine.advance(TensorData(b"abcd"), theirs)
    mine.advance(PIECE, theirs)
    assert mine.room == WINDOW_BYTES_DEFAULT - 5
    theirs.advance(Window(3), mine)
    assert mine.room == WINDOW_BYTES_DEFAULT - 2
    assert theirs.room == WINDOW_BYTES_DEFAULT
    mine.room = 5
    with pytest.raises(BrokenRuleError) as error:
        mine.advance(TensorData(b"abcdef"), theirs)
    assert error.value.reason is Reason.WINDOW_EXCEEDED


def test_pongs_answer_pings_in_their_order() -> None:
    mine, theirs = Direction(), Direction()
    for token in (5, 6):
        mine.advance(Ping(token), theirs)
    theirs.advance(Pong(5), mine)
    mine.advance(Ping(7), theirs)
    with pytest.raises(BrokenRuleError, match="pong 7 answers no ping"):
        theirs.advance(Pong(7), mine)
