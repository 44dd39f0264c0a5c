# SPDX-License-Identifier: MIT
"""What the machine is and how much of it this process may use. Nothing is measured here.

What counts is what the process may really take, not what the machine has: processors that its
affinity forbids, a quota of processor time, or a limit of memory (both from cgroups, version 1
and 2, on each level up to the root) are not this node's to promise.
"""

import os
import platform
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

MIB = 1 << 20
SLASH = Path("/")
_TEXT_CHARACTERS_MAX = 120

#: What matters to the kernels of ONNX Runtime. The names are Linux's, but for `neon`.
_FEATURES = frozenset(
    {
        *("sse4_1", "sse4_2", "avx", "avx2", "fma", "f16c", "avx_vnni"),
        *("avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni"),
        *("avx512_bf16", "avx512_fp16", "amx_tile", "amx_int8", "amx_bf16"),
        *("neon", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2", "sme", "sme2"),
        *("vsx", "rvv"),
    }
)
_SPOKEN = {"asimd": "neon"}


@dataclass(frozen=True, slots=True)
class Machine:
    """One look at the machine. What changes while it runs: the two `available` and `free`.

    `cores_usable` may be a fraction: a quota of one and a half. `memory_mib` is the most that
    this process may ever take, `memory_available_mib` what it would get now; `cache_kib` is
    the largest cache of a core, 0 when nobody knows. The disk is that of the models.
    """

    cpu_model: str
    cpu_features: tuple[str, ...]
    cores_physical: int
    cores_logical: int
    cores_usable: float
    cache_kib: int
    memory_total_mib: int
    memory_mib: int
    memory_available_mib: int
    disk_total_mib: int
    disk_mib: int


def look(folder: Path, root: Path = SLASH) -> Machine:
    """Read it all. `folder` is where models are kept; it need not be there yet."""
    memory = psutil.virtual_memory()
    limit, headroom = memory_limits(root)
    total, free = disk_space(folder)
    logical = psutil.cpu_count() or 1
    model, features = processor(root)
    return Machine(
        cpu_model=model,
        cpu_features=features,
        cores_physical=psutil.cpu_count(logical=False) or logical,
        cores_logical=logical,
        cores_usable=usable_cores(logical, root),
        cache_kib=largest_cache_kib(root),
        memory_total_mib=memory.total // MIB,
        memory_mib=_least(memory.total, limit) // MIB,
        memory_available_mib=_least(memory.available, headroom) // MIB,
        disk_total_mib=total // MIB,
        disk_mib=free // MIB,
    )


def processor(root: Path = SLASH) -> tuple[str, tuple[str, ...]]:
    """Name the processor and those of its abilities that make inference fast."""
    text = _read(root / "proc/cpuinfo")
    pairs = [line.partition(":")[::2] for line in text.splitlines() if ":" in line]
    known = {key.strip(): value.strip() for key, value in reversed(pairs)}
    model = (
        known.get("model name")
        or _read(root / "proc/device-tree/model")
        or known.get("Model")
        or known.get("cpu")
        or platform.processor()
        or platform.machine()
    )
    # cores may differ: what one of them lacks cannot be promised
    lists = {value for key, value in pairs if key.strip() in {"flags", "Features"}}
    shared = set.intersection(*(set(each.split()) for each in lists)) if lists else set[str]()
    spoken = {_SPOKEN.get(name, name) for name in shared}
    return _tidy(model), tuple(sorted(spoken & _FEATURES))


def usable_cores(logical: int, root: Path = SLASH) -> float:
    """Count the processors that this process may keep busy, as its affinity and quotas say."""
    try:
        allowed = len(os.sched_getaffinity(0))
    except (AttributeError, OSError):  # not every system has it
        allowed = logical
    quota = cpu_quota(root)
    return round(allowed if quota is None else min(allowed, quota), 2)


def cpu_quota(root: Path = SLASH) -> float | None:
    """Say how many processors' worth of time the cgroups allow; None when they set no bound."""
    quotas = []
    for folder in _cgroup_folders(root, "cpu"):
        words = _read(folder / "cpu.max").split() or [
            _read(folder / "cpu.cfs_quota_us"),
            _read(folder / "cpu.cfs_period_us"),
        ]
        quota, period = (_positive(word) for word in (*words, "100000")[:2])
        if quota and period:
            quotas.append(quota / period)
    return min(quotas, default=None)


def memory_limits(root: Path = SLASH) -> tuple[int | None, int | None]:
    """Say how many bytes the cgroups allow, and how many of them are not taken.

    What files occupy counts as free: the kernel gives it up when memory is wanted.
    """
    limits, headrooms = [], []
    for folder in _cgroup_folders(root, "memory"):
        found = [
            limit
            for name in ("memory.max", "memory.high", "memory.limit_in_bytes")
            if (limit := _positive(_read(folder / name)))
        ]
        if not found:
            continue
        taken = _read(folder / "memory.current") or _read(folder / "memory.usage_in_bytes")
        # version 1 counts a group alone, and again (`total_`) with the groups below it
        files = re.findall(r"inactive_file ([0-9]+)", _read(folder / "memory.stat"))
        in_use = max((_positive(taken) or 0) - max(map(int, files), default=0), 0)
        limits.append(min(found))
        headrooms.append(max(min(found) - in_use, 0))
    return min(limits, default=None), min(headrooms, default=None)


def disk_space(folder: Path) -> tuple[int, int]:
    """Give the bytes of the disk below a folder, all and free for this user."""
    for place in (folder, *folder.absolute().parents):
        try:
            usage = shutil.disk_usage(place)
        except OSError:  # not there yet: its parent is on the same disk
            continue
        return usage.total, usage.free
    return 0, 0


def largest_cache_kib(root: Path = SLASH) -> int:
    """Give the size of the largest cache that one core reads through; 0 when it is not known."""
    sizes = [0]
    for index in (root / "sys/devices/system/cpu/cpu0/cache").glob("index*"):
        size = re.fullmatch(r"([0-9]+)([KM])", _read(index / "size"))
        if size and _read(index / "type") != "Instruction":
            sizes.append(int(size[1]) * (1024 if size[2] == "M" else 1))
    return max(sizes)


def identity(root: Path = SLASH) -> tuple[str, ...]:
    """Give what tells this machine from another one with the same parts, as far as it is known.

    The id of the machine is secret on some systems: it goes into a hash and is never shown.
    """
    graphics = sorted(each.name for each in (root / "proc/driver/nvidia/gpus").glob("*"))
    return (_read(root / "etc/machine-id"), platform.machine(), *graphics)


def _cgroup_folders(root: Path, controller: str) -> Iterator[Path]:
    """Every folder whose limits hold for this process: its own, and all above it."""
    own = {}
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, _, names_and_path = line.partition(":")
        names, _, path = names_and_path.partition(":")
        own.update(dict.fromkeys(names.split(","), path))  # version 2 has the empty name
    for line in _read(root / "proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        mount, kind = before.split(), after.split()
        if len(mount) < 5 or len(kind) < 3 or kind[0] not in {"cgroup", "cgroup2"}:
            continue
        name = "" if kind[0] == "cgroup2" else controller
        if name in own and (not name or name in kind[2].split(",")):
            top = root / _unescape(mount[4]).lstrip("/")
            yield from _upwards(top, _unescape(mount[3]), own[name])


def _upwards(top: Path, mounted: str, own: str) -> Iterable[Path]:
    """Walk from the group of this process up to where its tree is mounted.

    In a container the group is named as the host sees it, and only the part below the mounted
    group is there.
    """
    within = Path(own).relative_to(mounted) if Path(own).is_relative_to(mounted) else Path()
    folder = top / within
    if ".." in within.parts or not folder.is_dir():
        return [top]
    return [folder, *(each for each in folder.parents if each.is_relative_to(top))]


def _read(path: Path) -> str:
    """The text of a small file of the kernel; empty when there is none, or when it is forbidden."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _positive(word: str) -> int | None:
    """A bound; None for `max`, -1 and nonsense, which bound nothing."""
    return int(word) if re.fullmatch(r"[0-9]{1,19}", word) and int(word) > 0 else None


def _least(total: int, bound: int | None) -> int:
    return total if bound is None else min(total, bound)


def _tidy(text: str) -> str:
    """One line that can be printed anywhere."""
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(printable.split())[:_TEXT_CHARACTERS_MAX] or "unknown"


def _unescape(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
