# SPDX-License-Identifier: MIT
"""The folder of blobs: what is there, and what may go. How blobs get there is in node/models/.

A blob is a file that is named by the SHA-256 of its bytes and never changes. Its time of
change is the time of its last use. Nothing else in the folder counts. All of this
blocks on the disk: call it with :func:`~node.executor.aside.aside`.
"""

import os
import re
import stat
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

_NAME = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Kept:
    """A blob in the folder; `used_s` is wall time."""

    digest: bytes
    size_bytes: int
    used_s: float


class Blobs:
    """The blobs in one folder, which may not be there yet."""

    def __init__(self, folder: Path) -> None:
        """Know the folder."""
        self._folder = folder

    def path(self, digest: bytes) -> Path:
        """Say where a blob is, or would be."""
        assert len(digest) == 32, "blobs are named by SHA-256"
        return self._folder / digest.hex()

    def size_bytes(self, digest: bytes) -> int | None:
        """Give the size of a blob, None when it is not there."""
        found = _look(self.path(digest))
        return found.st_size if found else None

    def has(self, digest: bytes) -> bool:
        """Tell whether a blob is there; whoever gives one a name has made it whole."""
        return self.size_bytes(digest) is not None

    def read(self, digest: bytes, begin: int, count: int) -> bytes:
        """Read a part of a blob, less where it ends before. FileNotFoundError: it is not there."""
        descriptor = os.open(self.path(digest), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            parts = []
            while count and (part := os.pread(descriptor, count, begin)):
                parts.append(part)
                begin += len(part)
                count -= len(part)
            return b"".join(parts)
        finally:
            os.close(descriptor)

    def used(self, digest: bytes, now_s: float) -> None:
        """Note that a blob was used now; one that is gone was used by nobody."""
        try:
            os.utime(self.path(digest), (now_s, now_s), follow_symlinks=False)
        except FileNotFoundError:
            return

    def kept(self) -> list[Kept]:
        """List all blobs, the least recently used one first."""
        try:
            entries = list(os.scandir(self._folder))
        except FileNotFoundError:
            return []
        found = []
        for entry in entries:
            if _NAME.fullmatch(entry.name) and (seen := _look(Path(entry.path))):
                digest = bytes.fromhex(entry.name)
                found.append(Kept(digest, seen.st_size, seen.st_mtime))
        return sorted(found, key=lambda each: (each.used_s, each.digest))

    def total_bytes(self) -> int:
        """Add up what all blobs take."""
        return sum(each.size_bytes for each in self.kept())

    def remove(self, digest: bytes) -> None:
        """Remove a blob. Whoever has it open or linked keeps it."""
        self.path(digest).unlink(missing_ok=True)

    def shrink(self, quota_bytes: int, pinned: Collection[bytes] = ()) -> list[Kept]:
        """Remove the least recently used blobs until the rest fits the quota; give what went.

        Those that are `pinned` stay, even where they alone are more than the quota.
        """
        kept = self.kept()
        excess_bytes = sum(each.size_bytes for each in kept) - quota_bytes
        gone = []
        for each in kept:
            if excess_bytes <= 0:
                break
            if each.digest not in pinned and each.size_bytes:
                self.remove(each.digest)
                excess_bytes -= each.size_bytes
                gone.append(each)
        return gone


def _look(path: Path) -> os.stat_result | None:
    """Look at a file; what is none, as a link or a folder, is no blob."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    return found if stat.S_ISREG(found.st_mode) else None
