# SPDX-License-Identifier: MIT
"""The files of a store: whose they are, how they grow, what is said when something is wrong."""

import errno
import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from node.errors import ConfigError
from node.store.connection import CHECKPOINT_PAGES, LOG_BYTES, Connection
from node.store.files import FileStore, _Opened
from node.store.lock import TakenError, hold
from node.store.store import Database
from node.store.trouble import trouble_of
from tests.node.executor.forked import in_a_fork
from tests.node.store.folders import paths_below
from tests.node.store.store_promises import ROWS, add, texts
from tests.tree import ROOT

LARGE = "INSERT INTO rows (text) VALUES (? || hex(zeroblob(10000)))"


def writer_of(database: Database) -> sqlite3.Connection:
    assert isinstance(database, _Opened)
    return database._files._writer._sqlite


async def fill(store: FileStore, count: int = 50) -> Path:
    """Make a database of some hundred pages."""
    async with store.open("one", ROWS) as database:
        await database.write([(LARGE, (f"{number}",)) for number in range(count)])
    return store.path_of("one")


def descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))


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


# --- damage and disks -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("begin", "data"),
    [
        (0, b"not a database at all, but as long as one would have to be"),
        (4096 * 20, bytes(4096 * 40)),
        (4096, b"\xff" * 4096),
        (100, b"\xff" * 200),
    ],
)
async def test_a_damaged_file_is_named_and_left_as_it_is(
    store: FileStore, begin: int, data: bytes
) -> None:
    """Before anything is read from it."""
    path = await fill(store)
    with path.open("r+b") as file:
        file.seek(begin)
        file.write(data)
    before = path.read_bytes()
    for _ in range(2):
        with pytest.raises(ConfigError, match=r"one\.db is damaged \(.*\): put a backup"):
            async with store.open("one", ROWS):
                pass
    assert path.read_bytes() == before


async def test_damage_that_comes_while_it_is_open_is_told(store: FileStore) -> None:
    path = await fill(store, 100)
    async with store.open("one", ROWS) as database:
        with path.open("r+b") as file:
            file.seek(4096 * 3)
            file.write(b"\xff" * 4096 * 200)
        with pytest.raises(ConfigError, match="is damaged"):
            texts(database)
        with pytest.raises(ConfigError, match="is damaged"):
            await database.write([("UPDATE rows SET text = text || 'x'", ())])


async def test_a_file_that_cannot_be_written_to_is_an_error_of_the_disk(store: FileStore) -> None:
    async with store.open("one", ROWS) as database:
        writer_of(database).execute("PRAGMA query_only = ON")  # the same code, also for root
        with pytest.raises(OSError, match=r"cannot be written to.*one\.db") as raised:
            await database.write(add("a"))
        assert raised.value.errno == errno.EROFS
        writer_of(database).execute("PRAGMA query_only = OFF")
        await database.write(add("b"))
        assert texts(database) == ["b"]


async def test_a_folder_in_the_place_of_the_database_is_an_error_of_the_disk(
    store: FileStore,
) -> None:
    store.path_of("one").mkdir(parents=True)
    with pytest.raises(OSError, match=r"cannot be opened.*one\.db"):
        async with store.open("one", ROWS):
            pass


async def test_an_opening_that_fails_holds_nothing(store: FileStore) -> None:
    """No lock, no file: what was wrong can be mended and tried again."""
    path = await fill(store)
    before = descriptors()
    async with store.open("one", ROWS):
        opened = descriptors()
        for _ in range(3):
            with pytest.raises(TakenError):
                async with store.open("one", ROWS):
                    pass
        assert descriptors() == opened
    good = path.read_bytes()
    path.write_bytes(b"bad" * 1000)
    for _ in range(3):
        with pytest.raises(ConfigError):
            async with store.open("one", ROWS):
                pass
    path.write_bytes(good)
    async with store.open("one", ROWS) as database:
        assert len(texts(database)) == 50
    assert descriptors() == before


@pytest.mark.parametrize(
    ("code", "number"),
    [
        (sqlite3.SQLITE_FULL, errno.ENOSPC),
        (sqlite3.SQLITE_IOERR_FSYNC, errno.EIO),
        (sqlite3.SQLITE_READONLY_DBMOVED, errno.EROFS),
        (sqlite3.SQLITE_CANTOPEN_ISDIR, errno.EACCES),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, errno.EBUSY),
        (sqlite3.SQLITE_NOMEM, errno.ENOMEM),
    ],
)
def test_what_sqlite_says_of_a_disk_becomes_what_the_system_would_say(
    code: int, number: int
) -> None:
    error = sqlite3.OperationalError("as SQLite says it")
    error.sqlite_errorcode = code
    told = trouble_of(error, Path("one.db")).error()
    assert isinstance(told, OSError)
    assert (told.errno, told.filename) == (number, "one.db")


def run_on(disk: str, folder: Path, *before: str) -> str:
    command = [*before, sys.executable, "-m", "tests.node.store.disks", disk, str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_disk_that_fails_leaves_nothing_half_and_is_used_again_when_it_works(
    tmp_path: Path,
) -> None:
    assert "the disk failed to read or write" in run_on("limited", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("disk", "said"), [("full", "the disk is full"), ("closed", "cannot be written to")]
)
def test_a_real_disk_that_is_full_or_only_for_reading_is_told(
    tmp_path: Path, disk: str, said: str
) -> None:
    """A little disk in memory, which only this process sees."""
    mount = f"mount -t tmpfs -o size=1200k,mode=700 none '{tmp_path}'"
    enter = ["unshare", "--map-root-user", "--mount", "sh", "-c", f'{mount} && exec "$@"', "sh"]
    try:
        subprocess.run([*enter, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this system gives its users no mounts of their own")
    assert said in run_on(disk, tmp_path, *enter)


def test_a_connection_that_fails_says_which(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"cannot be opened.*nowhere"):
        Connection(tmp_path / "nowhere" / "one.db")
