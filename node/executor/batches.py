# SPDX-License-Identifier: MIT
"""Calls of one group joined into one, where that changes no bit.

The manifest's calibration says which models allow it: the first axis of everything is one
symbol, and rows do not depend on their neighbours. While a runner computes, calls gather; when
it is free, those of one form go together. Nobody waits for company: a call that finds the
runner free goes at once.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from math import prod

import trio

from node.executor.executor import Call, Item, Outputs, Runner, Session
from protocol.errors import CommonsError, Refused
from protocol.interface import Interface
from protocol.reasons import Reason
from protocol.tensors import ElementType, Tensor, TensorHeader

ROWS_MAX = 64
JOINED_BYTES_MAX = 8 << 20


@dataclass(eq=False)
class _Waiting:
    """One caller, and what it gets. `behind`: others were there first."""

    inputs: Item
    look: bool
    due_s: float
    behind: bool
    done: trio.Event = field(default_factory=trio.Event)
    outputs: Outputs | None = None
    error: CommonsError | None = None
    left: bool = False

    @property
    def rows(self) -> int:
        return self.inputs[0].dims[0]

    @property
    def size_bytes(self) -> int:
        return sum(len(each.data) for each in self.inputs)

    @property
    def form(self) -> tuple[object, ...]:
        """What has to be equal for two calls to go together."""
        return (self.look, *((each.element, each.dims[1:]) for each in self.inputs))

    def settle(self, outputs: Outputs | None, error: CommonsError | None = None) -> None:
        """Tell the caller."""
        self.outputs, self.error = outputs, error
        self.done.set()


@dataclass(frozen=True, slots=True)
class _Joined:
    """Calls that run as one, for as long as one of their callers is there."""

    calls: list[_Waiting]
    scope: trio.CancelScope

    def give_up(self) -> None:
        """Stop computing what nobody waits for."""
        if all(each.left for each in self.calls):
            self.scope.cancel()


class BatchingRunner:
    """A :class:`~node.executor.executor.Runner` that joins calls in front of another one."""

    def __init__(self, inner: Runner, nursery: trio.Nursery) -> None:
        """Joined calls run in `nursery`, so that they belong to none of their callers."""
        self._inner = inner
        self._nursery = nursery
        self._queue: list[_Waiting] = []
        self._working = False
        self._running: _Joined | None = None

    async def run(
        self, inputs: Sequence[Tensor], *, deadline_s: float, look: bool = False
    ) -> Outputs:
        """Run a call, together with others that wait for the same runner."""
        if not _can_join(inputs):
            return await self._inner.run(inputs, deadline_s=deadline_s, look=look)
        await trio.lowlevel.checkpoint_if_cancelled()
        due_s = trio.current_time() + deadline_s
        mine = _Waiting(tuple(inputs), look, due_s, behind=self._working)
        self._queue.append(mine)
        if not self._working:
            self._working = True
            self._nursery.start_soon(self._work)
        try:
            with trio.move_on_at(mine.due_s):
                await mine.done.wait()
        finally:
            self._leave(mine)
        if mine.error:
            raise mine.error
        if mine.outputs is None:
            raise Refused(Reason.DEADLINE, f"not done within {deadline_s:g} s")
        return mine.outputs

    def call(self, headers: Sequence[TensorHeader]) -> AbstractAsyncContextManager[Call]:
        """Hold the runner alone: what is written in place is not joined."""
        return self._inner.call(headers)

    async def open(self, state: Sequence[Tensor]) -> Session:
        """Begin a session; its steps are not joined with anything."""
        return await self._inner.open(state)

    def _leave(self, mine: _Waiting) -> None:
        mine.left = True
        if mine in self._queue:
            self._queue.remove(mine)
        elif self._running and not mine.done.is_set():
            self._running.give_up()

    async def _work(self) -> None:
        """Serve the queue until it is empty."""
        try:
            while self._queue:
                await self._serve(self._take())
        finally:
            self._working = False
            _settle_all(self._queue, Refused(Reason.HANDED_BACK, "the executor was closed"))

    def _take(self) -> list[_Waiting]:
        """Choose who goes now: the first, and those of its form, up to the caps."""
        first, *others = self._queue
        joined, rows, size_bytes = [first], first.rows, first.size_bytes
        for each in others:
            if each.form != first.form:
                continue
            rows, size_bytes = rows + each.rows, size_bytes + each.size_bytes
            if rows > ROWS_MAX or size_bytes > JOINED_BYTES_MAX:
                break
            joined.append(each)
        for each in joined:
            self._queue.remove(each)
        return joined

    async def _serve(self, calls: list[_Waiting]) -> None:
        """Run a few calls as one; when that fails, each by itself, so that one spoils no other."""
        try:
            with trio.CancelScope() as scope:
                self._running = _Joined(calls, scope)
                for each, part in zip(calls, await self._run(calls), strict=True):
                    each.settle(part)
        except CommonsError as error:
            if len(calls) == 1:
                calls[0].settle(None, _as_seen_by(calls[0], error))
            elif error.reason is Reason.DEADLINE:  # that of the most patient of them
                _settle_all(calls, error)
            else:
                for each in calls:
                    each.behind = True  # whatever it finds now was none of its doing
                    if not each.left:
                        await self._serve([each])
        finally:
            self._running = None
            _settle_all(calls, Refused(Reason.HANDED_BACK, "the executor was closed"))

    async def _run(self, calls: list[_Waiting]) -> list[Outputs]:
        remaining_s = max(each.due_s for each in calls) - trio.current_time()
        got = await self._inner.run(
            join([each.inputs for each in calls]),
            deadline_s=max(remaining_s, 0.001),
            look=calls[0].look,
        )
        rows = [each.rows for each in calls]
        parts = split(got.tensors, rows)
        share = got.busy_s / sum(rows)
        return [
            Outputs(part, got.finite, share * count)
            for part, count in zip(parts, rows, strict=True)
        ]


def _settle_all(calls: Sequence[_Waiting], error: CommonsError) -> None:
    """Let nobody wait for an answer that cannot come any more."""
    for each in calls:
        if not each.done.is_set():
            each.settle(None, error)


def _as_seen_by(call: _Waiting, error: CommonsError) -> CommonsError:
    """Whoever waited for a runner that another call took down may ask for a new one."""
    lost = call.behind and error.reason is Reason.IDLE
    return Refused(Reason.HANDED_BACK, error.detail) if lost else error


def is_batchable(interface: Interface) -> bool:
    """Tell whether the first axis of all that goes in and comes out is one free symbol."""
    ports = [*(port for port in interface.inputs if not port.optional), *interface.outputs]
    first = {port.dims[0] if port.dims else None for port in ports}
    elsewhere = {value for port in ports for symbolic, value in port.dims[1:] if symbolic}
    whole = all(port.element.bits % 8 == 0 and port.element.bits for port in ports)
    axis = next(iter(first), None)
    alone = axis is not None and axis[0] == 1 and axis[1] < interface.free
    derived = {rule.first for rule in interface.derived} | {
        rule.second for rule in interface.derived if rule.second_times
    }
    return (
        len(first) == 1
        and alone
        and whole
        and not interface.states
        and axis is not None
        and axis[1] not in elsewhere | derived
    )


def join(items: Sequence[Item]) -> Item:
    """Put the rows of several items one after the other: their bytes are, too."""
    if len(items) == 1:
        return items[0]
    return tuple(
        Tensor(
            parts[0].element,
            (sum(part.dims[0] for part in parts), *parts[0].dims[1:]),
            b"".join(part.data for part in parts),
        )
        for parts in zip(*items, strict=True)
    )


def split(tensors: Item, rows: Sequence[int]) -> list[Item]:
    """Take the rows of each item out again."""
    if len(rows) == 1:
        return [tensors]
    parts: list[list[Tensor]] = [[] for _ in rows]
    for tensor in tensors:
        row_bytes = prod(tensor.dims[1:]) * tensor.element.bits // 8
        at = 0
        for part, count in zip(parts, rows, strict=True):
            end = at + count * row_bytes
            data = bytes(memoryview(tensor.data)[at:end])
            part.append(Tensor(tensor.element, (count, *tensor.dims[1:]), data))
            at = end
    return [tuple(part) for part in parts]


def _can_join(inputs: Sequence[Tensor]) -> bool:
    """Leave alone what is large enough by itself, and what is not rows of the same number."""
    counts = {each.dims[0] if each.dims else 0 for each in inputs}
    strings = any(each.element is ElementType.STRING for each in inputs)
    count = next(iter(counts), 0)
    return len(counts) == 1 and not strings and 0 < count < ROWS_MAX
