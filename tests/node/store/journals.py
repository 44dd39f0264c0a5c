# SPDX-License-Identifier: MIT
"""A journal in memory for tests that decide for themselves when something is written."""

from collections.abc import Iterable, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints
from weakref import finalize

from hypothesis import strategies as st

from node.store.connection import Connection
from node.store.forms import all_events
from node.store.groups import Write
from node.store.journal import Journal
from node.store.store import Cell, Statement
from node.store.tables import NETWORK
from protocol.events import Event

FINITE = st.floats(allow_nan=False, allow_infinity=False)
PLAIN: dict[object, st.SearchStrategy[Any]] = {
    int: st.integers(-(1 << 63), (1 << 63) - 1),
    float: FINITE,
    bool: st.booleans(),
    bytes: st.binary(max_size=80),
}


class Plain:
    """A database that writes at once. It has only what a journal asks of one, and more."""

    def __init__(self) -> None:
        self.connection = Connection(Path("net.db"), name=":memory:")
        self.connection.prepare(NETWORK)
        finalize(self, self.connection.close)

    async def write(self, statements: Iterable[Statement]) -> None:
        self.put(statements)

    def put(self, statements: Iterable[Statement]) -> None:
        """Write, and raise what was wrong."""
        write = Write(tuple(statements))
        trouble = self.connection.commit([write]) or write.trouble
        if trouble is not None:
            raise trouble.error()

    def read(self, sql: str, parameters: Sequence[Cell] = ()) -> list[tuple[Cell, ...]]:
        return self.connection.rows(sql, parameters)


def replayed(database: Plain) -> list[Event]:
    """Give all events of a journal."""
    return list(Journal(database).replay())


def journal_of(events: Iterable[Event]) -> Plain:
    """Write events into a new journal."""
    database = Plain()
    journal = Journal(database)
    assert list(journal.replay()) == []
    database.put(journal.statements(events))
    return database


def values(hint: object) -> st.SearchStrategy[Any]:
    """Give any value that a field of this type may have."""
    if hint in PLAIN:
        return PLAIN[hint]
    if is_dataclass(hint):
        assert isinstance(hint, type)
        return made(hint)
    return st.lists(values(get_args(hint)[0]), max_size=3).map(tuple)


def made(cls: type[Any]) -> st.SearchStrategy[Any]:
    """Give any value of a class of events, or of what they are made of."""
    hints = get_type_hints(cls)
    return st.builds(cls, **{field.name: values(hints[field.name]) for field in fields(cls)})


EVENTS = st.sampled_from(all_events()).flatmap(made)
