# SPDX-License-Identifier: MIT
"""Calls of one group joined into one, where that changes no bit.

The manifest's calibration says which models allow it; how rows are put together is in `joining`.
While a runner computes, calls gather; when it is free, those of one form go together. Nobody
waits for company: a call that finds the runner free goes at once.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

import trio

from node.executor.executor import Call, Item, Outputs, Runner, Session
from node.executor.joining import JOINED_BYTES_MAX, ROWS_MAX, can_join, join, split
from protocol.errors import CommonsError, Refused
from protocol.reasons import Reason
from protocol.tensors import Tensor, TensorHeader


@dataclass(eq=False)
class _Waiting:
    """One caller who came while others were served, and what it gets."""

    inputs: Item
    look: bool
    due_s: float
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
    over: trio.Event

    async def give_up(self) -> None:
        """Stop computing what nobody waits for; whoever leaves last sees to its end."""
        if all(each.left for each in self.calls):
            self.scope.cancel()
            with trio.CancelScope(shield=True):
                await self.over.wait()


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
        closed = self._nursery.cancel_scope.cancel_called
        if closed or deadline_s <= 0 or not can_join(inputs):
            return await self._inner.run(inputs, deadline_s=deadline_s, look=look)
        if not self._working:
            return await self._run_first(inputs, deadline_s, look=look)
        due_s = trio.current_time() + deadline_s
        mine = _Waiting(tuple(inputs), look, due_s)
        self._queue.append(mine)
        try:
            with trio.move_on_at(mine.due_s):
                await mine.done.wait()
        finally:
            await self._leave(mine)
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

    async def _run_first(
        self, inputs: Sequence[Tensor], deadline_s: float, *, look: bool
    ) -> Outputs:
        """Run for a caller who finds the runner free; then see to those who came meanwhile."""
        self._working = True
        try:
            return await self._inner.run(inputs, deadline_s=deadline_s, look=look)
        finally:
            if self._queue and not self._nursery.cancel_scope.cancel_called:
                self._nursery.start_soon(self._work)
            else:
                self._stop()

    def _stop(self) -> None:
        """Let nobody wait who came too late to be served."""
        self._working = False
        _settle_all(self._queue, Refused(Reason.SHUTTING_DOWN))

    async def _leave(self, mine: _Waiting) -> None:
        mine.left = True
        if mine in self._queue:
            self._queue.remove(mine)
        elif self._running and not mine.done.is_set():
            await self._running.give_up()

    async def _work(self) -> None:
        """Serve the queue until it is empty."""
        try:
            while self._queue:
                await self._serve(self._take())
        finally:
            self._stop()

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
        over = trio.Event()
        try:
            with trio.CancelScope() as scope:
                self._running = _Joined(calls, scope, over)
                for each, part in zip(calls, await self._run(calls), strict=True):
                    each.settle(part)
        except CommonsError as error:
            if len(calls) == 1:
                calls[0].settle(None, _as_seen_from_behind(error))
            elif error.reason is Reason.DEADLINE:  # that of the most patient of them
                _settle_all(calls, error)
            else:
                for each in calls:
                    if not each.left:
                        await self._serve([each])
        finally:
            self._running = None
            _settle_all(calls, Refused(Reason.SHUTTING_DOWN))
            over.set()

    async def _run(self, calls: list[_Waiting]) -> list[Outputs]:
        remaining_s = max(each.due_s for each in calls) - trio.current_time()
        got = await self._inner.run(
            join([each.inputs for each in calls]),
            deadline_s=max(remaining_s, 0.001),
            look=calls[0].look,
        )
        if calls[0].look and not got.finite and len(calls) > 1:
            raise Refused(Reason.NOT_FINITE, "one of them has to be found")
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
        if not (each.left or each.done.is_set()):
            each.settle(None, error)


def _as_seen_from_behind(error: CommonsError) -> CommonsError:
    """Whoever waited for a runner that another call took down may ask for a new one."""
    lost = error.reason is Reason.IDLE
    return Refused(Reason.HANDED_BACK, error.detail) if lost else error
