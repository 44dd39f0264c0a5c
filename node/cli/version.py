# SPDX-License-Identifier: MIT
"""`commons version`: which program this is. What the running node speaks is not known here."""

import argparse
import platform
import sys

from node import __version__
from node.cli.arguments import Commands
from node.cli.output import print_json
from node.exits import ExitCode


def register(commands: Commands) -> None:
    """Describe `commons version`."""
    commands.add(
        "version",
        run,
        summary="say which version this is",
        about="Say which version of commons and of Python this is.",
    )


def run(parsed: argparse.Namespace) -> ExitCode:
    """Print the version of the program and of the Python below it."""
    python = platform.python_version()
    if parsed.json:
        print_json({"version": __version__, "python": python, "platform": sys.platform})
    else:
        print(f"commons {__version__} (Python {python})")
    return ExitCode.OK
