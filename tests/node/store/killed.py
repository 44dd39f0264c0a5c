# SPDX-License-Identifier: MIT
"""Writers that are killed, as a program: it forks them, kills them, and looks at what is left.

    python -m tests.node.store.killed moments FOLDER ROUNDS SEED
    python -m tests.node.store.killed statements FOLDER

It has no threads of its own, so that forking is safe. What is wrong ends it with a traceback.
"""

import os
import random
import select
import signal
import sqlite3
import struct
import sys
import traceback
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import count
from pathlib import Path

import trio

from node.store.files import FileStore
from node.store.journal import Journal
from node.store.store import Database
from node.store.tables import NETWORK
from protocol import events as ev
from protocol.events import Event, Instant
from tests.node.store.folders import paths_below

WRITERS = 4
PARTS = 3
ACK = struct.Struct(">I")
TABLE = ("CREATE TABLE parts (call INTEGER, part INTEGER) STRICT;",)
SECOND = """
CREATE TABLE kinds (kind TEXT NOT NULL, number INTEGER NOT NULL) STRICT;
INSERT INTO kinds SELECT kind, number FROM journal;
CREATE INDEX kinds_by_kind ON kinds (kind);
"""
AT = Instant(1.0, 1_800_000_000.0)
STEPS: list[list[Event]] = [
    [ev.Started(AT, b"i" * 8, restored=False)],
    [ev.Begun(AT, b"p" * 32, bytes([number]) * 32) for number in range(3)],
    [ev.Forgot(AT), ev.Thawed(AT, b"p" * 32)],
]


def fork(work: Callable[[], Awaitable[None]]) -> int:
    """Do this in a child, which ends with 0, or says what was wrong and ends with 1."""
    pid = os.fork()
    if pid == 0:
        try:
            trio.run(work)
        except BaseException:  # noqa: BLE001 - the parent sees the status
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
        os._exit(0)
    return pid


def check(work: Callable[[], Awaitable[None]]) -> None:
    """Do this in a child, and fail when it does."""
    _, status = os.waitpid(fork(work), 0)
    assert status == 0, f"status {status}"


# --- at any moment --------------------------------------------------------------------------------


async def write_on(folder: Path, out: int) -> None:
    """Write from many tasks, three rows at a time, and report what is acknowledged."""
    async with FileStore(paths_below(folder)).open("one", TABLE) as database:
        [(first,)] = database.read("SELECT coalesce(max(call), -1) + 1 FROM parts")
        assert isinstance(first, int)
        calls = count(first)

        async def write() -> None:
            while True:
                call = next(calls)
                await database.write(
                    [("INSERT INTO parts VALUES (?, ?)", (call, part)) for part in range(PARTS)]
                )
                os.write(out, ACK.pack(call))

        async with trio.open_nursery() as nursery:
            for _ in range(WRITERS):
                nursery.start_soon(write)


async def look(folder: Path, acked: int) -> None:
    """All calls are there from the first on, each whole; none that was acknowledged is lost."""
    async with FileStore(paths_below(folder)).open("one", TABLE) as database:
        rows = database.read("SELECT call, part FROM parts ORDER BY rowid")
    found = len(rows) // PARTS
    assert rows == [(call, part) for call in range(found) for part in range(PARTS)]
    assert found > acked, f"{acked} was acknowledged, and there are {found}"


def moments(folder: Path, rounds: int, seed: int) -> None:
    """Kill the same writer again and again, on the same database."""
    die = random.Random(seed)
    highest = -1
    for _ in range(rounds):
        reading, writing = os.pipe()
        pid = fork(partial(write_on, folder, writing))
        os.close(writing)
        acks = die.choice([0, 1, die.randrange(100)])
        wait_s = die.choice([0.0, 0.02, 0.1]) * die.random() if acks == 0 else 10.0
        data = b""
        while len(data) < max(acks, 1) * ACK.size:
            ready, _, _ = select.select([reading], [], [], wait_s)
            piece = os.read(reading, 1 << 16) if ready else b""
            if not piece:  # the time has come, or it ended by itself
                break
            data += piece
        os.kill(pid, signal.SIGKILL)
        while piece := os.read(reading, 1 << 16):
            data += piece
        os.close(reading)
        _, status = os.waitpid(pid, 0)
        assert os.WIFSIGNALED(status), f"status {status}"
        told = [call for (call,) in ACK.iter_unpack(data[: len(data) // ACK.size * ACK.size])]
        highest = max([highest, *told])
        check(partial(look, folder, highest))
    sys.stdout.write(f"{highest + 1}\n")


# --- at each statement ----------------------------------------------------------------------------


async def step_on(folder: Path, out: int, last: int) -> None:
    """Open, write three times, migrate; be killed before statement number `last`."""
    left = iter(range(last))

    def watch(_: str) -> None:
        if next(left, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)

    store = FileStore(paths_below(folder), watch=watch)
    async with store.open("one", NETWORK) as database:
        journal = Journal(database)
        assert list(journal.replay()) == []
        for events in STEPS:
            await database.write(journal.statements(events))
            os.write(out, b".")
    async with store.open("one", (*NETWORK, SECOND)):
        os.write(out, b".")


async def look_at_steps(folder: Path, acked: int) -> None:
    """All steps that were acknowledged are there, perhaps one more, and none of them half."""
    path = folder / "state" / "one.db"
    with sqlite3.connect(path) as plain:
        [(version,)] = plain.execute("PRAGMA user_version").fetchall()
        names = {name for (name,) in plain.execute("SELECT name FROM sqlite_schema")}
    plain.close()
    assert ("journal" in names, "bans_by_end" in names) == (version > 0,) * 2
    assert ("kinds" in names, "kinds_by_kind" in names) == (version > 1,) * 2
    async with FileStore(paths_below(folder)).open("one", (*NETWORK, SECOND)) as database:
        steps = steps_in(database)
        assert version == 2 if acked == len(STEPS) + 1 else steps in (acked, acked + 1)
        events = sum(map(len, STEPS[:steps]))
        assert database.read("SELECT count(*) FROM kinds") == [(events,)]


def steps_in(database: Database) -> int:
    """How many steps are in a journal that has nothing else."""
    found = list(Journal(database).replay())
    for steps in range(len(STEPS) + 1):
        if found == [event for step in STEPS[:steps] for event in step]:
            return steps
    raise AssertionError(found)


def statements(folder: Path) -> None:
    """Kill a writer before its first statement, another one before its second, and so on."""
    for number in count():
        reading, writing = os.pipe()
        below = folder / f"{number}"
        pid = fork(partial(step_on, below, writing, number))
        os.close(writing)
        acked = b""
        while piece := os.read(reading, 16):
            acked += piece
        os.close(reading)
        _, status = os.waitpid(pid, 0)
        check(partial(look_at_steps, below, len(acked)))
        if not os.WIFSIGNALED(status):
            assert status == 0, f"status {status}"
            sys.stdout.write(f"{number}\n")
            return


if __name__ == "__main__":
    if sys.argv[1] == "moments":
        moments(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    else:
        statements(Path(sys.argv[2]))
