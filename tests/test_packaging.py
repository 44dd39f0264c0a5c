# SPDX-License-Identifier: MIT
"""What a person installs: three packages, one program, and nobody else in their place."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from node import __version__
from tests.tree import PACKAGES, ROOT

LOCKS = ("runtime", "dev")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built as an installer would, from this tree and without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


def locked(lock: str) -> dict[NormalizedName, tuple[str, Marker | None]]:
    """Name, version and marker of every line of a locked file."""
    text = (ROOT / "requirements" / f"{lock}.txt").read_text(encoding="utf-8")
    pins = re.findall(r"^(\S+)==(\S+?)(?: ; (.+?))? \\$", text, re.MULTILINE)
    assert pins
    found: dict[NormalizedName, tuple[str, Marker | None]] = {}
    for spelling, version, marker in pins:
        name = canonicalize_name(spelling)
        applies = Marker(marker) if marker else None
        if name not in found or applies is None or applies.evaluate():
            found[name] = (version, applies)
    return found


def wanted() -> dict[str, list[Requirement]]:
    """What pyproject.toml asks for, by locked file."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    runtime = [Requirement(line) for line in project["project"]["dependencies"]]
    dev = [Requirement(line) for line in project["dependency-groups"]["dev"]]
    return {"runtime": runtime, "dev": runtime + dev}


def test_the_wheel_has_exactly_our_three_packages(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == {*PACKAGES, f"compute_commons-{__version__}.dist-info"}


def test_the_wheel_carries_its_licence_and_its_program(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    info = f"compute_commons-{__version__}.dist-info"
    facts = archive.read(f"{info}/METADATA").decode()
    assert "License-Expression: MIT" in facts
    assert "the compute commons contributors" in archive.read(f"{info}/licenses/LICENSE").decode()
    assert "commons = node.cli.main:main" in archive.read(f"{info}/entry_points.txt").decode()


def test_the_wheel_works_away_from_the_tree(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "node.cli.main", "explain", "--json"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert '"reasons"' in done.stdout


def test_no_installed_distribution_ships_one_of_our_names() -> None:
    """An installer overwrites without a warning, so the collision has to be seen beforehand."""
    strangers = {
        f"{distribution.name} ships {path.parts[0]}"
        for distribution in metadata.distributions()
        if canonicalize_name(distribution.name) != "compute-commons"
        for path in distribution.files or []
        if path.parts[0].removesuffix(".py") in PACKAGES
    }
    assert strangers == set()


def test_what_is_installed_is_what_is_locked() -> None:
    """Else the test above would look at something else than what people get."""
    installed = {canonicalize_name(found.name): found.version for found in metadata.distributions()}
    applying = {
        name: version
        for name, (version, marker) in locked("dev").items()
        if marker is None or marker.evaluate()
    }
    assert {name: installed.get(name) for name in applying} == applying


@pytest.mark.parametrize("lock", LOCKS)
def test_every_dependency_is_locked_within_its_bounds(lock: str) -> None:
    pins = locked(lock)
    for requirement in wanted()[lock]:
        version, _ = pins[canonicalize_name(requirement.name)]
        assert version in requirement.specifier, f"{requirement} is locked at {version}: make lock"


def test_every_dependency_has_a_lower_bound() -> None:
    bounds = {str(need): [bound.operator for bound in need.specifier] for need in wanted()["dev"]}
    assert all(operators == [">="] for operators in bounds.values()), bounds


def test_the_development_lock_contains_the_runtime_lock() -> None:
    assert locked("runtime").items() <= locked("dev").items()


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_has_hashes_and_none_has_an_address(lock: str) -> None:
    text = (ROOT / "requirements" / f"{lock}.txt").read_text(encoding="utf-8")
    entries = re.findall(r"^\S+==.*?(?=^\S+==|\Z)", text, re.MULTILINE | re.DOTALL)
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in text
    assert " @ " not in text
