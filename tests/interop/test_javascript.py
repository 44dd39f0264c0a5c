# SPDX-License-Identifier: MIT
"""A reader in JavaScript takes and refuses the same bytes, for the same reasons."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

HERE = Path(__file__).resolve().parent
LOCK = HERE / "package-lock.json"
# What npm writes last, when everything is installed; `make setup` calls npm, no test does.
INSTALLED = HERE / "node_modules" / ".package-lock.json"
NODE_OLDEST = 18  # the first with Ed25519 in its Web Crypto; .ci/run asks for the same


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
    found = shutil.which("node")
    if not found:
        not_tried("Node is not installed")
    version = run(found, "--version").strip()
    if int(version.removeprefix("v").split(".")[0]) < NODE_OLDEST:
        not_tried(f"this Node is {version}, and {NODE_OLDEST} or newer is needed")
    if not INSTALLED.exists():
        not_tried("its packages are not installed (`make setup` does it where npm is)")
    return found


def not_tried(why: str) -> NoReturn:
    """Node is a matter of taste on a person's machine, and no matter of taste in CI."""
    message = f"the JavaScript reader is not tried: {why}"
    if os.environ.get("CI"):
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


@pytest.mark.slow
def test_a_reader_in_javascript_agrees_on_every_vector(node: str) -> None:
    printed = run(node, "check.mjs")
    assert re.fullmatch(r"[1-9]\d* passed, 0 failed\n", printed)


def test_the_lock_file_names_hashes_and_no_host() -> None:
    lock = LOCK.read_text(encoding="utf-8")
    assert '"integrity": "sha512-' in lock
    assert "://" not in lock
