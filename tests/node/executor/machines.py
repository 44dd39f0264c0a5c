# SPDX-License-Identifier: MIT
"""A machine and its figures, for tests that do not ask which machine they run on."""

from node.executor.machine import Machine
from node.executor.measured import Measured
from node.executor.providers import CPU

MACHINE = Machine(
    cpu_model="An Engine",
    cpu_features=("avx2", "fma"),
    cores_physical=4,
    cores_logical=8,
    cores_usable=8.0,
    cache_kib=32 * 1024,
    memory_total_mib=16_000,
    memory_mib=16_000,
    memory_available_mib=12_000,
    disk_total_mib=100_000,
    disk_mib=50_000,
)
MEASURED = Measured(
    fp32_mflops=100_000,
    int8_mops=400_000,
    memory_mbps=20_000,
    weights_mib=256,
    on_core_percent=100,
    providers=(CPU,),
    gpus=(),
    runtime="onnxruntime 0.0.1",
    measured_at_s=1_700_000_000,
)
