# SPDX-License-Identifier: MIT
"""Talks to the program that forks nodes (`spawner`). What a node is, is in `nodes`."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.tree import ROOT


class Spawner:
    """A process that forks nodes; see `spawner`."""

    def __init__(self, *arguments: str) -> None:
        """Start it, and wait until it has imported all."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.spawner", *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._read() == "ready"

    def fork(self, environ: Mapping[str, str], arguments: list[str], out: Path, log: Path) -> int:
        """Fork one `commons`; give its pid."""
        wanted = {"environ": environ, "arguments": arguments, "out": str(out), "log": str(log)}
        return int(self._ask(wanted))

    def poll(self, pid: int) -> int | None:
        """Give the exit status of one that was forked, as `Popen.poll` does."""
        said = self._ask({"poll": pid})
        return None if said == "runs" else int(said)

    def close(self) -> None:
        """End it, and what it has forked."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(120)
        self._process.stdout.close()

    def _ask(self, wanted: Mapping[str, object]) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(wanted) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()
