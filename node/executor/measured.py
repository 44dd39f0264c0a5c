# SPDX-License-Identifier: MIT
"""What the probe has measured, and the file that keeps it. Who measures is said in `hardware`.

A file that is broken, of another machine or of another version is as good as none. Two
processes that write at once both write a whole file, and the later one stays. A disk that
takes no file costs only the memory of it.
"""

import hashlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from node import __version__
from node.executor.machine import Machine, identity
from node.executor.providers import offered

#: Grows when the same machine would give other figures: old files are then measured anew.
PROBE_VERSION = 1

FILE = "hardware.json"
FILE_BYTES_MAX = 1 << 16
LIST_MAX = 64
_TEXT_CHARACTERS_MAX = 200
_FIGURE_MAX = 10**12

_DISTRIBUTIONS = (
    *("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino"),
    *("onnxruntime-migraphx", "onnxruntime-rocm", "onnxruntime-silicon"),
)


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU, with its own memory in MiB."""

    name: str
    memory_mib: int


@dataclass(frozen=True, slots=True)
class Measured:
    """What the probe found, once. Rates are the best of one thread of one core.

    `fp32_mflops`: millions of operations a second in a product of matrices (a multiplication
    and an addition are two); `int8_mops`: the same with 8-bit integers. `memory_mbps`:
    millions of bytes a second, read from `weights_mib` MiB of weights. `on_core_percent`: how
    much of its time the probe had its core for itself. `measured_at_s`: seconds since 1970.
    """

    fp32_mflops: int
    int8_mops: int
    memory_mbps: int
    weights_mib: int
    on_core_percent: int
    providers: tuple[str, ...]
    gpus: tuple[Gpu, ...]
    runtime: str
    measured_at_s: int

    def as_document(self) -> dict[str, object]:
        """Write it as JSON has it; :func:`measured_from` reads it."""
        gpus = [[gpu.name, gpu.memory_mib] for gpu in self.gpus]
        return {**asdict(self), "providers": list(self.providers), "gpus": gpus}


def key_of(machine: Machine) -> str:
    """Name the machine and the versions for which a measurement holds."""
    static = (
        *(machine.cpu_model, machine.cpu_features, machine.cores_physical, machine.cores_logical),
        *(machine.cache_kib, machine.memory_total_mib, os.environ.get("CUDA_VISIBLE_DEVICES")),
    )
    versions = (PROBE_VERSION, __version__, *map(_version_of, _DISTRIBUTIONS))
    return hashlib.sha256(json.dumps([static, identity(), versions]).encode()).hexdigest()


def recall(folder: Path, key: str) -> Measured | None:
    """Read what is known; None when nothing is, or when it is of something else, or broken."""
    try:
        with (folder / FILE).open("rb") as file:
            document = json.loads(file.read(FILE_BYTES_MAX))
        return measured_from(document["measured"]) if document["key"] == key else None
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def remember(folder: Path, key: str, measured: Measured) -> None:
    """Write it down whole or not at all; a disk that takes nothing is no reason to fail."""
    document = {"key": key, "measured": measured.as_document()}
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=FILE, dir=folder)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(document, file, indent=2)
            Path(name).replace(folder / FILE)
        except OSError:
            Path(name).unlink(missing_ok=True)
    except OSError:
        pass


def measured_from(document: object) -> Measured:
    """Read a measurement that a file or a child gave; ValueError unless it is exactly one."""
    names = list(Measured.__dataclass_fields__)
    if not isinstance(document, dict) or sorted(document) != sorted(names):
        raise ValueError(f"not the fields {', '.join(names)}")
    fields: dict[str, Any] = dict(document)
    gpus = _list(fields.pop("gpus"), "gpus")
    providers = _list(fields.pop("providers"), "providers")
    runtime = _text(fields.pop("runtime"))
    found = Measured(
        **{name: _figure(value, name) for name, value in fields.items()},
        providers=tuple(_text(name) for name in providers),
        gpus=tuple(_gpu_from(row) for row in gpus),
        runtime=runtime,
    )
    if found.providers != offered(found.providers):
        raise ValueError("providers that nobody may use")
    if found.on_core_percent > 100:
        raise ValueError(f"{found.on_core_percent} % of a core")
    return found


def _gpu_from(row: object) -> Gpu:
    name, memory_mib = _list(row, "a GPU")
    return Gpu(_text(name), _figure(memory_mib, "memory_mib"))


def _list(value: object, name: str) -> list[object]:
    if not isinstance(value, list) or len(value) > LIST_MAX:
        raise ValueError(f"{name}: not a list of at most {LIST_MAX}")
    return value


def _figure(value: object, name: str) -> int:
    if type(value) is not int or not 1 <= value <= _FIGURE_MAX:
        raise ValueError(f"{name}: not a number from 1 to {_FIGURE_MAX}")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > _TEXT_CHARACTERS_MAX or not value.isprintable():
        raise ValueError("not a short line of text")
    return value


def _version_of(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""
