# SPDX-License-Identifier: MIT
"""Runs the JavaScript of this folder, where Node is. What is asked of it is in the tests."""

import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NoReturn

import pytest

HERE = Path(__file__).resolve().parent
LOCK = HERE / "package-lock.json"
PACKAGES = HERE / "node_modules"
NODE_OLDEST = 18  # the first with Ed25519 in its Web Crypto; .ci/run asks for the same
ANSWER_S_MAX = 60.0
END_S_MAX = 10.0


def run(*command: str) -> str:
    """Run a command here and give what it printed; what it complained about fails the test."""
    done = subprocess.run(
        command, cwd=HERE, capture_output=True, text=True, check=False, encoding="utf-8"
    )
    if done.returncode:
        pytest.fail(f"{' '.join(command)}\n{done.stdout}{done.stderr}", pytrace=False)
    return done.stdout


def found_node() -> str:
    """Give the program that runs JavaScript, when all that this folder needs is installed."""
    found = shutil.which("node")
    if not found:
        not_tried("Node is not installed")
    version = run(found, "--version").strip()
    if int(version.removeprefix("v").split(".")[0]) < NODE_OLDEST:
        not_tried(f"this Node is {version}, and {NODE_OLDEST} or newer is needed")
    if lacking := packages_lacking():
        not_tried(f"{lacking} not installed (`make setup` does it where npm is)")
    return found


def packages_lacking() -> str:
    """Say which packages of the lock file are not here as it names them; empty when all are."""
    done = PACKAGES / ".package-lock.json"  # what npm writes last
    if not done.exists():
        return "its packages are"
    wanted, here = locked(LOCK), locked(done)
    lacking = [name for name, package in wanted.items() if here.get(name) != package]
    return f"{lacking[0]} and {len(lacking) - 1} more are" if lacking else ""


def locked(path: Path) -> dict[str, str]:
    """Read which packages a lock file names, each with its hash."""
    packages = json.loads(path.read_text(encoding="utf-8"))["packages"]
    return {name: package["integrity"] for name, package in packages.items() if name}


def not_tried(why: str) -> NoReturn:
    """Node is a matter of taste on a person's machine, and no matter of taste in CI."""
    message = f"the JavaScript is not tried: {why}"
    if os.environ.get("CI"):
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


class Stranger:
    """A process of stranger.mjs: it is told a wish a line, and answers each."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        """Speak with a process that runs."""
        assert process.stdin is not None
        assert process.stdout is not None
        self._to: IO[bytes] = process.stdin
        self._from: IO[bytes] = process.stdout
        self._log = log

    def ask(self, wish: str, **told: object) -> dict[str, Any]:
        """Have a wish done; give what came of it. What went wrong there fails the test."""
        self._to.write(json.dumps({"wish": wish, **told}).encode() + b"\n")
        self._to.flush()
        answer: dict[str, Any] = json.loads(self._line(wish))
        if "failed" in answer:
            pytest.fail(f"{wish}: {answer['failed']}", pytrace=False)
        return answer

    def _line(self, wish: str) -> bytes:
        line = b""
        deadline_s = time.monotonic() + ANSWER_S_MAX
        while not line.endswith(b"\n"):
            left_s = deadline_s - time.monotonic()
            if left_s <= 0 or not select.select([self._from], [], [], left_s)[0]:
                pytest.fail(f"{wish}: no answer within {ANSWER_S_MAX:g} s", pytrace=False)
            piece = os.read(self._from.fileno(), 65_536)
            if not piece:
                pytest.fail(f"{wish}: it has ended\n{self._log.read_text()}", pytrace=False)
            line += piece
        return line


@contextmanager
def stranger(node: str, log: Path) -> Iterator[Stranger]:
    """Run a stranger inside the block."""
    with (
        log.open("wb") as complaints,
        subprocess.Popen(
            [node, "stranger.mjs"],
            cwd=HERE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
        ) as process,
    ):
        try:
            yield Stranger(process, log)
            assert process.stdin is not None
            process.stdin.close()  # it ends by itself when there are no more wishes
            assert process.wait(END_S_MAX) == 0, log.read_text()
        finally:
            process.kill()
