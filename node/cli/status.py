# SPDX-License-Identifier: MIT
"""`commons status`: the running node on one page. It is asked, and nothing else is done."""

import argparse
from typing import Any

from node.cli.arguments import Commands
from node.cli.output import print_json, print_table
from node.cli.spoken import counted, cu, lasting
from node.exits import ExitCode
from node.printable import printable


def register(commands: Commands) -> None:
    """Describe `commons status`."""
    commands.add(
        "status",
        run,
        summary="say whether the node works, and why not",
        about="Say in one sentence whether the node works and why not; then who it is, where it "
        "can be reached, whom it knows, what it has done and what that earned.",
    )


def run(parsed: argparse.Namespace) -> ExitCode:
    """Ask, and print."""
    from node.cli.control import get, understood

    told = get("status")
    if parsed.json:
        print_json(told)
        return ExitCode.OK
    with understood():
        first, table, notes = sentence(told["standing"]), rows(told), told["notes"]
    print(first)
    print()
    print_table(("what", "now"), table)
    for note in notes:
        print(f"\n{printable(note)}")  # a crash may quote what a peer has said
    return ExitCode.OK


def sentence(standing: dict[str, Any]) -> str:
    """Say whether it works; with its reason, and when it goes on by itself."""
    said = str(standing["sentence"])
    if standing["resumes_in_s"] is not None:
        said += f" It goes on in {lasting(standing['resumes_in_s'])}."
    return said


def rows(told: dict[str, Any]) -> list[tuple[str, str]]:
    """Say the rest, one thing in a line."""
    peers, work, credit = told["peers"], told["work"], told["credit"]
    members = counted(peers["members"], "member")
    there = f"{peers['connected']:,} connected, {members} among them; {peers['known']:,} known"
    counts = ", ".join(
        f"{work[each]:,} {each}" for each in ("running", "done", "failed", "refused")
    )
    moved = f"earned {cu(credit['earned_cu'])}, spent {cu(credit['spent_cu'])}"
    return [
        ("state", told["standing"]["state"]),
        ("node", told["peer"]),
        ("version", f"{told['version']}, up for {lasting(told['uptime_s'])}"),
        ("network", network_words(told["network"])),
        ("addresses", " ".join(told["addresses"]) or "none: nobody can dial this node"),
        ("peers", there),
        ("work", f"{counts}; earned {cu(work['earned_cu'])} since the start"),
        ("credit", f"balance {cu(credit['balance_cu'])}; {moved}"),
        ("lent", f"{cu(credit['lent_cu'])} of {cu(credit['budget_cu'])}"),
    ]


def network_words(network: dict[str, Any] | None) -> str:
    """Name a network, and say who may come in."""
    if network is None:
        return "none: `commons join` and `commons network new` change that"
    return f"{network['name']} ({'private' if network['private'] else 'open'})"
