# SPDX-License-Identifier: MIT
"""What every store promises of opening and closing a database; the rest is in `store_promises`."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from node.errors import ConfigError
from tests.node.store.store_promises import ROWS, Promise, Scene, add, texts


async def an_error_in_the_block_comes_out_as_it_is(scene: Scene) -> None:
    """Not in a group, and the database is closed."""
    with pytest.raises(KeyError, match="mine"):
        async with scene.store.open("one", ROWS):
            raise KeyError("mine")
    async with scene.store.open("one", ROWS) as database:
        assert texts(database) == []


async def after_the_block_nothing_is_written_or_read(scene: Scene) -> None:
    """It is a mistake of the caller."""
    async with scene.store.open("one", ROWS) as database:
        pass
    with pytest.raises(ValueError, match="closed"):
        await database.write(add("a"))
    with pytest.raises(ValueError, match="closed"):
        texts(database)


async def migrations_are_done_once_each_and_in_order(scene: Scene) -> None:
    """From any version to any later one, with what is in the tables."""
    second = "CREATE TABLE more (a); INSERT INTO more SELECT text || ';' FROM rows;"
    third = "ALTER TABLE more ADD COLUMN b DEFAULT 'x;y';\n-- done; nearly\n"
    for name, steps in (("one", (1, 2, 3)), ("two", (1, 3)), ("three", (1, 2, 2, 3, 3))):
        for step in steps:
            async with scene.store.open(name, (*ROWS, second, third)[:step]) as database:
                assert database.read("PRAGMA user_version") == [(step,)]
                if step == 1:
                    await database.write(add("a"))
        async with scene.store.open(name, (*ROWS, second, third)) as database:
            assert database.read("SELECT * FROM more") == [("a;", "x;y")]


async def a_migration_is_done_whole_or_not_at_all(scene: Scene) -> None:
    """And those before it are kept."""
    bad = "CREATE TABLE more (a) STRICT; INSERT INTO more VALUES (1);"
    good = "CREATE TABLE more (a TEXT) STRICT; INSERT INTO more VALUES ('b');"
    with pytest.raises(ValueError, match=r"one\.db refuses a statement: missing datatype"):
        async with scene.store.open("one", (*ROWS, bad)):
            pass
    async with scene.store.open("one", ROWS) as database:
        assert database.read("PRAGMA user_version") == [(1,)]
        assert database.read("SELECT count(*) FROM sqlite_schema WHERE name = 'more'") == [(0,)]
    async with scene.store.open("one", (*ROWS, good)) as database:
        assert database.read("SELECT * FROM more") == [("b",)]


async def what_a_newer_program_made_is_left_alone(scene: Scene) -> None:
    """The message says both versions."""
    async with scene.store.open("one", (*ROWS, "CREATE TABLE more (a);")) as database:
        await database.write(add("a"))
    with pytest.raises(ConfigError, match=r"one\.db has version 2, and this program knows up to 1"):
        async with scene.store.open("one", ROWS):
            pass


async def a_database_is_open_once(scene: Scene) -> None:
    """Two nodes would write over each other's books."""
    async with scene.store.open("one", ROWS):
        with pytest.raises(ConfigError, match="another node runs with"):
            async with scene.store.open("one", ROWS):
                pass
        async with scene.store.open("two", ROWS):
            pass
    async with scene.store.open("one", ROWS):
        pass


async def a_name_cannot_lead_elsewhere(scene: Scene) -> None:
    """It becomes a part of the name of a file."""
    for name in ("", "../one", "a/b", "a.b", "a b", "x" * 65, "é"):
        with pytest.raises(ValueError, match="a database is named by"):
            async with scene.store.open(name, ROWS):
                pass


async def databases_of_two_names_have_nothing_in_common(scene: Scene) -> None:
    """They may be open at once."""
    async with scene.store.open("one", ROWS) as one, scene.store.open("two", ROWS) as two:
        await one.write(add("a"))
        assert texts(two) == []


async def what_was_written_is_there_after_opening_again(scene: Scene) -> None:
    """Also what nobody waited for when the block ended."""
    async with scene.store.open("one", ROWS) as database, trio.open_nursery() as nursery:
        await database.write(add("a"))
        nursery.start_soon(database.write, add("b"))
        await wait_all_tasks_blocked()
    async with scene.store.open("one", ROWS) as database:
        assert texts(database) == ["a", "b"]
        await database.write(add("c"))
    async with scene.store.open("one", ROWS) as database:
        assert texts(database) == ["a", "b", "c"]


async def what_waits_is_written_when_its_block_is_cancelled(scene: Scene) -> None:
    """Whoever called does not know it; the next start does."""
    with trio.CancelScope() as scope:
        async with scene.store.open("one", ROWS) as database, trio.open_nursery() as nursery:
            for text in "abc":
                nursery.start_soon(database.write, add(text))
            scope.cancel()
            await database.write(add("d"))  # its place is taken before it is cancelled
    async with scene.store.open("one", ROWS) as database:
        assert texts(database)[0] == "d"
        assert sorted(map(str, texts(database))) == ["a", "b", "c", "d"]


OPENING_PROMISES: tuple[Promise, ...] = (
    an_error_in_the_block_comes_out_as_it_is,
    after_the_block_nothing_is_written_or_read,
    migrations_are_done_once_each_and_in_order,
    a_migration_is_done_whole_or_not_at_all,
    what_a_newer_program_made_is_left_alone,
    a_database_is_open_once,
    a_name_cannot_lead_elsewhere,
    databases_of_two_names_have_nothing_in_common,
    what_was_written_is_there_after_opening_again,
    what_waits_is_written_when_its_block_is_cancelled,
)
