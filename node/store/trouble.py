# SPDX-License-Identifier: MIT
"""What goes wrong with a database, in words for its owner. Noticing it is in `connection`."""

import errno
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from node.errors import ConfigError

#: By the primary code that SQLite gives: what the system would call it, and what to do.
_OF_THE_DISK = {
    sqlite3.SQLITE_FULL: (errno.ENOSPC, "the disk is full: free some space there"),
    sqlite3.SQLITE_IOERR: (
        errno.EIO,
        "the disk failed to read or write: look at the log of the system, and at the disk",
    ),
    sqlite3.SQLITE_READONLY: (
        errno.EROFS,
        "it cannot be written to: see the permissions of the file, and how the disk is mounted",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        errno.EACCES,
        "it cannot be opened: see the permissions of the file and of its folder",
    ),
    sqlite3.SQLITE_PERM: (errno.EACCES, "it cannot be opened: see the permissions of the file"),
    sqlite3.SQLITE_BUSY: (errno.EBUSY, "another program holds it: close that program"),
    sqlite3.SQLITE_LOCKED: (errno.EBUSY, "another program holds it: close that program"),
    sqlite3.SQLITE_NOMEM: (errno.ENOMEM, "there is no memory left for it"),
}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why something was not done. Everybody who hears of it gets an error of his own."""

    path: Path
    what: str
    number: int = 0
    damaged: bool = False

    @property
    def is_mistake(self) -> bool:
        """Disk and file are fine: SQLite only refuses this statement."""
        return not self.number and not self.damaged

    def error(self) -> Exception:
        """Make the error to raise."""
        if self.number:
            return OSError(self.number, self.what, str(self.path))
        if self.damaged:
            return ConfigError(
                f"the database {self.path} is damaged ({self.what}): put a backup in its place, "
                f"or move it away to begin anew without what it held."
            )
        return ValueError(f"the database {self.path} refuses a statement: {self.what}")


def trouble_of(error: Exception, path: Path) -> Trouble:
    """Say what an error of SQLite means."""
    if isinstance(error, OSError):
        return Trouble(path, error.strerror or str(error), error.errno or errno.EIO)
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code in _DAMAGED:
        return Trouble(path, str(error), damaged=True)
    number, what = _OF_THE_DISK.get(code, (0, str(error)))
    return Trouble(path, what, number)
