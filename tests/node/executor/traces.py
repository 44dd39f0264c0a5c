# SPDX-License-Identifier: MIT
"""What a machine still shows of an executor: processes, descriptors, memory, folders."""

import gc
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import trio


@dataclass(frozen=True)
class Traces:
    """All of it, to be compared: before and after."""

    processes: frozenset[int]
    descriptors: int
    shared: int
    folders: frozenset[str]

    @classmethod
    def now(cls) -> "Traces":
        """Look."""
        return cls(
            frozenset(processes_of(os.getpid())),
            len(os.listdir("/proc/self/fd")),  # noqa: PTH208 - counting descriptors, not files
            Path("/proc/self/maps").read_text(encoding="utf-8").count("memfd:"),
            frozenset(each.name for each in Path(tempfile.gettempdir()).glob("commons-*")),
        )


def maps_of(pid: int | None) -> str:
    """Read what a process has mapped."""
    return Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")


async def until(check: Callable[[], object]) -> None:
    """Wait until something is so that nobody tells us of."""
    with trio.fail_after(60):
        while not check():  # noqa: ASYNC110 - the kernel has no event for it
            await trio.sleep(0.001)


def nothing_new_since(before: Traces) -> None:
    """Fail when there is more than before. What waits for the collector is nobody's any more."""
    if Traces.now() != before:
        gc.collect()
    now = Traces.now()
    assert now == before, f"{before} became {now}"


def processes_of(ancestor: int) -> set[int]:
    """Give all that descend from a process, zombies too."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(encoding="utf-8", errors="replace").rsplit(")", 1)[1].split()
        except OSError:
            continue  # it ended meanwhile
        parents[int(path.parent.name)] = int(fields[1])
    found = {ancestor}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {ancestor}


def runs(pid: int) -> bool:
    """Tell whether a process lives; a zombie does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return stat.rsplit(")", 1)[1].split()[0] not in "ZX"


def strays(module: str) -> set[int]:
    """Give all processes that run a module and have our PATH: other nodes may run beside us.

    A test gives itself a PATH that nobody else has. Where a process does not show its own, it
    counts.
    """
    path_of_ours = f"PATH={os.environ['PATH']}".encode()
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue  # it ended meanwhile
        if module.encode() in words and b"-m" in words:
            try:
                ours = path_of_ours in (path.parent / "environ").read_bytes().split(b"\0")
            except PermissionError:
                ours = True
            except OSError:
                continue  # it ended meanwhile
            if ours:
                found.add(int(path.parent.name))
    return found
