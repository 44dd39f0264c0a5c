# SPDX-License-Identifier: MIT
"""A lock file: one process at a time. The kernel takes it back from a process that was killed."""

import fcntl
import os
from pathlib import Path

from node.errors import TakenError

FILE_MODE = 0o600


def hold(path: Path) -> int:
    """Take the lock of this path; closing the descriptor that it gives lets it go.

    The file stays where it is: removing it would let two processes lock two files of one name.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(path, flags, FILE_MODE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise TakenError(
            f"another node runs with the folder {path.parent}: stop it, or give this one a "
            f"COMMONS_HOME of its own."
        ) from None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
