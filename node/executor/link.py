# SPDX-License-Identifier: MIT
"""The daemon's side of one runner: sends calls, reads answers, and ends it when it misbehaves.

Nothing that a runner sends is believed: sizes are capped before anything is allocated, each
shared byte is read once, and a runner that is late, breaks the rules or leaves is killed. It
is then gone for good, with its sessions, and every later call says so.
"""

import os
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from math import inf

import trio

from node.executor.description import Description, parse_description
from node.executor.description import PortSaid as PortSaid
from node.executor.executor import Layer
from node.executor.rooms import Room
from node.executor.wire import (
    FINITE,
    HEAD,
    INLINE_BYTES_MAX,
    Head,
    Op,
    Place,
    Placed,
    head_bytes,
    inline_table,
    layout,
    parse_failure,
    parse_head,
    parse_table,
    table_bytes,
)
from node.executor.zygote import Child
from protocol.errors import CommonsError, Refused, RemoteProtocolError
from protocol.limits import (
    PORTS_MAX,
    TENSOR_BYTES_MAX,
)
from protocol.reasons import Reason
from protocol.tensors import Tensor, TensorHeader

#: How long a runner may take for what needs no computing.
WORDS_S = 10.0

#: Between two pieces of a large copy, other tasks of the daemon get their turn.
COPY_BYTES = 1 << 20

_BUFFER_BYTES = 1 << 16

_MAY_SAY = frozenset(
    {
        Reason.MODEL_REFUSED,
        Reason.OVER_MEMORY,
        Reason.RUN_FAILED,
        Reason.WRONG_FORM,
        Reason.INPUT_DEVIATES,
        Reason.IDLE,
    }
)


# Said before the model is touched; afterwards it is too late for it.
_MAY_SAY_LOADING = _MAY_SAY | {Reason.NOT_CONTAINED}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a runner answered; the data of `tensors` are views that the next call overwrites."""

    tensors: tuple[Tensor, ...]
    finite: bool
    busy_s: float


class Link:
    """One runner. Callers take turns: see :meth:`turn`."""

    def __init__(
        self, child: Child, ours: socket.socket, shared_bytes_max: int = TENSOR_BYTES_MAX
    ) -> None:
        """Speak to the child on our end of the socketpair.

        No limit of the kernel counts what it shares with us, so `shared_bytes_max` does.
        """
        ours.setblocking(False)
        self.child = child
        self._shared_bytes_max = shared_bytes_max
        self._socket = ours
        self._turns = trio.Lock()
        self._in = Room(writable=True)
        self._out = Room(writable=False)
        self._buffer = memoryview(bytearray(_BUFFER_BYTES))
        self._heard = self._buffer[:0]
        self._said = Description()
        self.gone = ""
        self._reason = Reason.IDLE
        self._ended: trio.Event | None = None
        self._forgotten: list[int] = []

    @property
    def inputs(self) -> tuple[PortSaid, ...]:
        """The inputs as the runner says them."""
        return self._said.inputs

    @property
    def outputs(self) -> tuple[PortSaid, ...]:
        """The outputs as the runner says them."""
        return self._said.outputs

    @property
    def layers(self) -> tuple[Layer, ...]:
        """What contains it, as it says itself."""
        return self._said.layers

    @property
    def shared_bytes(self) -> int:
        """The shared memory that it holds beside its own."""
        return self._in.size_bytes + self._out.size_bytes

    @property
    def is_gone(self) -> bool:
        """It serves nobody any more: it was ended, or its process ended without being asked."""
        return bool(self.gone) or self.child.ended.is_set()

    @property
    def is_free(self) -> bool:
        """Nobody has the turn, and nobody waits for it."""
        return not self._turns.locked()

    @asynccontextmanager
    async def turn(self, due_s: float = inf) -> AsyncIterator[None]:
        """Hold the runner for one call; in the order in which callers came."""
        was_there = not self.gone
        await acquire(self._turns, due_s)
        try:
            if self.is_gone:
                # Whoever waited for a runner that another caller took down may ask for a new one.
                self.gone = self.gone or self.child.how_it_ended
                lost = was_there and self._reason is Reason.IDLE
                reason = Reason.HANDED_BACK if lost else self._reason
                raise Refused(reason, f"the runner is gone: {self.gone}")
            yield
        finally:
            self._turns.release()

    async def ready(self, load_s: float) -> None:
        """Wait until the model is loaded, or raise `model_refused` with what was against it."""
        try:
            with trio.fail_after(load_s):
                head, table = await self._receive_words(may_say=_MAY_SAY_LOADING)
                self._said = _described(head.op, table)
        except trio.TooSlowError:
            await self.end(f"it did not load within {load_s:g} s")
            raise Refused(Reason.MODEL_REFUSED, self.gone) from None
        except OSError as error:
            reason, words = await self._last_words(error)
            await self.end(f"it died while loading: {words}")
            lost = reason is Reason.HANDED_BACK
            raise Refused(reason if lost else Reason.MODEL_REFUSED, self.gone) from None
        except RemoteProtocolError as error:
            await self.end(f"it spoke nonsense while loading: {error.detail}")
            raise Refused(Reason.MODEL_REFUSED, self.gone) from None
        except BaseException:
            await self.end("it was refused while loading")
            raise

    async def place(self, headers: Sequence[TensorHeader]) -> tuple[list[Placed], list[memoryview]]:
        """Make room for inputs; the views are where to write them, in the turn of the caller."""
        self._check_there()
        placed, size_bytes = layout(headers)
        try:
            await self._grow(self._in, Op.ROOM_IN, size_bytes)
        except ConnectionError as error:
            reason, words = await self._last_words(error)
            await self.end(words)
            raise Refused(reason, words) from None
        return placed, [self._in.view[each.offset : each.end] for each in placed]

    async def call(
        self,
        op: Op,
        inputs: Sequence[Tensor] | Sequence[Placed],
        *,
        expected: Sequence[TensorHeader] | None = None,
        session: int = 0,
        look: bool = False,
        deadline_s: float = WORDS_S,
    ) -> Answer:
        """Send one call in the caller's turn, and wait for its answer.

        Whatever ends this without an answer (deadline, cancellation, a runner that lies or
        dies) ends the runner too: nobody could tell its next answer from this one's.
        """
        self._check_there()
        answered = False
        begin_s = trio.current_time()
        try:
            with trio.fail_after(deadline_s):
                await self._send_call(op, inputs, expected, session, look=look)
                head, table = await self._receive_words(session)
                if head.op == Op.NEEDS and expected is None:
                    head, table = await self._make_room(bytes(table[:32]), session)
                if head.op != Op.DONE:
                    raise _broken(f"word {head.op} instead of an answer")
                answer = await self._receive_answer(head, table, begin_s)
            answered = True
        except Refused:
            answered = True  # the runner said so, and waits for the next call
            raise
        except trio.TooSlowError:
            self.gone = f"it did not answer within {deadline_s:.3g} s"
            raise Refused(Reason.DEADLINE, self.gone) from None
        except RemoteProtocolError as error:
            self.gone = f"it broke the rules of its link: {error.detail}"
            raise Refused(Reason.RUN_FAILED, self.gone) from None
        except OSError as error:
            self._check_there()
            reason, self.gone = await self._last_words(error)
            raise Refused(reason, self.gone) from None
        except trio.ClosedResourceError:
            raise Refused(self._reason, f"the runner was ended: {self.gone}") from None
        finally:
            if not answered:
                await self.end(self.gone or "its caller left")
        return answer

    async def forget(self, session: int) -> None:
        """Tell it to drop a session, at the latest with the next call; nothing is answered."""
        self._forgotten.append(session)
        if self.is_free and not self.gone:  # else it would land within another caller's message
            async with self.turn():
                with suppress(OSError):  # it died; the next call finds out how
                    await self._send_forgotten()

    def _check_there(self) -> None:
        if self._ended is not None:
            raise Refused(self._reason, f"the runner was ended: {self.gone}")

    async def end(self, why: str, reason: Reason = Reason.IDLE) -> None:
        """Kill it and wait until it is gone, with its memory. Later calls are told why."""
        if self._ended is not None:
            with trio.CancelScope(shield=True):
                await self._ended.wait()
            return
        self._ended = trio.Event()
        self.gone, self._reason = self.gone or why, reason
        self.child.kill()
        with trio.CancelScope(shield=True):
            await self.child.wait()
        self._ended.set()
        self.child.close()
        if self._socket.fileno() >= 0:
            trio.lowlevel.notify_closing(self._socket.fileno())
            self._socket.close()
        self._in.close()
        self._out.close()

    # --- sending ------------------------------------------------------------------------------

    async def _send_forgotten(self) -> None:
        while self._forgotten:
            await self._send(head_bytes(Op.CLOSE, session=self._forgotten.pop()))

    async def _send_call(
        self,
        op: Op,
        inputs: Sequence[Tensor] | Sequence[Placed],
        expected: Sequence[TensorHeader] | None,
        session: int,
        *,
        look: bool,
    ) -> None:
        await self._send_forgotten()
        placed: list[Placed] = []
        tensors: list[Tensor] = []
        for each in inputs:
            if isinstance(each, Placed):
                placed.append(each)
            else:
                tensors.append(each)
        table, data, size_bytes = inline_table(tensors)
        if size_bytes > INLINE_BYTES_MAX:
            headers = [each.header for each in tensors]
            placed, views = await self.place(headers)
            for view, source in zip(views, data, strict=True):
                await copy(source, view)
            data, size_bytes = [], 0
        wanted: list[Placed] = []
        if expected is not None:
            wanted, needed = layout(expected)
            await self._grow(self._out, Op.ROOM_OUT, needed)
        if placed or wanted:
            inline = [] if placed else [Placed(Place.INLINE, each.header, 0) for each in tensors]
            table = table_bytes([*inline, *placed, *wanted])
        head = head_bytes(
            op,
            table,
            count=len(inputs) + len(wanted),
            inline_bytes=size_bytes,
            session=session,
            flags=FINITE if look else 0,
        )
        await self._send(b"".join((head, *data)))

    async def _grow(self, room: Room, op: Op, size_bytes: int) -> None:
        if size_bytes <= room.size_bytes:
            return
        shared_bytes = self.shared_bytes - room.size_bytes + size_bytes
        if shared_bytes > self._shared_bytes_max:
            detail = f"{shared_bytes} bytes of tensors at once, of {self._shared_bytes_max}"
            raise Refused(Reason.OVER_MEMORY, detail)
        fd = room.grown(size_bytes)
        assert fd is not None
        try:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fd.to_bytes(4, sys.byteorder))]
            await self._send(head_bytes(op), rights)
        finally:
            os.close(fd)

    async def _send(self, data: bytes, rights: Sequence[tuple[int, int, bytes]] = ()) -> None:
        """Send everything; the socket itself is used, because trio's costs a turn of its loop."""
        view = memoryview(data)
        while view:
            try:
                view = view[self._socket.sendmsg([view], rights) :]
                rights = ()
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self._socket.fileno())

    # --- receiving ----------------------------------------------------------------------------

    async def _receive_words(
        self, session: int = 0, may_say: frozenset[Reason] = _MAY_SAY
    ) -> tuple[Head, memoryview]:
        """Read head and table; a failure is raised here. Only tensors may come after a table."""
        head = parse_head(await self._receive(HEAD.size))
        table = await self._receive(head.table_bytes)
        if head.session != session:
            raise _broken(f"word {head.op} of session {head.session}")
        if head.op != Op.DONE and (head.count or head.inline_bytes or self._heard):
            raise _broken(f"more than word {head.op}")
        if head.op == Op.FAILED:
            raise Refused(*parse_failure(table, may_say))
        return head, table

    async def _receive_answer(self, head: Head, table: memoryview, begin_s: float) -> Answer:
        if head.count > PORTS_MAX:
            raise _broken(f"{head.count} outputs")
        placed = parse_table(head, table, self._out.size_bytes)
        inline = await self._receive(head.inline_bytes)
        if self._heard:
            raise _broken(f"{len(self._heard)} bytes more than an answer")
        tensors = []
        for each in placed:
            source = inline if each.place == Place.INLINE else self._out.view
            data = source[each.offset : each.end].toreadonly()
            tensors.append(Tensor(each.header.element, each.header.dims, data))
        busy_s = min(head.busy_us / 1e6, trio.current_time() - begin_s)
        return Answer(tuple(tensors), bool(head.flags & FINITE), busy_s)

    async def _make_room(self, wanted: bytes, session: int) -> tuple[Head, memoryview]:
        """Give a runner the room that it asks for, within the cap of one tensor's size."""
        if not wanted.isdigit() or int(wanted) > 2 * TENSOR_BYTES_MAX or len(wanted) > 20:
            raise _broken(f"a need of {wanted!r} bytes")
        await self._grow(self._out, Op.ROOM_OUT, int(wanted))
        await self._send(head_bytes(Op.AGAIN, session=session))
        return await self._receive_words(session)

    async def _receive(self, size_bytes: int) -> memoryview:
        """Take so many bytes, in memory of their own: what was heard already, then the rest."""
        taken = memoryview(bytearray(size_bytes))
        at = 0
        while True:
            step = min(len(self._heard), size_bytes - at)
            taken[at : at + step] = self._heard[:step]
            self._heard = self._heard[step:]
            at += step
            if at == size_bytes:
                return taken
            try:
                got = self._socket.recv_into(self._buffer)
            except BlockingIOError:
                await trio.lowlevel.wait_readable(self._socket.fileno())
                continue
            if not got:
                raise ConnectionResetError("its link ended")
            self._heard = self._buffer[:got]

    async def _last_words(self, error: OSError) -> tuple[Reason, str]:
        """Say how a runner ended: the zygote hears of it a moment later, if it still lives."""
        self.child.kill()
        with trio.CancelScope(shield=True, deadline=trio.current_time() + WORDS_S):
            await self.child.ended.wait()
        words = f"{self.child.how_it_ended} ({error})"
        lost = self.child.status is None
        return (Reason.HANDED_BACK if lost else Reason.RUN_FAILED), words


async def acquire(what: trio.Lock | trio.Semaphore, due_s: float = inf) -> None:
    """Take it at once when it is free: trio's own way costs a turn of its loop.

    Whoever waits for too long leaves a runner alone that works for somebody else.
    """
    await trio.lowlevel.checkpoint_if_cancelled()
    try:
        what.acquire_nowait()
    except trio.WouldBlock:
        with trio.move_on_at(due_s) as waiting:
            await what.acquire()
        if waiting.cancelled_caught:
            raise Refused(Reason.DEADLINE, "its turn did not come in time") from None


async def copy(source: memoryview, target: memoryview) -> None:
    """Copy a large piece of memory without keeping the daemon's other tasks waiting."""
    for start in range(0, len(source), COPY_BYTES):
        target[start : start + COPY_BYTES] = source[start : start + COPY_BYTES]
        await trio.lowlevel.checkpoint()


def _described(op: int, table: memoryview) -> Description:
    if op != Op.READY:
        raise _broken(f"word {op} instead of ready")
    return parse_description(table)


def _broken(detail: str) -> CommonsError:
    return RemoteProtocolError(Reason.BROKEN_FRAME, detail)
