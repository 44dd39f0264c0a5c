# SPDX-License-Identifier: MIT
"""What can be seen of a node from outside, whether it runs or not. A command asks for it."""

from collections.abc import Sequence

from node.api.documents import Finding
from node.doctor import choices, doors, folders, keeping, programs
from node.doctor.layers import judged as judged_layers
from node.doctor.looks import Look, at_once, blocking, failure, look_at, passed
from node.doctor.scene import Scene
from node.doctor.strength import judged as judged_hardware
from node.executor import hardware, machine, measured
from node.executor.pool import Pool, PoolLimits
from node.executor.zygote import Zygote
from protocol.errors import Refused

#: A process is started that imports ONNX Runtime and tries every layer, twice.
TRY_S = 30.0

#: SQLite reads all of each database: some hundred MiB in this time from a slow disk.
CHECK_S = 30.0


async def look_from_outside(scene: Scene) -> tuple[Finding, ...]:
    """Take every look; what a running node sees better itself is left to it."""
    return await look_at(scene, LOOKS)


async def see_layers(scene: Scene) -> Sequence[Finding]:
    """Start what a node starts for its runners; a running node has tried the layers already."""
    if scene.is_running:
        return []
    pool = Pool(PoolLimits(), Zygote(nice=0))
    async with pool.open():
        try:
            return judged_layers(await pool.layers())
        except Refused as refused:
            sentence = f"Runners cannot be started: {(refused.detail or str(refused)).rstrip('.')}."
            return [failure("sandbox", sentence, refused.reason.next_step)]


def see_hardware(scene: Scene) -> Sequence[Finding]:
    """Recall what was measured. It is not measured here, beside all the other looks."""
    if scene.is_running:
        return []
    folder = scene.paths.cache
    here = machine.look(folder, scene.root)
    known = measured.recall(folder, measured.key_of(here))
    if known is None:
        sentence = "This machine was not measured yet; the first start does, in a second or two."
        return [passed("hardware", sentence, "`commons hardware` does it now.")]
    return judged_hardware(hardware.Hardware(here, known), scene.config.executor.providers)


LOOKS: tuple[Look[Scene], ...] = (
    Look("versions", blocking(programs.see_programs)),
    Look("libraries", blocking(programs.see_older_libraries)),
    Look("packages", blocking(programs.see_strangers)),
    Look("system", blocking(programs.see_kernel)),
    Look("running version", at_once(programs.see_running_version)),
    Look("config", at_once(choices.see_config)),
    Look("choices", blocking(choices.see_hints)),
    Look("folders", blocking(folders.see_folders)),
    Look("disk", blocking(folders.see_disks)),
    Look("space", blocking(folders.see_space)),
    Look("memory", blocking(folders.see_memory)),
    Look("leftovers", blocking(folders.see_leftovers)),
    Look("identity", blocking(keeping.see_identity)),
    Look("networks", blocking(keeping.see_networks)),
    Look("clock", blocking(keeping.see_clock)),
    Look("databases", blocking(keeping.see_databases), CHECK_S),
    Look("sandbox", see_layers, TRY_S),
    Look("hardware", blocking(see_hardware)),
    Look("ports", blocking(doors.see_ports)),
    Look("listening", doors.see_listening, doors.DIALS_S),
    Look("bootstrap", doors.see_bootstrap, doors.DIALS_S),
    Look("mDNS", blocking(doors.see_house)),
)
