# SPDX-License-Identifier: MIT
"""Before anything is installed, a person learns what the machine lacks and how to get it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tree import ROOT
from tools import check_system

DEBIAN = "apt-get install gcc libc6-dev libgmp-dev python3-dev"


def fake_compiler(folder: Path, lacking: str) -> str:
    """A compiler that finds every header but one."""
    path = folder / "cc"
    path.write_text(f"#!/bin/sh\n! grep -q '{lacking}'\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def test_a_machine_that_has_all_hears_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CC", fake_compiler(tmp_path, lacking="nothing.h"))
    assert check_system.main() == 0
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "")


@pytest.mark.parametrize("header", ["gmp.h", "Python.h", "stdlib.h"])
def test_a_missing_header_is_named_with_the_exact_command(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    header: str,
) -> None:
    monkeypatch.setenv("CC", fake_compiler(tmp_path, lacking=header))
    assert check_system.main() == 1
    message = capsys.readouterr().err
    assert header in message
    assert DEBIAN + "\n" in message
    assert sum(f"{other}.h" in message for other in ("gmp", "Python", "stdlib")) == 1


def test_a_missing_compiler_is_named_with_the_exact_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(check_system, "which", lambda _: None)
    assert check_system.main() == 1
    message = capsys.readouterr().err
    assert "a C compiler" in message
    assert DEBIAN + "\n" in message


def test_a_missing_venv_module_adds_its_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Debian keeps it in a package of its own."""
    monkeypatch.setenv("CC", fake_compiler(tmp_path, lacking="nothing.h"))
    monkeypatch.setattr(check_system, "find_spec", lambda _: None)
    assert check_system.main() == 1
    assert DEBIAN + " python3-venv\n" in capsys.readouterr().err


def test_an_old_python_is_told_about_a_newer_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_system, "which", lambda name: "x" if name == "python3.12" else None)
    message = check_system.too_old((3, 9, 2))
    assert message is not None
    assert "this is 3.9.2" in message
    assert "make setup PYTHON=python3.12" in message


def test_an_old_python_alone_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_system, "which", lambda _: None)
    assert "install Python 3.11 or newer" in (check_system.too_old((3, 10, 13)) or "")


def test_the_oldest_python_that_we_promise_is_not_too_old() -> None:
    assert check_system.too_old((3, 11, 0)) is None


def test_make_setup_stops_before_it_installs_anything(tmp_path: Path) -> None:
    """The whole way: a tree without .venv, a machine without gmp.h."""
    for name in ("Makefile", "pyproject.toml", "requirements", "tools", "node"):
        (tmp_path / name).symlink_to(ROOT / name)
    fakes = tmp_path / "fakes"
    fakes.mkdir()
    done = subprocess.run(
        ["make", "-C", str(tmp_path), "setup", f"PYTHON={sys.executable}"],
        env={**os.environ, "CC": fake_compiler(fakes, lacking="gmp.h")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert DEBIAN in done.stderr
    assert not (tmp_path / ".venv").exists()
