# SPDX-License-Identifier: MIT
"""A store on a disk that fills up, fails, or is only read: a program that says what it heard.

python -m tests.node.store.disks full|limited|closed FOLDER
"""

import os
import resource
import sys
from pathlib import Path

import trio

from node.errors import ConfigError
from node.store.files import FileStore
from node.store.store import Database
from tests.node.store.folders import paths_below
from tests.node.store.store_promises import ROWS

FILL = "INSERT INTO rows (text) VALUES (? || hex(zeroblob(2000)))"
LIMIT_BYTES = 200_000


async def until_it_fails(database: Database, first: int) -> tuple[int, OSError]:
    """Write row after row; give how many were acknowledged, and what was said then."""
    number = first
    while True:
        try:
            await database.write([(FILL, (f"{number}",)), (FILL, (f"{number} again",))])
        except OSError as error:
            return number, error
        number += 1


def count(database: Database) -> object:
    """How many rows there are."""
    return database.read("SELECT count(*) FROM rows")[0][0]


async def full(folder: Path) -> None:
    """A small disk gets full, and has room again when something is removed."""
    ballast = folder / "ballast"
    ballast.write_bytes(bytes(300_000))
    async with FileStore(paths_below(folder)).open("one", ROWS) as database:
        acked, error = await until_it_fails(database, 0)
        sys.stdout.write(f"{error}\n")
        assert count(database) == 2 * acked > 0
        ballast.unlink()
        more, _ = await until_it_fails(database, acked)
        assert count(database) == 2 * more > 2 * acked
    async with FileStore(paths_below(folder)).open("one", ROWS) as database:
        assert count(database) == 2 * more


async def limited(folder: Path) -> None:
    """The system refuses to write more, as a disk does that is broken."""
    async with FileStore(paths_below(folder)).open("one", ROWS) as database:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT_BYTES, before[1]))
        acked, error = await until_it_fails(database, 0)
        sys.stdout.write(f"{error}\n")
        assert count(database) == 2 * acked > 0
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        await database.write([(FILL, ("more",))])
        assert count(database) == 2 * acked + 1


async def closed(folder: Path) -> None:
    """The disk becomes one for reading alone, as after an error; then it is opened so."""
    async with FileStore(paths_below(folder)).open("one", ROWS) as database:
        await database.write([(FILL, ("a",))])
    remount = ["mount", "-o", "remount,ro", str(folder)]
    await trio.run_process(remount)
    try:
        async with FileStore(paths_below(folder)).open("one", ROWS):
            pass
    except ConfigError as error:
        sys.stdout.write(f"{error}\n")


if __name__ == "__main__":
    os.umask(0o077)
    trio.run({"full": full, "limited": limited, "closed": closed}[sys.argv[1]], Path(sys.argv[2]))
