# SPDX-License-Identifier: MIT
"""Damage, and disks that are full, broken or only read: what is said, and what is left."""

import errno
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from node.errors import ConfigError, TakenError
from node.store.connection import Connection
from node.store.files import FileStore
from node.store.trouble import trouble_of
from tests.node.store.folders import fill, paths_below, writer_of
from tests.node.store.store_promises import ROWS, add, texts
from tests.tree import ROOT


def descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(paths_below(tmp_path))


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
