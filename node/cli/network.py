# SPDX-License-Identifier: MIT
"""`commons invite`, `join`, `leave` and `network`: which circle of nodes this one belongs to.

All but inviting also works while the node does not run: its files are changed then, and it
finds them when it is started. A node that runs is asked to do it itself, at once.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from node.cli.arguments import Commands, paths_of
from node.cli.output import print_json, print_table, show_progress
from node.cli.spoken import duration_s, lasting
from node.exits import ExitCode

if TYPE_CHECKING:
    from node.network import Network
    from node.networks import Networks

INVITE_CHARACTERS_MAX = 16_384
RUN_IT = "The node does not run now; it finds this when `commons run` starts it."


def register(commands: Commands) -> None:
    """Describe the commands."""
    invite = commands.add(
        "invite",
        run_invite,
        summary="print an invite to the network of this node",
        about="Print an invite to the network of this node, for `commons join` elsewhere. An "
        "invite to a private network has its secret in it: whoever reads it can come in.",
    )
    invite.add_argument(
        "--for", dest="for_s", type=duration_s, default="7d", metavar="TIME", help="such as 1h, 7d"
    )
    join = commands.add(
        "join",
        run_join,
        summary="come into a network by its invite",
        about="Come into a network by its invite, and use it from now on. The node need not run.",
    )
    join.add_argument("invite", metavar="INVITE", help="the text, or - to read it from stdin")
    leave = commands.add(
        "leave",
        run_leave,
        summary="forget a network and its secret",
        about="Forget a network and its secret. What was earned there stays in the books.",
    )
    leave.add_argument(
        "network",
        nargs="?",
        default="",
        metavar="NETWORK",
        help="its name or id; else the one in use",
    )
    _register_network(commands)


def _register_network(commands: Commands) -> None:
    network = commands.add(
        "network",
        run_list,
        summary="show, found, choose and close networks",
        about="Show the networks that this node knows; the commands below change them.",
    )
    below = Commands(network)
    network.set_defaults(run=run_list)
    below.add("list", run_list, summary="show the networks that this node knows")
    new = below.add("new", run_new, summary="found a network, and use it")
    new.add_argument("name", metavar="NAME", help="how people call it")
    new.add_argument("--private", action="store_true", help="only those with an invite come in")
    use = below.add("use", run_use, summary="use another network that is known")
    use.add_argument("network", metavar="NETWORK", help="its name, or how its id begins")
    below.add(
        "rotate",
        run_rotate,
        summary="make a new secret for the private network in use",
        about="Make a new secret for the private network in use. Older ones stay valid until "
        "they are retired, so that nobody is lost meanwhile.",
    )
    retire = below.add("retire", run_retire, summary="let an older secret open the network no more")
    retire.add_argument(
        "version", type=int, metavar="VERSION", help="as `commons network` shows it"
    )


def run_invite(parsed: argparse.Namespace) -> ExitCode:
    """Ask the node for an invite: it knows where it can be reached."""
    from node.cli.control import post

    told = post("invite", {"for_s": parsed.for_s})
    if parsed.json:
        print_json(told)
        return ExitCode.OK
    name = told["network"]["name"]
    show_progress(
        f"Whoever runs `commons join` with this within {lasting(parsed.for_s)} is in {name}:"
    )
    print(told["text"])
    return ExitCode.OK


def run_join(parsed: argparse.Namespace) -> ExitCode:
    """Join, through the node or without it."""
    text = parsed.invite
    if text == "-":
        text = sys.stdin.read(INVITE_CHARACTERS_MAX)

    def join(networks: "Networks") -> "Network":
        from node.clock import SystemClock
        from protocol.invite import parse_invite

        return networks.join(parse_invite(text, SystemClock().now().wall_s))

    return _change(parsed, "join", {"text": text}, join, "This node is in {name} now.")


def run_leave(parsed: argparse.Namespace) -> ExitCode:
    """Leave, through the node or without it."""

    def leave(networks: "Networks") -> "Network":
        left = networks.named(parsed.network) if parsed.network else networks.active()
        return networks.leave(left.id)

    body = {"network": parsed.network}
    return _change(parsed, "leave", body, leave, "It is forgotten. This node is in {name} now.")


def run_list(parsed: argparse.Namespace) -> ExitCode:
    """Show the networks."""
    told = _ask("GET", "network", {})
    if told is None:
        from node.api.documents import as_document, network_info

        networks = _networks()
        active = networks.active().id
        infos = [network_info(each, active) for each in networks.all()]
        told = {"networks": [as_document(each) for each in infos]}
    if parsed.json:
        print_json(told)
    else:
        print_table(("name", "id", "who comes in", "secrets", "in use"), rows(told["networks"]))
    return ExitCode.OK


def run_new(parsed: argparse.Namespace) -> ExitCode:
    """Found a network."""
    body = {"name": parsed.name, "private": parsed.private}
    return _change(
        parsed,
        "found",
        body,
        lambda networks: networks.found(parsed.name, parsed.private),
        "This node is in {name} now, alone: `commons invite` lets others in.",
    )


def run_use(parsed: argparse.Namespace) -> ExitCode:
    """Change to another one."""
    return _change(
        parsed,
        "use",
        {"network": parsed.network},
        lambda networks: networks.use(networks.named(parsed.network).id),
        "This node is in {name} now.",
    )


def run_rotate(parsed: argparse.Namespace) -> ExitCode:
    """Make a new secret."""
    return _change(
        parsed,
        "rotate",
        {},
        lambda networks: networks.rotate(),
        "Version {newest} is the newest secret of {name}; valid are {versions}. Give a fresh "
        "invite to all members, then retire the older ones with `commons network retire`.",
    )


def run_retire(parsed: argparse.Namespace) -> ExitCode:
    """Drop an older secret."""
    return _change(
        parsed,
        "retire",
        {"version": parsed.version},
        lambda networks: networks.retire(parsed.version),
        f"Version {parsed.version} opens {{name}} no more; valid are {{versions}}.",
    )


def rows(networks: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """Write each network in a line."""
    return [
        (
            each["name"],
            each["id"][:8],
            "those with an invite" if each["private"] else "anybody",
            " ".join(map(str, each["secret_versions"])) or "-",
            "yes" if each["active"] else "no",
        )
        for each in networks
    ]


def _change(
    parsed: argparse.Namespace,
    verb: str,
    body: Mapping[str, object],
    without: "Callable[[Networks], Network]",
    sentence: str,
) -> ExitCode:
    """Let the node do it; where none runs, do it to its files."""
    told = _ask("POST", verb, body)
    runs = told is not None
    if told is None:
        from node.api.documents import as_document, network_info

        networks = _networks()
        changed = without(networks)
        told = {"network": as_document(network_info(changed, networks.active().id))}
    if parsed.json:
        print_json({**told, "running": runs})
        return ExitCode.OK
    network = told["network"]
    versions = network["secret_versions"]
    said = sentence.format(
        name=f"`{network['name']}`",
        newest=max(versions, default=0),
        versions=", ".join(map(str, versions)),
    )
    print(said if runs else f"{said}\n{RUN_IT}")
    return ExitCode.OK


def _ask(method: str, target: str, body: Mapping[str, object]) -> dict[str, Any] | None:
    from node.cli.control import get, is_running, post

    if not is_running():
        return None
    return post(target, body) if method == "POST" else get(target)


def _networks() -> "Networks":
    from node.clock import SystemClock
    from node.networks import Networks

    return Networks(paths_of(), SystemClock())
