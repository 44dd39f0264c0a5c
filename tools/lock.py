# SPDX-License-Identifier: MIT
"""Writes requirements/*.txt from pyproject.toml. Why like this: docs/decisions/0003-locking.md.

The resolver lives in a throw-away environment, so that the project does not depend on it, and
what it writes names no registry and no folder of the machine it ran on. Pins that still fit stay;
`--upgrade` takes the newest of everything.
"""

import argparse
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESOLVER = "uv>=0.8"  # resolves for every Python and system at once, with hashes
OLDEST_PYTHON = "3.11"
RUNTIME = "requirements/runtime.txt"
DEVELOPMENT = "requirements/dev.txt"
HEADER = """\
# {what}
# Made by `make lock` from pyproject.toml; do not edit. `# via` says who asked for a package.

"""


def main() -> int:
    """Resolve both files and rewrite them."""
    parser = argparse.ArgumentParser(description="Renew the locked requirements.")
    parser.add_argument("--upgrade", action="store_true", help="take the newest of everything")
    upgrade = ["--upgrade"] if parser.parse_args().upgrade else []
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        bin_folder = Path(folder, "Scripts" if sys.platform == "win32" else "bin")
        _run([str(bin_folder / "python"), "-m", "pip", "install", "-qq", RESOLVER])
        uv = str(bin_folder / "uv")
        _compile(uv, RUNTIME, "What the program needs to run.", upgrade)
        group = ["--group", "dev", "--constraint", RUNTIME]
        _compile(uv, DEVELOPMENT, "What runs the program, and what develops it.", upgrade + group)
    return 0


def _compile(uv: str, output: str, what: str, extra: list[str]) -> None:
    path = ROOT / output
    _run(
        [
            *(uv, "pip", "compile", "pyproject.toml", "--output-file", output, "--quiet"),
            *("--universal", "--python-version", OLDEST_PYTHON, "--generate-hashes"),
            *("--no-header", "--no-emit-index-url", "--no-emit-find-links", *extra),
        ]
    )
    locked = path.read_text(encoding="utf-8").replace("    #   -c requirements/runtime.txt\n", "")
    path.write_text(HEADER.format(what=what) + locked, encoding="utf-8")
    print(f"wrote {output}")


def _run(command: list[str]) -> None:
    subprocess.run(command, cwd=ROOT, check=True)


if __name__ == "__main__":
    sys.exit(main())
