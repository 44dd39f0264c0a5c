# SPDX-License-Identifier: MIT
"""Runs a function in a fork of the test, so that what it does to its process ends with it."""

import os
import pickle
import signal
import traceback
import warnings
from collections.abc import Callable
from functools import cache
from typing import TypeVar

import pytest

from node.executor.sandbox.kernel import call
from node.executor.sandbox.landlock import abi_here

_NEWUSER, _NEWNET, _NEWNS = 1 << 28, 1 << 30, 0x2_0000

Answer = TypeVar("Answer")

NOBODY = 65534
STARTS = ("root", "unprivileged")


class Died(Exception):
    """The child ended without an answer; `status` says how, as waitpid does."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status = status

    @property
    def signal(self) -> int:
        return os.WTERMSIG(self.status) if os.WIFSIGNALED(self.status) else 0


def fork() -> int:
    """Fork, also where Python warns that other tests have left threads: the child has one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def in_a_fork(work: Callable[[], Answer], *, start: str = "as we are") -> Answer:
    """Give what `work` gives in a child; raise Died, or say what it raised."""
    skip_unless_possible(start)
    reading, writing = os.pipe()
    pid = fork()
    if pid == 0:
        try:
            os.close(reading)
            if start == "unprivileged" and os.geteuid() == 0:
                become_nobody()
            try:
                answer = pickle.dumps((work(), ""))
            except Exception:  # noqa: BLE001 - the parent raises it again
                answer = pickle.dumps((None, traceback.format_exc()))
            while answer:
                answer = answer[os.write(writing, answer) :]
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(pid, 0)
    if not answer:
        raise Died(status)
    value, complaint = pickle.loads(answer)
    if complaint:
        pytest.fail(complaint)
    given: Answer = value
    return given


def become_nobody() -> None:
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


def skip_unless_possible(start: str) -> None:
    if start == "root" and os.geteuid() != 0:
        pytest.skip("only an administrator can start as one")


@cache
def namespaces_here() -> bool:
    """Whether this system lets anybody have namespaces: a container often does not."""

    def leave() -> bool:
        try:
            call("unshare", _NEWUSER | _NEWNET | _NEWNS)
        except OSError:
            return False
        return True

    return in_a_fork(leave, start="unprivileged")


@cache
def landlock_here() -> int:
    """How much of landlock this kernel knows, 0 if nothing."""
    try:
        return abi_here()
    except OSError:
        return 0


def skip_without_namespaces() -> None:
    if not namespaces_here():
        pytest.skip("this system gives no namespaces to anybody")


def end(pid: int) -> None:
    """End a child of ours and wait for it."""
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
