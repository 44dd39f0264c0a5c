# SPDX-License-Identifier: MIT
"""`commons config`: shows what the owner has chosen. What can be chosen is in node/config.py."""

import argparse
from pathlib import Path

from node.cli.arguments import Commands, add_config_flags, paths_of, reading_of
from node.cli.output import print_json
from node.errors import ConfigError
from node.exits import ExitCode


def register(commands: Commands) -> None:
    """Describe `commons config` and what is below it."""
    config = commands.group(
        "config",
        summary="show and check what you have chosen",
        about="Show and check what you have chosen: defaults, then the config file, then "
        "COMMONS_* variables, then flags; what is said later wins.",
    )
    show = config.add(
        "show",
        show_config,
        summary="print every key and its value, as a config file",
    )
    show.add_argument("--origin", action="store_true", help="say where each value comes from")
    add_config_flags(show)
    config.add("path", show_path, summary="print where the config file is, or would be")
    check = config.add(
        "check",
        check_config,
        summary="say what is wrong with a config file",
        about="Say what is wrong with FILE, everything at once; without FILE, with the config "
        "file and the COMMONS_* variables that hold now. Nothing is changed.",
    )
    check.add_argument("file", nargs="?", type=Path, metavar="FILE", help="another config file")


def show_config(parsed: argparse.Namespace) -> ExitCode:
    """Print the config that holds."""
    from dataclasses import asdict

    from node.config import to_toml

    reading = reading_of(parsed)
    if parsed.json:
        document: dict[str, object] = {"config": asdict(reading.config)}
        if parsed.origin:
            document["origins"] = {
                full: {"source": origin.source.value, "where": origin.where}
                for full, origin in reading.origins.items()
            }
        print_json(document)
        return ExitCode.OK
    notes = {full: origin.where for full, origin in reading.origins.items()}
    print(to_toml(reading.config, notes if parsed.origin else None))
    return ExitCode.OK


def show_path(parsed: argparse.Namespace) -> ExitCode:
    """Print the path of the config file, whether it is there or not."""
    file = paths_of().config_file
    if parsed.json:
        print_json({"file": str(file), "exists": file.exists()})
    else:
        print(file)
    return ExitCode.OK


def check_config(parsed: argparse.Namespace) -> ExitCode:
    """Read a config, and tell all that is wrong with it."""
    import os

    from node.config_reading import read_config

    file: Path | None = parsed.file
    problems: list[str] = []
    if file is not None:
        file.stat()  # one that was named must be there; the usual one may be missing
    else:
        file = paths_of().config_file
    try:
        read_config(file, {} if parsed.file else os.environ)
    except ConfigError as error:
        if not parsed.json:
            raise
        problems = str(error).splitlines()
    if parsed.json:
        print_json({"file": str(file), "ok": not problems, "problems": problems})
    else:
        print(f"{file}: all is well." if file.exists() else f"{file} is not there: all is well.")
    return ExitCode.CONFIG if problems else ExitCode.OK
