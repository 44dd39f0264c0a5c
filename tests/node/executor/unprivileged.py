# SPDX-License-Identifier: MIT
"""Starts a whole daemon as a user who is nobody in particular, as most people start it.

This user needs the interpreter, its libraries and this project: where they lie in somebody's
home, they are shown in the same place of a mount namespace that nobody else sees.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from node.executor.sandbox.kernel import call
from tests.node.executor.forked import become_nobody, in_a_fork
from tests.tree import ROOT

Answer = TypeVar("Answer")

_NEWNS = 0x2_0000
_BIND, _REC, _PRIVATE = 1 << 12, 1 << 14, 1 << 18


def in_a_daemon(work: Callable[[], Answer], start: str) -> Answer:
    """Give what `work` gives in a fork of the test, as `root` or `unprivileged`."""

    def as_nobody() -> Answer:
        if os.geteuid() == 0:
            _let_everybody_reach({Path(sys.base_prefix), Path(sys.prefix), ROOT})
            become_nobody()
        return work()

    if start == "unprivileged":
        return in_a_fork(as_nobody)
    return in_a_fork(work, start=start)


def _let_everybody_reach(wanted: set[Path]) -> None:
    """Replace folders that only their owner may enter by ones that hold just what is wanted."""
    call("unshare", _NEWNS)
    call("mount", b"none", b"/", b"none", _REC | _PRIVATE, b"")
    closed: dict[Path, list[tuple[Path, int]]] = {}
    for path in wanted:
        real = path.resolve()
        for folder in reversed(real.parents):
            if not folder.stat().st_mode & 0o001:
                closed.setdefault(folder, []).append((real, os.open(real, os.O_PATH)))
                break
    for folder, inside in closed.items():
        call("mount", b"none", str(folder).encode(), b"tmpfs", 0, b"mode=755")
        for real, descriptor in inside:
            real.mkdir(parents=True, exist_ok=True)
            source = f"/proc/self/fd/{descriptor}".encode()
            call("mount", source, str(real).encode(), b"none", _BIND | _REC, b"")
            os.close(descriptor)
