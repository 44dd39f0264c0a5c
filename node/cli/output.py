# SPDX-License-Identifier: MIT
"""How the command line prints. What it prints is decided by each command."""

import json
import sys
from collections.abc import Mapping

OUTPUT_VERSION = 1
"""Grows when a document loses a field or gives one another meaning; new fields do not count."""


def print_json(document: Mapping[str, object]) -> None:
    """Print one document, as every command does under `--json`."""
    print(json.dumps({"v": OUTPUT_VERSION, **document}, indent=2, ensure_ascii=False))


def complain(message: str) -> None:
    """Say on stderr what went wrong and what to do, in one or two sentences."""
    print(f"commons: {message}", file=sys.stderr)
