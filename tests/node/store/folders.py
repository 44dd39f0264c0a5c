# SPDX-License-Identifier: MIT
"""The folders of a node below a temporary one."""

from pathlib import Path

from node.paths import Paths


def paths_below(folder: Path) -> Paths:
    """Where a node with this home keeps its files."""
    return Paths(*(folder / name for name in ("config", "state", "cache", "runtime")))
