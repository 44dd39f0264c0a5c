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
    """One caller, and what it gets."""

    inputs: Item
    look: bool
    due_s: float
    done: trio.Event = field(default_factory=trio.Event)
    outputs: Outputs | None = None
    error: CommonsError | None = None

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


class BatchingRunner:
    """A :class:`~node.executor.executor.Runner` that joins calls in front of another one."""

    def __init__(self, inner: Runner, nursery: trio.Nursery) -> None:
        """Joined calls run in `nursery`, so that they belong to none of their callers."""
        self._inner = inner
        self._nursery = nursery
        self._queue: list[_Waiting] = []
        self._working = False

    async def run(
        self, inputs: Sequence[Tensor], *, deadline_s: float, look: bool = False
    ) -> Outputs:
        """Run a call, together with others that wait for the same runner."""
        if not _can_join(inputs):
            return await self._inner.run(inputs, deadline_s=deadline_s, look=look)
        mine = _Waiting(tuple(inputs), look, trio.current_time() + deadline_s)
        self._queue.append(mine)
        if not self._working:
            self._working = True
            self._nursery.start_soon(self._work)
        try:
            with trio.move_on_at(mine.due_s):
                await mine.done.wait()
        finally:
            if mine in self._queue:
                self._queue.remove(mine)
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

    async def _work(self) -> None:
        """Serve the queue until it is empty."""
        try:
            while self._queue:
                await self._serve(self._take())
        finally:
            self._working = False

    def _take(self) -> list[_Waiting]:
        """Choose who goes now: the first, and those of its form, up to the caps."""
        first, *others = self._queue
        joined, rows, size_bytes = [first], first.rows, first.size_bytes
        for each in others:
            rows, size_bytes = rows + each.rows, size_bytes + each.size_bytes
            if rows > ROWS_MAX or size_bytes > JOINED_BYTES_MAX:
                break
            if each.form == first.form:
                joined.append(each)
        for each in joined:
            self._queue.remove(each)
        return joined

    async def _serve(self, joined: list[_Waiting]) -> None:
        """Run a few calls as one; when that fails, each by itself, so that one spoils no other."""
        try:
            outputs = await self._run([each.inputs for each in joined], joined)
            for each, part in zip(joined, outputs, strict=True):
                each.settle(part)
        except CommonsError as error:
            if len(joined) == 1:
                joined[0].settle(None, error)
                return
            for each in joined:
                await self._serve([each])

    async def _run(self, items: list[Item], joined: list[_Waiting]) -> list[Outputs]:
        remaining_s = max(each.due_s for each in joined) - trio.current_time()
        got = await self._inner.run(
            join(items), deadline_s=max(remaining_s, 0.001), look=joined[0].look
        )
        rows = [each.rows for each in joined]
        parts = split(got.tensors, rows)
        share = got.busy_s / sum(rows)
        return [
            Outputs(part, got.finite, share * count)
            for part, count in zip(parts, rows, strict=True)
        ]


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
