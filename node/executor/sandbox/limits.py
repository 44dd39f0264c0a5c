# SPDX-License-Identifier: MIT
"""Limits of the kernel on what this process takes: memory, processor time, files, threads.

A limit is for this process and those that it starts. None is ever raised: what the system or
the owner has set lower stays.
"""

import os
import sys
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from node.executor.sandbox.kernel import Off, status_of_self

if sys.platform != "win32":
    import resource

#: Enough for the threads of any machine; a loop that starts threads ends here.
THREADS_MAX = 256

# From this kernel on, threads of a user namespace are counted apart from those of its user.
_COUNTS_PER_NAMESPACE = (5, 17)


def limit(memory_bytes: int, cpu_s: int | None, open_files: int) -> str:
    """Allow so much memory and processor time above what is in use, and nothing on disk.

    Memory is what a process writes to (RLIMIT_DATA). RLIMIT_AS would count weights as well
    that are mapped from files, which cost nothing that cannot be had back.
    """
    data_bytes = status_of_self("VmData") * 1024
    _lower(resource.RLIMIT_DATA, data_bytes + memory_bytes)
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_FSIZE, 0)
    _lower(resource.RLIMIT_MEMLOCK, 0)
    _lower(resource.RLIMIT_MSGQUEUE, 0)
    _lower(resource.RLIMIT_NOFILE, open_files)
    said = f"{memory_bytes} bytes of memory, {open_files} descriptors"
    if cpu_s is not None:
        # at the first limit a signal comes that can be ignored, at the second one that cannot
        used_s = int(time.process_time()) + 1
        _lower(resource.RLIMIT_CPU, used_s + cpu_s, used_s + cpu_s + 1)
        said += f", {cpu_s} s of processor time"
    return said


def _lower(which: int, soft: int, hard: int | None = None) -> None:
    """Set a limit, or leave what is lower already."""
    soft_now, hard_now = resource.getrlimit(which)
    resource.setrlimit(
        which, (_lesser(soft, soft_now), _lesser(soft if hard is None else hard, hard_now))
    )


def _lesser(wanted: int, now: int) -> int:
    return wanted if now == resource.RLIM_INFINITY else min(wanted, now)


def limit_threads(*, own_users: bool) -> str:
    """Allow so many threads, where they are counted for this process alone.

    The kernel counts all that a user runs. So a limit would be reached by what else this user
    runs, unless the process has a user namespace of its own.
    """
    if not own_users:
        raise Off("without a user namespace of its own, the user's other threads would count")
    release = os.uname().release.split(".")
    if (int(release[0]), int(release[1])) < _COUNTS_PER_NAMESPACE:
        raise Off(f"Linux {os.uname().release} counts the user's other threads as well")
    _lower(resource.RLIMIT_NPROC, THREADS_MAX)
    return f"at most {THREADS_MAX}"


def one_thread() -> str:
    """Make sure of it: most layers are put on this thread alone, and on those it starts."""
    threads = status_of_self("Threads")
    if threads != 1:
        raise Off(f"{threads} threads: the others stay as they are")
    return "nothing else runs in this process"


def keep_open(wanted: Collection[int] | None, also: int | None) -> str:
    """Close all descriptors but these: what is open stays usable behind every other layer."""
    if wanted is None:
        raise Off("nobody said which descriptors to keep")
    for entry in list(Path("/proc/self/fd").iterdir()):
        descriptor = int(entry.name)
        if descriptor not in wanted and descriptor != also:
            with suppress(OSError):  # the one that the list itself was read from
                os.close(descriptor)
    return f"{len(wanted)} were kept"
