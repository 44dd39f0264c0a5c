# SPDX-License-Identifier: MIT
"""The command line `commons`, one file per group of commands. It prints; it decides nothing.

A new group is a file here and a name in `GROUPS` of node/cli/main.py. The file has a function
that describes its commands, and one function for each command::

    def register(commands: Commands) -> None:
        hardware = commands.add("hardware", run, summary="say what this machine can do")
        hardware.add_argument("--refresh", action="store_true", help="measure again")

    def run(parsed: argparse.Namespace) -> ExitCode:
        from node.executor import hardware  # heavy: imported when the command runs, never above

- At the top of the file only light modules are imported (argparse, `node.cli.*`, `node.exits`,
  `protocol.reasons`): `commons --help` reads all of these files. tests/node/test_cli_groups.py
  holds the list.
- `commands.add` makes a parser from argparse, with a `--json` that every command has
  (`parsed.json`); `commands.group("model", ...)` gives a `Commands` for `commons model add`.
- `add_config_flags(parser)` gives a command `--set KEY=VALUE`; `config_of(parsed)` and
  `paths_of()` then read what holds. All are in node/cli/arguments.py.
- What is printed goes through node/cli/output.py: `print_json`, `print_table`, `complain`,
  and `show_progress` for what only a waiting person wants to see.
- A command returns an `ExitCode`. It does not catch what it cannot mend: `Refused`,
  `ConfigError`, `OSError` and ctrl-C become one sentence and their exit code in
  node/cli/failures.py, also out of a trio nursery. What is said to be missing (`NOT_FOUND`) or
  not running (`NOT_RUNNING`) is complained about by the command itself.
- `make docs` writes the new commands into docs/reference/cli.md.
"""
