# SPDX-License-Identifier: MIT
"""Looks at the programs: Python, commons, its libraries, the system. Nothing heavy is imported."""

import platform
import re
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path

from node import __version__
from node.api.documents import Finding
from node.doctor.looks import failure, passed, warning
from node.doctor.scene import Scene

DISTRIBUTION = "compute-commons"

#: Without these nothing works, and their behaviour differs most from version to version.
LIBRARIES = ("trio", "libp2p", "onnxruntime", "onnx", "cryptography", "msgpack", "numpy")

#: What this program was made for.
PYTHON_MIN = (3, 11)

#: Landlock, which the work of strangers needs, came with this Linux.
LINUX_MIN = (5, 13)

INSTALL = "Install compute-commons again, in an environment of its own."


def see_programs(_: Scene) -> list[Finding]:
    """Say all versions that somebody who helps will ask for first."""
    found = versions()
    missing = [name for name in LIBRARIES if name not in found]
    words = ", ".join(f"{name} {text}" for name, text in found.items())
    if missing:
        sentence = f"Not installed: {', '.join(missing)}. There are: {words}."
        return [failure("versions", sentence, INSTALL)]
    if sys.version_info < PYTHON_MIN:
        return [failure("versions", f"Python 3.11 or newer is needed: {words}.", INSTALL)]
    return [passed("versions", f"{words}.")]


def see_older_libraries(_: Scene) -> list[Finding]:
    """Hold each library against what this program asks for."""
    old = []
    for name, least in _wanted().items():
        has = _version_of(name)
        if has and numbers(has) < numbers(least):
            old.append(f"{name} {has}, and {least} is needed")
    if old:
        return [warning("libraries", f"Too old: {'; '.join(old)}.", INSTALL)]
    return [passed("libraries", "The libraries are as new as this program needs them.")]


def see_strangers(_: Scene, find: Callable[[str], object] = find_spec) -> list[Finding]:
    """Notice another distribution that was installed over our packages."""
    home = Path(__file__).resolve().parents[2]
    for name in ("node", "protocol"):
        origin = getattr(find(name), "origin", None)
        if origin is None or Path(origin).resolve() != home / name / "__init__.py":
            sentence = f"The package `{name}` comes from {origin or 'nowhere'}, not from {home}."
            return [failure("packages", sentence, INSTALL)]
    return [passed("packages", "`node` and `protocol` are of one installation.")]


def see_kernel(_: Scene) -> list[Finding]:
    """Say which system this is, and what it cannot do."""
    system, release, machine = platform.system(), platform.release(), platform.machine()
    name = f"{system} {release} on {machine}"
    if system != "Linux":
        step = "Strangers' work needs Linux; trusted work runs here."
        return [warning("system", f"{name} has no layers that contain a stranger's model.", step)]
    if numbers(release)[:2] < LINUX_MIN:
        step = f"Use Linux {LINUX_MIN[0]}.{LINUX_MIN[1]} or newer."
        return [warning("system", f"{name} is too old to contain a stranger's model.", step)]
    return [passed("system", f"{name}.")]


def see_running_version(scene: Scene) -> list[Finding]:
    """Notice a node that still runs the program of before an update."""
    runs = str((scene.told or {}).get("version", __version__))
    if runs == __version__:
        return []
    sentence = f"The running node is version {runs}, and this program {__version__}."
    return [warning("running version", sentence, "Stop the node and start it anew.")]


def versions() -> dict[str, str]:
    """Give name and version of everything that matters; what is missing is left out."""
    found = {"commons": __version__, "Python": platform.python_version()}
    found |= {name: text for name in LIBRARIES if (text := _version_of(name))}
    return found


def numbers(text: str) -> tuple[int, ...]:
    """Read the numbers at the beginning of a version, as 6.1.0 of `6.1.0-13-amd64`."""
    match = re.match(r"\d+(\.\d+)*", text)
    return tuple(map(int, match[0].split("."))) if match else ()


def _version_of(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _wanted() -> dict[str, str]:
    """Give the least version of each library, as the installed distribution declares it."""
    try:
        lines = requires(DISTRIBUTION) or []
    except PackageNotFoundError:  # run from a folder, without having been installed
        return {}
    matches = (re.match(r"([A-Za-z0-9_.-]+)\s*>=\s*([0-9.]+)", line) for line in lines)
    return {match[1]: match[2] for match in matches if match}
