# SPDX-License-Identifier: MIT
"""The tree of the project as the tests of its rules see it."""

import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("protocol", "node", "simulations")
NOT_OURS = {".git", ".venv", ".cache", "__pycache__", "node_modules", "build", "dist"}


@cache
def our_files() -> tuple[Path, ...]:
    """Every file that is or could be tracked; without git, all but what make makes."""
    listed = _listed_by_git()
    if listed is None:
        listed = [path for path in ROOT.rglob("*") if _is_ours(path)]
    return tuple(sorted(path for path in listed if path.is_file()))


def python_files(*folders: str) -> Iterator[Path]:
    """Our Python files, below the given folders or everywhere."""
    for path in our_files():
        if path.suffix == ".py" and (not folders or path.relative_to(ROOT).parts[0] in folders):
            yield path


def name_of(path: Path) -> str:
    """How a message names a file: from the root, the same on every machine."""
    return path.relative_to(ROOT).as_posix()


def _is_ours(path: Path) -> bool:
    """By its place in the tree: the tree itself may lie in somebody's folder named `build`."""
    return not NOT_OURS & set(path.relative_to(ROOT).parts)


def _listed_by_git() -> list[Path] | None:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None  # an unpacked archive, or a machine without git
    return [ROOT / name for name in done.stdout.split("\0") if name]
