# SPDX-License-Identifier: MIT
"""Writes the pages of docs/reference/ that are made from the code; `make docs` runs it.

A page is a function that returns its text. tests/test_docs.py compares them with the files.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

from node.cli.main import build_parser
from node.exits import ExitCode
from protocol.reasons import Reason

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "reference"
NOTE = "<!-- Made from the code by `make docs`; edit the code instead. -->"
HELP_COLUMNS = 80

CLI_TEXT = """\
Every command that prints a result takes `--json` and then prints one JSON document.
It carries `"v": 1`, a number that grows when a field changes its meaning or goes away.
Complaints go to stderr. How a command ends: [exit codes](exit-codes.md)."""

EXIT_CODES_TEXT = """\
A script may rely on these: a number is never given another meaning.
Read any number that is not here as a failure."""

REASONS_TEXT = """\
Every refusal, pause and failure has one of these codes, the same in log, command line,
API and page. `commons explain CODE` prints what is here."""


def commands_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Every command below a parser, with its full name, in the order of the help."""
    found = {}
    for action in parser._actions:  # noqa: SLF001 - argparse has no public way to list them
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - the same
            for name, command in action.choices.items():
                found[name] = command
                found |= {f"{name} {rest}": deep for rest, deep in commands_of(command).items()}
    return found


def cli_page() -> str:
    """Describe every command with its own help text."""
    parser = build_parser()
    parts = [
        "# Commands",
        NOTE,
        CLI_TEXT,
        f"## `commons`\n\n{_block(parser)}",
    ]
    for name, command in commands_of(parser).items():
        parts.append(f"## `commons {name}`\n\n{command.description}\n\n{_block(command)}")
    return "\n\n".join(parts) + "\n"


def exit_codes_page() -> str:
    """Describe every exit code."""
    parts = [
        "# Exit codes",
        NOTE,
        EXIT_CODES_TEXT,
    ]
    parts += [f"## `{code.value}` {code.name.lower()}\n\n{code.meaning}" for code in ExitCode]
    return "\n\n".join(parts) + "\n"


def reasons_page() -> str:
    """Describe every reason."""
    parts = [
        "# Reasons",
        NOTE,
        REASONS_TEXT,
    ]
    parts += [
        f"## `{reason.value}`\n\n{reason.sentence}\n\n*What to do:* {reason.next_step}"
        for reason in Reason
    ]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Write every page."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), encoding="utf-8")
        print(f"wrote docs/reference/{name}")


def _block(parser: argparse.ArgumentParser) -> str:
    formatter: type[argparse.HelpFormatter] = parser.formatter_class  # type: ignore[assignment]  # typeshed allows any callable, and ours are classes
    # the page must not depend on the width of somebody's terminal
    parser.formatter_class = partial(formatter, width=HELP_COLUMNS)
    return f"```\n{parser.format_help().strip()}\n```"


PAGES: dict[str, Callable[[], str]] = {
    "cli.md": cli_page,
    "exit-codes.md": exit_codes_page,
    "reasons.md": reasons_page,
}
"""File name and what makes it."""


if __name__ == "__main__":
    main()
