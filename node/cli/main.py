# SPDX-License-Identifier: MIT
"""The door of the command line: collects the commands, and runs one. No command is in here.

Nothing heavy is imported here or by the groups, so that `commons --help` answers before a
person notices: a command imports what it needs when it runs. `node/cli/__init__.py` says how
a group is made.
"""

import argparse
import io
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from node import __version__
from node.exits import ExitCode

GROUPS = (
    *("run", "status", "peers", "network", "pause", "log", "doctor", "try_"),
    *("hardware", "bench", "config", "paths", "explain", "completion", "version"),
)
"""The files of node/cli/ that hold commands, in the order of the help."""

BESIDE = ("simulations.cli",)
"""Commands that come with the other packages of the program. They are named here and imported
nowhere: whoever builds the parser puts the program together, and `node` knows no simulation."""

DESCRIPTION = """\
Compute commons: a public library of compute. Lend a spare machine to a mesh,
and spend the credit that it earns on running your own jobs on everybody else's."""


def build_parser() -> argparse.ArgumentParser:
    """Describe every command; the reference in docs/reference/cli.md is made from this."""
    from node.cli.arguments import Commands, Parser

    parser = Parser(
        prog="commons",
        description=DESCRIPTION,
        epilog=exit_code_table(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"commons {__version__}")
    commands = Commands(parser)
    for module in (*(f"node.cli.{group}" for group in GROUPS), *BESIDE):
        import_module(module).register(commands)
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
    if isinstance(sys.stdout, io.TextIOWrapper):  # an ASCII terminal shows the rest as \u1234
        sys.stdout.reconfigure(errors="backslashreplace")
    return _run(arguments)


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


def _run(arguments: Sequence[str] | None) -> int:
    # not above: a stranger in the place of `protocol` must be named before it is imported
    from node.cli.failures import tell

    try:
        try:
            parsed = build_parser().parse_args(arguments)
            return ExitCode(parsed.run(parsed))
        finally:  # also when argparse has printed the help and leaves
            sys.stdout.flush()
    except SystemExit:
        raise
    except BaseException as error:
        code = tell(error)
        if code is None:
            raise
        return code


if __name__ == "__main__":
    sys.exit(main())
