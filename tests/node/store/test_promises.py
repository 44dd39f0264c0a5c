# SPDX-License-Identifier: MIT
"""The store of files and the simulated one keep what every store promises."""

import errno
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import trio

from node.store.connection import Connection
from node.store.files import FileStore, _Opened
from node.store.groups import Groups, Write
from node.store.store import Cell, Database
from node.store.trouble import trouble_of
from simulations.store import SimulatedStore
from tests.node.store.folders import paths_below
from tests.node.store.opening_promises import OPENING_PROMISES
from tests.node.store.store_promises import PROMISES, Promise, Scene

ALL = (*PROMISES, *OPENING_PROMISES)


def of_files(folder: Path) -> Scene:
    """The disk is full when the file may have no more pages."""

    def pages(database: Database, count: int) -> None:
        assert isinstance(database, _Opened)
        database._files._writer._sqlite.execute(f"PRAGMA max_page_count = {count}")

    store = FileStore(paths_below(folder))
    return Scene(store, fill=lambda each: pages(each, 1), free=lambda each: pages(each, 1 << 30))


def simulated(folder: Path) -> Scene:
    """The disk is full when the world says so."""
    full = [False]

    def watch(_: str, sql: str) -> None:
        if full[0] and "zeroblob" in sql:
            raise OSError(errno.ENOSPC, "the disk is full: free some space there")

    store = SimulatedStore(folder, watch=watch)
    return Scene(store, lambda _: full.__setitem__(0, True), lambda _: full.__setitem__(0, False))


@pytest.mark.parametrize("make", [of_files, simulated])
@pytest.mark.parametrize("promise", ALL, ids=lambda each: each.__name__)
async def test_a_store_keeps_its_promises(
    make: Callable[[Path], Scene], promise: Promise, tmp_path: Path
) -> None:
    await promise(make(tmp_path))


# --- promises that can be broken ------------------------------------------------------------------


class BackwardGroups(Groups):
    """Does what came last first."""

    async def _do(self, group: list[Write]) -> None:
        await super()._do(group[::-1])


class LazyGroups(Groups):
    """Says that it is done, and does it when something else comes."""

    _kept: tuple[Write, ...] = ()

    async def _do(self, group: list[Write]) -> None:
        kept, self._kept = self._kept, tuple(group)
        await super()._do([*kept])
        for write in group:
            write.done.set()


class PatientGroups(Groups):
    """Looks at the statements when it is their turn."""

    async def write(self, statements: object) -> None:
        await trio.lowlevel.checkpoint()
        await super().write(statements)  # type: ignore[arg-type]  # passed on as it came


class SilentGroups(Groups):
    """Keeps to itself what is wrong with the disk."""

    async def _do(self, group: list[Write]) -> None:
        await super()._do(group)
        for write in group:
            write.trouble = None


class HarshConnection(Connection):
    """Lets all fail with the one that errs."""

    def _one(self, write: Write) -> None:
        for sql, parameters in write.statements:
            self._do(sql, parameters)


class HalfConnection(Connection):
    """Keeps what was done before a mistake."""

    def _do(self, sql: str, parameters: Sequence[Cell] = ()) -> None:
        if sql != "ROLLBACK TO one":
            super()._do(sql, parameters)


class ForgetfulConnection(Connection):
    """Does all migrations whenever it is opened."""

    def _migrate(self, migrations: Sequence[str]) -> None:
        self._sqlite.execute("PRAGMA user_version = 0")
        super()._migrate(migrations)


class CarelessConnection(Connection):
    """Lets a read write."""

    def rows(self, sql: str, parameters: Sequence[Cell] = ()) -> list[tuple[Cell, ...]]:
        try:
            return self._sqlite.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise trouble_of(error, self.path).error() from error


@pytest.mark.parametrize(
    ("name", "broken", "promise"),
    [
        ("Groups", BackwardGroups, "the_order_is_that_of_the_calls"),
        ("Groups", LazyGroups, "what_is_written_is_read_at_once"),
        ("Groups", PatientGroups, "a_statement_is_made_before_anybody_else_runs"),
        ("Groups", SilentGroups, "a_full_disk_is_told_to_all_who_wait_and_leaves_nothing_half"),
        ("Connection", HarshConnection, "who_errs_does_no_harm_to_those_who_share_his_commit"),
        ("Connection", HalfConnection, "a_write_is_done_whole_or_not_at_all"),
        ("Connection", ForgetfulConnection, "migrations_are_done_once_each_and_in_order"),
        ("Connection", CarelessConnection, "a_read_cannot_write_and_says_what_is_wrong_with_it"),
    ],
)
async def test_a_store_that_breaks_a_promise_is_noticed(
    name: str, broken: type, promise: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A promise that no store can break would hold a simulated one to nothing."""
    monkeypatch.setattr(f"simulations.store.{name}", broken)
    (check,) = [each for each in ALL if each.__name__ == promise]
    with pytest.raises((AssertionError, ValueError, BaseExceptionGroup, pytest.fail.Exception)):
        await check(simulated(tmp_path))
