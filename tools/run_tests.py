# SPDX-License-Identifier: MIT
"""`make test`: all tests in three lanes beside each other. Words go to pytest.

Two lanes compute, one for each core; the third one is real nodes, which mostly wait, and made ones
after them. The first lane is that of protocol/, under coverage with `--coverage`, and is seen as it
goes; what the others print is shown when they have ended. Each of those has a temporary folder of
its own, open as /tmp is: some tests look for what is left there.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"

PROTOCOL = "tests/protocol"
# Virtual time and small files: they follow the real nodes, which mostly wait and end first.
MADE_WORLDS = (
    *("tests/node/api", "tests/node/host", "tests/node/mesh", "tests/node/store"),
    *("tests/node/work", "tests/simulations"),
)
REAL_NODES = ("tests/e2e", "tests/interop", "tests/tools/test_demo.py")
NOTHING_CHOSEN = 5  # what pytest says when `-k` has chosen no test of this lane


def main(words: list[str]) -> int:
    """Run all lanes; 0 when all tests have passed."""
    measured = "--coverage" in words
    words = [word for word in words if word != "--coverage"]
    elsewhere = [f"--ignore={each}" for each in (PROTOCOL, *REAL_NODES, *MADE_WORLDS)]
    CACHE.mkdir(exist_ok=True)
    with (
        _beside("others", [*elsewhere, *words]) as others,
        _beside("nodes", [*REAL_NODES, *MADE_WORLDS, *words]) as nodes,
    ):
        codes = [_run([*_pytest(coverage=measured), PROTOCOL, *words])]
        codes += [others.wait(), nodes.wait()]
    for name in ("others", "nodes"):
        sys.stdout.write(_log(name).read_text(encoding="utf-8", errors="replace"))
    if measured:
        codes.append(_run([sys.executable, "-m", "coverage", "report"]))
    failed = [code for code in codes if code not in {0, NOTHING_CHOSEN}]
    if failed:
        return failed[0]
    return 0 if 0 in codes else NOTHING_CHOSEN


@contextmanager
def _beside(name: str, words: Sequence[str]) -> Iterator["subprocess.Popen[bytes]"]:
    """Run one lane beside the block."""
    with (
        tempfile.TemporaryDirectory(prefix="c-") as folder,
        _log(name).open("wb") as log,
    ):
        Path(folder).chmod(0o1777)
        lane = subprocess.Popen(
            [*_pytest(), "-o", f"cache_dir=.cache/{name}", *words],
            cwd=ROOT,
            env={**os.environ, "TMPDIR": folder},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            yield lane
        finally:
            lane.terminate()
            lane.wait()


def _log(name: str) -> Path:
    return CACHE / f"{name}.log"


def _pytest(*, coverage: bool = False) -> list[str]:
    python = [sys.executable, "-m"]
    return [*python, "coverage", "run", "-m", "pytest"] if coverage else [*python, "pytest"]


def _run(command: list[str]) -> int:
    sys.stdout.flush()
    return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
