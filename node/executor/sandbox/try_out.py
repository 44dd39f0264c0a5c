# SPDX-License-Identifier: MIT
"""Finds out which layers hold on this machine: puts each on alone, and tries what it forbids.

What a system says of itself is not asked: a container, a distribution or a kernel without some
option may say one thing and do another. A layer is on if it was put on, together with all the
others and alone, and refused what it should.
"""

import json
import os
import select
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import astuple, dataclass, replace
from errno import EPERM
from functools import partial
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap
from pathlib import Path
from typing import NoReturn

from node.executor.executor import Layer
from node.executor.sandbox.confine import RUN, Confinement, close_files, confine
from node.executor.sandbox.limits import THREADS_MAX
from node.executor.sandbox.syscalls import this_machine

if sys.platform != "win32":
    import resource

_MEMORY_BYTES = 64 << 20
_DEADLINE_MS = 20_000

# Nothing listens there, and a datagram does not ask: it fails where there is no network at all.
_NOWHERE = ("127.0.0.1", 9)


_DIED = "the process that tried it died"

Row = tuple[str, bool, str]
"""A layer as it comes through a pipe."""

# Where a child answers; its own children have it open as well, and close it only by ending.
_kept: list[int] = []


@dataclass(frozen=True, slots=True)
class _Scene:
    """What a child finds: a file in the folder, one outside, and a descriptor of no use."""

    folder: Path
    inside: Path
    outside: Path
    spare: int = -1


Action = Callable[[_Scene], object]


@dataclass(frozen=True, slots=True)
class _Try:
    """What one layer refuses: each of `refused` must fail, and each of `fine` must not.

    `needs` are the layers that it builds on. With an `errno`, a failure for another cause is no
    refusal: a program that does not exist could not be executed anyway.
    """

    refused: tuple[Action, ...] = ()
    fine: tuple[Action, ...] = ()
    needs: tuple[str, ...] = ()
    errno: int | None = None


def _send_a_datagram(_: _Scene) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        door.sendto(b"", _NOWHERE)


def _fork(_: _Scene) -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def _fork_as_one_too_many(scene: _Scene) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    if 0 <= hard <= THREADS_MAX:  # no limit at all is a negative number
        resource.setrlimit(resource.RLIMIT_NPROC, (1, hard))
    _fork(scene)


def _execute_nothing(scene: _Scene) -> None:
    os.execv(scene.folder / "nothing", ["nothing"])  # noqa: S606 - there is no such program


def _read(path: Path) -> None:
    os.close(os.open(path, os.O_RDONLY))


_TRIES: dict[str, _Try] = {
    "one_thread": _Try(),  # it was counted, and there is nothing to try
    "descriptors": _Try((lambda scene: os.fstat(scene.spare),)),
    "limits": _Try(
        (lambda _: mmap(-1, 2 * _MEMORY_BYTES, MAP_PRIVATE | MAP_ANONYMOUS),),
        fine=(lambda _: mmap(-1, _MEMORY_BYTES // 2, MAP_PRIVATE | MAP_ANONYMOUS),),
    ),
    "uid": _Try((lambda _: os.setresuid(0, 0, 0),), needs=("capabilities",)),
    "namespaces": _Try((_send_a_datagram,)),
    "threads": _Try((_fork_as_one_too_many,), needs=("uid", "namespaces", "capabilities")),
    "root": _Try((lambda scene: scene.outside.stat(),), needs=("namespaces",)),
    "capabilities": _Try((lambda _: os.chroot("/"),), needs=("uid",)),
    "parent_death": _Try(),  # it was read back from the kernel
    "not_dumpable": _Try(
        (lambda _: _read(Path("/proc/self/environ")),), needs=("uid", "capabilities")
    ),
    "no_new_privileges": _Try(),  # it was read back from the kernel
    "landlock": _Try(
        (
            lambda scene: _read(scene.outside),
            lambda _: list(Path("/").iterdir()),
            lambda scene: os.open(scene.folder / "new", os.O_CREAT | os.O_WRONLY),
        ),
        fine=(lambda scene: _read(scene.inside),),
    ),
    "seccomp_load": _Try(
        (
            lambda _: socket.socket(),
            _execute_nothing,
            _fork,
            lambda _: os.kill(os.getppid(), 0),
            lambda scene: os.open(scene.inside, os.O_RDWR),
        ),
        fine=(lambda scene: _read(scene.inside),),
        errno=EPERM,
    ),
    RUN: _Try((lambda scene: _read(scene.inside),), needs=("seccomp_load",), errno=EPERM),
}


def layers_here() -> tuple[Layer, ...]:
    """Try every layer in children of this process, which has one thread. It takes about 0.2 s."""
    if this_machine() is None:
        return (*confine(Confinement(None, _MEMORY_BYTES)).layers, close_files())
    with tempfile.TemporaryDirectory() as name:
        above = Path(name)
        above.chmod(0o755)  # a user who is nobody in particular must come through
        scene = _Scene(above / "model", above / "model" / "inside", above / "outside")
        scene.folder.mkdir()
        scene.inside.touch()
        scene.outside.touch()
        rows = _in_a_child(lambda: _try_all(scene))
    if rows is None:
        return tuple(Layer(name, False, _DIED) for name in _TRIES)
    return tuple(Layer(*row) for row in rows)


def _try_all(scene: _Scene) -> list[Row]:
    """Put on all layers together, then each alone. A layer must pass both."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # children are waited for here, nowhere else
    together = _in_a_child(lambda: _put_on(scene, only=None))
    if together is None:
        return [(name, False, _DIED) for name in _TRIES]
    rows = []
    for name, on, detail in together:
        alone = _in_a_child(partial(_try_one, name, scene)) if on else [(name, on, detail)]
        _, held, complaint = alone[0] if alone else (name, False, _DIED)
        rows.append((name, held, detail if held else complaint))
    return rows


def _put_on(scene: _Scene, only: Collection[str] | None) -> list[Row]:
    """Confine this process; the pipe to whoever waits for the answer stays open."""
    wanted = Confinement(str(scene.folder), _MEMORY_BYTES, keep_open=_kept)
    layers = confine(wanted, only=only).layers
    if only is None or RUN in only:
        layers = (*layers, close_files())
    return [astuple(layer) for layer in layers]


def _try_one(name: str, scene: _Scene) -> list[Row]:
    """Put on a layer and what it builds on, and try what it should refuse."""
    trial = _TRIES[name]
    spare = os.open(os.devnull, os.O_RDONLY)
    rows = _put_on(scene, only={name, *trial.needs, "no_new_privileges"})
    row = next(row for row in rows if row[0] == name)
    if not row[1]:
        return [row]
    scene = replace(scene, spare=spare)
    for number, action in enumerate(trial.fine):
        if _failure(action, scene) is not None:
            return [(name, False, f"harmless action {number} fails behind it")]
    for number, action in enumerate(trial.refused):
        failed_with = _failure(action, scene)
        if failed_with is None or failed_with != (trial.errno or failed_with):
            return [(name, False, f"forbidden action {number} was not refused")]
    return [row]


def _failure(action: Action, scene: _Scene) -> int | None:
    """Take an action, and give the errno of its failure; None if it did not fail."""
    try:
        action(scene)
    except OSError as error:
        return error.errno or -1
    return None


def _in_a_child(work: Callable[[], list[Row]]) -> list[Row] | None:
    """Work in a fork of this process; None if it died or took far too long."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        _answer(writing, work)
    os.close(writing)
    answer = b""
    waiting = select.poll()
    waiting.register(reading, select.POLLIN)
    while ready := waiting.poll(_DEADLINE_MS):
        part = os.read(reading, 1 << 16)
        if not part:
            break
        answer += part
    os.close(reading)
    if not ready:
        os.kill(pid, signal.SIGKILL)
    with suppress(ChildProcessError):  # who forks for a living may have waited for it already
        os.waitpid(pid, 0)
    try:
        return [tuple(row) for row in json.loads(answer)]
    except ValueError:
        return None


def _answer(writing: int, work: Callable[[], list[Row]]) -> NoReturn:
    """Do the work of a child and end it, whatever happens: it must not live on as its parent."""
    _kept.append(writing)
    try:
        os.write(writing, json.dumps(work()).encode())
    finally:
        os._exit(0)
