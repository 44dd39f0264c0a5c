# SPDX-License-Identifier: MIT
"""Writes what in docs/ is made from the code; `make docs` runs it.

A page of docs/reference/ is a function that returns its text; a part of another page stands
between two marks, and a function returns what is between them. tests/test_docs.py compares
both with the files.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

from node.cli.main import build_parser
from node.config import KEYS, SECTIONS, Config, to_toml
from node.config_key import Key, as_toml
from node.exits import ExitCode
from protocol.order import BY, LATE, TRANSITIONS, Role, State, Step, diagram
from protocol.reasons import Reason
from tools.reference_prices import prices_page
from tools.reference_wire import limits_page, messages_page

DOCS = Path(__file__).resolve().parents[1] / "docs"
FOLDER = DOCS / "reference"
NOTE = "<!-- Made from the code by `make docs`; edit the code instead. -->"
PART = "<!-- made from the code by `make docs`: begin -->", "<!-- made from the code: end -->"
HELP_COLUMNS = 80

CLI_TEXT = """\
Every command that prints a result takes `--json` and then prints one JSON document.
It carries `"v": 1`, a number that grows when a field changes its meaning or goes away.
Complaints go to stderr. How a command ends: [exit codes](exit-codes.md).
What `--set` can set: [config](config.md)."""

CONFIG_TEXT = """\
All that you can choose. Nothing has to be: each key has a default, and the file need not exist.
`commons config path` says where it would be.

What is said later wins:

1. the defaults, as below;
2. the file `config.toml`, in [TOML](https://toml.io): a key stands in its section;
3. environment variables: `COMMONS_`, the section and the key in capitals. An empty one counts as
   not set, what is in a list is separated by commas, and `none` is an empty list;
4. the flag `--set KEY=VALUE` of commands that read the config, written like a variable.

Numbers are in the unit that ends the name of their key: `_s` seconds, `_mib` units of
1,048,576 bytes. A key that does not exist and a value that its key does not take are errors,
wherever they stand; so is a variable that is almost one of these. `commons config check` tells
them all, `commons config show --origin` tells what holds and why.

`COMMONS_HOME` is no key: it says where all files are, the config among them (`commons paths`)."""

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


def config_page() -> str:
    """Describe every key of the config."""
    example = f"The defaults, as a file:\n\n```toml\n{to_toml(Config())}\n```"
    parts = ["# Config", NOTE, CONFIG_TEXT, example]
    for section, made in SECTIONS.items():
        parts.append(f"## `[{section}]`\n\n{made.__doc__}")
        parts += [_key(key) for key in KEYS.values() if key.section == section]
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


def order_tables() -> str:
    """Draw the life of an order, and list who may do what where and what may come late."""
    does = ["| step | done by | in | also arrives late in |", "|---|---|---|---|"]
    for step in Step:
        places = [_names(rows, step) for rows in (TRANSITIONS, LATE)]
        who = "nobody: each side by itself" if BY[step] is Role.NOBODY else BY[step].value
        does.append(f"| `{step.value}` | {who} | {places[0]} | {places[1]} |")
    lines = "\n".join(does)
    return f"```mermaid\n{diagram()}```\n\n{lines}"


def with_part(page: str, part: str) -> str:
    """Put a part between the two marks of a page."""
    before, rest = page.split(PART[0])
    _, after = rest.split(PART[1])
    return f"{before}{PART[0]}\n\n{part}\n\n{PART[1]}{after}"


def main() -> None:
    """Write every page and every part."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), encoding="utf-8")
        print(f"wrote docs/reference/{name}")
    for name, part in PARTS.items():
        path = DOCS / name
        path.write_text(with_part(path.read_text(encoding="utf-8"), part()), encoding="utf-8")
        print(f"wrote its part of docs/{name}")


def _key(key: Key) -> str:
    facts = [
        f"- takes {key.takes}",
        f"- default: `{as_toml(key.default)}`",
        f"- variable: `{key.variable}`",
    ]
    return f"### `{key.full}`\n\n{key.rule.sentence}\n\n" + "\n".join(facts)


def _names(rows: dict[State, dict[Step, State]], step: Step) -> str:
    return ", ".join(state.value for state, steps in rows.items() if step in steps)


def _block(parser: argparse.ArgumentParser) -> str:
    formatter: type[argparse.HelpFormatter] = parser.formatter_class  # type: ignore[assignment]  # typeshed allows any callable, and ours are classes
    # the page must not depend on the width of somebody's terminal
    parser.formatter_class = partial(formatter, width=HELP_COLUMNS)
    return f"```\n{parser.format_help().strip()}\n```"


PAGES: dict[str, Callable[[], str]] = {
    "cli.md": cli_page,
    "config.md": config_page,
    "exit-codes.md": exit_codes_page,
    "limits.md": partial(limits_page, NOTE),
    "messages.md": partial(messages_page, NOTE),
    "prices.md": partial(prices_page, NOTE),
    "reasons.md": reasons_page,
}
"""File name and what makes it."""

PARTS: dict[str, Callable[[], str]] = {"design/order-life.md": order_tables}
"""Page and what makes the part between its marks."""


if __name__ == "__main__":
    main()
