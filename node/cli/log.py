# SPDX-License-Identifier: MIT
"""`commons log`: what happened in the running node. Its whole log goes to its own stderr."""

import argparse
import json
from typing import Any

from node.cli.arguments import Commands
from node.cli.output import OUTPUT_VERSION
from node.exits import ExitCode
from node.printable import printable


def register(commands: Commands) -> None:
    """Describe `commons log`."""
    log = commands.add(
        "log",
        run,
        summary="show what happened in the running node",
        about="Show what happened in the running node, the oldest first. Each line has a number, "
        "and --since goes on after it; what is too old to be kept is said to be missing. "
        "With --json each line is a document.",
    )
    log.add_argument("-f", "--follow", action="store_true", help="wait for more, until ctrl-C")
    log.add_argument(
        "--since", type=_number, default=0, metavar="N", help="only what came after this number"
    )


def run(parsed: argparse.Namespace) -> ExitCode:
    """Print each line as it comes."""
    from node.cli.control import NOT_RUNNING, lines
    from node.cli.failures import Failed

    target = f"events?since={parsed.since}&follow={int(parsed.follow)}"
    with lines("GET", target) as told:
        for each in told:
            # at once: whoever follows wants to see it, also through a pipe
            print(_json(each) if parsed.json else line_of(each), flush=True)
    if parsed.follow:  # only an end of the node ends this
        raise Failed(ExitCode.NOT_RUNNING, NOT_RUNNING)
    return ExitCode.OK


def line_of(each: dict[str, Any]) -> str:
    """Write what happened for a person, in the time of this machine."""
    from datetime import UTC, datetime

    if each["event"] == "gap":
        missed = each["fields"].get("missed")
        if missed is None:
            return "--- the node was started anew meanwhile; this is from its beginning ---"
        return f"--- {missed:,} older ones are not kept any more ---"
    at = datetime.fromtimestamp(each["at_s"], tz=UTC).astimezone()
    fields = " ".join(f"{name}={_shown(value)}" for name, value in each["fields"].items())
    line = f"{each['number']:>6}  {at:%Y-%m-%d %H:%M:%S}  {each['event']}  {fields}"
    return printable(line.rstrip())


def _json(each: dict[str, Any]) -> str:
    return json.dumps({"v": OUTPUT_VERSION, **each})


def _shown(value: object) -> str:
    if isinstance(value, str):
        return value if value and " " not in value else json.dumps(value, ensure_ascii=False)
    return json.dumps(value)


def _number(text: str) -> int:
    if text.isascii() and text.isdecimal() and len(text) < 16:
        return int(text)
    raise argparse.ArgumentTypeError(f"`{text}` is no number of a line, as `commons log` shows it")
