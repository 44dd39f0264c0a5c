# SPDX-License-Identifier: MIT
"""`commons run`: be a node, until it is told to end. What a node does is in node/main.py."""

import argparse
from typing import TYPE_CHECKING

from node.cli.arguments import Commands, add_config_flags, config_of, paths_of
from node.exits import ExitCode

if TYPE_CHECKING:
    from node.main import Ready


def register(commands: Commands) -> None:
    """Describe `commons run`."""
    run_ = commands.add(
        "run",
        run,
        summary="lend this machine, until ctrl-C",
        about="Be a node: join the network, take work when this machine is free, earn credit.\n\n"
        "It needs no configuration. The log goes to stderr; ctrl-C lets running work end, a "
        "second one ends at once. `commons status` says how it is, from another terminal.",
    )
    add_config_flags(run_)


def run(parsed: argparse.Namespace) -> ExitCode:
    """Make the real world, and live in it."""
    import sys
    from functools import partial

    config, paths = config_of(parsed), paths_of()

    import trio

    from node.clock import SystemClock
    from node.log import close_log, configure_log
    from node.main import run_node
    from node.real import real_world

    async def live() -> None:
        async with real_world(config, paths) as world:
            await run_node(config, world, ready=partial(_introduce, as_json=parsed.json))

    configure_log(config.log.level, config.log.format, sys.stderr, clock=SystemClock())
    try:
        trio.run(live)
    finally:
        close_log()
    return ExitCode.OK


def _introduce(ready: "Ready", *, as_json: bool) -> None:
    """Say in plain words what runs now; under --json on one line, for who started it."""
    import json
    from dataclasses import asdict

    from node.cli.output import OUTPUT_VERSION

    if as_json:
        print(json.dumps({"v": OUTPUT_VERSION, **asdict(ready)}), flush=True)
        return
    kind = "private network" if ready.private else "open network"
    print(f"This machine lends what it can spare to the {kind} `{ready.network}`.")
    print(f"  node     {ready.peer}")
    for address in ready.addresses:
        print(f"  address  {address}")
    print(f"  now      {ready.sentence}")
    print("`commons status` says more; `commons pause` and ctrl-C end the work.", flush=True)
