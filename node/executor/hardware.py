# SPDX-License-Identifier: MIT
"""What this machine can do: looks at it, asks the probe once, and remembers its figures.

The measuring is in `child/probe`, in a process of its own. What one core measures is kept
(`measured`); what changes by itself (free memory, free disk, limits) is looked at each time
(`machine`).
"""

import json
import os
import shutil
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from node.clock import Clock
from node.executor.machine import Machine, look
from node.executor.measured import Gpu, Measured, key_of, measured_from, recall, remember
from node.executor.providers import ON_NVIDIA
from protocol.errors import Refused
from protocol.limits import NAME_BYTES_MAX
from protocol.price import PS_PER_BYTE, PS_PER_CU, PS_PER_FLOP
from protocol.reasons import Reason

MODULE = "node.executor.child.probe"
WHAT = "hardware probe"
GPU_TOOL = "nvidia-smi"
PROBE_S = 10.0
ANSWER_BYTES_MAX = 1 << 16

#: The probe reads whole matrices.
MATRIX_MIB = 16

# More than the caches hold, or their speed is measured; less than disturbs the machine.
WEIGHTS_MIB_MIN, WEIGHTS_MIB_MAX = 64, 256
_TIMES_THE_CACHE = 4
_SHARE_OF_MEMORY = 8

# The best of many runs is steady far below a whole core; under this it may not be.
_ON_CORE_PERCENT_MIN = 50


@dataclass(frozen=True, slots=True)
class Hardware:
    """The machine as it is now, with what was measured. Its properties are those of an advert."""

    machine: Machine
    measured: Measured

    @property
    def cores(self) -> int:
        """Whole cores that may be kept busy; a fraction of one counts as one, at its rates."""
        return min(max(int(self.machine.cores_usable), 1), 1 << 16)

    @property
    def memory_mib(self) -> int:
        """The most memory that this process may take."""
        return self.machine.memory_mib

    @property
    def disk_mib(self) -> int:
        """What is free on the disk of the models."""
        return self.machine.disk_mib

    @property
    def fp32_mflops(self) -> int:
        """What one thread keeps up with float32."""
        return self._kept_up(self.measured.fp32_mflops)

    @property
    def int8_mops(self) -> int:
        """What one thread keeps up with 8-bit integers."""
        return self._kept_up(self.measured.int8_mops)

    @property
    def memory_mbps(self) -> int:
        """How fast one thread reads weights."""
        return self._kept_up(self.measured.memory_mbps)

    @property
    def accelerator(self) -> str:
        """The largest GPU that ONNX Runtime can use here; empty for none."""
        return _cut(self._gpu.name) if self._gpu else ""

    @property
    def accelerator_mib(self) -> int:
        """The memory of that one GPU: a model runs on one."""
        return self._gpu.memory_mib if self._gpu else 0

    @property
    def fp32_cu_per_s(self) -> int:
        """What one core earns a second at best with work that computes in float32."""
        return self.fp32_mflops * 10**6 * PS_PER_FLOP // PS_PER_CU

    @property
    def memory_cu_per_s(self) -> int:
        """What one core earns a second at best with work that only reads weights."""
        return self.memory_mbps * 10**6 * PS_PER_BYTE // PS_PER_CU

    @property
    def doubts(self) -> tuple[str, ...]:
        """Say in sentences what makes the figures less certain."""
        measured, machine = self.measured, self.machine
        found = []
        if measured.on_core_percent < _ON_CORE_PERCENT_MIN:
            found.append(
                f"The machine was busy: the probe had a core for {measured.on_core_percent} % of"
                " its time. It may do more than this."
            )
        if measured.weights_mib * 1024 < 2 * machine.cache_kib:
            found.append(
                f"The bandwidth is partly that of the cache ({machine.cache_kib // 1024} MiB):"
                f" only {measured.weights_mib} MiB were read."
            )
        if machine.cores_usable < 1:
            found.append(
                f"A quota leaves this process {machine.cores_usable:g} of a core;"
                " the rates are what that share keeps up."
            )
        if measured.gpus and not self._gpu:
            found.append(
                f"{measured.gpus[0].name} is there, but the installed ONNX Runtime has no"
                " provider for it."
            )
        return tuple(found)

    def as_document(self) -> dict[str, object]:
        """Write it as JSON has it, with the fields of an advert under their names there."""
        advert = ("cores", "memory_mib", "disk_mib", "accelerator", "accelerator_mib")
        rates = ("fp32_mflops", "int8_mops", "memory_mbps")
        return {
            "advert": {name: getattr(self, name) for name in (*advert, *rates)},
            "fp32_cu_per_s": self.fp32_cu_per_s,
            "memory_cu_per_s": self.memory_cu_per_s,
            "doubts": list(self.doubts),
            "machine": {**asdict(self.machine), "cpu_features": list(self.machine.cpu_features)},
            "measured": self.measured.as_document(),
        }

    @property
    def _gpu(self) -> Gpu | None:
        if ON_NVIDIA.isdisjoint(self.measured.providers):
            return None
        return max(self.measured.gpus, key=lambda gpu: gpu.memory_mib, default=None)

    def _kept_up(self, peak: int) -> int:
        """A share of a core runs at full speed for a share of the time."""
        return int(peak * min(self.machine.cores_usable, 1.0))


# --- asking ---------------------------------------------------------------------------------------


async def probe(
    folder: Path,
    clock: Clock,
    *,
    refresh: bool = False,
    deadline_s: float = PROBE_S,
    module: str = MODULE,
) -> Hardware:
    """Say what this machine can do; measures at the first time, and when told to `refresh`.

    `folder` is that of the cache, and its disk is the one that is looked at. A probe that
    fails or is not done in time is Refused with `run_failed`, and the detail says how.
    `module` is the program; tests give broken ones.
    """
    machine = look(folder)
    known = None if refresh else _known(folder, machine)
    if known is None:
        known = await _measure(machine, clock, deadline_s, module)
        remember(folder, key_of(machine), known)
    return Hardware(machine, known)


def probe_here(
    folder: Path,
    clock: Clock,
    *,
    refresh: bool = False,
    deadline_s: float = PROBE_S,
    module: str = MODULE,
) -> Hardware:
    """Do the same where no trio runs, as in a command; trio is imported only to measure."""
    machine = look(folder)
    known = None if refresh else _known(folder, machine)
    if known is not None:
        return Hardware(machine, known)
    import trio  # noqa: PLC0415 - a command that only recalls should not wait for it

    ask = partial(probe, refresh=refresh, deadline_s=deadline_s, module=module)
    return trio.run(ask, folder, clock)


def _known(folder: Path, machine: Machine) -> Measured | None:
    """Recall the figures, but not those from a time when memory was too short to measure well."""
    known = recall(folder, key_of(machine))
    return known if known and known.weights_mib >= weights_mib(machine) else None


async def _measure(machine: Machine, clock: Clock, deadline_s: float, module: str) -> Measured:
    """Let a child measure, and believe nothing of what it says that is no measurement."""
    from node.executor.throwaway import throwaway  # noqa: PLC0415 - it imports trio

    task = {
        "weights_mib": weights_mib(machine),
        "gpu_tool": shutil.which(GPU_TOOL),
        "gpus_visible": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "libraries": os.environ.get("LD_LIBRARY_PATH"),
    }
    async with throwaway(
        module, json.dumps(task), deadline_s=deadline_s, what=WHAT, reason=Reason.RUN_FAILED
    ) as child:
        said = await child.receive(ANSWER_BYTES_MAX)
    try:
        found = json.loads(said)
        return measured_from({**found, "measured_at_s": int(clock.now().wall_s)})
    except (ValueError, TypeError, RecursionError) as error:
        detail = f"the {WHAT} gave what is no measurement: {error}"
        raise Refused(Reason.RUN_FAILED, detail) from error


def weights_mib(machine: Machine) -> int:
    """Choose how much is read to measure the memory, on this machine as it is now."""
    wanted = _TIMES_THE_CACHE * machine.cache_kib // 1024
    bounded = min(max(wanted, WEIGHTS_MIB_MIN), WEIGHTS_MIB_MAX)
    affordable = min(bounded, machine.memory_available_mib // _SHARE_OF_MEMORY)
    return max(affordable // MATRIX_MIB, 1) * MATRIX_MIB


def _cut(text: str) -> str:
    """As much of a name as an advert may carry."""
    return text.encode()[:NAME_BYTES_MAX].decode(errors="ignore")
