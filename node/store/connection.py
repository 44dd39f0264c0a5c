# SPDX-License-Identifier: MIT
"""One connection to SQLite: how it is set up, migrated, written to and read. It blocks.

The store of files and the simulated one both use it, so that they run the same SQL. Who calls
it when, and in which thread, is their part.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from node.errors import ConfigError
from node.store.groups import Write
from node.store.store import Cell
from node.store.trouble import Trouble, trouble_of

Watch = Callable[[str], None]
"""Is told each statement before it is done. What it raises ends the transaction."""

#: Pages of 4 KiB in the log until its content moves into the database: SQLite's own choice.
CHECKPOINT_PAGES = 1000

#: What may stay of the log after that: one transaction may have made it larger for a while.
LOG_BYTES = 4 << 20

# Why each of them: docs/design/store.md.
_SETTINGS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA fullfsync = ON",
    "PRAGMA checkpoint_fullfsync = ON",
    f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}",
    f"PRAGMA journal_size_limit = {LOG_BYTES}",
    "PRAGMA foreign_keys = ON",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA cell_size_check = ON",
    "PRAGMA temp_store = MEMORY",
)

# What begins and ends transactions, or changes the connection for all: no caller says these.
_OURS = frozenset(
    ("BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE", "PRAGMA", "ATTACH", "DETACH")
)

# Only somebody else's program can hold the file: the node's own two connections never wait long.
_WRITER_WAITS_S = 5.0
_READER_WAITS_S = 0.2


class Connection:
    """A connection that writes, or one that only reads."""

    def __init__(
        self,
        path: Path,
        *,
        name: str = "",
        reads_only: bool = False,
        watch: Watch | None = None,
    ) -> None:
        """Connect to the file, or to a `name` that SQLite knows, as `:memory:`."""
        self.path = path
        self._watch = watch
        self._reads_only = reads_only
        waits_s = _READER_WAITS_S if reads_only else _WRITER_WAITS_S
        try:
            self._sqlite = sqlite3.connect(
                name or path,
                timeout=waits_s,
                isolation_level=None,  # BEGIN and COMMIT are ours to say
                check_same_thread=False,  # one thread after another
            )
        except sqlite3.Error as error:
            raise trouble_of(error, path).error() from error
        if reads_only:
            self._sqlite.execute("PRAGMA query_only = ON")

    def close(self) -> None:
        """Close it; the last one of a database moves its log into it first."""
        self._sqlite.close()

    def prepare(self, migrations: Sequence[str]) -> None:
        """Set up, look whether the file is whole, and bring it to the newest version."""
        try:
            for setting in _SETTINGS:
                self._sqlite.execute(setting)
            self._check()
            self._migrate(migrations)
        except (sqlite3.Error, OSError) as error:
            raise trouble_of(error, self.path).error() from error

    def commit(self, writes: Sequence[Write]) -> Trouble | None:
        """Do the writes in one transaction, and say what was wrong with the disk, if anything.

        A write that SQLite refuses is undone alone, and told so; the others are done.
        """
        try:
            self._do("BEGIN IMMEDIATE")
            for write in writes:
                self._one(write)
            self._do("COMMIT")
        except (sqlite3.Error, OSError) as error:
            self._undo()
            return trouble_of(error, self.path)
        except BaseException:
            self._undo()
            raise
        return None

    def rows(self, sql: str, parameters: Sequence[Cell] = ()) -> list[tuple[Cell, ...]]:
        """Give all rows of a query, and hold on to nothing: an open query would keep the log."""
        try:
            with self._reading():
                return self._sqlite.execute(sql, parameters).fetchall()
        except (sqlite3.Error, sqlite3.Warning, OverflowError, UnicodeEncodeError) as error:
            raise trouble_of(error, self.path).error() from error

    def serialized(self) -> bytes:
        """Give the bytes of the database as a file would have them."""
        return self._sqlite.serialize()

    def deserialize(self, data: bytes) -> None:
        """Take these bytes for the database."""
        self._sqlite.deserialize(data)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Let nothing be written, also where one connection does both."""
        if self._reads_only:
            yield
            return
        self._sqlite.execute("PRAGMA query_only = ON")
        try:
            yield
        finally:
            self._sqlite.execute("PRAGMA query_only = OFF")

    # --- one transaction ----------------------------------------------------------------------

    def _one(self, write: Write) -> None:
        self._do("SAVEPOINT one")
        try:
            for sql, parameters in write.statements:
                if sql.split(None, 1)[0].upper() in _OURS:
                    raise sqlite3.ProgrammingError(f"{sql!r} is not for a write")
                self._do(sql, parameters)
        except (sqlite3.Error, sqlite3.Warning, OverflowError, UnicodeEncodeError) as error:
            trouble = trouble_of(error, self.path)
            if not trouble.is_mistake:
                raise
            self._do("ROLLBACK TO one")
            write.trouble = trouble
        self._do("RELEASE one")

    def _do(self, sql: str, parameters: Sequence[Cell] = ()) -> None:
        if self._watch is not None:
            self._watch(sql)
        self._sqlite.execute(sql, parameters)

    def _undo(self) -> None:
        """Roll back, unless SQLite has done so itself, as it does on a full disk."""
        if self._sqlite.in_transaction:
            with suppress(sqlite3.Error):  # what was wrong is already being told
                self._sqlite.execute("ROLLBACK")

    # --- versions -----------------------------------------------------------------------------

    def _check(self) -> None:
        [(said,)] = self._sqlite.execute("PRAGMA quick_check(1)").fetchall()
        if said != "ok":
            raise Trouble(self.path, " ".join(said.split()), damaged=True).error()

    def _migrate(self, migrations: Sequence[str]) -> None:
        [(version,)] = self._sqlite.execute("PRAGMA user_version").fetchall()
        if version > len(migrations):
            raise ConfigError(
                f"the database {self.path} has version {version}, and this program knows up to "
                f"{len(migrations)}: start the newer program, or put an older backup in its place."
            )
        for number, script in enumerate(migrations[version:], version + 1):
            try:
                self._do("BEGIN IMMEDIATE")
                for sql in _statements_of(script):
                    self._do(sql)
                self._do(f"PRAGMA user_version = {number}")
                self._do("COMMIT")
            except BaseException:
                self._undo()
                raise


def _statements_of(script: str) -> Iterator[str]:
    """Take a script apart; SQLite knows which semicolons end a statement."""
    begun = ""
    for piece in script.split(";"):
        begun += f"{piece};"
        if begun.strip() != ";" and sqlite3.complete_statement(begun):
            yield begun.strip()
            begun = ""
