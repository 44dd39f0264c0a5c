# SPDX-License-Identifier: MIT
"""A machine with something to attack: files, listeners, a neighbour, and the test as the parent."""

import os
import signal
import socket
import struct
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from node.executor.sandbox.kernel import prctl
from tests.node.executor.attacks import SECRET, Scene
from tests.node.executor.forked import NOBODY, become_nobody, end, fork

_PR_SET_DUMPABLE = 4


@contextmanager
def a_scene() -> Iterator[Scene]:
    """Set it up; all of it is gone afterwards. The folder belongs to whom the attacker becomes."""
    with ExitStack() as stack:
        above = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        above.chmod(0o755)
        folder = _model_folder(above)
        outside = above / "outside"
        outside.write_bytes(SECRET)
        root_only = above / "root_only"
        root_only.write_bytes(SECRET)
        root_only.chmod(0o600)

        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        abstract = f"\0{above}"
        for address in (abstract, str(above / "socket")):
            listener = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            listener.bind(address)
            listener.listen()
        (above / "socket").chmod(0o777)

        neighbour = _neighbour()
        stack.callback(end, neighbour)
        yield Scene(
            folder=folder,
            outside=outside,
            parent=os.getpid(),
            neighbour=neighbour,
            tcp_port=tcp.getsockname()[1],
            abstract=abstract,
            path_socket=str(above / "socket"),
            root_only=root_only,
        )


def _model_folder(above: Path) -> Path:
    folder = above / "model"
    folder.mkdir()
    for name in ("file", "victim", "doomed"):
        (folder / name).write_bytes(SECRET)
    (folder / "link").symlink_to(above / "outside")
    (folder / "relative").symlink_to("../outside")
    program = folder / "program"
    program.write_bytes(_program())
    program.chmod(0o755)
    folder.chmod(0o755)
    if os.geteuid() == 0:
        for path in (folder, *folder.iterdir()):
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    return folder


def _program() -> bytes:
    """Make a program that needs no other file: it ends at once."""
    kind, code = {
        "x86_64": (62, bytes.fromhex("31ff b83c000000 0f05")),  # exit(0)
        "aarch64": (183, bytes.fromhex("000080d2 a80b80d2 010000d4")),
    }[os.uname().machine]
    start = 0x40_0000
    header = struct.pack(
        "<4s5B7xHHIQQQIHHHHHH",
        *(b"\x7fELF", 2, 1, 1, 0, 0, 2, kind, 1, start + 120, 64, 0, 0, 64, 56, 1, 0, 0, 0),
    )
    size_bytes = 120 + len(code)
    return (
        header
        + struct.pack("<IIQQQQQQ", 1, 5, 0, start, start, size_bytes, size_bytes, 4096)
        + code
    )


def _neighbour() -> int:
    """Start a process of the attacker's user that does nothing to protect itself."""
    ready, tell = os.pipe()
    pid = fork()
    if pid == 0:
        if os.geteuid() == 0:
            become_nobody()
        prctl(_PR_SET_DUMPABLE, 1)
        os.write(tell, b"!")
        while True:
            signal.pause()
    os.close(tell)
    os.read(ready, 1)
    os.close(ready)
    return pid


def open_sockets(scene: Scene) -> None:
    """Give the attacker sockets that were open before: what a mistake of ours would leave."""
    pair, _other = socket.socketpair()
    scene.open_sockets = {
        "tcp": socket.socket(socket.AF_INET, socket.SOCK_STREAM),
        "unix": socket.socket(socket.AF_UNIX, socket.SOCK_STREAM),
        "pair": pair,
        "other": _other,
    }
    scene.memory = os.memfd_create("tensor")
    os.write(scene.memory, SECRET)
    scene.namespace = os.open("/proc/self/ns/uts", os.O_RDONLY)
