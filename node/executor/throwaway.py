# SPDX-License-Identifier: MIT
"""Starts a program for one task and ends it again. What the task is, its caller and it agree on.

The child reads what strangers made, so it may have been taken over by the time it answers.
Nothing that it does reaches further than its answer: it has a bare environment and one socket,
its messages are capped, descriptors that it sends are dropped by the kernel, and after the
deadline it is killed and reaped, whatever it was doing.

How a message is written is said in `errand`, the child's side of this.
"""

import os
import signal
import socket
import subprocess
import sys
from array import array
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import trio

from node.executor.environment import child_environment
from node.executor.errand import LENGTH, SENT_BYTES_MAX
from protocol.errors import LocalProtocolError, Refused
from protocol.reasons import Reason

#: A child that has closed its socket is on its way out; this is time enough to see how.
_LAST_BREATH_S = 2.0

_LAST_WORDS_BYTES = 4096
_POLL_S = 0.02


class Child:
    """A running throw-away child. Made by :func:`throwaway`, which also ends it."""

    def __init__(
        self,
        what: str,
        process: subprocess.Popen[bytes],
        ours: socket.socket,
        words: int,
        reason: Reason,
    ) -> None:
        """Take over a started process, our end of its socketpair, and its standard error."""
        self._what = what
        self._process = process
        self._socket = trio.socket.from_stdlib_socket(ours)
        self._words = words
        self._reason = reason
        self._pidfd = os.pidfd_open(process.pid) if sys.platform == "linux" else -1

    async def send(self, data: bytes, descriptors: Sequence[int] = ()) -> None:
        """Send one message, with descriptors of ours; the child gets copies of them."""
        if len(data) > SENT_BYTES_MAX:
            raise LocalProtocolError(f"{len(data)} bytes for a child, at most {SENT_BYTES_MAX}")
        left = memoryview(LENGTH.pack(len(data)) + data)
        rights = array("i", descriptors).tobytes()
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)] if descriptors else []
        try:
            left = left[await self._socket.sendmsg([left], ancillary) :]
            while left:
                left = left[await self._socket.send(left) :]
        except OSError:
            raise await self._gone() from None

    async def receive(self, bytes_max: int) -> bytes:
        """Take one message; a longer one is refused before there is memory for it."""
        (length,) = LENGTH.unpack(await self._exactly(LENGTH.size))
        if length > bytes_max:
            raise self.refused(f"sent a message of {length} bytes, at most {bytes_max}")
        return bytes(await self._exactly(length))

    async def receive_some(self, bytes_max: int) -> bytes:
        """Take what is there of bytes that are no message, one byte at least."""
        try:
            data = await self._socket.recv(bytes_max)
        except OSError:
            data = b""
        if not data:
            raise await self._gone()
        return data

    def refused(self, detail: str) -> Refused:
        """Make the refusal that says what this child did wrong."""
        return Refused(self._reason, f"the {self._what} {detail}")

    async def end(self) -> None:
        """Kill it and wait until it is gone: no zombie, no descriptor stays."""
        with trio.CancelScope(shield=True):
            self._kill()
            await self._wait()
        self._socket.close()
        for descriptor in (self._words, self._pidfd):
            if descriptor >= 0:
                os.close(descriptor)
        self._words = self._pidfd = -1

    async def _wait(self) -> None:
        """Wait until it has ended, and reap it."""
        if self._pidfd >= 0:
            await trio.lowlevel.wait_readable(self._pidfd)
        while self._process.poll() is None:  # noqa: ASYNC110 - only where there is no pidfd
            await trio.sleep(_POLL_S)

    def _kill(self) -> None:
        """Kill by descriptor where there is one; by number it is as safe: nobody else reaps it."""
        if self._pidfd < 0:
            self._process.kill()
            return
        try:
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        except ProcessLookupError:
            return

    async def _exactly(self, size_bytes: int) -> bytearray:
        """Take so many bytes; memory grows with what has come, not with what was announced."""
        data = bytearray()
        while len(data) < size_bytes:
            data += await self.receive_some(min(size_bytes - len(data), 1 << 20))
        return data

    async def _gone(self) -> Refused:
        """Say how it ended: it has closed its socket, or died."""
        with trio.move_on_after(_LAST_BREATH_S):
            await self._wait()
        code = self._process.poll()
        if code is None:
            return self.refused("closed its socket in the middle of its task")
        ended = f"with code {code}" if code >= 0 else f"by {_signal_name(-code)}"
        words = self._last_words()
        return self.refused(f"ended {ended}{': ' if words else ''}{words}")

    def _last_words(self) -> str:
        """Give the last line of its standard error, in characters that do nothing."""
        try:
            lines = os.read(self._words, _LAST_WORDS_BYTES).decode("ascii", "replace").split("\n")
        except BlockingIOError:
            return ""
        last = next((line for line in reversed(lines) if line.strip()), "")
        return "".join(each if each.isprintable() else " " for each in last)[:300]


@asynccontextmanager
async def throwaway(
    module: str,
    *arguments: str,
    deadline_s: float,
    what: str = "child",
    reason: Reason = Reason.MODEL_REFUSED,
) -> AsyncIterator[Child]:
    """Run ``python -m MODULE FD ARGUMENTS...`` as long as this context lasts, and no longer.

    FD is the number of the child's socket. A child that dies, hangs, floods or breaks the form
    of messages becomes a `Refused` with this reason, which calls it by `what` it is; so does
    the deadline, which is for everything inside the context.
    """
    with trio.move_on_after(deadline_s) as scope:
        child = _start(module, arguments, what, reason)
        try:
            yield child
        finally:
            await child.end()
    if scope.cancelled_caught:
        raise Refused(reason, f"the {what} was not done within {deadline_s:g} s")


def _start(module: str, arguments: Sequence[str], what: str, reason: Reason) -> Child:
    ours, theirs = socket.socketpair()
    words, their_words = os.pipe()
    # Never waited for, on neither side: what does not fit into the pipe is lost.
    os.set_blocking(words, False)
    os.set_blocking(their_words, False)
    number = theirs.fileno()
    # -P: what happens to lie in the current folder is not imported.
    command = [sys.executable, "-P", "-m", module, str(number), *arguments]
    try:
        # From this thread, and not trio's way: a child asks to be killed when its parent dies,
        # and the kernel takes the thread that started it for the parent. Trio's threads end.
        process = subprocess.Popen(  # noqa: S603 - a module of ours, named by our own code
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=their_words,
            pass_fds=(number,),
            env=child_environment(),
            cwd="/",
            start_new_session=True,
        )
    except BaseException:
        ours.close()
        os.close(words)
        raise
    finally:
        theirs.close()
        os.close(their_words)
    return Child(what, process, ours, words, reason)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
