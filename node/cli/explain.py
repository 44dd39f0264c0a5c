# SPDX-License-Identifier: MIT
"""`commons explain`: shows people the reasons. The words themselves are in protocol/reasons.py."""

import argparse

from node.cli.arguments import Commands, nearest
from node.cli.output import complain, print_json
from node.exits import ExitCode
from protocol.reasons import Reason


def register(commands: Commands) -> None:
    """Describe `commons explain`."""
    explain = commands.add(
        "explain",
        run,
        summary="say what a reason means and what to do next",
        about="Say what a reason means and what to do next; without REASON, list them all.",
    )
    explain.add_argument("reason", nargs="?", metavar="REASON", help="a code, such as too_large")


def run(parsed: argparse.Namespace) -> ExitCode:
    """Explain one reason, or list them all when no code is given."""
    code: str | None = parsed.reason
    known = {reason.value: reason for reason in Reason}
    if code is not None and code not in known:
        named = f"there is no reason `{code}`." if code.strip() else "no reason was named."
        complain(named + (nearest(code, list(known)) or " `commons explain` lists them all."))
        return ExitCode.NOT_FOUND
    chosen = list(Reason) if code is None else [known[code]]
    if parsed.json:
        print_json({"reasons": [_as_document(reason) for reason in chosen]})
    elif code is None:
        _print_list(chosen)
    else:
        print(f"{code}: {chosen[0].sentence}\nWhat to do: {chosen[0].next_step}")
    return ExitCode.OK


def _print_list(reasons: list[Reason]) -> None:
    width = max(len(reason.value) for reason in reasons)
    for reason in reasons:
        print(f"{reason.value:<{width}}  {reason.sentence}")
    print("\n`commons explain REASON` says what to do about one of them.")


def _as_document(reason: Reason) -> dict[str, str]:
    return {"code": reason.value, "sentence": reason.sentence, "next_step": reason.next_step}
