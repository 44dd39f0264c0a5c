# SPDX-License-Identifier: MIT
"""What was written to the journal is what is replayed, or an error that names the event."""

from dataclasses import dataclass
from enum import IntEnum
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.errors import ConfigError
from node.store import journal as journal_module
from node.store.forms import ADDED, FORMS, Form, all_events, kind_of
from node.store.journal import Journal
from protocol import events as ev
from protocol.codecs import pack_cells
from protocol.events import Event, Instant, Line, PeerEvent, Progress, Refunded
from tests.node.store.journals import EVENTS, Plain, journal_of, made, replayed

AT = Instant(12.5, 1_800_000_000.25)
PEER = b"p" * 32
ORDER = b"o" * 32

#: One event of each kind, and its row as it has always been written.
GOLDEN: list[tuple[Event, str]] = [
    (ev.Started(AT, b"i" * 8, restored=True), "9301c4086969696969696969c3"),
    (
        ev.Held(AT, PEER, b"o", 3, 30, 0, 20.0, 300.5, 2),
        "9801c4016f031e00cb4034000000000000cb4072c8000000000002",
    ),
    (ev.Begun(AT, PEER, b"o"), "9201c4016f"),
    (ev.Extended(AT, PEER, b"o", 70_000), "9301c4016fce00011170"),
    (ev.Billed(AT, PEER, b"o", 2, 20, last=False), "9501c4016f0214c2"),
    (ev.Ended(AT, PEER, b"o", 5), "9301c4016f05"),
    (ev.Overdue(AT, PEER, b"o", 6), "9301c4016f06"),
    (ev.WroteOff(AT, PEER, b"o"), "9201c4016f"),
    (
        ev.Credited(AT, PEER, 9, b"w", b"a", (Progress(b"o", 1, 9),), (Refunded(b"r", 1, 8, 7),)),
        "960109c40177c401619193c4016f01099194c40172010807",
    ),
    (ev.Adopted(AT, PEER, 9, b"w", b"a", ()), "950109c40177c4016190"),
    (
        ev.Signed(AT, PEER, 9, b"s", b"w", (Line(b"o", 0, 1, 9, 9, b"c"),), refunds=False),
        "960109c40173c401779196c4016f00010909c40163c2",
    ),
    (ev.Acked(AT, PEER, 9, b"w", b"a"), "940109c40177c40161"),
    (
        ev.Recalled(AT, PEER, 9, b"w", b"", (Progress(b"o", 1, 9),)),
        "950109c40177c4009193c4016f0109",
    ),
    (ev.Withdrew(AT, PEER), "9101"),
    (ev.Froze(AT, PEER, b"e"), "9201c40165"),
    (ev.Thawed(AT, PEER), "9101"),
    (ev.Forgot(AT), "9101"),
]


@pytest.mark.parametrize(("event", "body"), GOLDEN, ids=lambda each: type(each).__name__)
def test_every_kind_is_written_as_it_has_always_been(event: Event, body: str) -> None:
    """Journals of years ago are read by this: a change here needs a new version of the form."""
    database = journal_of([event])
    peer = event.peer if isinstance(event, PeerEvent) else None
    row = (1, AT.mono_s, AT.wall_s, kind_of(type(event)), peer, bytes.fromhex(body))
    assert database.read("SELECT * FROM journal") == [row]
    assert replayed(database) == [event]


def test_no_kind_of_event_was_forgotten() -> None:
    assert {type(event) for event, _ in GOLDEN} == set(all_events())
    assert len(FORMS) == len(all_events()) == 17
    assert not ADDED, "a version that is added has a golden row of its own here"


@pytest.mark.slow
@given(st.lists(EVENTS, max_size=8))
def test_every_event_comes_back_as_it_was(events: list[Event]) -> None:
    found = replayed(journal_of(events))
    assert found == events
    assert list(map(type, found)) == list(map(type, events))


class Class(IntEnum):
    BASIC = 1


def test_numbers_come_back_as_plain_ones_of_their_type() -> None:
    """A time that is a whole number, and a member of an enumeration, are written as they mean."""
    held = ev.Held(Instant(1, 2), PEER, ORDER, 1, 10, 0, 20, 300, Class.BASIC)
    (found,) = replayed(journal_of([held]))
    assert found == held
    assert isinstance(found, ev.Held)
    told = (found.at.mono_s, found.hold_until_s, found.order_class)
    assert list(map(type, told)) == [float, float, int]


@pytest.mark.parametrize(
    "event",
    [
        ev.Forgot(Instant(nan, 1.0)),
        ev.Forgot(Instant(1.0, inf)),
        ev.Held(AT, PEER, ORDER, 1, 1, 1, inf, 1.0, 1),
        ev.Held(AT, PEER, ORDER, 1, 1 << 63, 1, 1.0, 1.0, 1),
        ev.Held(AT, PEER, ORDER, True, 1, 1, 1.0, 1.0, 1),
        ev.Begun(AT, PEER, "text"),  # type: ignore[arg-type]  # what a mistake would hand over
        ev.Begun(AT, PEER, bytearray(b"o")),  # type: ignore[arg-type]  # reads back as another type
        ev.Adopted(AT, PEER, 1, b"", b"", [Progress(b"", 1, 1)]),  # type: ignore[arg-type]  # a list
        ev.Billed(AT, PEER, ORDER, 1, 1, last=1),  # type: ignore[arg-type]  # not a bool
    ],
)
def test_what_would_not_read_back_is_not_written(event: Event) -> None:
    journal = Journal(Plain())
    assert list(journal.replay()) == []
    with pytest.raises(ValueError, match=r"expected|no time|64 bits"):
        journal.statements([event])


# --- rows that nobody wrote -----------------------------------------------------------------------

BEGUN = pack_cells([1, ORDER])
PAID = pack_cells([1, 9, b"w", b"a", [[b"o", 1, 9]]])


@pytest.mark.parametrize(
    ("kind", "peer", "body", "said"),
    [
        ("begun", None, BEGUN, "expected bytes, got NoneType"),
        ("forgot", PEER, pack_cells([1]), "a peer, where none belongs"),
        ("begun", PEER, b"", "not the msgpack array"),
        ("begun", PEER, b"\xff", "expected an array, got int"),
        ("begun", PEER, pack_cells([]), "version None"),
        ("begun", PEER, pack_cells([2, ORDER]), "version 2 of its form, and 1..1 are known"),
        ("begun", PEER, pack_cells([0, ORDER]), "version 0"),
        ("begun", PEER, pack_cells([True, ORDER]), "version True"),
        ("begun", PEER, pack_cells([1]), "0 fields, expected 1"),
        ("begun", PEER, pack_cells([1, ORDER, 1]), "2 fields, expected 1"),
        ("begun", PEER, pack_cells([1, "text"]), "expected bytes, got str"),
        ("begun", PEER, BEGUN + b"\0", "not the msgpack array"),
        ("begun", PEER, b"\x92\xcc\x01" + BEGUN[2:], "not written in its shortest form"),
        ("ended", PEER, pack_cells([1, ORDER, True]), "expected int, got bool"),
        ("ended", PEER, pack_cells([1, ORDER, (1 << 64) - 1]), "more than 64 bits"),
        ("billed", PEER, pack_cells([1, ORDER, 1, 1, 1]), "expected bool, got int"),
        ("held", PEER, pack_cells([1, ORDER, 1, 1, 1, 2, 1.0, 1]), "expected float, got int"),
        ("adopted", PEER, pack_cells([1, 9, b"w", b"a", [[b"o", 1]]]), "shorter"),
        ("adopted", PEER, pack_cells([1, 9, b"w", b"a", [9]]), "expected list, got int"),
        ("adopted", PEER, pack_cells([1, 9, b"w", b"a", b"o"]), "expected list, got bytes"),
    ],
)
def test_a_row_that_does_not_read_back_is_named_by_its_number(
    kind: str, peer: bytes | None, body: bytes, said: str
) -> None:
    database = journal_of([ev.Forgot(AT)])
    insert = "INSERT INTO journal VALUES (2, 1.0, 2.0, ?, ?, ?)"
    database.put([(insert, (kind, peer, body))])
    with pytest.raises(ConfigError, match=rf"event 2 of the journal \({kind}\) .*{said}"):
        replayed(database)


def test_an_unknown_kind_is_an_error_and_not_passed_over() -> None:
    database = journal_of([ev.Forgot(AT)])
    database.put([("INSERT INTO journal VALUES (2, 1.0, 2.0, 'hoped', NULL, x'9101')", ())])
    with pytest.raises(ConfigError, match="event 2 of the journal is of the unknown kind 'hoped'"):
        replayed(database)


@pytest.mark.parametrize("gone", [1, 2, 3])
def test_a_journal_that_misses_an_event_is_not_replayed(gone: int) -> None:
    database = journal_of([ev.Forgot(AT)] * 4)
    database.put([("DELETE FROM journal WHERE number = ?", (gone,))])
    with pytest.raises(ConfigError, match=f"has no event {gone}, and goes on with {gone + 1}"):
        replayed(database)


def test_an_event_is_never_changed() -> None:
    database = journal_of([ev.Forgot(AT)])
    with pytest.raises(ValueError, match="an event is never changed"):
        database.put([("UPDATE journal SET mono_s = 0", ())])


@given(st.binary(max_size=60), st.sampled_from(sorted(FORMS)))
def test_no_bytes_are_read_as_an_event_that_would_be_written_otherwise(
    body: bytes, kind: str
) -> None:
    for peer in (None, PEER):
        try:
            event = FORMS[kind].event(AT, peer, body)
        except ValueError:
            continue
        assert FORMS[kind].body(event) == body


# --- versions -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Begun(PeerEvent):
    """As `Begun` may be one day."""

    order: bytes
    colour: int
    lines: tuple[Progress, ...]
    sure: bool


LATER = Form(Begun, added=((7, ()), (True,)))


@given(made(Begun))
def test_a_form_of_a_later_version_reads_what_it_writes(event: Begun) -> None:
    assert LATER.event(event.at, event.peer, LATER.body(event)) == event
    assert LATER.body(event).startswith(b"\x95\x03")


def test_an_event_of_an_earlier_version_gets_the_fields_that_it_lacks() -> None:
    body = FORMS["begun"].body(ev.Begun(AT, PEER, ORDER))
    assert LATER.event(AT, PEER, body) == Begun(AT, PEER, ORDER, 7, (), sure=True)
    second = pack_cells([2, ORDER, 8, []])
    assert LATER.event(AT, PEER, second) == Begun(AT, PEER, ORDER, 8, (), sure=True)
    for wrong in ([2, ORDER], [1, ORDER, 8, []], [3, ORDER, 8, []], [4, ORDER, 8, [], True]):
        with pytest.raises(ValueError, match=r"fields|version"):
            LATER.event(AT, PEER, pack_cells(wrong))


# --- writing while something fails ----------------------------------------------------------------


def test_after_a_write_that_failed_nothing_is_added_until_the_journal_is_replayed() -> None:
    """What was built on it would be a journal with a hole, and give other books."""
    database = journal_of([ev.Forgot(AT)])
    journal = Journal(database)
    assert len(list(journal.replay())) == 1
    lost = journal.statements([ev.Begun(AT, PEER, b"lost")])
    with pytest.raises(ValueError, match="no such table"):
        database.put([*lost, ("INSERT INTO nowhere VALUES (1)", ())])
    for _ in range(2):
        with pytest.raises(ValueError, match="would miss an event: replay it"):
            database.put(journal.statements([ev.Begun(AT, PEER, b"next")]))
    assert len(list(journal.replay())) == 1
    database.put(journal.statements([ev.Begun(AT, PEER, b"again")]))
    assert replayed(database) == [ev.Forgot(AT), ev.Begun(AT, PEER, b"again")]


def test_two_who_write_to_one_journal_are_told() -> None:
    database = journal_of([])
    one, other = Journal(database), Journal(database)
    assert list(one.replay()) == list(other.replay()) == []
    database.put(one.statements([ev.Forgot(AT)]))
    with pytest.raises(ValueError, match="would miss an event"):
        database.put(other.statements([ev.Forgot(AT)]))


def test_nothing_is_added_to_a_journal_that_was_not_read_to_its_end() -> None:
    journal = Journal(journal_of([ev.Forgot(AT)] * 3))
    with pytest.raises(AssertionError, match="replayed before"):
        journal.statements([])
    next(journal.replay())
    with pytest.raises(AssertionError, match="replayed before"):
        journal.statements([])


def test_a_long_journal_is_read_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "CHUNK_ROWS", 7)
    events = [ev.Forgot(Instant(float(number), 0.0)) for number in range(50)]
    database = journal_of(events)
    assert replayed(database) == events
    assert [event for event, _ in zip(Journal(database).replay(), range(9), strict=False)] == (
        events[:9]
    )
