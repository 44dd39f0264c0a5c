# SPDX-License-Identifier: MIT
"""Has the disk keep what was written. What is worth keeping is decided by whoever writes it."""

import os
from pathlib import Path


def sync(path: Path) -> None:
    """Return when a file's bytes, or the names in a folder, would survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
