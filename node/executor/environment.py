# SPDX-License-Identifier: MIT
"""What our children know of the environment: what they need, and nothing of the owner's."""

import os
import sys

#: Telemetry is off before anything is imported, and numpy starts no threads: a process with two
#: threads cannot be forked.
_SET = {
    "ORT_DISABLE_TELEMETRY": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "LC_ALL": "C.UTF-8",
}

#: Set in the daemon's environment, it lets runners write to stderr; for those who work on them.
DEBUG = "COMMONS_DEBUG_RUNNERS"

_INHERITED = ("PATH", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", DEBUG)


def child_environment() -> dict[str, str]:
    """Give the environment for a process that imports what this one imports."""
    kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return {**kept, **_SET, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
