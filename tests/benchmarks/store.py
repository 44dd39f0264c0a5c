# SPDX-License-Identifier: MIT
"""What durable costs: commits of the store beside SQLite's own, and reading a journal again.

The reference is one connection of plain SQLite, in WAL mode with synchronous FULL, which commits
once for each write. Both write the same rows to the same disk in the same run, in turns.
"""

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from statistics import median
from time import perf_counter

import trio

from node.paths import Paths
from node.store.files import FileStore
from node.store.journal import Journal
from node.store.store import Database
from protocol import events as ev
from protocol.events import Event, Instant, Progress
from tests.benchmarks.figures import Figure, ratio
from tests.node.store.journals import Plain

WRITERS = 16
COMMITS = 40
ROUNDS = 15
JOURNAL_ROWS = 100_000
TABLE = "CREATE TABLE rows (body BLOB NOT NULL) STRICT;"
INSERT = "INSERT INTO rows VALUES (?)"
BODY = bytes(400)


def run() -> Iterator[Figure]:
    """Measure everything, one figure after the other."""
    with tempfile.TemporaryDirectory() as folder:
        yield from trio.run(_commits, Path(folder))
    yield _replay()


async def _commits(folder: Path) -> list[Figure]:
    store = FileStore(Paths(*(folder / name for name in ("config", "state", "cache", "runtime"))))
    alone, shared, plain_s = [], [], []
    with closing(sqlite3.connect(folder / "plain.db", isolation_level=None)) as plain:
        for sql in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", TABLE):
            plain.execute(sql)
        async with store.open("bench", (TABLE,)) as database:
            await _write(database, COMMITS)
            _write_plainly(plain)
            for _ in range(ROUNDS):
                begin = perf_counter()
                _write_plainly(plain)
                reference_s = perf_counter() - begin
                begin = perf_counter()
                await _write(database, COMMITS)
                alone.append((perf_counter() - begin) / reference_s)
                begin = perf_counter()
                async with trio.open_nursery() as nursery:
                    for _ in range(WRITERS):
                        nursery.start_soon(_write, database, COMMITS)
                shared.append((perf_counter() - begin) / WRITERS / reference_s)
                plain_s.append(reference_s / COMMITS)
    of = f"per durable write / one commit of plain SQLite, {1 / median(plain_s):,.0f} a second"
    return [
        Figure("durable writes, one writer", median(alone), of),
        Figure(f"durable writes, {WRITERS} writers", median(shared), of),
    ]


async def _write(database: Database, count: int) -> None:
    for _ in range(count):
        await database.write([(INSERT, (BODY,))])


def _write_plainly(plain: sqlite3.Connection) -> None:
    for _ in range(COMMITS):
        plain.execute(INSERT, (BODY,))


def _replay() -> Figure:
    """A day of a busy worker: four events for each order, the last of them with two signatures."""
    database = Plain()
    journal = Journal(database)
    list(journal.replay())
    database.put(journal.statements(_events()))

    def ours() -> None:
        for _ in journal.replay():
            pass

    def reference() -> None:
        for _ in database.connection._sqlite.execute("SELECT * FROM journal ORDER BY number"):
            pass

    begin = perf_counter()
    ours()
    rate = JOURNAL_ROWS / (perf_counter() - begin)
    meaning = (
        f"{JOURNAL_ROWS:,} events checked and made / bare rows of SQLite; {rate:,.0f} a second"
    )
    return ratio("journal replayed", ours, reference, 5, meaning)


def _events() -> Iterator[Event]:
    peer = b"p" * 32
    for number in range(JOURNAL_ROWS // 4):
        at = Instant(number / 8, 1_800_000_000 + number / 8)
        order = number.to_bytes(32, "big")
        yield ev.Held(at, peer, order, 4, 40, 0, at.mono_s + 20, at.mono_s + 300, 1)
        yield ev.Begun(at, peer, order)
        yield ev.Billed(at, peer, order, 4, 40, last=True)
        paid = (Progress(order, 4, 40),)
        yield ev.Credited(at, peer, 40 * number + 40, bytes(240), bytes(170), paid, ())
