# SPDX-License-Identifier: MIT
"""Where the plain files of made nodes are: in memory where that is possible, and for a while.

A node has the disk keep its key and its networks, file by file; for a thousand nodes that is a
long wait for nothing. The name of the folder is another one in each run: it may be in no trace.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

#: A file system in memory, which Linux has here.
IN_MEMORY = Path("/dev/shm")  # noqa: S108 - the folder below has a name of its own


@contextmanager
def made_folder(in_memory: Path = IN_MEMORY) -> Iterator[Path]:
    """Have an empty folder inside the block; after it the folder is gone with all that is in it."""
    is_usable = in_memory.is_dir() and os.access(in_memory, os.W_OK | os.X_OK)
    with TemporaryDirectory(prefix="made-", dir=in_memory if is_usable else None) as folder:
        yield Path(folder)
