# SPDX-License-Identifier: MIT
"""The real executor: which runner serves whom, what stays warm, and what is freed for whom.

A runner belongs to one (model, group) and is never handed to another group. It stays warm
after its lease, until its memory is needed or nobody came for a while. Leases of one key share
runners when there are more of them than runners may compute; calls then take turns.
"""

import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from node.executor.batches import BatchingRunner, is_batchable
from node.executor.executor import CPU, Group, Layer, Model, Outputs, Runner
from node.executor.link import Link
from node.executor.runners import LinkedRunner
from node.executor.sandbox.confine import holds_strangers
from node.executor.task import Task
from node.executor.wire import Op
from node.executor.zygote import Zygote
from protocol.errors import Refused
from protocol.reasons import Reason
from protocol.tensors import Tensor

Key = tuple[object, ...]

_SOCKET_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """What runners may take of this machine; the owner's configuration says so."""

    runners: int = 1
    threads: int = 1
    memory_bytes: int = 4 << 30
    runner_memory_bytes: int = 1 << 30
    load_s: float = 30.0
    warm_s: float = 300.0


@dataclass(eq=False)
class _Entry:
    """A runner with the memory that is reserved for it."""

    key: Key
    memory_bytes: int
    runner: LinkedRunner | None = None
    handed: Runner | None = None
    leases: int = 1
    used_at_s: float = 0.0
    loaded: trio.Event = field(default_factory=trio.Event)

    @property
    def reserved_bytes(self) -> int:
        """Its own memory, and what it shares with the daemon."""
        return self.memory_bytes + (self.runner.link.shared_bytes if self.runner else 0)

    @property
    def is_gone(self) -> bool:
        return self.runner is not None and bool(self.runner.link.gone)


class Pool:
    """An :class:`~node.executor.executor.Executor` on this machine. Works inside :meth:`open`."""

    def __init__(self, limits: PoolLimits, zygote: Zygote | None = None) -> None:
        """Start nothing yet: the first lease starts the zygote."""
        self._limits = limits
        self._zygote = zygote or Zygote()
        self._entries: list[_Entry] = []
        self._slots = trio.Semaphore(limits.runners)
        self._paused = False
        self._idle = trio.Event()
        self._nursery: trio.Nursery | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Work inside this block; after it nothing is left of zygote and runners."""
        async with self._zygote.held(), trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._let_cold_ones_go)
            try:
                yield
            finally:
                self._paused = True
                with trio.CancelScope(shield=True):
                    await self._end_all("the node stops", Reason.SHUTTING_DOWN)
                nursery.cancel_scope.cancel()

    @asynccontextmanager
    async def lease(self, model: Model, group: Group) -> AsyncIterator[Runner]:
        """Give a runner of this model to this group."""
        entry = await self._taken(model, group)
        try:
            assert entry.handed
            yield entry.handed
        finally:
            entry.leases -= 1
            entry.used_at_s = trio.current_time()
            if entry.is_gone:
                self._drop(entry)
            self._idle.set()

    async def run(
        self, model: Model, group: Group, inputs: Sequence[Tensor], *, deadline_s: float
    ) -> Outputs:
        """Lease, run once, and try again when a runner was lost through nobody's fault."""
        try:
            async with self.lease(model, group) as runner:
                return await runner.run(inputs, deadline_s=deadline_s)
        except Refused as refusal:
            if refusal.reason is not Reason.HANDED_BACK:
                raise
        async with self.lease(model, group) as runner:
            return await runner.run(inputs, deadline_s=deadline_s)

    async def pause(self, grace_s: float) -> None:
        """Take nothing new, let calls end for a while, then free all memory."""
        self._paused = True
        with trio.move_on_after(grace_s):
            while any(each.leases for each in self._entries):
                self._idle = trio.Event()
                await self._idle.wait()
        await self._end_all("the owner or the governor paused the work", Reason.PAUSED)
        await self._zygote.end()

    def resume(self) -> None:
        """Take work again."""
        self._paused = False

    async def layers(self) -> tuple[Layer, ...]:
        """Ask the zygote, which has tried each of them in a child."""
        await self._zygote.ready()
        return self._zygote.layers

    @property
    def memory_bytes(self) -> int:
        """What is reserved for runners now, with what they share with the daemon."""
        return sum(each.reserved_bytes for each in self._entries)

    @property
    def pids(self) -> list[int]:
        """The processes of all runners."""
        return [each.runner.link.child.pid for each in self._entries if each.runner]

    # --- choosing -----------------------------------------------------------------------------

    async def _taken(self, model: Model, group: Group) -> _Entry:
        """Find or make the runner for a lease."""
        if self._paused:
            raise Refused(Reason.PAUSED)
        await self._check_trust(model, group)
        adapter = model.adapter.digest if model.adapter else b""
        key = (model.digest, adapter, group, model.provider, model.tuning)
        need_bytes = model.memory_bytes or self._limits.runner_memory_bytes
        if need_bytes > self._limits.memory_bytes:
            detail = f"{need_bytes} bytes, of {self._limits.memory_bytes} for all runners"
            raise Refused(Reason.OVER_MEMORY, detail)
        while True:
            for gone in [each for each in self._entries if each.is_gone and not each.leases]:
                self._drop(gone)
            ours = [each for each in self._entries if each.key == key and not each.is_gone]
            least = min((each for each in ours if each.handed), key=_leases, default=None)
            if least and not least.leases:
                least.leases = 1
                return least
            if len(ours) < self._limits.runners and self._fits(need_bytes):
                return await self._loaded(key, model, need_bytes)
            if least:
                least.leases += 1
                return least
            if not ours:
                detail = f"no {need_bytes} bytes of memory are left for another runner"
                raise Refused(Reason.BUSY, detail)
            await ours[0].loaded.wait()
            if self._paused:
                raise Refused(Reason.PAUSED)

    async def _check_trust(self, model: Model, group: Group) -> None:
        if group.trusted:
            return
        if model.provider != CPU:
            detail = f"{model.provider} cannot be confined here: it runs trusted work alone"
            raise Refused(Reason.NOT_CONTAINED, detail)
        layers = await self.layers()
        if not holds_strangers(layers):
            off = ", ".join(f"{each.name} ({each.detail})" for each in layers if not each.on)
            raise Refused(Reason.NOT_CONTAINED, f"off: {off or 'everything'}")

    def _fits(self, need_bytes: int) -> bool:
        """Tell whether runners that nobody leases could make enough room."""
        leased = sum(each.reserved_bytes for each in self._entries if each.leases)
        return leased + need_bytes <= self._limits.memory_bytes

    async def _make_room(self) -> None:
        """End runners that nobody leases, the longest unused first, until memory suffices."""
        while self.memory_bytes > self._limits.memory_bytes:
            idle = [each for each in self._entries if not each.leases]
            if not idle:
                return
            await self._end(min(idle, key=lambda each: each.used_at_s), "its memory was needed")

    async def _loaded(self, key: Key, model: Model, memory_bytes: int) -> _Entry:
        """Start a runner; its memory is reserved from here on."""
        entry = _Entry(key, memory_bytes)
        self._entries.append(entry)
        try:
            await self._make_room()
            link = await self._linked(model, memory_bytes)
            entry.runner = LinkedRunner(link, model, self._slots)
            entry.handed = self._batching(entry.runner, model)
        except BaseException:
            self._drop(entry)
            raise
        finally:
            entry.loaded.set()
        return entry

    def _batching(self, runner: LinkedRunner, model: Model) -> Runner:
        may = model.batchable and model.interface and is_batchable(model.interface)
        return BatchingRunner(runner, self._nursery) if may and self._nursery else runner

    async def _linked(self, model: Model, memory_bytes: int) -> Link:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                for end in (ours, theirs):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BYTES)
                task = self._task(model, memory_bytes).document()
                child = await self._zygote.fork(task, theirs)
            except BaseException:
                ours.close()
                raise
        link = Link(child, ours)
        await link.ready(self._limits.load_s)
        if model.adapter:
            tensors = [each for _, each in model.adapter.tensors]
            try:
                async with link.turn():
                    await link.call(Op.ADAPT, tensors, deadline_s=self._limits.load_s)
            except BaseException:
                await link.end("its adapter was refused")
                raise
        return link

    def _task(self, model: Model, memory_bytes: int) -> Task:
        interface = model.interface
        return Task(
            folder=str(model.folder.resolve()),
            memory_bytes=memory_bytes,
            inputs=tuple(each.name for each in interface.inputs if not each.optional)
            if interface
            else (),
            outputs=tuple(each.name for each in interface.outputs) if interface else (),
            states=interface.states if interface else (),
            adapter=tuple(name for name, _ in model.adapter.tensors) if model.adapter else (),
            provider=model.provider,
            threads=self._limits.threads,
            forked=model.provider == CPU,
            optimise=model.tuning.optimise,
            entries=model.tuning.entries,
        )

    # --- ending -------------------------------------------------------------------------------

    async def _let_cold_ones_go(self) -> None:
        while True:
            await trio.sleep(max(self._limits.warm_s / 4, 0.1))
            before_s = trio.current_time() - self._limits.warm_s
            for entry in [e for e in self._entries if not e.leases and e.used_at_s < before_s]:
                await self._end(entry, "nobody needed it for a while")

    async def _end_all(self, why: str, reason: Reason) -> None:
        for entry in list(self._entries):
            await self._end(entry, why, reason)

    async def _end(self, entry: _Entry, why: str, reason: Reason = Reason.IDLE) -> None:
        self._drop(entry)
        if entry.runner:
            await entry.runner.link.end(why, reason)

    def _drop(self, entry: _Entry) -> None:
        if entry in self._entries:
            self._entries.remove(entry)


def _leases(entry: _Entry) -> int:
    return entry.leases
