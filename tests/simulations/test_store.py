# SPDX-License-Identifier: MIT
"""The store of a made world: what a crash loses, and what a restart finds.

That it keeps the promises of the seam is in tests/node/store/test_promises.py.
"""

import errno
from collections.abc import Awaitable, Callable
from math import inf
from pathlib import Path

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from simulations.store import SimulatedStore
from tests.node.executor.virtual_time import in_virtual_time
from tests.node.store.store_promises import ROWS, add, texts


class Crashes:
    """Crashes its store before statement number `at` that begins so."""

    def __init__(self, start: str = "", at: int | None = None) -> None:
        self.start = start
        self.left = at
        self.store = SimulatedStore(Path("blobs"), watch=self.watch)

    def watch(self, name: str, sql: str) -> None:
        assert name == "one"
        if self.left is not None and sql.startswith(self.start):
            self.left -= 1
            if self.left < 0:
                self.left = None
                self.store.crash()


async def live(store: SimulatedStore, told: list[str]) -> None:
    """Be a node that writes, until it dies with its world."""
    async with store.open("one", ROWS) as database:
        for text in "abc":
            await database.write(add(text, f"{text}2"))
            told.append(text)


async def dies(life: Callable[[], Awaitable[None]]) -> None:
    """Let this live until it is stuck, as a dead process is; then bury it."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(life)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()


async def found_in(store: SimulatedStore) -> list[object]:
    async with store.open("one", ROWS) as database:
        return list(texts(database))


@in_virtual_time
async def test_what_only_waits_to_be_written_is_lost_in_a_crash() -> None:
    store = SimulatedStore(Path("blobs"), commit_s=1.0)

    async def life() -> None:
        async with store.open("one", ROWS) as database, trio.open_nursery() as nursery:
            for text in "abc":
                nursery.start_soon(database.write, add(text))
            await wait_all_tasks_blocked()
            store.crash()

    await dies(life)
    store.commit_s = 0.0
    assert await found_in(store) == []


async def test_a_crash_at_any_statement_leaves_each_write_whole_or_not_there() -> None:
    """And all that was acknowledged, in its order."""
    for number in range(100):
        world = Crashes(at=number)
        told: list[str] = []
        await dies(lambda: live(world.store, told))  # noqa: B023 - it is awaited in this round
        whole = [part for text in "abc" for part in (text, f"{text}2")]
        assert await found_in(world.store) == whole[: 2 * len(told)]
        if world.left is not None:
            assert (number > 15, told) == (True, ["a", "b", "c"])
            return
    raise AssertionError("it never came to its end")


async def test_a_node_that_crashed_in_a_migration_does_it_again() -> None:
    world = Crashes("PRAGMA user_version", at=0)
    await dies(lambda: live(world.store, []))
    assert await found_in(world.store) == []


async def test_who_is_dead_reads_and_writes_nothing_any_more() -> None:
    """A task that its world has not cancelled yet must not act on what it sees."""
    store = SimulatedStore(Path("blobs"))
    seen: list[object] = []

    async def life() -> None:
        async with store.open("one", ROWS) as database:
            await database.write(add("a"))
            store.crash()
            async with store.open("one", ROWS) as again:
                await again.write(add("b"))
                with pytest.raises(OSError, match="the store crashed"):
                    database.read("SELECT 1")
                seen.extend(texts(again))
            await database.write(add("c"))

    await dies(life)
    assert seen == ["a", "b"]
    assert await found_in(store) == ["a", "b"]


async def test_a_fault_of_the_disk_is_told_and_passes() -> None:
    broken = [True]

    def watch(_: str, sql: str) -> None:
        if sql == "COMMIT" and broken[0]:
            raise OSError(errno.EIO, "the disk failed")

    store = SimulatedStore(Path("blobs"), watch=watch)
    with pytest.raises(OSError, match=r"the disk failed.*one\.db"):
        async with store.open("one", ROWS):
            pass
    broken[0] = False
    async with store.open("one", ROWS) as database:
        broken[0] = True
        with pytest.raises(OSError, match=r"the disk failed.*one\.db"):
            await database.write(add("a"))
        broken[0] = False
        await database.write(add("b"))
        assert texts(database) == ["b"]


async def test_a_backup_is_what_was_committed_then() -> None:
    store = SimulatedStore(Path("blobs"))
    async with store.open("one", ROWS) as database:
        await database.write(add("a"))
        backup = store.backup("one")
        await database.write(add("b"))
    store.restore("one", backup)
    async with store.open("one", ROWS) as database:
        assert texts(database) == ["a"]
        await database.write(add("c"))
        assert texts(database) == ["a", "c"]


@in_virtual_time
async def test_a_commit_takes_the_time_that_the_world_says_and_is_shared() -> None:
    store = SimulatedStore(Path("blobs"), commit_s=2.0)
    async with store.open("one", ROWS) as database:
        begin_s = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(database.write, add("first"))
            await trio.sleep(1.0)
            for number in range(50):
                nursery.start_soon(database.write, add(f"{number}"))
        assert trio.current_time() - begin_s == pytest.approx(4.0)
        assert len(texts(database)) == 51


def test_the_folder_of_blobs_is_the_one_of_its_world(tmp_path: Path) -> None:
    assert SimulatedStore(tmp_path).blobs == tmp_path


# --- disks in trouble -----------------------------------------------------------------------------


async def test_a_full_disk_refuses_commits_until_there_is_room_again() -> None:
    store = SimulatedStore(Path("blobs"))
    async with store.open("one", ROWS) as database, store.open("two", ROWS) as other:
        await database.write(add("a"))
        store.room_bytes = 0
        for each in (database, other):
            with pytest.raises(OSError, match="the disk is full") as refused:
                await each.write(add("b"))
            assert refused.value.errno == errno.ENOSPC
        assert texts(database) == ["a"]  # reading needs no room
        store.room_bytes = store.size_bytes + 100_000
        await database.write(add("c"))
        with pytest.raises(OSError, match="the disk is full"):
            await other.write(add("x" * 200_000))
        await other.write(add("d"))
        store.room_bytes = inf
        await other.write(add("x" * 200_000))
        assert texts(database) == ["a", "c"]
        assert [str(text)[:1] for text in texts(other)] == ["d", "x"]


async def test_a_node_cannot_begin_on_a_full_disk_and_can_later() -> None:
    store = SimulatedStore(Path("blobs"))
    store.room_bytes = 0
    with pytest.raises(OSError, match="the disk is full"):
        async with store.open("one", ROWS):
            pass
    store.room_bytes = inf
    assert await found_in(store) == []


async def test_a_failing_disk_fails_each_commit() -> None:
    store = SimulatedStore(Path("blobs"))
    async with store.open("one", ROWS) as database:
        store.is_failing = True
        with pytest.raises(OSError, match="failed") as refused:
            await database.write(add("a"))
        assert refused.value.errno == errno.EIO
        store.is_failing = False
        await database.write(add("b"))
        assert texts(database) == ["b"]


@in_virtual_time
async def test_a_disk_may_become_slow_while_it_runs() -> None:
    store = SimulatedStore(Path("blobs"))
    async with store.open("one", ROWS) as database:
        await database.write(add("a"))
        store.commit_s = 30.0
        begin_s = trio.current_time()
        await database.write(add("b"))
        assert trio.current_time() - begin_s == pytest.approx(30.0)
        assert store.commits >= 2


async def test_all_databases_are_put_aside_and_put_back_together() -> None:
    store = SimulatedStore(Path("blobs"))
    async with store.open("one", ROWS) as one, store.open("two", ROWS) as two:
        await one.write(add("a"))
        await two.write(add("b"))
        backups = store.backup_all()
        await one.write(add("c"))
    async with store.open("three", ROWS) as three:
        await three.write(add("d"))
    assert sorted(backups) == ["one", "two"]
    store.restore_all(backups)
    assert sorted(store.backup_all()) == ["one", "two"]
    assert await found_in(store) == ["a"]
    other = SimulatedStore(Path("blobs"))
    other.restore_all(backups)
    assert await found_in(other) == ["a"]
