# SPDX-License-Identifier: MIT
"""Shared memory between the daemon and one runner. What lies in it is said in `wire`.

A room is an anonymous file in memory, sealed so that nobody can make it smaller: a runner
that could truncate it would end the daemon with a bus error at the next byte that it reads.
The runner can change what is in the room for outputs at any moment, so each byte is read once.
"""

import fcntl
import mmap
import os
import sys
from contextlib import suppress

ROOM_BYTES_MIN = 1 << 20

# Small rooms double, so that they rarely grow; a large one has little that nobody asked for.
_STEP_BYTES_MAX = 1 << 26

# Linux's numbers, which Python has only from 3.13 on for all of them.
_F_ADD_SEALS, _SEAL_SEAL, _SEAL_SHRINK, _SEAL_GROW = 1033, 1, 2, 4


class Room:
    """A piece of memory that two processes see. Empty until the first one needs it."""

    def __init__(self, *, writable: bool) -> None:
        """`writable`: by the daemon; its side of the outputs can only be read."""
        self._writable = writable
        self._map: mmap.mmap | None = None
        self.view = memoryview(bytearray())

    @property
    def size_bytes(self) -> int:
        """How much fits in."""
        return len(self.view)

    def grown(self, size_bytes: int) -> int | None:
        """Make a larger one if this one is too small; the descriptor is for the runner.

        The caller closes it. What lay in the old room is gone.
        """
        if size_bytes <= self.size_bytes:
            return None
        step_bytes = min(1 << (size_bytes - 1).bit_length(), _STEP_BYTES_MAX)
        size_bytes = max(ROOM_BYTES_MIN, -(-size_bytes // step_bytes) * step_bytes)
        fd = os.memfd_create("room", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(fd, size_bytes)
            fcntl.fcntl(fd, _F_ADD_SEALS, _SEAL_SEAL | _SEAL_SHRINK | _SEAL_GROW)
            access = mmap.ACCESS_WRITE if self._writable else mmap.ACCESS_READ
            new = mmap.mmap(fd, size_bytes, access=access)
        except BaseException:
            os.close(fd)
            raise
        self.close()
        self._map, self.view = new, memoryview(new)
        return fd

    def close(self) -> None:
        """Give the memory back. Views that somebody still holds keep their part of it alive."""
        if self._map:
            self.view.release()
            self.view = memoryview(bytearray())
            with suppress(BufferError):  # a lent view is still there; the map goes with it
                self._map.close()
            self._map = None


def own_memory(size_bytes: int) -> memoryview:
    """Give fresh memory of our own, in large pages where the system has them.

    A copy into fresh memory costs a fault for each page, which is many times the copying.
    """
    fresh = mmap.mmap(-1, size_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):  # a kernel without them
            fresh.madvise(mmap.MADV_HUGEPAGE)
    return memoryview(fresh)


def is_supported() -> bool:
    """Tell whether this system has sealed memory."""
    return sys.platform == "linux" and hasattr(os, "memfd_create")
