# SPDX-License-Identifier: MIT
"""The daemon's side of the zygote: starts it, asks it for runners, hears how they ended.

A zygote that died takes its runners with it; the next wish starts another one.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import trio

from node.executor.environment import DEBUG, child_environment
from node.executor.executor import Layer
from node.executor.providers import offered
from node.executor.task import TASK_BYTES_MAX
from protocol.errors import Refused
from protocol.reasons import Reason

MODULE = "node.executor.child.zygote"
PACKET_BYTES_MAX = 1 << 16
START_S = 30.0
FORK_S = 10.0


@dataclass(eq=False)
class Child:
    """A process that the zygote has forked. Whoever holds it ends it."""

    pid: int
    pidfd: int
    ended: trio.Event = field(default_factory=trio.Event)
    status: int | None = None

    def kill(self) -> None:
        """End it at once. A pidfd cannot hit another process that got the same number."""
        if self.pidfd >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)

    async def wait(self) -> None:
        """Wait until it is gone. How it went may be known a moment later, or never."""
        if self.pidfd >= 0:
            await trio.lowlevel.wait_readable(self.pidfd)

    def close(self) -> None:
        """Give back the descriptor."""
        if self.pidfd >= 0:
            trio.lowlevel.notify_closing(self.pidfd)
            os.close(self.pidfd)
            self.pidfd = -1

    @property
    def how_it_ended(self) -> str:
        """Say it in words, for a person."""
        if self.status is None:
            return "it was lost together with the zygote"
        if os.WIFSIGNALED(self.status):
            return f"it was ended by {_signal_name(os.WTERMSIG(self.status))}"
        return f"it left with status {os.waitstatus_to_exitcode(self.status)}"


class Zygote:
    """Runs inside :meth:`held`; started by the first wish, and again after it died."""

    def __init__(self, *, nice: int = 10, module: str = MODULE) -> None:
        """`module` is the program; tests give one that was taken over."""
        self._nice = nice
        self._module = module
        self._process: subprocess.Popen[bytes] | None = None
        self._control: trio.socket.SocketType | None = None
        self._children: dict[int, Child] = {}
        self._lock = trio.Lock()
        self._answers: trio.MemorySendChannel[Child | str] | None = None
        self._heard: trio.MemoryReceiveChannel[Child | str] | None = None
        self._nursery: trio.Nursery | None = None
        self._folder: TemporaryDirectory[str] | None = None
        self.layers: tuple[Layer, ...] = ()
        self.providers: tuple[str, ...] = ()
        self.started_count = 0

    @property
    def pid(self) -> int | None:
        """The process, while it lives."""
        return self._process.pid if self._process else None

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Allow it to run inside this block; after it the zygote is gone, with every runner."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            try:
                yield
            finally:
                self._nursery = None
                with trio.CancelScope(shield=True):
                    await self.end()
                nursery.cancel_scope.cancel()

    async def ready(self) -> None:
        """Start it, unless it runs."""
        async with self._lock:
            await self._start()

    async def fork(self, task: str, link: socket.socket) -> Child:
        """Get a runner that speaks on the other end of `link`."""
        if len(task) > TASK_BYTES_MAX:
            detail = f"its ports have names of {len(task)} bytes together, of {TASK_BYTES_MAX}"
            raise Refused(Reason.MODEL_REFUSED, detail)
        async with self._lock:
            await self._start()
            assert self._control
            assert self._heard
            with trio.CancelScope(shield=True, deadline=trio.current_time() + FORK_S):
                try:
                    await _send_fds(self._control, task.encode(), [link.fileno()])
                    answer = await self._heard.receive()
                except (OSError, trio.EndOfChannel, trio.ClosedResourceError) as error:
                    raise _lost(f"the zygote ended: {error}") from None
                if isinstance(answer, Child):
                    return answer
                raise Refused(Reason.BUSY, f"no runner can be started: {answer}")
            await self.end()
            raise _lost(f"the zygote did not answer for {FORK_S:g} s")

    async def end(self) -> None:
        """Kill it and reap it. Its runners die with it. Nobody can be cancelled halfway."""
        with trio.CancelScope(shield=True):
            await self._end()

    async def _end(self) -> None:
        process, self._process = self._process, None
        children, self._children = self._children, {}
        if self._control:
            self._control.close()
            self._control = None
        if process:
            # asked for before kill(), which reaps one that is dead already: then it has no number
            pidfd = os.pidfd_open(process.pid)
            try:
                process.kill()
                await trio.lowlevel.wait_readable(pidfd)
            finally:
                os.close(pidfd)
            process.wait()
        self._forget_folder()
        for child in children.values():
            child.kill()
            child.ended.set()

    async def _start(self) -> None:
        if self._process and self._control:
            return
        if self._nursery is None:
            raise Refused(Reason.SHUTTING_DOWN, "the zygote is used outside of held()")
        await self.end()
        self._folder = _a_folder()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(  # noqa: ASYNC220, S603 - ours; a thread's child would die with it
                [sys.executable, "-P", "-m", self._module, str(theirs.fileno()), str(self._nice)],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=None if DEBUG in os.environ else subprocess.DEVNULL,
                env={**child_environment(), "TMPDIR": self._folder.name},
            )
        ours.setblocking(False)
        control = self._control = trio.socket.from_stdlib_socket(ours)
        self.started_count += 1
        words: dict[str, Any] = {}
        try:
            with trio.move_on_after(START_S):
                words, _ = await _receive_fds(control)
        except (OSError, trio.ClosedResourceError) as error:
            words = {"failed": str(error)}
        except BaseException:  # whoever is cancelled here leaves no zygote that nobody listens to
            await self.end()
            raise
        if "ready" not in words or self._control is not control or self._nursery is None:
            await self.end()
            raise Refused(Reason.RUN_FAILED, f"the zygote did not start: {words or 'no answer'}")
        self._forget_folder()
        self.layers = tuple(Layer(*row) for row in words["layers"])
        self.providers = offered(words["providers"])
        self._answers, self._heard = trio.open_memory_channel(4)
        self._nursery.start_soon(self._hear, control, self._answers)

    def _forget_folder(self) -> None:
        if self._folder:
            self._folder.cleanup()
            self._folder = None

    async def _hear(
        self,
        control: trio.socket.SocketType,
        answers: trio.MemorySendChannel[Child | str],
    ) -> None:
        """Read its words until it ends; then all of its runners have ended too."""
        async with answers:
            try:
                while True:
                    words, fds = await _receive_fds(control)
                    if not words:
                        break
                    if "ended" in words:
                        self._bury(int(words["ended"]), int(words["status"]))
                    elif "started" in words:  # known from here on: it may end at once
                        child = Child(int(words["started"]), fds[0])
                        self._children[child.pid] = child
                        await answers.send(child)
                    else:
                        await answers.send(str(words.get("failed")))
            except (OSError, trio.ClosedResourceError):
                pass
        if control is self._control:
            await self.end()

    def _bury(self, pid: int, status: int) -> None:
        if child := self._children.pop(pid, None):
            child.status = status
            child.ended.set()


async def _receive_fds(control: trio.socket.SocketType) -> tuple[dict[str, Any], list[int]]:
    """Read one packet; no words when the other side has left."""
    space = socket.CMSG_SPACE(4)
    data, ancillary, _, _ = await control.recvmsg(PACKET_BYTES_MAX, space, socket.MSG_CMSG_CLOEXEC)
    fds = [
        int.from_bytes(content[:4], sys.byteorder)
        for level, kind, content in ancillary
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
    ]
    return (json.loads(data) if data else {}), fds


async def _send_fds(control: trio.socket.SocketType, data: bytes, fds: list[int]) -> None:
    rights = b"".join(fd.to_bytes(4, sys.byteorder) for fd in fds)
    await control.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])


def _a_folder() -> TemporaryDirectory[str]:
    """Make the folder where a zygote tries its layers; ours, so that it goes when that is killed.

    Users who are nobody in particular must come through.
    """
    folder = TemporaryDirectory(prefix="commons-", ignore_cleanup_errors=True)
    Path(folder.name).chmod(0o755)
    return folder


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # most of the real-time ones have none
        return f"signal {number}"


def _lost(detail: str) -> Refused:
    return Refused(Reason.BUSY, detail)
