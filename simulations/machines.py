# SPDX-License-Identifier: MIT
"""Machines that made nodes run on: what they have, how fast they are, how they are connected.

A rate of one core is about four fifths of what its vector units could do at the speed that they
keep up: so much a good product of matrices gets. What was measured on real machines stands in
docs/how-to/measure-your-machine.md, a server's core with 115 GFLOP/s and 21 GB/s. A commit waits
for the disk to have it for good, which is what differs most between disks.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from node.config import Config, ExecutorConfig
from node.executor.executor import CPU
from node.executor.hardware import Hardware
from node.executor.machine import Machine as Core
from node.executor.measured import Gpu, Measured
from node.executor.providers import CUDA
from node.host.host import Sensors
from simulations.clock import EPOCH_S
from simulations.host import FREE
from simulations.link import Speed

GIB_MIB = 1024

#: What others have running on a machine that nobody uses just now.
OTHERS_SHARE = 0.25

X86 = ("avx2", "fma")
ARM = ("neon", "asimddp")


@dataclass(frozen=True, slots=True)
class Machine:
    """A kind of machine. `access` names how it is joined to the network, as links.py has it."""

    name: str
    hardware: Hardware
    executor: ExecutorConfig
    """What its owner lets models take, who has thought of what the machine has."""
    speed: Speed
    sensors: Sensors
    commit_s: float
    access: str

    @property
    def us_per_cu(self) -> float:
        """How long one runner needs for a unit of work."""
        return self.speed.us_per_cu

    @property
    def script(self) -> Sequence[tuple[float, Sensors | Exception]]:
        """What is seen on it when nobody says otherwise."""
        return ((0.0, self.sensors),)

    def configured(self, config: Config) -> Config:
        """Give a config in which models may take what is sensible here, if it does not say."""
        is_chosen = config.executor != ExecutorConfig()
        return config if is_chosen else replace(config, executor=self.executor)


@dataclass(frozen=True, slots=True)
class Figures:
    """What is given of a machine; the rest follows."""

    cpu: str
    features: tuple[str, ...]
    cores: int
    gflops: float
    """Of one core, in float32."""
    gbps: float
    """What one core reads from memory."""
    memory_gib: int
    disk_free_gib: int
    disk_mbps: float
    commit_ms: float
    threads: int
    """Of one runner; there are two, so that an owner's order need not wait for a stranger's."""
    gpu: Gpu | None = None


def machine(name: str, access: str, of: Figures, *, on_battery: bool | None = None) -> Machine:
    """Make a machine of its figures."""
    hardware = _hardware(of)
    memory_mib = of.memory_gib * GIB_MIB // 2  # half of it is for models, at most
    return Machine(
        name=name,
        hardware=hardware,
        executor=ExecutorConfig(
            runners=2,
            threads=of.threads,
            memory_mib=memory_mib,
            runner_memory_mib=min(GIB_MIB, memory_mib // 2),
        ),
        speed=Speed(
            us_per_cu=1e6 / (hardware.fp32_cu_per_s * of.threads),
            load_bytes_per_s=of.disk_mbps * 1e6,
        ),
        sensors=replace(
            FREE,
            memory_free_mib=int(of.memory_gib * GIB_MIB * (1 - OTHERS_SHARE)),
            disk_free_mib=of.disk_free_gib * GIB_MIB,
            on_battery=on_battery,
        ),
        commit_s=of.commit_ms / 1000,
        access=access,
    )


def _hardware(of: Figures) -> Hardware:
    memory_mib = of.memory_gib * GIB_MIB
    core = Core(
        cpu_model=of.cpu,
        cpu_features=of.features,
        cores_physical=of.cores,
        cores_logical=of.cores,
        cores_usable=float(of.cores),
        cache_kib=2048 if of.features == ARM else 8192,
        memory_total_mib=memory_mib,
        memory_mib=memory_mib,
        memory_available_mib=int(memory_mib * (1 - OTHERS_SHARE)),
        disk_total_mib=2 * of.disk_free_gib * GIB_MIB,
        disk_mib=of.disk_free_gib * GIB_MIB,
    )
    mflops = round(of.gflops * 1000)
    measured = Measured(
        fp32_mflops=mflops,
        int8_mops=2 * mflops,
        memory_mbps=round(of.gbps * 1000),
        weights_mib=256,
        on_core_percent=100,
        providers=(CUDA, CPU) if of.gpu else (CPU,),
        gpus=(of.gpu,) if of.gpu else (),
        runtime="simulated",
        measured_at_s=EPOCH_S,
    )
    return Hardware(core, measured)


#: Four small cores at 2.4 GHz with 16 operations a cycle; a memory card needs long for a commit.
RASPBERRY_PI = machine(
    "raspberry-pi",
    "dsl",
    Figures("a small board", ARM, 4, 30, 8, 8, 20, 80, 30, threads=1),
)
#: It has to keep cool: 2.5 GHz with 32 operations a cycle is what stays of twice as much.
LAPTOP = machine(
    "laptop",
    "dsl",
    Figures("a laptop", X86, 4, 60, 12, 16, 60, 500, 3, threads=2),
    on_battery=False,
)
#: Four cores of some years ago, at 4 GHz; one unit of work takes two of them 5 microseconds.
DESKTOP = machine(
    "desktop",
    "dsl",
    Figures("a desktop", X86, 4, 100, 12, 16, 100, 500, 2, threads=2),
)
#: Its GPU is told, and works only for those that its owner trusts: strangers get the processor.
GAMING_PC = machine(
    "gaming-pc",
    "fibre",
    Figures(
        "a gaming PC", X86, 8, 125, 20, 32, 300, 2000, 1, threads=4, gpu=Gpu("a gaming GPU", 12_288)
    ),
)
#: Many cores that keep up 3.6 GHz; its disk answers for what it has not written yet.
SERVER = machine(
    "server",
    "datacentre",
    Figures("a server", X86, 16, 115, 21, 64, 500, 2000, 0.5, threads=8),
)
#: On the go: a laptop that shares the telephone's access, and its battery.
TRAVELLER = replace(LAPTOP, name="traveller", access="mobile")

MACHINES = {
    each.name: each for each in (RASPBERRY_PI, LAPTOP, DESKTOP, GAMING_PC, SERVER, TRAVELLER)
}
