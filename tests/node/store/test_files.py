# SPDX-License-Identifier: MIT
"""The files of a store: whose they are, how they grow, what is said when something is wrong."""

import errno
import os
import sqlite3
import stat
from pathlib import Path

import pytest
import trio

from node.errors import TakenError
from node.store.connection import CHECKPOINT_PAGES, LOG_BYTES
from node.store.files import FileStore
from node.store.lock import hold
from tests.node.executor.forked import in_a_fork
from tests.node.store.folders import LARGE, fill, paths_below, writer_of
from tests.node.store.store_promises import ROWS, add, texts


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(paths_below(tmp_path))


async def test_files_are_the_owners_alone(store: FileStore, tmp_path: Path) -> None:
    """Also where the process has a mask that would let others read them."""
    before = os.umask(0)
    try:
        async with store.open("one", ROWS) as database:
            await database.write(add("a"))
            folder = tmp_path / "state"
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    finally:
        os.umask(before)
    assert modes == dict.fromkeys(["one.db", "one.db-wal", "one.db-shm", "one.lock"], 0o600)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


async def test_a_file_that_others_could_read_is_closed_to_them(store: FileStore) -> None:
    path = await fill(store)
    path.chmod(0o644)
    async with store.open("one", ROWS):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_asking_where_things_are_makes_nothing(store: FileStore, tmp_path: Path) -> None:
    assert store.blobs == tmp_path / "cache" / "models" / "blobs"
    assert store.path_of("one") == tmp_path / "state" / "one.db"
    assert list(tmp_path.iterdir()) == []


async def test_an_end_leaves_one_file_and_the_lock(store: FileStore, tmp_path: Path) -> None:
    """What the log had is in the database: a backup is a copy of that file."""
    path = await fill(store)
    assert {each.name for each in (tmp_path / "state").iterdir()} == {"one.db", "one.lock"}
    assert path.stat().st_size > 500_000


@pytest.mark.slow
async def test_the_log_does_not_grow_for_ever(store: FileStore, tmp_path: Path) -> None:
    """Twenty times its bound is written, in small commits, while somebody reads."""
    log = tmp_path / "state" / "one.db-wal"
    sizes = []
    async with store.open("one", ROWS) as database:
        writer_of(database).execute("PRAGMA synchronous = OFF")  # only to be quick
        for number in range(400):
            await database.write([(LARGE, (f"{number} {part}",)) for part in range(10)])
            database.read("SELECT number FROM rows ORDER BY number DESC LIMIT 1")
            sizes.append(log.stat().st_size)
    assert max(sizes) <= LOG_BYTES + 100 * 4096
    assert (tmp_path / "state" / "one.db").stat().st_size > 10 * LOG_BYTES


async def test_a_log_that_one_write_made_large_becomes_small_again(
    store: FileStore, tmp_path: Path
) -> None:
    log = tmp_path / "state" / "one.db-wal"
    async with store.open("one", ROWS) as database:
        await database.write([(LARGE, (f"{number}",)) for number in range(500)])
        assert log.stat().st_size > 2 * LOG_BYTES
        for text in "abc":
            await database.write(add(text))
        assert log.stat().st_size <= LOG_BYTES


async def test_commits_wait_for_the_disk(store: FileStore) -> None:
    """A power cut cannot be had in a test; that SQLite was told to expect one can be looked at."""
    async with store.open("one", ROWS) as database:
        writer = writer_of(database)
        found = {
            name: writer.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "fullfsync", "foreign_keys")
        }
        assert found == {"journal_mode": "wal", "synchronous": 2, "fullfsync": 1, "foreign_keys": 1}
        assert writer.execute("PRAGMA wal_autocheckpoint").fetchone()[0] == CHECKPOINT_PAGES


# --- somebody else --------------------------------------------------------------------------------


async def test_another_process_is_kept_out_until_this_one_ends(
    store: FileStore, tmp_path: Path
) -> None:
    lock = tmp_path / "state" / "one.lock"

    def attempt() -> str:
        try:
            os.close(hold(lock))
        except TakenError as error:
            return str(error)
        return "taken"

    async with store.open("one", ROWS):
        said = in_a_fork(attempt)
        assert said == (
            f"another node runs with the folder {tmp_path / 'state'}: stop it, or give this one a "
            f"COMMONS_HOME of its own."
        )
    assert in_a_fork(attempt) == "taken"


async def test_a_process_that_started_a_program_leaves_the_lock_to_nobody(
    store: FileStore,
) -> None:
    """A program that outlives the node would otherwise keep the next one out."""
    async with store.open("one", ROWS):
        program = await trio.lowlevel.open_process(["sleep", "60"])
    try:
        async with store.open("one", ROWS):
            pass
    finally:
        program.kill()
        await program.wait()


async def test_a_program_that_holds_the_file_is_named_as_the_reason(
    store: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a shell of SQLite in which somebody forgot a transaction."""
    monkeypatch.setattr("node.store.connection._WRITER_WAITS_S", 0.0)
    path = await fill(store, 1)
    async with store.open("one", ROWS) as database:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(OSError, match="another program holds it") as raised:
            await database.write(add("a"))
        assert raised.value.errno == errno.EBUSY
        other.execute("ROLLBACK")
        other.close()
        await database.write(add("a"))
        assert len(texts(database)) == 2
