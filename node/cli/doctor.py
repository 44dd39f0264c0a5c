# SPDX-License-Identifier: MIT
"""`commons doctor`: what keeps the node from working, and what to do. Nothing is mended."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from node.cli.arguments import Commands, add_config_flags, paths_of
from node.cli.output import print_json, show_progress
from node.exits import ExitCode
from node.printable import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from node.api.documents import Finding

WORDS = {"pass": "ok", "warn": "warn", "fail": "FAIL"}

# Failures stand last: that is where a terminal shows the end of a long answer.
ORDER = ("pass", "warn", "fail")


def register(commands: Commands) -> None:
    """Describe `commons doctor`."""
    doctor = commands.add(
        "doctor",
        run,
        summary="look for what keeps the node from working, and say what to do",
        about="Look for what keeps the node from working: programs, config, folders, identity, "
        "clock, sandbox, ports, ways into the network; and with a running node its peers, its "
        "accounts and its governor. Each line says what was found and what to do next. "
        "Nothing is changed.\n\n"
        "It ends with 1 if anything fails, and with 0 else.",
    )
    doctor.add_argument(
        "--report",
        metavar="FILE",
        type=Path,
        help="write what was found to a file that can be shown to others: without names, "
        "addresses and secrets",
    )
    add_config_flags(doctor)


def run(parsed: argparse.Namespace) -> ExitCode:
    """Ask the running node, look from outside, print, and write the report."""
    import os

    import trio

    from node.clock import SystemClock
    from node.doctor.outside import look_from_outside
    from node.doctor.report import report_of, write_report
    from node.doctor.scene import scene_of

    show_progress("Looking: some seconds.")
    told, inside = _ask()
    scene = scene_of(paths_of(), SystemClock(), os.environ, parsed.set, told)
    findings = (*inside, *trio.run(look_from_outside, scene))
    if parsed.json:
        print_json(as_document(findings, is_running=told is not None))
    else:
        print_findings(findings, is_running=told is not None)
    if parsed.report is not None:
        happened = _happenings() if told is not None else []
        write_report(parsed.report, report_of(scene, findings, happened))
        if not parsed.json:
            print(f"The report is in {printable(str(parsed.report))}: read it before you send it.")
    return ExitCode.FAILED if _count(findings, "fail") else ExitCode.OK


def as_document(findings: "Sequence[Finding]", *, is_running: bool) -> dict[str, object]:
    """Say all of it as JSON has it."""
    from node.api.documents import documents

    return {
        "running": is_running,
        "passed": _count(findings, "pass"),
        "warned": _count(findings, "warn"),
        "failed": _count(findings, "fail"),
        "findings": documents(findings),
    }


def print_findings(findings: "Sequence[Finding]", *, is_running: bool) -> None:
    """Print aligned lines, what failed last, and a sentence that sums up."""
    width = max((len(each.name) for each in findings), default=0)
    for each in sorted(findings, key=lambda found: ORDER.index(found.state)):
        print(
            f"{WORDS[each.state]:<4}  {printable(each.name):<{width}}  {printable(each.sentence)}"
        )
        if each.next_step and each.state != "pass":
            print(f"{'':<4}  {'':<{width}}  -> {printable(each.next_step)}")
    print()
    print(summary(findings, is_running=is_running))


def summary(findings: "Sequence[Finding]", *, is_running: bool) -> str:
    """Say in one sentence how it is."""
    failed, warned = _count(findings, "fail"), _count(findings, "warn")
    there = "The node runs" if is_running else "No node runs"
    if failed:
        rest = f", {warned} could be better" if warned else ""
        return f"{there}; {failed} of {len(findings)} things are wrong{rest}."
    if warned:
        return f"{there}; nothing is wrong, and {warned} of {len(findings)} things could be better."
    step = "" if is_running else " `commons run` starts it."
    return f"{there}; all {len(findings)} things are as they should be.{step}"


def _count(findings: "Sequence[Finding]", state: str) -> int:
    return sum(each.state == state for each in findings)


def _ask() -> "tuple[dict[str, Any] | None, list[Finding]]":
    """Ask the running node how it is and what it finds; one that cannot answer is a finding."""
    from node.api.documents import Finding
    from node.cli.control import get, is_running, understood
    from node.cli.failures import Failed
    from node.errors import ConfigError

    told: dict[str, Any] | None = None
    try:
        if not is_running():
            return None, [Finding("node", "pass", "It does not run.", "`commons run` starts it.")]
        told = {}
        told = get("status")
        with understood():
            return told, [_read(each) for each in get("doctor")["findings"]]
    except Failed as failed:
        first, *rest = (*failed.sentences, "")
        return told, [Finding("node", "fail", first, " ".join(rest).strip())]
    except ConfigError:  # a path that no socket can have, which the folders' look tells
        return None, []


def _read(each: "dict[str, Any]") -> "Finding":
    """Read a finding; a node of another version may have sent something else."""
    from node.api.documents import Finding

    state = each["state"] if each["state"] in ORDER else "warn"
    return Finding(str(each["name"]), state, str(each["sentence"]), str(each.get("next_step", "")))


def _happenings() -> "list[dict[str, Any]]":
    """Give what happened lately in the running node; nothing when it cannot be asked any more."""
    from node.cli.control import lines
    from node.cli.failures import Failed

    try:
        with lines("GET", "events?since=0&follow=0") as told:
            return list(told)
    except Failed:
        return []
