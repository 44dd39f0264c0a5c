# SPDX-License-Identifier: MIT
"""`make test`: all tests in two halves beside each other, one for each core. Words go to pytest.

The first half has protocol/ in it, under coverage with `--coverage`. What it prints is seen at
once; the second half has a temporary folder of its own, open as /tmp is (some tests look for
what is left there), and is printed when it has ended.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"

# About as long as the rest: see the end of a run.
BESIDE_PROTOCOL = (
    *("tests/node/api", "tests/node/host", "tests/node/mesh", "tests/node/store"),
    *("tests/node/work", "tests/simulations"),
)
PROTOCOL = "tests/protocol"
NOTHING_CHOSEN = 5  # what pytest says when `-k` has chosen no test of this half


def main(words: list[str]) -> int:
    """Run both halves; 0 when all tests have passed."""
    measured = "--coverage" in words
    words = [word for word in words if word != "--coverage"]
    CACHE.mkdir(exist_ok=True)
    log = CACHE / "others.log"
    with tempfile.TemporaryDirectory(prefix="commons-tests-") as folder, log.open("wb") as out:
        Path(folder).chmod(0o1777)
        ignored = [f"--ignore={each}" for each in (PROTOCOL, *BESIDE_PROTOCOL)]
        others = subprocess.Popen(
            [*_pytest(), *ignored, "-o", "cache_dir=.cache/others", *words],
            cwd=ROOT,
            env={**os.environ, "TMPDIR": folder},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        try:
            codes = [_run([*_pytest(coverage=measured), PROTOCOL, *words])]
            codes.append(_run([*_pytest(), *BESIDE_PROTOCOL, *words]))
            codes.append(others.wait())
        finally:
            others.terminate()
            others.wait()
    sys.stdout.write(log.read_text(encoding="utf-8", errors="replace"))
    failed = [code for code in codes if code not in {0, NOTHING_CHOSEN}]
    if all(code == NOTHING_CHOSEN for code in codes):
        failed = [NOTHING_CHOSEN]
    if measured and not failed:
        failed = [code for code in (_run([sys.executable, "-m", "coverage", "report"]),) if code]
    return failed[0] if failed else 0


def _pytest(*, coverage: bool = False) -> list[str]:
    python = [sys.executable, "-m"]
    return [*python, "coverage", "run", "-m", "pytest"] if coverage else [*python, "pytest"]


def _run(command: list[str]) -> int:
    sys.stdout.flush()
    return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
