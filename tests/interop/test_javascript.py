# SPDX-License-Identifier: MIT
"""A reader in JavaScript takes and refuses the same bytes, for the same reasons."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
LOCK = HERE / "package-lock.json"
# What npm writes last, when everything is installed.
INSTALLED = HERE / "node_modules" / ".package-lock.json"


def run(*command: str) -> str:
    """Run a command here and give what it printed; what it complained about fails the test."""
    done = subprocess.run(
        command, cwd=HERE, capture_output=True, text=True, check=False, encoding="utf-8"
    )
    if done.returncode:
        pytest.fail(f"{' '.join(command)}\n{done.stdout}{done.stderr}", pytrace=False)
    return done.stdout


@pytest.fixture(scope="session")
def node() -> str:
    """The program that runs JavaScript, with what the reader needs installed."""
    found, npm = shutil.which("node"), shutil.which("npm")
    if not found or not npm:
        message = "node and npm are not installed: the JavaScript reader is not tried"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    if not INSTALLED.exists() or INSTALLED.stat().st_mtime < LOCK.stat().st_mtime:
        run(npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
        INSTALLED.touch()
    return found


@pytest.mark.slow
def test_a_reader_in_javascript_agrees_on_every_vector(node: str) -> None:
    printed = run(node, "check.mjs")
    assert re.fullmatch(r"[1-9]\d* passed, 0 failed\n", printed)


def test_the_lock_file_names_hashes_and_no_host() -> None:
    lock = LOCK.read_text(encoding="utf-8")
    assert '"integrity": "sha512-' in lock
    assert "://" not in lock
