# SPDX-License-Identifier: MIT
"""The folders of a node below a temporary one, and databases in them that are worth damaging."""

import sqlite3
from pathlib import Path

from node.paths import Paths
from node.store.files import FileStore, _Opened
from node.store.store import Database

TABLE = ("CREATE TABLE rows (number INTEGER PRIMARY KEY, text TEXT UNIQUE) STRICT;",)
LARGE = "INSERT INTO rows (text) VALUES (? || hex(zeroblob(10000)))"


def paths_below(folder: Path) -> Paths:
    """Where a node with this home keeps its files."""
    return Paths(*(folder / name for name in ("config", "state", "cache", "runtime")))


def writer_of(database: Database) -> sqlite3.Connection:
    assert isinstance(database, _Opened)
    return database._files._writer._sqlite


async def fill(store: FileStore, count: int = 50) -> Path:
    """Make a database of some hundred pages."""
    async with store.open("one", TABLE) as database:
        await database.write([(LARGE, (f"{number}",)) for number in range(count)])
    return store.path_of("one")
