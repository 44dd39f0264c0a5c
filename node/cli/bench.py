# SPDX-License-Identifier: MIT
"""`commons bench`: what this machine would do with a model, and earn with it."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from node.cli.arguments import Commands, add_config_flags, config_of
from node.cli.output import complain, print_json, print_table, show_progress
from node.exits import ExitCode

if TYPE_CHECKING:
    from node.config import Config
    from node.models.trial import Trial

INPUTS_SHOWN = 4


def register(commands: Commands) -> None:
    """Describe `commons bench`."""
    bench = commands.add(
        "bench",
        run,
        summary="try a model on this machine: how fast it is, and what it would earn",
        about="Try a model on this machine: how fast it is, and what it would earn.\n\n"
        "The model runs in the sandbox, as strangers' work would, and then in plain ONNX Runtime. "
        "Its inputs are made up, in the shapes that it declares.",
    )
    bench.add_argument("model", metavar="MODEL.onnx", type=Path, help="an ONNX file")
    bench.add_argument(
        "--dim",
        action="append",
        default=[],
        metavar="NAME=SIZE",
        type=_dimension,
        help="how large a dimension without a fixed size is, as sequence=64; may be repeated",
    )
    bench.add_argument(
        "--seconds", type=_seconds, default=2.0, metavar="S", help="how long to measure, each way"
    )
    add_config_flags(bench)


def run(parsed: argparse.Namespace) -> ExitCode:
    """Measure and print."""
    import tempfile

    import trio

    config = config_of(parsed)
    if not parsed.model.exists():
        complain(f"there is no file {parsed.model}.")
        return ExitCode.NOT_FOUND
    show_progress("Reading the model, then measuring it twice.")
    with tempfile.TemporaryDirectory(prefix="commons-bench-") as workshop:
        trial = trio.run(_try, parsed, config, Path(workshop))
    if isinstance(trial, str):
        complain(f"{trial}.")
        return ExitCode.USAGE
    if parsed.json:
        print_json(as_document(trial, config.executor.runners))
        return ExitCode.OK
    print_table(("what", "plain ONNX Runtime", "in the sandbox"), _rows(trial))
    print()
    for sentence in _sentences(trial, config.executor.runners):
        print(sentence)
    return ExitCode.OK


async def _try(parsed: argparse.Namespace, config: "Config", workshop: Path) -> "Trial | str":
    """Try the model; a text says which of the chosen sizes it cannot have."""
    from node.executor.pool import Pool, PoolLimits
    from node.executor.zygote import Zygote
    from node.models.trial import try_out
    from protocol.errors import Refused
    from protocol.reasons import Reason

    executor = config.executor
    limits = PoolLimits(
        threads=executor.threads,
        memory_bytes=executor.memory_mib << 20,
        runner_memory_bytes=executor.memory_mib << 20,
        load_s=executor.load_s,
    )
    pool = Pool(limits, Zygote(nice=0))
    async with pool.open():
        try:
            return await try_out(
                parsed.model,
                workshop,
                pool,
                wanted=dict(parsed.dim),
                preference=executor.providers,
                threads=executor.threads,
                budget_s=parsed.seconds,
            )
        except Refused as refusal:
            if parsed.dim and refusal.reason is Reason.INPUT_DEVIATES:
                return refusal.detail
            raise


def as_document(trial: "Trial", runners: int) -> dict[str, object]:
    """Say everything with its unit in its name."""
    earns = trial.earns_per_s
    return {
        "model": {
            "graph": trial.model.graph.hex(),
            "graph_bytes": trial.model.graph_bytes,
            "weights_bytes": trial.weights_bytes,
            "problems": list(trial.model.problems),
            "only_here": trial.model.only_here,
        },
        "sizes": dict(trial.sizes),
        "inputs": [
            {"name": name, "type": element, "dims": list(dims)}
            for name, element, dims in trial.inputs
        ],
        "plain": {"load_s": trial.plain.load_s, "run_s": trial.plain.run_s},
        "sandbox": {
            "load_s": trial.load_s,
            "run_s": trial.run_s,
            "layers": [
                {"name": each.name, "on": each.on, "detail": each.detail} for each in trial.layers
            ],
        },
        "provider": trial.provider.provider,
        "price_cu": trial.price,
        "earns_cu_per_s": earns,
        "earns_cu_per_hour": earns and earns * 3600 * runners,
        "runners": runners,
    }


def _rows(trial: "Trial") -> list[tuple[str, str, str]]:
    plain = trial.plain
    return [
        ("load", _time(plain.load_s), _time(trial.load_s)),
        ("one item", _time(plain.run_s), _time(trial.run_s)),
        ("items a second", f"{1 / plain.run_s:,.1f}", f"{1 / trial.run_s:,.1f}"),
    ]


def _sentences(trial: "Trial", runners: int) -> list[str]:
    shown = [f"{name} {element}{list(dims)}" for name, element, dims in trial.inputs[:INPUTS_SHOWN]]
    if len(trial.inputs) > INPUTS_SHOWN:
        shown.append(f"and {len(trial.inputs) - INPUTS_SHOWN} more")
    shapes = ", ".join(shown)
    weights = f"{trial.weights_bytes / (1 << 20):.1f} MiB of weights"
    said = [f"An item is {shapes or 'nothing'}; the model has {weights}."]
    added_us = (trial.run_s - trial.plain.run_s) * 1e6
    ratio = trial.run_s / trial.plain.run_s
    said.append(f"The sandbox adds {added_us:,.0f} us to an item: {ratio:.2f} x.")
    earns = trial.earns_per_s
    if earns is None or trial.price is None:
        said += [f"It earns nothing from others: {each}" for each in trial.model.problems]
    else:
        hour = earns * 3600 * runners
        said.append(
            f"An item costs {trial.price:,} CU. One runner earns {earns:,.0f} CU a second; "
            f"{runners} of them {hour:,.0f} CU an hour, as long as there is work."
        )
    if trial.model.only_here:
        said.append(f"Strangers' nodes would not take it: {trial.model.only_here}")
    said.append(f"It ran on {trial.provider.provider}. {trial.provider.sentence}")
    off = [f"{each.name} ({each.detail})" for each in trial.layers if not each.on]
    on = ", ".join(each.name for each in trial.layers if each.on)
    said.append(f"Contained by: {on or 'nothing, as trusted work may be'}.")
    if off:
        said.append(f"Not here: {', '.join(off)}.")
    return said


def _time(seconds: float) -> str:
    return f"{seconds * 1e3:,.3g} ms" if seconds < 1 else f"{seconds:,.2f} s"


def _dimension(text: str) -> tuple[str, int]:
    name, equals, size = text.rpartition("=")
    if not equals or not name or not size.isdecimal():
        raise argparse.ArgumentTypeError(f"`{text}` is not NAME=SIZE, as in sequence=64")
    return name, int(size)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= 600:
        raise argparse.ArgumentTypeError(f"`{text}` is not between 0 and 600 seconds")
    return seconds
