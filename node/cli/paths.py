# SPDX-License-Identifier: MIT
"""`commons paths`: shows where this node keeps its files. It makes none of them."""

import argparse

from node.cli.arguments import Commands, paths_of
from node.cli.output import print_json, print_table
from node.exits import ExitCode


def register(commands: Commands) -> None:
    """Describe `commons paths`."""
    commands.add(
        "paths",
        run,
        summary="say where this node keeps its files",
        about="Say where this node keeps its files. "
        "COMMONS_HOME puts all of them below one folder.",
    )


def run(parsed: argparse.Namespace) -> ExitCode:
    """Print every folder and file, and complain when the socket's path is too long to work."""
    from node.paths import usable_socket

    paths = paths_of()
    found = {
        "config": paths.config,
        "config_file": paths.config_file,
        "state": paths.state,
        "cache": paths.cache,
        "models": paths.models,
        "runtime": paths.runtime,
        "control_socket": paths.control_socket,
    }
    if parsed.json:
        print_json({"paths": {name: str(path) for name, path in found.items()}})
    else:
        rows = [(name, str(path)) for name, path in found.items()]
        print_table(("what", "where"), rows)
    usable_socket(paths.control_socket)
    return ExitCode.OK
