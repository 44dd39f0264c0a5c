# SPDX-License-Identifier: MIT
"""Small secret files: made whole or not at all, and read only if they are ours alone.

What stands in them is for `identity` and `networks` to know. A file that others can read may
have been read, so it is refused with the command that closes it, and not closed in silence.
"""

import contextlib
import os
import stat
import tempfile
from pathlib import Path

from node.durable import sync
from node.errors import ConfigError

#: Only the owner reads and writes.
MODE = 0o600


def read_private(path: Path, bytes_max: int) -> bytes | None:
    """Read a small file; None when it is not there, ConfigError when it cannot be trusted."""
    try:
        # Without O_NONBLOCK a pipe in the place of the file would hold us up for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {_says(error)}.") from error
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise ConfigError(f"{path} is in the place of a file and is none: move it away.")
        if found.st_uid != os.geteuid():
            raise ConfigError(
                f"{path} belongs to user {found.st_uid}, and this is user {os.geteuid()}: "
                f"start as its owner."
            )
        if found.st_mode & 0o077:
            raise ConfigError(
                f"other users of this machine can read {path}, which is a secret: "
                f"close it with `chmod 600 {path}`; if somebody may have copied it, move it away."
            )
        try:
            data = file.read(bytes_max + 1)
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {_says(error)}.") from error
    if len(data) > bytes_max:
        raise ConfigError(f"{path} has more than {bytes_max} bytes: this is another file.")
    return data


def create_private(path: Path, data: bytes) -> bool:
    """Make a file that is not there yet; False when somebody else has made it, at whatever time."""
    name = _written(path, data)
    try:
        # Unlike a rename, a link never takes the place of a file that is there.
        path.hardlink_to(name)
    except FileExistsError:
        return False
    except OSError as error:
        raise ConfigError(f"{path} cannot be made: {_says(error)}.") from error
    finally:
        name.unlink(missing_ok=True)
    _settle(path.parent)
    return True


def replace_private(path: Path, data: bytes) -> None:
    """Put a file in the place of the one that may be there."""
    name = _written(path, data)
    try:
        name.replace(path)
    except OSError as error:
        name.unlink(missing_ok=True)
        raise ConfigError(f"{path} cannot be written: {_says(error)}.") from error
    _settle(path.parent)


def remove_private(path: Path) -> None:
    """Remove a file for good; one that is not there is fine."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"{path} cannot be removed: {_says(error)}.") from error
    _settle(path.parent)


def _written(path: Path, data: bytes) -> Path:
    """Write a file beside the one that is meant, down to the disk; mkstemp closes it to others."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(descriptor)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {_says(error)}.") from error
    return Path(name)


def _settle(folder: Path) -> None:
    """Have the disk keep the names in a folder; some file systems cannot, and need not."""
    with contextlib.suppress(OSError):
        sync(folder)


def _says(error: OSError) -> str:
    return error.strerror or str(error)
