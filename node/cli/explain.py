# SPDX-License-Identifier: MIT
"""`commons explain`: shows people the reasons. The words themselves are in protocol/reasons.py."""

from difflib import get_close_matches

from node.cli.output import complain, print_json
from node.exits import ExitCode
from protocol.reasons import Reason


def run(code: str | None, *, as_json: bool) -> ExitCode:
    """Explain one reason, or list them all when no code is given."""
    known = {reason.value: reason for reason in Reason}
    if code is not None and code not in known:
        named = f"there is no reason `{code}`." if code.strip() else "no reason was named."
        complain(f"{named} {_suggestion(code, list(known))}")
        return ExitCode.NOT_FOUND
    chosen = list(Reason) if code is None else [known[code]]
    if as_json:
        print_json({"reasons": [_as_document(reason) for reason in chosen]})
    elif code is None:
        _print_list(chosen)
    else:
        print(f"{code}: {chosen[0].sentence}\nWhat to do: {chosen[0].next_step}")
    return ExitCode.OK


def _suggestion(code: str, known: list[str]) -> str:
    nearest = get_close_matches(code.strip().lower(), known, n=1)
    if nearest:
        return f"Did you mean `{nearest[0]}`?"
    return "`commons explain` lists them all."


def _print_list(reasons: list[Reason]) -> None:
    width = max(len(reason.value) for reason in reasons)
    for reason in reasons:
        print(f"{reason.value:<{width}}  {reason.sentence}")
    print("\n`commons explain REASON` says what to do about one of them.")


def _as_document(reason: Reason) -> dict[str, str]:
    return {"code": reason.value, "sentence": reason.sentence, "next_step": reason.next_step}
