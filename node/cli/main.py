# SPDX-License-Identifier: MIT
"""The door of the command line: reads the arguments and hands over. No command is in here.

Nothing heavy is imported here, so that `commons --help` answers before a person notices:
a command imports what it needs when it runs. The line is drawn by tests/node/test_cli.py.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from node import __version__
from node.exits import ExitCode

DESCRIPTION = """\
Compute commons: a public library of compute. Lend a spare machine to a mesh,
and spend the credit that it earns on running your own jobs on everybody else's."""


def build_parser() -> argparse.ArgumentParser:
    """Describe every command; the reference in docs/reference/cli.md is made from this."""
    parser = argparse.ArgumentParser(
        prog="commons",
        description=DESCRIPTION,
        epilog=exit_code_table(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"commons {__version__}")
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND")

    explain = commands.add_parser(
        "explain",
        help="say what a reason means and what to do next",
        description="Say what a reason means and what to do next; without REASON, list them all.",
        allow_abbrev=False,
    )
    explain.add_argument("reason", nargs="?", metavar="REASON", help="a code, such as too_large")
    _add_json(explain)
    explain.set_defaults(run=_explain)

    version = commands.add_parser(
        "version",
        help="say which version this is",
        description="Say which version of commons and of Python this is.",
        allow_abbrev=False,
    )
    _add_json(version)
    version.set_defaults(run=_version)
    return parser


def exit_code_table() -> str:
    """Draw the table of exit codes that stands below the help."""
    rows = [f"  {code.value:>3}  {code.meaning}" for code in ExitCode]
    return "\n".join(["exit codes:", *rows, "  Read any other code as a failure."])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; this is the console script `commons`."""
    if stranger := stranger_in_our_place():
        print(stranger, file=sys.stderr)
        return ExitCode.FAILED
    if sys.stdout is None:  # the shell has closed it, as in `commons version >&-`
        print("commons: there is nowhere to write to: stdout is closed.", file=sys.stderr)
        return ExitCode.FAILED
    try:
        try:
            return _run(arguments)
        finally:  # also when argparse has printed the help and leaves
            sys.stdout.flush()
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # the reader has left, as in `commons explain | head`: it has what it wanted
        _drop_what_is_buffered()
        return ExitCode.OK
    except OSError as error:  # a full disk, as in `commons explain >/dev/full`
        _drop_what_is_buffered()
        print(f"commons: the output was not written: {error.strerror}.", file=sys.stderr)
        return ExitCode.FAILED


def stranger_in_our_place() -> str | None:
    """Notice another distribution that was installed over our packages; None when all is well.

    The names `node` and `protocol` are ours only in an environment of our own: two public
    distributions install into the same folders, and the installer does not warn.
    """
    home = Path(__file__).resolve().parents[2]
    for name in ("node", "protocol", "simulations"):
        spec = find_spec(name)
        origin = Path(spec.origin).resolve() if spec and spec.origin else None
        if origin != home / name / "__init__.py":
            return (
                f"commons: the package `{name}` comes from {origin or 'nowhere'}, not from {home}: "
                "install compute-commons in an environment of its own."
            )
    return None


def _run(arguments: Sequence[str] | None) -> ExitCode:
    parser = build_parser()
    parsed = parser.parse_args(arguments)
    if parsed.command is None:
        parser.print_help(sys.stderr)
        return ExitCode.USAGE
    run: Callable[[argparse.Namespace], ExitCode] = parsed.run
    return run(parsed)


def _drop_what_is_buffered() -> None:
    """Send it nowhere, or Python would try again on its way out, and complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def _explain(parsed: argparse.Namespace) -> ExitCode:
    from node.cli import explain

    return explain.run(parsed.reason, as_json=parsed.json)


def _version(parsed: argparse.Namespace) -> ExitCode:
    from node.cli import version

    return version.run(as_json=parsed.json)


if __name__ == "__main__":
    sys.exit(main())
