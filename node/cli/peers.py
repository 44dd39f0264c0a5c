# SPDX-License-Identifier: MIT
"""`commons peers`: who is there, and who is not met. The node decides; this shows and asks."""

import argparse
from typing import Any

from node.cli.arguments import Commands
from node.cli.output import print_json, print_table
from node.cli.spoken import counted, duration_s, find_peer, lasting, milliseconds, rate, short
from node.exits import ExitCode
from node.printable import printable

PEER_HELP = "a peer id, or how it begins after 12D3KooW"


def register(commands: Commands) -> None:
    """Describe `commons peers` and what is below it."""
    peers = commands.add(
        "peers",
        run,
        summary="show who is connected, and meet somebody no more",
        about="Show who is connected. `--all` shows everybody that is known, with what they say "
        "about themselves, and who is not met.",
    )
    peers.add_argument("--all", action="store_true", help="show everybody that is known")
    below = Commands(peers)
    peers.set_defaults(run=run)
    ban = below.add("ban", run_ban, summary="meet a node no more for a while")
    ban.add_argument("peer", metavar="PEER", help=PEER_HELP)
    ban.add_argument(
        "--for", dest="for_s", type=duration_s, default="1d", metavar="TIME", help="such as 1h, 7d"
    )
    ban.add_argument("--reason", default="", metavar="TEXT", help="why, for your own memory")
    unban = below.add("unban", run_unban, summary="meet a node again")
    unban.add_argument("peer", metavar="PEER", help=PEER_HELP)


def run(parsed: argparse.Namespace) -> ExitCode:
    """Ask who is there, and print it."""
    from node.cli.control import get, understood

    told = get("peers?all=1" if parsed.all else "peers")
    if parsed.json:
        print_json(told)
        return ExitCode.OK
    with understood():
        _print(told, parsed.all)
    return ExitCode.OK


def _print(told: dict[str, Any], everybody: bool) -> None:
    if told["peers"]:
        columns = (
            "peer",
            "name",
            "way",
            "address",
            "RTT",
            "in / out",
            "since",
            "orders",
            "member",
            "score",
        )
        print_table(columns, [_row(each) for each in told["peers"]])
    else:
        print("Nobody is connected. `commons doctor` says what may be in the way.")
    if everybody:
        _print_all(told)


def run_ban(parsed: argparse.Namespace) -> ExitCode:
    """Ask the node to meet somebody no more."""
    from node.cli.control import post

    body = {"peer": peer_of(parsed.peer), "for_s": parsed.for_s}
    told = post("ban", {**body, "detail": parsed.reason} if parsed.reason else body)
    if parsed.json:
        print_json(told)
    else:
        ban = told["ban"]
        print(f"{ban['peer']} is not met for {lasting(ban['ends_in_s'])}.")
    return ExitCode.OK


def run_unban(parsed: argparse.Namespace) -> ExitCode:
    """Ask the node to meet somebody again."""
    from node.cli.control import post

    peer = peer_of(parsed.peer)
    told = post("unban", {"peer": peer})
    if parsed.json:
        print_json(told)
    else:
        print(f"{peer} is met again.")
    return ExitCode.OK


def peer_of(text: str) -> str:
    """Find the one peer that is meant, among all that the node knows."""
    from node.cli.control import get
    from node.cli.failures import Failed

    found = find_peer(text, [])
    if not found:
        told = get("peers?all=1")
        known = [each["peer"] for part in ("peers", "adverts", "bans") for each in told[part]]
        found = find_peer(text, known)
    if len(found) == 1:
        return found[0]
    if found:
        several = ", ".join(each[8:24] for each in found[:8])
        raise Failed(ExitCode.NOT_FOUND, f"`{text}` begins several peer ids: {several}.")
    raise Failed(
        ExitCode.NOT_FOUND,
        f"no peer that is known begins with `{text}`: see `commons peers --all`.",
    )


def _print_all(told: dict[str, Any]) -> None:
    print(f"\n{counted(len(told['adverts']), 'node is', 'nodes are')} known by what they say:")
    if told["adverts"]:
        columns = ("peer", "cores", "memory", "disk", "accelerator", "models", "RTT", "address")
        print_table(columns, [_advert(each) for each in told["adverts"]])
    for ban in told["bans"]:
        why = f": {ban['detail']}" if ban["detail"] else ""
        said = printable(f"{ban['reason']}{why}")  # in the detail may be words of the peer
        print(f"\n{ban['peer']} is not met for {lasting(ban['ends_in_s'])} ({said}).")


def _row(each: dict[str, Any]) -> tuple[str, ...]:
    return (
        short(each["peer"]),
        each["name"] or "-",
        each["direction"],
        each["address"],
        milliseconds(each["rtt_s"]),
        f"{rate(each['down_bytes_s'])} / {rate(each['up_bytes_s'])}",
        lasting(each["connected_s"]),
        _orders(each["orders"], each["failed_orders"]),
        "yes" if each["member"] else "no",
        f"{each['score']:g}",
    )


def _orders(ended: int, failed: int) -> str:
    """Say how many orders there were, and how many of them did not end well."""
    return f"{ended}, {failed} failed" if failed else str(ended)


def _advert(each: dict[str, Any]) -> tuple[str, ...]:
    return (
        short(each["peer"]),
        str(each["cores"]),
        f"{each['memory_mib'] / 1024:.1f} GiB",
        f"{each['disk_mib'] / 1024:.0f} GiB",
        each["accelerator"] or "-",
        str(each["models"]),
        milliseconds(each["rtt_s"]),
        each["addresses"][0] if each["addresses"] else "-",
    )
