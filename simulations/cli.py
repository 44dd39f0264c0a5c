# SPDX-License-Identifier: MIT
"""`commons sim`: whole networks in one process, in virtual time, as a seed has it."""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from node.cli.arguments import Commands, nearest
from node.cli.output import complain, print_json, print_table
from node.exits import ExitCode

if TYPE_CHECKING:
    from simulations.record import Record, Sample
    from simulations.simulate import Option, Scenario

SEEDS_MAX = 100_000


def register(commands: Commands) -> None:
    """Describe `commons sim`."""
    group = commands.group(
        "sim",
        summary="simulate whole networks of nodes, in virtual time",
        about="Simulate whole networks in one process: the real node, on links, disks and clocks "
        "that follow from a seed. The same seed gives the same run, message by message.",
    )
    group.add("list", run_list, summary="list the scenarios")
    run = group.add(
        "run",
        run_scenario,
        summary="run a scenario",
        about="Run a scenario with one seed or many, and tell how each run ended. A failure "
        "prints the command that has it again.",
    )
    run.add_argument("scenario", metavar="SCENARIO", help="its name, as `commons sim list` has it")
    run.add_argument("--nodes", type=_count, metavar="N", help="how many nodes there are")
    seeds = run.add_mutually_exclusive_group()
    seeds.add_argument("--seed", type=int, metavar="S", help="the one seed to run")
    seeds.add_argument(
        "--seeds", type=_seeds, metavar="A:B", help="run the seeds from A up to, not with, B"
    )
    run.add_argument(
        "--set",
        action="append",
        default=[],
        type=_option,
        metavar="NAME=VALUE",
        help="choose something else that the scenario leaves open; may be repeated",
    )
    run.add_argument(
        "--report", type=Path, metavar="DIR", help="write a report into this folder, to look at"
    )
    run.add_argument(
        "--trace", type=Path, metavar="FILE", help="write each message and event as a line of JSON"
    )
    run.add_argument(
        "--check",
        action="store_true",
        help="run each seed twice, with other hash seeds, and tell where the two differ first",
    )
    run.add_argument(
        "--wall-s", type=float, default=300.0, metavar="S", help="end a run that takes longer"
    )


def run_list(parsed: argparse.Namespace) -> ExitCode:
    """Print the scenarios with their sentences and what can be chosen."""
    from simulations.scenarios import about, scenarios
    from simulations.simulate import defaults_of

    found = scenarios()
    if parsed.json:
        print_json(
            {
                "scenarios": [
                    {"name": name, "about": about(each), "options": defaults_of(each)}
                    for name, each in found.items()
                ]
            }
        )
        return ExitCode.OK
    rows = [
        (name, about(each), " ".join(f"{key}={value}" for key, value in defaults_of(each).items()))
        for name, each in found.items()
    ]
    print_table(("scenario", "what happens", "can be chosen"), rows)
    return ExitCode.OK


def run_scenario(parsed: argparse.Namespace) -> ExitCode:
    """Run it with each seed."""
    from simulations.scenarios import scenarios

    found = scenarios()
    scenario = found.get(parsed.scenario.replace("_", "-"))
    if scenario is None:
        complain(
            f"there is no scenario `{parsed.scenario}`.{nearest(parsed.scenario, list(found))} "
            "`commons sim list` shows all."
        )
        return ExitCode.NOT_FOUND
    options = _chosen(parsed, scenario)
    if options is None:
        return ExitCode.USAGE
    seeds = parsed.seeds or range(parsed.seed or 0, (parsed.seed or 0) + 1)
    if parsed.trace and len(seeds) > 1:
        complain("--trace is for one run: choose one --seed.")
        return ExitCode.USAGE
    if parsed.report:
        from simulations.report import check_folder

        check_folder(parsed.report)  # before the work, not after it
    if parsed.check and not _checked(parsed, seeds, options):
        return ExitCode.FAILED
    records = _run_all(parsed, scenario, seeds, options)
    return _tell(parsed, records)


def _chosen(parsed: argparse.Namespace, scenario: "Scenario") -> "dict[str, Option] | None":
    """Read the options as the scenario wants them; None after a complaint."""
    from simulations.simulate import defaults_of

    defaults = defaults_of(scenario)
    given = dict(parsed.set)
    if parsed.nodes is not None:
        given["nodes"] = str(parsed.nodes)
    chosen: dict[str, Option] = {}
    for name, text in given.items():
        if name not in defaults:
            complain(
                f"{parsed.scenario} has nothing called `{name}` to choose; there is: "
                f"{', '.join(defaults) or 'nothing'}."
            )
            return None
        kind = type(defaults[name])
        try:
            chosen[name] = text in {"1", "true", "yes"} if kind is bool else kind(text)
        except ValueError:
            complain(f"`{text}` is no {kind.__name__}, as {name} of {parsed.scenario} wants it.")
            return None
    return chosen


def _checked(parsed: argparse.Namespace, seeds: range, options: "dict[str, Option]") -> bool:
    from simulations.again import NotTheSameError, check_twice

    for seed in seeds:
        words = ["-m", "node.cli.main", "sim", "run", parsed.scenario, f"--seed={seed}"]
        words += [f"--set={name}={value}" for name, value in options.items()]
        words += [f"--wall-s={parsed.wall_s}"]
        try:
            count = check_twice(words, "--trace", f"seed {seed}", Path.cwd())
        except NotTheSameError as error:
            complain(str(error))
            return False
        if not parsed.json:
            print(f"seed {seed}: two runs agree in all {count:,} rows")
    return True


def _run_all(
    parsed: argparse.Namespace, scenario: "Scenario", seeds: range, options: "dict[str, Option]"
) -> "list[Record]":
    from simulations.bounds import Bounds
    from simulations.simulate import simulate
    from simulations.trace import written_to

    records = []
    with _progress(parsed.scenario, len(seeds)) as show, written_to(parsed.trace) as sink:
        for seed in seeds:
            record = simulate(
                scenario,
                seed=seed,
                bounds=Bounds(wall_s=parsed.wall_s),
                sink=sink,
                watch=partial(show, seed),
                options=options,
            )
            records.append(record)
            if not parsed.json:
                print(_line(record))
                if not record.is_well:
                    print(f"  replay: {record.replay}")
    return records


def _tell(parsed: argparse.Namespace, records: "list[Record]") -> ExitCode:
    """Write what was asked for, and say whether all went well."""
    if parsed.report:
        from simulations.report import write_report, write_reports

        if len(records) == 1:
            page = write_report(records[0], parsed.report)
        else:
            page = write_reports(records, parsed.report)
        if not parsed.json:
            print(f"report: {page}")
    if parsed.json:
        print_json({"scenario": records[0].scenario, "runs": [_document(each) for each in records]})
    return ExitCode.OK if all(each.is_well for each in records) else ExitCode.FAILED


def _document(record: "Record") -> dict[str, object]:
    return {
        "seed": record.seed,
        "digest": record.digest,
        "well": record.is_well,
        "error": record.error,
        "nodes": record.nodes,
        "virtual_s": record.virtual_s,
        "wall_s": round(record.wall_s, 3),
        "events": record.events,
        "messages": record.messages,
        "bytes": record.bytes,
        "options": record.options,
        "figures": record.figures,
        "verdicts": [{"check": each.check, "trouble": each.trouble} for each in record.verdicts],
        "replay": record.replay,
    }


def _line(record: "Record") -> str:
    figures = "".join(f"  {name} {value:g}" for name, value in record.figures.items())
    return (
        f"seed {record.seed}: {'well' if record.is_well else record.error or 'not well'}"
        f"  ({record.nodes} nodes, {record.virtual_s:,.0f} virtual s in {record.wall_s:.1f} s, "
        f"{record.messages:,} messages, digest {record.digest[:12]}){figures}"
    )


@contextmanager
def _progress(name: str, count: int) -> "Iterator[Callable[[int, Sample], None]]":
    """Draw a bar for whoever watches a terminal."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda _seed, _sample: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    words = "{task.completed:.0f}/{task.total:.0f} seeds  {task.fields[now]}"
    columns = (TextColumn(name), BarColumn(), TextColumn(words))
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(name, total=count, now="")
        seen: set[int] = set()

        def show(seed: int, sample: "Sample") -> None:
            seen.add(seed)
            now = f"{sample.at_s:,.0f} virtual s, {sample.up} up, {sample.known:.0%} known"
            progress.update(task, completed=len(seen) - 1, now=now)

        yield show


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text} is no number of nodes")
    return int(text)


def _seeds(text: str) -> range:
    begin, colon, end = text.partition(":")
    try:
        seeds = range(int(begin or 0), int(end)) if colon else range(int(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"`{text}` is no range such as 0:100") from None
    if not 0 < len(seeds) <= SEEDS_MAX:
        raise argparse.ArgumentTypeError(f"`{text}` has {len(seeds)} seeds in it")
    return seeds


def _option(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise argparse.ArgumentTypeError(f"`{text}` is not of the form NAME=VALUE")
    return name, value
