# SPDX-License-Identifier: MIT
"""What every store promises of writing and reading, as checks for any implementation.

A scene holds a store, and knows how to break its disk. A test takes `promise` from PROMISES. What
is promised of opening and closing is in `opening_promises`.
"""

import errno
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

import pytest
import trio

from node.store.store import Cell, Database, Statement, Store

ROWS = ("CREATE TABLE rows (number INTEGER PRIMARY KEY, text TEXT UNIQUE) STRICT;",)
READ = "SELECT text FROM rows ORDER BY number"


@dataclass(frozen=True, slots=True)
class Scene:
    """A store, and its disk: `fill` makes it full, `free` gives it room again."""

    store: Store
    fill: Callable[[Database], None]
    free: Callable[[Database], None]


def add(*texts: str) -> list[Statement]:
    """Give what adds a row for each text."""
    return [("INSERT INTO rows (text) VALUES (?)", (text,)) for text in texts]


def texts(database: Database) -> list[Cell]:
    """Give the texts of all rows, in the order in which they were added."""
    return [text for (text,) in database.read(READ)]


async def what_is_written_is_read_at_once(scene: Scene) -> None:
    """And everything of it."""
    async with scene.store.open("one", ROWS) as database:
        assert texts(database) == []
        await database.write(add("a", "b"))
        assert texts(database) == ["a", "b"]
        assert database.read("SELECT number FROM rows WHERE text = ?", ("b",)) == [(2,)]


async def a_write_is_done_whole_or_not_at_all(scene: Scene) -> None:
    """What SQLite refuses is a mistake of the caller, and undoes what was before it."""
    async with scene.store.open("one", ROWS) as database:
        await database.write(add("a"))
        with pytest.raises(ValueError, match=r"one\.db refuses a statement: UNIQUE constraint"):
            await database.write(add("b", "c", "a"))
        with pytest.raises(ValueError, match="no such table: nowhere"):
            await database.write([*add("d"), ("INSERT INTO nowhere VALUES (1)", ())])
        with pytest.raises(ValueError, match="datatype mismatch"):
            await database.write([*add("e"), ("UPDATE rows SET number = ?", ("x",))])
        with pytest.raises(ValueError, match="too large to convert"):
            await database.write([*add("f"), ("INSERT INTO rows VALUES (?, 'g')", (1 << 63,))])
        with pytest.raises(ValueError, match="surrogates not allowed"):
            await database.write(add("h", "\ud800"))
        assert texts(database) == ["a"]
        await database.write(add("b"))
        assert texts(database) == ["a", "b"]


async def a_write_cannot_end_the_commit_of_others(scene: Scene) -> None:
    """What begins and ends transactions is not for callers."""
    async with scene.store.open("one", ROWS) as database:
        for sql in ("COMMIT", " rollback", "PRAGMA synchronous = OFF", "BEGIN", "RELEASE one"):
            with pytest.raises(ValueError, match="is not for a write"):
                await database.write([*add("a"), (sql, ())])
        assert texts(database) == []


async def who_errs_does_no_harm_to_those_who_share_his_commit(scene: Scene) -> None:
    """Only his own statements are undone."""
    raised: list[Exception] = []

    async def errs(database: Database) -> None:
        try:
            await database.write(add("x", "y", "x"))
        except ValueError as error:
            raised.append(error)

    async with scene.store.open("one", ROWS) as database:
        async with trio.open_nursery() as nursery:
            for text in "abc":
                nursery.start_soon(database.write, add(text))
                nursery.start_soon(errs, database)
        assert sorted(map(str, texts(database))) == ["a", "b", "c"]
    assert len(raised) == 3
    assert len(set(map(id, raised))) == 3, "an error that two raise has the traces of both"


async def the_order_is_that_of_the_calls(scene: Scene) -> None:
    """Nobody has to wait for another one, nor to have come to a checkpoint."""
    expected = [f"{number}" for number in range(200)]
    async with scene.store.open("one", ROWS) as database:
        async with trio.open_nursery() as nursery:
            called: list[str] = []

            async def call(text: str) -> None:
                called.append(text)
                await database.write(add(text))

            for text in expected:
                nursery.start_soon(call, text)
        assert sorted(called) == sorted(expected)
        assert texts(database) == called


async def a_statement_is_made_before_anybody_else_runs(scene: Scene) -> None:
    """So a generator may read what changes later."""
    log: list[str] = []

    def made(text: str) -> Iterator[Statement]:
        log.append(text)
        yield from add(text)

    async def call(database: Database, text: str) -> None:
        log.append(text)
        await database.write(made(text))

    async with scene.store.open("one", ROWS) as database, trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(call, database, f"{number}")
    assert log[::2] == log[1::2]


async def a_write_of_nothing_waits_for_all_before_it(scene: Scene) -> None:
    """It is how to know that everything is on the disk."""
    async with scene.store.open("one", ROWS) as database, trio.open_nursery() as nursery:
        for text in "abc":
            nursery.start_soon(database.write, add(text))
        for _ in range(2):  # in the first one, they may be still to run
            await trio.lowlevel.checkpoint()
        await database.write([])
        assert len(texts(database)) == 3


async def a_read_sees_a_write_whole_or_not_at_all(scene: Scene) -> None:
    """Whenever it comes, while others write."""
    seen: set[int] = set()

    async def look(database: Database, stop: trio.Event) -> None:
        while not stop.is_set():
            seen.add(len(texts(database)))
            await trio.lowlevel.checkpoint()

    async with scene.store.open("one", ROWS) as database, trio.open_nursery() as nursery:
        stop = trio.Event()
        nursery.start_soon(look, database, stop)
        for number in range(5):
            await database.write(add(f"{number}a", f"{number}b", f"{number}c"))
        stop.set()
    assert {count % 3 for count in seen} == {0}


async def who_is_cancelled_while_he_waits_harms_nobody(scene: Scene) -> None:
    """What he wrote may be there; what others wrote is."""
    async with scene.store.open("one", ROWS) as database:
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(database.write, add(f"{number}"))
            with trio.CancelScope() as scope:
                scope.cancel()
                await database.write(add("cancelled"))
        assert len(set(texts(database)) - {"cancelled"}) == 20


async def cells_come_back_as_they_were(scene: Scene) -> None:
    """With their types."""
    cells: list[Cell] = [0, -(1 << 63), (1 << 63) - 1, 0.5, 1e300, "", "é\0x", b"", b"\0\xff", None]
    table = "CREATE TABLE cells (number INTEGER PRIMARY KEY, cell ANY) STRICT;"
    async with scene.store.open("one", (table,)) as database:
        await database.write([("INSERT INTO cells (cell) VALUES (?)", (cell,)) for cell in cells])
        back = [cell for (cell,) in database.read("SELECT cell FROM cells ORDER BY number")]
    assert back == cells
    assert [type(cell) for cell in back] == [type(cell) for cell in cells]


async def a_read_cannot_write_and_says_what_is_wrong_with_it(scene: Scene) -> None:
    """Writing has one door."""
    async with scene.store.open("one", ROWS) as database:
        with pytest.raises(OSError, match="cannot be written"):
            database.read("INSERT INTO rows (text) VALUES ('a') RETURNING number")
        with pytest.raises(ValueError, match="no such column: colour"):
            database.read("SELECT colour FROM rows")
        await database.write(add("b"))
        assert texts(database) == ["b"]


async def a_full_disk_is_told_to_all_who_wait_and_leaves_nothing_half(scene: Scene) -> None:
    """And when there is room again the database goes on."""
    told: list[int | None] = []
    large = [("INSERT INTO rows (text) VALUES (? || hex(zeroblob(200000)))", ("large",))]

    async def write(database: Database, statements: list[Statement]) -> None:
        try:
            await database.write(statements)
        except OSError as error:
            assert "the disk is full: free some space there" in str(error)
            told.append(error.errno)

    async with scene.store.open("one", ROWS) as database:
        await database.write(add("a"))
        scene.fill(database)
        async with trio.open_nursery() as nursery:
            for number in range(3):
                nursery.start_soon(write, database, [*add(f"{number}"), *large])
        assert told == [errno.ENOSPC] * 3
        assert texts(database) == ["a"]
        scene.free(database)
        await database.write([*add("b"), *large])
        assert texts(database)[:2] == ["a", "b"]
    async with scene.store.open("one", ROWS) as database:
        assert texts(database)[:2] == ["a", "b"]


Promise = Callable[[Scene], Awaitable[None]]

PROMISES: tuple[Promise, ...] = (
    what_is_written_is_read_at_once,
    a_write_is_done_whole_or_not_at_all,
    a_write_cannot_end_the_commit_of_others,
    who_errs_does_no_harm_to_those_who_share_his_commit,
    the_order_is_that_of_the_calls,
    a_statement_is_made_before_anybody_else_runs,
    a_write_of_nothing_waits_for_all_before_it,
    a_read_sees_a_write_whole_or_not_at_all,
    who_is_cancelled_while_he_waits_harms_nobody,
    cells_come_back_as_they_were,
    a_read_cannot_write_and_says_what_is_wrong_with_it,
    a_full_disk_is_told_to_all_who_wait_and_leaves_nothing_half,
)
