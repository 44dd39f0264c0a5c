# SPDX-License-Identifier: MIT
"""How a command describes itself and its arguments. Which commands there are is in `main`."""

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from node.exits import ExitCode
from node.printable import printable

if TYPE_CHECKING:
    from node.config import Config
    from node.config_reading import Reading
    from node.paths import Paths

Run = Callable[[argparse.Namespace], ExitCode]
N = TypeVar("N")
COMMAND = "COMMAND"


class Paragraphs(argparse.HelpFormatter):
    """Fills lines as argparse does, and keeps the empty ones between paragraphs."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        filled = (
            super(Paragraphs, self)._fill_text(part, width, indent) for part in text.split("\n\n")
        )
        return "\n\n".join(filled)


class Parser(argparse.ArgumentParser):
    """A parser that takes no abbreviations, and that answers a slip with the nearest word.

    A script that relies on an abbreviation breaks with the next command.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - handed on to argparse as they came
        """Take what argparse takes."""
        options = {"allow_abbrev": False, "formatter_class": Paragraphs, **options}
        super().__init__(*arguments, **options)

    def error(self, message: str) -> NoReturn:
        """Say how the command is used and what was not understood, and leave."""
        self.print_usage(sys.stderr)
        self.exit(ExitCode.USAGE, f"{self.prog}: {printable(message)}\n")

    def parse_known_args(  # type: ignore[override]  # typeshed writes three overloads for what is one function
        self, args: Sequence[str] | None = None, namespace: N | None = None
    ) -> tuple[argparse.Namespace | N, list[str]]:
        """Refuse here what this command does not know, so that its own usage is shown."""
        known, unknown = super().parse_known_args(args, namespace)
        if unknown:
            flags = [flag for action in self._actions for flag in action.option_strings]
            hint = nearest(unknown[0].partition("=")[0], flags)
            self.error(f"there is no argument `{' '.join(unknown)}` here.{hint}")
        return known, unknown

    def _check_value(self, action: argparse.Action, value: Any) -> None:  # noqa: ANN401 - argparse hands over what it parsed
        # Private, and the same in each Python from 3.2 to 3.14; without it the check still holds,
        # and only the hint is lost.
        if action.choices is not None and value not in action.choices:
            choices = [str(choice) for choice in action.choices]
            what = "command" if action.metavar == COMMAND else "choice"
            hint = nearest(str(value), choices) or f" There are: {', '.join(choices)}."
            raise argparse.ArgumentError(None, f"there is no {what} `{value}`.{hint}")


class Commands:
    """The commands that one parser knows."""

    def __init__(self, parser: Parser) -> None:
        """Prepare a parser for commands; alone, it shows its help."""
        parser.set_defaults(run=_show_help(parser))
        self._choices = parser.add_subparsers(
            title="commands",
            metavar=COMMAND,
            parser_class=Parser,
            help=f"`{parser.prog} {COMMAND} --help` says more",
        )

    def add(self, name: str, run: Run, *, summary: str, about: str = "") -> Parser:
        """Add a command, and give its parser for more arguments; `--json` it has already.

        The summary stands in the list of commands, without capital and full stop; `about`
        stands above the command's own help, and is the summary as a sentence when left out.
        """
        parser = self._parser(name, summary, about)
        parser.add_argument("--json", action="store_true", help="print one JSON document")
        parser.set_defaults(run=run)
        return parser

    def group(self, name: str, *, summary: str, about: str = "") -> "Commands":
        """Add a group of commands, as `config` in `commons config show`."""
        return Commands(self._parser(name, summary, about))

    def _parser(self, name: str, summary: str, about: str) -> Parser:
        sentence = about or f"{summary[:1].upper()}{summary[1:]}."
        return self._choices.add_parser(name, help=summary, description=sentence)


def nearest(word: str, known: Sequence[str]) -> str:
    """Ask whether the nearest of the known words was meant; empty when none is near."""
    from difflib import get_close_matches

    found = get_close_matches(word.strip().lower(), known, n=1)
    return f" Did you mean `{found[0]}`?" if found else ""


def add_config_flags(parser: argparse.ArgumentParser) -> None:
    """Let a command read the config, and its caller set keys for this one run."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="use this value for a key of the config, as executor.threads=2; may be repeated",
    )


def paths_of() -> "Paths":
    """Find the folders of this user, as the environment says."""
    import os

    from node.paths import find_paths

    return find_paths(os.environ)


def reading_of(parsed: argparse.Namespace) -> "Reading":
    """Read the config that holds for this run, with its flags, and where each value comes from."""
    import os

    from node.config_reading import read_config

    return read_config(paths_of().config_file, os.environ, parsed.set)


def config_of(parsed: argparse.Namespace) -> "Config":
    """Read the config that holds for this run, with its flags."""
    return reading_of(parsed).config


def _show_help(parser: argparse.ArgumentParser) -> Run:
    def run(_: argparse.Namespace) -> ExitCode:
        parser.print_help(sys.stderr)
        return ExitCode.USAGE

    return run
