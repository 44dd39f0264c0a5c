# SPDX-License-Identifier: MIT
"""Judges what was measured of the machine. Measuring is in node/executor/hardware.py."""

from collections.abc import Sequence

from node.api.documents import Finding
from node.doctor.looks import failure, passed, warning
from node.executor.hardware import Hardware
from node.executor.providers import CPU, full_name, offered

#: Slower than any processor of the last fifteen years: the probe measured something else.
MFLOPS_MIN = 500

#: No single core reaches this: the probe, or the clock under it, is wrong.
MFLOPS_MAX = 5_000_000

AGAIN = "`commons hardware --refresh` measures again; stop other programs before."


def judged(hardware: Hardware, preferred: Sequence[str] = ()) -> list[Finding]:
    """Say whether the figures are plausible, what makes them doubtful, and what is not offered."""
    found = [_figures(hardware)]
    found += [warning("hardware", doubt, AGAIN) for doubt in hardware.doubts]
    usable = offered(hardware.measured.providers)
    missing = [each for each in preferred if full_name(each) not in usable]
    if missing:
        sentence = f"executor.providers names {', '.join(missing)}, and ONNX Runtime has only "
        step = "Install the ONNX Runtime that has it, or take it out of the config."
        found.append(warning("providers", f"{sentence}{', '.join(usable)}.", step))
    elif len(usable) > 1:
        found.append(passed("providers", f"Trusted work may use {', '.join(usable)}."))
    else:
        found.append(passed("providers", f"All work runs on the processor ({CPU})."))
    return found


def _figures(hardware: Hardware) -> Finding:
    flops = hardware.measured.fp32_mflops
    memory = hardware.memory_mib
    sentence = (
        f"{hardware.cores} cores of {flops:,} Mflop/s and {hardware.measured.memory_mbps:,} MB/s, "
        f"{memory:,} MiB of memory."
    )
    if not MFLOPS_MIN <= flops <= MFLOPS_MAX or not hardware.measured.memory_mbps:
        why = "That is not plausible, and others place work by it."
        return failure("hardware", f"{sentence} {why}", AGAIN)
    return passed("hardware", sentence)
