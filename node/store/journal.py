# SPDX-License-Identifier: MIT
"""The journal: events of the books as rows, in the order in which they happened.

Reading is strict. A row that does not read back is no row that this program wrote, and books
that miss one event are wrong: so it is an error with its number, and nothing is skipped.
"""

from collections.abc import Iterable, Iterator
from math import isfinite
from typing import cast

from node.errors import ConfigError
from node.store.forms import FORM_OF, FORMS
from node.store.store import Cell, Database, Statement
from protocol.events import Event, Instant, PeerEvent

#: Rows that are read at once: enough to be quick, and a page of memory or two.
CHUNK_ROWS = 1000

_INSERT = "INSERT INTO journal (number, mono_s, wall_s, kind, peer, body) VALUES (?, ?, ?, ?, ?, ?)"
_SELECT = (
    "SELECT number, mono_s, wall_s, kind, peer, body FROM journal"
    " WHERE number > ? ORDER BY number LIMIT ?"
)


class Journal:
    """The journal of one network, in its database.

    ::

        for event in journal.replay():
            books.apply(event)
        ...
        await database.write(journal.statements(outcome.events))

    Each event has a number, which is taken when its statement is made. When a write fails, all
    that comes after it is refused by the database, until the journal is replayed into new books.
    """

    def __init__(self, database: Database) -> None:
        """Know the database; :meth:`replay` comes first."""
        self._database = database
        self._last: int | None = None

    def replay(self) -> Iterator[Event]:
        """Give all events; ConfigError names one that is missing or does not read back."""
        self._last = None
        last = 0
        while rows := self._database.read(_SELECT, (last, CHUNK_ROWS)):
            for row in rows:
                last += 1
                if row[0] != last:
                    raise ConfigError(
                        f"the journal has no event {last}, and goes on with {row[0]!r}: "
                        f"put a backup in its place."
                    )
                yield _event_of(row)
        self._last = last

    def statements(self, events: Iterable[Event]) -> list[Statement]:
        """Give what writes these events, to be written in the order in which it was asked for."""
        assert self._last is not None, "the journal is replayed before anything is added to it"
        rows = [_row_of(event) for event in events]
        first = self._last + 1
        self._last += len(rows)
        return [(_INSERT, (number, *row)) for number, row in enumerate(rows, first)]


def _row_of(event: Event) -> tuple[Cell, ...]:
    form = FORM_OF[type(event)]
    mono_s, wall_s = float(event.at.mono_s), float(event.at.wall_s)
    if not isfinite(mono_s) or not isfinite(wall_s):
        raise ValueError(f"an event happened at {event.at}, which is no time")
    peer = event.peer if isinstance(event, PeerEvent) else None
    return mono_s, wall_s, form.kind, peer, form.body(event)


def _event_of(row: tuple[Cell, ...]) -> Event:
    # The columns have these types, or nothing could have been inserted: the tables are STRICT.
    number, mono_s, wall_s, kind, peer, body = cast(
        "tuple[int, float, float, str, bytes | None, bytes]", row
    )
    form = FORMS.get(kind)
    if form is None:
        raise ConfigError(
            f"event {number} of the journal is of the unknown kind {kind!r}: "
            f"start the newer program that wrote it."
        )
    try:
        return form.event(Instant(mono_s, wall_s), peer, body)
    except ValueError as error:
        raise ConfigError(
            f"event {number} of the journal ({kind}) does not read back ({error}): start the newer "
            f"program that wrote it, or put a backup in its place."
        ) from error
