# SPDX-License-Identifier: MIT
"""`commons hardware`: what this machine can do, in words. How that is found out is not here."""

import argparse
from typing import TYPE_CHECKING

from node.cli.arguments import Commands, paths_of
from node.cli.output import complain, print_json, print_table, show_progress
from node.exits import ExitCode

if TYPE_CHECKING:
    from node.executor.hardware import Hardware


def register(commands: Commands) -> None:
    """Describe `commons hardware`."""
    hardware = commands.add(
        "hardware",
        run,
        summary="say what this machine can do, and what that earns",
        about="Say what this machine can do, and what that earns.\n\n"
        "The first time, one core is measured for about a second; later the figures are recalled.",
    )
    hardware.add_argument("--refresh", action="store_true", help="measure again")


def run(parsed: argparse.Namespace) -> ExitCode:
    """Look at the machine, measure it if need be, and print what was found."""
    from node.clock import SystemClock
    from node.executor import hardware
    from node.executor.measured import FILE
    from protocol.errors import Refused

    folder, clock = paths_of().cache, SystemClock()
    if parsed.refresh or not (folder / FILE).exists():
        show_progress("Measuring one core: a second or two.")
    try:
        found = hardware.probe_here(folder, clock, refresh=parsed.refresh)
    except Refused as failure:  # nobody refused anything: it was tried and did not work
        complain(f"{failure.detail}. Nothing was kept; try again with --refresh.")
        return ExitCode.FAILED
    age_s = max(int(clock.now().wall_s) - found.measured.measured_at_s, 0)
    if parsed.json:
        print_json({**found.as_document(), "age_s": age_s})
        return ExitCode.OK
    print_table(("what", "how much", "which is"), rows(found, age_s))
    print()
    for sentence in (*found.doubts, *earnings(found)):
        print(sentence)
    return ExitCode.OK


def rows(found: "Hardware", age_s: int) -> list[tuple[str, str, str]]:
    """Say each fact with its unit, and what it is a fact about."""
    machine, measured = found.machine, found.measured
    counted = f"{machine.cores_physical} physical and {machine.cores_logical} logical ones"
    whole, free = _size(machine.memory_total_mib), _size(machine.memory_available_mib)
    disk, read = _size(machine.disk_total_mib), _size(measured.weights_mib)
    return [
        ("processor", machine.cpu_model, " ".join(machine.cpu_features) or "features not known"),
        ("cores", f"{machine.cores_usable:g}", f"that this program may use, of {counted}"),
        ("memory", _size(machine.memory_mib), f"that it may take, of {whole}; {free} is free now"),
        ("disk", _size(machine.disk_mib), f"free where models are kept, of {disk}"),
        ("float32", _rate(found.fp32_mflops, "FLOP/s"), "products of matrices, on one core"),
        ("int8", _rate(found.int8_mops, "OP/s"), "the same with 8-bit integers"),
        ("bandwidth", _rate(found.memory_mbps, "B/s"), f"reading {read} of weights, on one core"),
        ("GPU", found.accelerator or "none", _gpu_words(found)),
        ("providers", str(len(measured.providers)), " ".join(measured.providers)),
        ("measured", age(age_s), f"with {measured.runtime}"),
    ]


def earnings(found: "Hardware") -> tuple[str, ...]:
    """Say what a core earns, and which models earn more or less."""
    compute, memory = found.fp32_cu_per_s, found.memory_cu_per_s
    earns = (
        f"In float32, one core earns about {_rounded(compute)} CU a second where a model "
        f"computes ({1e6 / max(compute, 1):.1f} us for 1 CU), and {_rounded(memory)} where it "
        f"reads weights ({1e6 / max(memory, 1):.1f} us for 1 CU)."
    )
    differ = (
        "Models that stay in the cache or compute in int8 earn more, those of many small steps "
        "less. Cores compute side by side, but they share the memory."
    )
    return earns, differ


def age(age_s: int) -> str:
    """Say how long ago something was, in the largest unit that fits."""
    for unit, seconds in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if age_s >= seconds:
            count = age_s // seconds
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


def _gpu_words(found: "Hardware") -> str:
    if found.accelerator:
        return f"{_size(found.accelerator_mib)} of its own memory; for trusted work only"
    return "that ONNX Runtime can use here"


def _size(mib: int) -> str:
    return f"{mib / 1024:.1f} GiB" if mib >= 1024 else f"{mib} MiB"


def _rate(millions: int, unit: str) -> str:
    return f"{millions / 1000:.3g} G{unit}" if millions < 10**6 else f"{millions / 1e6:.3g} T{unit}"


def _rounded(number: int) -> str:
    """Three digits are all that the probe repeats."""
    return f"{int(float(f'{number:.3g}')):,}"
