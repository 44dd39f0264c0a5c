# SPDX-License-Identifier: MIT
"""`commons pause`, `resume` and `limits`: the owner's hand on a running node."""

import argparse
from typing import TYPE_CHECKING, Any

from node.cli.arguments import Commands, nearest
from node.cli.output import print_json, print_table
from node.cli.spoken import duration_s
from node.exits import ExitCode

if TYPE_CHECKING:
    from node.config_key import Value


def register(commands: Commands) -> None:
    """Describe the three commands."""
    pause = commands.add(
        "pause",
        run_pause,
        summary="work for nobody, for a while or until resumed",
        about="Work for nobody: running work ends or is handed back, and its memory is freed. "
        "Without --for it rests until `commons resume`.",
    )
    pause.add_argument(
        "--for", dest="for_s", type=duration_s, metavar="TIME", help="such as 90m, 2h"
    )
    commands.add("resume", run_resume, summary="work again")
    limits = commands.add(
        "limits",
        run_limits,
        summary="show and change what the node may take, while it runs",
        about="Show what the node may take, or change it until the node ends. The names are keys "
        "of the config, where they can be written to stay; the section may be left out.",
    )
    limits.add_argument("changes", nargs="*", metavar="KEY=VALUE", help="such as others_percent=40")


def run_pause(parsed: argparse.Namespace) -> ExitCode:
    """Ask the node to rest."""
    from node.cli.control import post

    return _say(parsed, post("pause", {"for_s": parsed.for_s}))


def run_resume(parsed: argparse.Namespace) -> ExitCode:
    """Ask the node to work again; it may have other reasons to rest."""
    from node.cli.control import post

    return _say(parsed, post("resume"))


def run_limits(parsed: argparse.Namespace) -> ExitCode:
    """Show the limits, after changing those that are named."""
    from node.cli.control import get, post
    from node.config_key import as_toml

    changes = _changes(parsed.changes)
    told = post("limits", {"changes": changes}) if changes else get("limits")
    if parsed.json:
        print_json(told)
        return ExitCode.OK
    rows = [(name, as_toml(_value(value))) for name, value in told["limits"].items()]
    print_table(("limit", "now"), rows)
    if changes:
        print("\nThis holds until the node ends; the config keeps what is written there.")
    return ExitCode.OK


def _say(parsed: argparse.Namespace, told: dict[str, Any]) -> ExitCode:
    from node.cli.status import sentence

    if parsed.json:
        print_json(told)
    else:
        print(sentence(told["standing"]))
    return ExitCode.OK


def _changes(texts: list[str]) -> "dict[str, Value]":
    """Read each change by the rule of its key; the ConfigError tells all that is wrong."""
    if not texts:
        return {}
    from node.config import KEYS
    from node.errors import ConfigError

    changes: dict[str, Value] = {}
    problems = []
    for text in texts:
        name, equals, value = text.partition("=")
        found = [full for full, key in KEYS.items() if name.strip() in {full, key.name}]
        if not equals:
            problems.append(f"{text}: write KEY=VALUE, as others_percent=40.")
        elif len(found) != 1:
            hint = nearest(name, list(KEYS)) or " `commons limits` shows all that there are."
            problems.append(f"there is no limit `{name}`.{hint}")
        else:
            try:
                changes[found[0]] = KEYS[found[0]].read(value)
            except ValueError as error:
                problems.append(f"{found[0]} {error}.")
    if problems:
        raise ConfigError("\n".join(problems))
    return changes


def _value(value: Any) -> "Value":  # noqa: ANN401 - what JSON gives
    return tuple(value) if isinstance(value, list) else value
