# SPDX-License-Identifier: MIT
"""A zygote whose runners were taken over: ``python -m tests.node.executor.taken_over FD NICE``.

A runner whose model's folder has a plan in it does what the plan says at the two points where
a stranger's bytes can make it: while it loads, and when it is called. Up to there, and around
it, all is as it always is. A folder without a plan is served honestly.

Nothing here is native code, but what is asked of the kernel is the same.
"""

import ctypes
import errno
import fcntl
import json
import mmap
import os
import select
import signal
import socket
import struct
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from node.executor.child import runner, zygote
from node.executor.child.graph import Graph
from node.executor.child.runner import Kept
from node.executor.child.values import map_room
from node.executor.executor import Layer
from node.executor.sandbox.confine import Confined, Confinement, close_files, confine
from node.executor.task import Task
from node.executor.wire import (
    FINITE,
    Head,
    Op,
    Place,
    Placed,
    failure_table,
    head_bytes,
    table_bytes,
)
from protocol.errors import CommonsError
from protocol.reasons import Reason
from protocol.tensors import ElementType, TensorHeader
from tests.node.executor.attacks import DONE, SECRET, Scene, call, look, refusals

MODULE = "tests.node.executor.taken_over"
PLAN = "plan.json"

#: How much of shared memory the lies about it use.
SHARED_BYTES = 2 << 20

_F_ADD_SEALS, _SEAL_WRITE = 1033, 8
_MADV_REMOVE = 9
_PATHS = {"folder", "outside", "root_only"}


@dataclass(frozen=True, slots=True)
class Plan:
    """What a runner does instead of its work.

    It tries `attacks` at both points, on the scene; those on a neighbour it tries on each of
    `targets` instead. It opens `paths`. It looks for `scan` in its memory before it is confined
    (the texts are backwards here, so that it does not find its plan). When it is called it
    reports all that, unless it does what `lie` names; `at_load` is what it does before that.
    `lost` is a layer that fails this time, though it held when the zygote tried it.
    """

    attacks: tuple[str, ...] = ()
    targets: tuple[int, ...] = ()
    paths: tuple[str, ...] = ()
    scan: tuple[str, ...] = ()
    lie: str = ""
    at_load: str = ""
    lost: str = ""
    scene: dict[str, str | int] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Put it where the runner looks for it."""
        (folder / PLAN).write_text(json.dumps(asdict(self)), encoding="utf-8")


def words_of(scene: Scene) -> dict[str, str | int]:
    """Write down what there is to attack, as far as it can travel."""
    values = {each.name: getattr(scene, each.name) for each in fields(scene)}
    return {
        name: str(value) if isinstance(value, Path) else value
        for name, value in values.items()
        if isinstance(value, str | int | Path)
    }


def serve(link: socket.socket, task: Task, parent_pid: int) -> None:
    """Serve as always, but for the two points at which the model's bytes are touched."""
    try:
        plan = Plan(**json.loads(Path(task.folder, PLAN).read_bytes()))
    except FileNotFoundError:
        runner.serve(link, task, parent_pid)
        return
    report: dict[str, Any] = {
        "pid": os.getpid(),
        "inherited": [str(Path(f"/proc/self/fd/{fd}").readlink()) for fd in _descriptors()],
        "scan": _scan(plan.scan),
        "rooms": [],
    }
    honest_load = runner.load

    @_told(link)
    def load(path: str, task: Task) -> Graph:
        report["descriptors"] = _descriptors()
        report["load"] = _attack(plan, Path(path).parent)
        if plan.at_load:
            LIES[plan.at_load](link, _NO_CALL, Kept())
        return honest_load(path, task)

    @_told(link)
    def answer(link: socket.socket, _: Graph, task: Task, kept: Kept) -> None:
        head, fd = runner._receive_head(link)
        runner._receive(link, head.table_bytes + head.inline_bytes)
        if head.op in (Op.ROOM_IN, Op.ROOM_OUT):
            report["rooms"].append(_attack_room(fd))
            runner._take_room(kept, head.op, fd)
        elif plan.lie:
            LIES[plan.lie](link, head, kept)
        else:
            report["run"] = _attack(plan, Path(task.folder))
            said = json.dumps(report).encode()
            if kept.room_out:
                kept.room_out[:SHARED_BYTES] = said.ljust(SHARED_BYTES)
                _say_shared(link, head)
            else:
                _say(link, head, said)

    runner.load, runner.answer = load, answer
    _lose(plan.lost)
    runner.serve(link, task, parent_pid)


def _lose(name: str) -> None:
    """Let the layer fail: it is said to be off, as when the kernel refuses it."""

    def off(layer: Layer) -> Layer:
        return replace(layer, on=layer.on and layer.name != name)

    def less(wanted: Confinement) -> Confined:
        confined = confine(wanted)
        return replace(confined, layers=tuple(map(off, confined.layers)))

    vars(runner).update(confine=less, close_files=lambda: off(close_files()))


def _told(link: socket.socket) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Say what went wrong here: there is no other way to say it."""

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any) -> Any:
            try:
                return function(*arguments)
            except CommonsError:
                raise
            except Exception:  # noqa: BLE001 - all of it is said
                words = traceback.format_exc()[-1500:]
                link.sendall(head_bytes(Op.FAILED, failure_table(Reason.MODEL_REFUSED, words)))
                os._exit(1)

        return wrapped

    return wrap


# --- attacks --------------------------------------------------------------------------------------


def _attack(plan: Plan, folder: Path) -> dict[str, str]:
    """Try everything, and say how each attempt ended."""
    found = {path: _tried(look, path) for path in plan.paths}
    for pid in plan.targets:
        for file in ("mem", "maps", "environ", "fd", "root"):
            found[f"{file} of {pid}"] = _tried(look, f"/proc/{pid}/{file}")
    if not plan.scene:
        return found
    given = {name: Path(str(word)) if name in _PATHS else word for name, word in plan.scene.items()}
    scene = Scene(**{**given, "folder": folder})  # type: ignore[arg-type]  # as they were
    for pid in plan.targets:
        scene.neighbour = pid
        on_it = [name for name in plan.attacks if "neighbour" in name]
        found |= {f"{name} {pid}": how for name, how in refusals(scene, on_it).items()}
    return found | refusals(scene, [name for name in plan.attacks if "neighbour" not in name])


def _attack_room(fd: int) -> dict[str, str]:
    """Try to make shared memory smaller or unusable, and write to it: that alone is possible."""
    found = {
        "truncate": _tried(os.ftruncate, fd, 0),
        "grow": _tried(os.ftruncate, fd, 1 << 40),
        "fill": _tried(os.posix_fallocate, fd, 0, 1 << 40),
        "seal": _tried(fcntl.fcntl, fd, _F_ADD_SEALS, _SEAL_WRITE),
        "duplicate": _tried(os.dup, fd),
    }
    map_room(fd, writable=True)[: len(SECRET)] = SECRET
    return found


def _tried(action: Callable[..., object], *arguments: object) -> str:
    try:
        action(*arguments)
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return DONE


def _descriptors() -> list[int]:
    return [fd for fd in range(1024) if _tried(os.fstat, fd) == DONE]


def _scan(backwards: tuple[str, ...]) -> dict[str, int]:
    """Count texts in the memory that the fork brought along."""
    found = dict.fromkeys(backwards, 0)
    wanted = [(name, bytes(reversed(name.encode()))) for name in found]
    for memory in _memory() if found else ():
        for name, text in wanted:
            found[name] += memory.count(text)
    return found


def _memory() -> Iterator[bytes]:
    """Give all that can be written to: what cannot be is the same in every Python."""
    with Path("/proc/self/mem").open("rb", buffering=0) as memory:
        for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
            place, rights = line.split()[:2]
            start, end = (int(word, 16) for word in place.split("-"))
            if rights.startswith("rw") and "[v" not in line:
                yield os.pread(memory.fileno(), end - start, start)


# --- lies -----------------------------------------------------------------------------------------

Lie = Callable[[socket.socket, Head, Kept], object]
LIES: dict[str, Lie] = {}
_NO_CALL = Head(0, Op.RUN, 0, 0, 0, 0, 0)


def lie(function: Lie) -> Lie:
    LIES[getattr(function, "__name__", "")] = function
    return function


def _message(
    head: Head,
    data: bytes,
    element: ElementType = ElementType.UINT8,
    dims: tuple[int, ...] | None = None,
    **more: int,
) -> bytes:
    header = TensorHeader(element, (len(data),) if dims is None else dims, len(data))
    table = table_bytes([Placed(Place.INLINE, header, 0)])
    size = len(data)
    return (
        head_bytes(Op.DONE, table, count=1, inline_bytes=size, session=head.session, **more) + data
    )


def _say(link: socket.socket, head: Head, data: bytes) -> None:
    link.sendall(_message(head, data))


def _say_shared(link: socket.socket, head: Head) -> None:
    """Answer with what stands at the beginning of the room."""
    header = TensorHeader(ElementType.UINT8, (SHARED_BYTES,), SHARED_BYTES)
    table = table_bytes([Placed(Place.SHARED, header, 0)])
    link.sendall(head_bytes(Op.DONE, table, count=1, session=head.session))


@lie
def scribble(link: socket.socket, head: Head, kept: Kept) -> None:
    """Answer, and go on writing into the answer until the next call comes."""
    kept.room_out[:SHARED_BYTES] = b"\1" * SHARED_BYTES
    _say_shared(link, head)
    coming = select.poll()
    coming.register(link, select.POLLIN)
    filling = 1
    while not coming.poll(0):
        filling = filling % 200 + 1
        kept.room_out[:SHARED_BYTES] = bytes([filling]) * SHARED_BYTES


@lie
def punch_a_hole(link: socket.socket, head: Head, kept: Kept) -> None:
    """Give the memory of the answer back to the system."""
    kept.room_out[:SHARED_BYTES] = b"\1" * SHARED_BYTES
    start = ctypes.addressof(ctypes.c_char.from_buffer(kept.room_out))
    call("madvise", start, SHARED_BYTES, _MADV_REMOVE)
    _say_shared(link, head)


@lie
def touch_all_of_the_room(link: socket.socket, head: Head, kept: Kept) -> None:
    """Make the system find memory for all that was offered, and say how much that was."""
    for at in range(0, len(kept.room_out), mmap.PAGESIZE):
        kept.room_out[at] = 1
    _say(link, head, str(len(kept.room_out)).encode())


@lie
def flood_with_descriptors(link: socket.socket, head: Head, _: Kept) -> None:
    """Send as many descriptors as the kernel takes, with each byte of the answer."""
    rights = struct.pack("250i", *[link.fileno()] * 250)
    for byte in _message(head, b"an answer"):
        try:
            link.sendmsg([bytes([byte])], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        except OSError:  # so many are on their way already
            link.sendall(bytes([byte]))


@lie
def take_all_memory(link: socket.socket, head: Head, _: Kept) -> None:
    """Take what there is, and say how many megabytes that was."""
    taken = []
    try:
        while True:
            taken.append(bytearray(1 << 20))
    except MemoryError:
        count = len(taken)
        del taken
        _say(link, head, str(count).encode())


@lie
def boast(link: socket.socket, head: Head, _: Kept) -> None:
    """Say that it took 500,000 years, and that NaN is finite."""
    nan = struct.pack("f", float("nan"))
    link.sendall(_message(head, nan, ElementType.FLOAT, (1,), flags=FINITE, busy_us=(1 << 64) - 1))


@lie
def break_a_bool(link: socket.socket, head: Head, _: Kept) -> None:
    link.sendall(_message(head, b"\2", ElementType.BOOL))


@lie
def break_a_string(link: socket.socket, head: Head, _: Kept) -> None:
    link.sendall(_message(head, b"\xff\xff\xff\xff!", ElementType.STRING, (1,)))


@lie
def break_a_nibble(link: socket.socket, head: Head, _: Kept) -> None:
    link.sendall(_message(head, b"\xff", ElementType.INT4, (1,)))


@lie
def speak_nonsense(link: socket.socket, *_: object) -> None:
    link.sendall(bytes(range(256)) * 200)


@lie
def leave(*_: object) -> None:
    os._exit(0)


@lie
def die_of_a_fault(*_: object) -> None:
    ctypes.string_at(1)


@lie
def die_of_a_signal_without_a_name(*_: object) -> None:
    os.kill(os.getpid(), 40)


@lie
def stop(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


@lie
def close_the_link(link: socket.socket, *_: object) -> None:
    link.close()
    time.sleep(3600)


@lie
def close_one_half(link: socket.socket, *_: object) -> None:
    link.shutdown(socket.SHUT_RD)
    time.sleep(3600)


@lie
def loop(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        pass


if __name__ == "__main__":
    zygote.main(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]), serve)
