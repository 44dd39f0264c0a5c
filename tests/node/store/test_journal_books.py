# SPDX-License-Identifier: MIT
"""Books that are replayed from a database are the books, wherever their journal is cut."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis.stateful import invariant, run_state_machine_as_test

from node.store.journal import Journal
from protocol import events as ev
from protocol.books import Books
from protocol.events import Event, Instant
from tests.node.store.journals import Plain, journal_of, replayed
from tests.protocol.books_machine import BooksMachine
from tests.protocol.books_world import Host
from tests.protocol.trade import NETWORK, RULES, Trader, later


class JournalMachine(BooksMachine):
    """The money machine, whose hosts keep their journals in databases."""

    def __init__(self) -> None:
        super().__init__()
        self.databases: dict[bytes, Plain] = {}
        self.kept: dict[bytes, list[Event]] = {host.me: [] for host in self.hosts}

    @invariant()
    def what_is_written_is_what_happened(self) -> None:
        """A crash or a backup cuts a journal: so is the database."""
        for host in self.hosts:
            kept = self.kept[host.me]
            same = next(
                (at for at, (a, b) in enumerate(zip(kept, host.journal, strict=False)) if a != b),
                min(len(kept), len(host.journal)),
            )
            database = self.databases.setdefault(host.me, Plain())
            if same < len(kept):
                database.put([("DELETE FROM journal WHERE number > ?", (same,))])
            if same < len(kept) or len(host.journal) > same:
                journal = Journal(database)
                assert list(journal.replay()) == host.journal[:same]
                database.put(journal.statements(host.journal[same:]))
                self.kept[host.me] = list(host.journal)

    def teardown(self) -> None:
        super().teardown()
        self.what_is_written_is_what_happened()
        for host in self.hosts:
            assert_same_books(self.replayed_books(host), host.books, self.now)

    def replayed_books(self, host: Host) -> Books:
        again = self.make_books(self.keys[host.number])
        for event in replayed(self.databases[host.me]):
            again.apply(event)
        return again


def assert_same_books(again: Books, books: Books, now: Instant) -> None:
    again.bucket.refill(now.mono_s)
    books.bucket.refill(now.mono_s)
    assert again.accounts == books.accounts
    assert again.bucket.tokens == books.bucket.tokens
    assert again.seen == books.seen
    assert again.claimants == books.claimants
    assert again.incarnation == books.incarnation


def run_machine(examples: int, steps: int, *, derandomize: bool) -> None:
    profile = settings(
        settings.default,
        max_examples=examples,
        stateful_step_count=steps,
        derandomize=derandomize,
    )
    run_state_machine_as_test(JournalMachine, settings=profile)


@pytest.mark.slow
def test_books_that_are_replayed_from_a_database_are_the_books() -> None:
    """Accounts, tokens and what was seen, after whatever the machine's adversary does."""
    run_machine(15, 30, derandomize=True)


@pytest.mark.soak
def test_books_are_replayed_after_many_steps() -> None:
    run_machine(150, 60, derandomize=False)


def trade() -> Trader:
    """Give a trader whose journal has some of most that happens."""
    ann, bob = Trader(1), Trader(2)
    ann.meets(bob)
    for _ in range(3):
        ann.settles(bob, bob.works_for(ann)[1])
        bob.settles(ann, ann.works_for(bob)[1])
    bob.works_for(ann)
    bob.keep(bob.books.expire(later(10_000)))
    bob.keep(bob.books.freeze(ann.me, b"e" * 32, later(10_001)))
    bob.keep(bob.books.thaw(ann.me, later(10_002)))
    bob.keep(bob.books.forget(later(10_003)))
    return bob


def test_a_journal_that_is_cut_after_any_statement_gives_the_books_of_that_moment() -> None:
    bob = trade()
    assert len({type(event) for event in bob.journal}) > 7
    database = Plain()
    journal = Journal(database)
    assert list(journal.replay()) == []
    books = Books(bob.key, NETWORK, RULES)
    for event, statement in zip(bob.journal, journal.statements(bob.journal), strict=True):
        books.apply(event)
        database.put([statement])
        again = Books(bob.key, NETWORK, RULES)
        for each in replayed(database):
            again.apply(each)
        assert_same_books(again, books, event.at)


def test_a_change_of_one_number_in_the_journal_is_seen_in_the_books() -> None:
    """Else the comparison above would say nothing."""
    bob = trade()
    *_, (at, credited) = (
        (at, each) for at, each in enumerate(bob.journal) if isinstance(each, ev.Credited)
    )
    changed: list[Any] = [*bob.journal]
    changed[at] = replace(credited, total=credited.total + 1)
    again = Books(bob.key, NETWORK, RULES)
    for event in replayed(journal_of(changed)):
        again.apply(event)
    with pytest.raises(AssertionError):
        assert_same_books(again, bob.books, later(10_004))
