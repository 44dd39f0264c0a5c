# SPDX-License-Identifier: MIT
"""The zygote: imports ONNX Runtime once, stays single-threaded, and forks a runner when asked.

It reads nothing that a stranger wrote. Its words with the daemon are packets of a socketpair:

========================  =====================================================================
daemon to zygote          a :class:`~node.executor.task.Task` as JSON, with the socket
                          of the new runner
zygote to daemon          ``{"started": pid}`` with a pidfd, or ``{"failed": text}``
zygote to daemon          ``{"ended": pid, "status": wait status}`` for each runner, once
========================  =====================================================================

When the daemon dies the socket ends, the zygote leaves, and every runner is killed with it.
"""

import encodings.idna  # noqa: F401 - imported by Python when it is needed, and then it is too late
import gc
import json
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy.random  # noqa: F401 - the same: nothing can be read once a runner is confined

from node.executor.child.graph import available_providers, telemetry_is_off
from node.executor.child.runner import serve
from node.executor.environment import DEBUG
from node.executor.sandbox.try_out import layers_here
from node.executor.task import TASK_BYTES_MAX, Task

_FD_BYTES = 4

Serve = Callable[[socket.socket, Task, int], None]


def main(control: socket.socket, nice: int, serve_one: Serve = serve) -> None:
    """Fork runners until the daemon leaves."""
    threads = len(list(Path("/proc/self/task").iterdir())) if sys.platform == "linux" else 1
    if threads != 1 or not telemetry_is_off():
        raise SystemExit(f"the zygote has {threads} threads; it must have one, and no telemetry")
    os.nice(nice)
    # what is there now is shared with every runner: nobody needs to walk through it again
    gc.collect()
    gc.freeze()
    wake, woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(woken)
    # A handler, not SIG_IGN: an ignored child is gone before anybody has a pidfd of it.
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the daemon decides, not the keyboard
    layers = [[each.name, each.on, each.detail] for each in layers_here()]
    _say(control, {"ready": os.getpid(), "layers": layers, "providers": available_providers()})
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(wake, select.POLLIN)
    space = bytearray(TASK_BYTES_MAX)
    while True:
        for fd, _ in poll.poll():
            if fd == wake:
                os.read(wake, 512)
                _reap(control)
            elif not _start_one(control, space, serve_one):
                return


def _start_one(control: socket.socket, space: bytearray, serve_one: Serve) -> bool:
    """Read one wish and fork; False when the daemon has left.

    The wish stands in `space` and nowhere else, and is wiped out after the fork: it names the
    model and the ports of one requester, and the next runner is another one's.
    """
    try:
        size_bytes, ancillary, _, _ = control.recvmsg_into([space], socket.CMSG_SPACE(_FD_BYTES))
    except ConnectionError:
        return False
    if not size_bytes:
        return False
    link = socket.socket(fileno=int.from_bytes(ancillary[0][2][:_FD_BYTES], sys.byteorder))
    zygote_pid = os.getpid()
    try:
        pid = os.fork()
    except OSError as error:
        space[:size_bytes] = bytes(size_bytes)
        link.close()
        _say(control, {"failed": str(error)})
        return True
    if pid == 0:
        _become_runner(control, link, bytes(space[:size_bytes]), serve_one, zygote_pid)
    space[:size_bytes] = bytes(size_bytes)
    link.close()
    pidfd = os.pidfd_open(pid)
    _say(control, {"started": pid}, pidfd)
    os.close(pidfd)
    return True


def _become_runner(
    control: socket.socket, link: socket.socket, wish: bytes, serve_one: Serve, zygote_pid: int
) -> None:
    """Leave nothing of the zygote behind, serve, and never return."""
    status = 1
    try:
        control.close()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _close_all_but(link.fileno())
        if DEBUG not in os.environ:
            _silence()
        task = Task.parse(wish)
        if not task.forked:
            _exec_runner(link, wish, zygote_pid)
        serve_one(link, task, zygote_pid)
        status = 0
    except BaseException:  # noqa: BLE001 - said, where somebody listens, and then it is over
        traceback.print_exc()
    finally:
        os._exit(status)  # no clean-up of the zygote's may run twice


def _exec_runner(link: socket.socket, wish: bytes, zygote_pid: int) -> None:
    """Begin anew: a GPU's driver must not be loaded before a fork, nor shared across one."""
    os.set_inheritable(link.fileno(), True)
    module = "node.executor.child.runner"
    words = [str(link.fileno()), wish.decode(), str(zygote_pid)]
    os.execv(sys.executable, [sys.executable, "-P", "-m", module, *words])  # noqa: S606 - our own module


def _silence() -> None:
    """Take stdin, stdout and stderr away: what a stranger's model says there is nobody's."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in range(3):
        os.dup2(nothing, fd)
    os.close(nothing)


def _close_all_but(kept: int) -> None:
    """Close every descriptor above stderr but one: a runner owns its socket and nothing else."""
    os.closerange(3, kept)
    os.closerange(kept + 1, 1 << 16)


def _reap(control: socket.socket) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        _say(control, {"ended": pid, "status": status})


def _say(control: socket.socket, words: dict[str, object], *fds: int) -> None:
    try:
        socket.send_fds(control, [json.dumps(words).encode()], list(fds))
    except OSError:
        raise SystemExit(0) from None  # the daemon has left


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))
