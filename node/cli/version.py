# SPDX-License-Identifier: MIT
"""`commons version`: which program this is. What the running node speaks is not known here."""

import platform
import sys

from node import __version__
from node.cli.output import print_json
from node.exits import ExitCode


def run(*, as_json: bool) -> ExitCode:
    """Print the version of the program and of the Python below it."""
    python = platform.python_version()
    if as_json:
        print_json({"version": __version__, "python": python, "platform": sys.platform})
    else:
        print(f"commons {__version__} (Python {python})")
    return ExitCode.OK
