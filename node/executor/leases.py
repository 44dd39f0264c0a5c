# SPDX-License-Identifier: MIT
"""Which runner serves whom, what stays warm, and what is freed for whom. Loading is not here.

A runner belongs to one (model, group) and is never handed to another group. It stays warm
after its lease, until its memory is needed or nobody came for a while. Leases of one key share
runners when there are more of them than runners may compute; calls then take turns.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from node.config import ExecutorConfig
from node.executor.batches import BatchingRunner
from node.executor.executor import CPU, Group, Layer, Model, Runner
from node.executor.joining import is_batchable
from node.executor.runners import LinkedRunner, check_adapter
from node.executor.sandbox.confine import holds_strangers
from protocol.errors import Refused
from protocol.reasons import Reason

Load = Callable[[Model, int], Awaitable[LinkedRunner]]
"""Loads a model into a new runner that may take so many bytes."""

Key = tuple[object, ...]

_WHY = {
    Reason.PAUSED: "the owner or the governor paused the work",
    Reason.SHUTTING_DOWN: "the node stops",
}


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """What runners may take of this machine; the owner's configuration says so."""

    runners: int = 1
    threads: int = 1
    memory_bytes: int = 4 << 30
    runner_memory_bytes: int = 1 << 30
    load_s: float = 30.0
    warm_s: float = 300.0


def limits_of(executor: ExecutorConfig) -> PoolLimits:
    """Say what runners may take, as the owner has chosen."""
    return PoolLimits(
        runners=executor.runners,
        threads=executor.threads,
        memory_bytes=executor.memory_mib << 20,
        runner_memory_bytes=executor.runner_memory_mib << 20,
        load_s=executor.load_s,
        warm_s=executor.warm_s,
    )


@dataclass(eq=False)
class _Entry:
    """A runner with the memory that is reserved for it."""

    key: Key
    memory_bytes: int
    runner: LinkedRunner | None = None
    batching: BatchingRunner | None = None
    leases: int = 1
    used_at_s: float = 0.0
    loaded: trio.Event = field(default_factory=trio.Event)

    @property
    def reserved_bytes(self) -> int:
        """Its own memory, and what it shares with the daemon."""
        return self.memory_bytes + (self.runner.link.shared_bytes if self.runner else 0)

    @property
    def is_gone(self) -> bool:
        return self.runner is not None and self.runner.link.is_gone


class Leases:
    """Gives out runners within the limits. Works inside :meth:`open`."""

    def __init__(
        self,
        limits: PoolLimits,
        load: Load,
        layers: Callable[[], Awaitable[Sequence[Layer]]],
    ) -> None:
        """`layers` says what contains a stranger's model on this machine."""
        self._limits = limits
        self._load = load
        self._layers = layers
        self._entries: list[_Entry] = []
        self._closed: Reason | None = None
        self._changed = trio.Event()
        self._nursery: trio.Nursery | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Give out runners inside this block; after it none is left."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._let_cold_ones_go)
            try:
                yield
            finally:
                self._closed = Reason.SHUTTING_DOWN
                await self._end(list(self._entries), Reason.SHUTTING_DOWN)
                nursery.cancel_scope.cancel()

    @asynccontextmanager
    async def lease(self, model: Model, group: Group) -> AsyncIterator[Runner]:
        """Give a runner of this model to this group."""
        entry = await self._taken(model, group)
        try:
            yield self._handed(entry, model)
        finally:
            entry.leases -= 1
            entry.used_at_s = trio.current_time()
            self._changed.set()

    async def pause(self, grace_s: float) -> None:
        """Take nothing new, let calls end for a while, then free all memory."""
        self._closed = self._closed or Reason.PAUSED
        with trio.move_on_after(grace_s):
            while self.is_paused and any(each.leases for each in self._entries):
                if self._changed.is_set():  # never forget an event that somebody waits for
                    self._changed = trio.Event()
                await self._changed.wait()
        if self._closed:
            await self._end(list(self._entries), self._closed)

    def resume(self) -> None:
        """Take work again."""
        if self._closed is Reason.PAUSED:
            self._closed = None
            self._changed.set()

    @property
    def is_paused(self) -> bool:
        """Nothing new is taken."""
        return self._closed is not None

    @property
    def memory_bytes(self) -> int:
        """What is reserved for runners now, with what they share with the daemon."""
        return sum(each.reserved_bytes for each in self._entries)

    @property
    def runners(self) -> list[LinkedRunner]:
        """Those that are loaded."""
        return [each.runner for each in self._entries if each.runner]

    # --- choosing -----------------------------------------------------------------------------

    async def _taken(self, model: Model, group: Group) -> _Entry:
        """Find or make the runner for a lease."""
        self._check_open()
        check_adapter(model)
        await self._check_trust(model, group)
        adapter = model.adapter.digest if model.adapter else b""
        key = (model.digest, adapter, group, model.provider, model.tuning)
        need_bytes = model.memory_bytes or self._limits.runner_memory_bytes
        if need_bytes > self._limits.memory_bytes:
            detail = f"{need_bytes} bytes, of {self._limits.memory_bytes} for all runners"
            raise Refused(Reason.OVER_MEMORY, detail)
        while True:
            await self._forget_gone()
            self._check_open()
            ours = [each for each in self._entries if each.key == key]
            least = min((each for each in ours if each.loaded.is_set()), key=_leases, default=None)
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

    def _check_open(self) -> None:
        if self._closed:
            raise Refused(self._closed)

    async def _check_trust(self, model: Model, group: Group) -> None:
        if group.trusted:
            return
        if model.provider != CPU:
            detail = f"{model.provider} cannot be confined here: it runs trusted work alone"
            raise Refused(Reason.NOT_CONTAINED, detail)
        try:
            layers = await self._layers()
        except Refused:
            self._check_open()  # a pause in between is the better reason
            raise
        if not holds_strangers(layers):
            off = ", ".join(f"{each.name} ({each.detail})" for each in layers if not each.on)
            raise Refused(Reason.NOT_CONTAINED, f"off: {off or 'everything'}")

    def _fits(self, need_bytes: int) -> bool:
        """Tell whether runners that nobody leases could make enough room."""
        leased = sum(each.reserved_bytes for each in self._entries if each.leases)
        return leased + need_bytes <= self._limits.memory_bytes

    async def _make_room(self) -> None:
        """End runners that nobody leases, the longest unused first, until memory suffices.

        They are chosen in one go: while one of them ends, the next could be leased.
        """
        over_bytes = self.memory_bytes - self._limits.memory_bytes
        chosen = []
        for each in sorted(self._entries, key=lambda each: each.used_at_s):
            if over_bytes <= 0:
                break
            if not each.leases:
                over_bytes -= each.reserved_bytes
                chosen.append(each)
        await self._end(chosen, Reason.IDLE, "its memory was needed")

    async def _loaded(self, key: Key, model: Model, memory_bytes: int) -> _Entry:
        """Start a runner; its memory is reserved from here on."""
        entry = _Entry(key, memory_bytes)
        self._entries.append(entry)
        try:
            await self._make_room()
            self._check_open()
            entry.runner = await self._load(model, memory_bytes)
        except BaseException as error:
            was_ended = entry not in self._entries
            self._drop(entry)
            if was_ended and isinstance(error, Refused):  # whatever it looked like from there
                raise Refused(self._closed or Reason.PAUSED) from None
            raise
        finally:
            entry.loaded.set()
        if entry not in self._entries:
            await entry.runner.link.end("it came too late", self._closed or Reason.PAUSED)
            raise Refused(self._closed or Reason.PAUSED)
        return entry

    def _handed(self, entry: _Entry, model: Model) -> Runner:
        """Put what joins calls in front, for those who allow it; the runner is the same."""
        assert entry.runner
        assert self._nursery
        if not (model.batchable and model.interface and is_batchable(model.interface)):
            return entry.runner
        entry.batching = entry.batching or BatchingRunner(entry.runner, self._nursery)
        return entry.batching

    # --- ending -------------------------------------------------------------------------------

    async def _let_cold_ones_go(self) -> None:
        while True:
            await trio.sleep(max(self._limits.warm_s / 4, 0.1))
            await self._forget_gone()
            before_s = trio.current_time() - self._limits.warm_s
            cold = [e for e in self._entries if not e.leases and e.used_at_s < before_s]
            await self._end(cold, Reason.IDLE, "nobody needed it for a while")
            await self._make_room()  # what runners share with the daemon grows as they work

    async def _forget_gone(self) -> None:
        """Free what runners hold that were killed, or died while nobody used them."""
        if gone := [each for each in self._entries if each.is_gone]:
            await self._end(gone, Reason.IDLE, "it died")

    async def _end(self, entries: Sequence[_Entry], reason: Reason, why: str = "") -> None:
        """End runners; whoever is cancelled meanwhile still ends them all."""
        for entry in entries:
            self._drop(entry)
        if not entries:
            return
        with trio.CancelScope(shield=True):
            async with trio.open_nursery() as nursery:
                for entry in entries:
                    if entry.runner:
                        nursery.start_soon(entry.runner.link.end, why or _WHY[reason], reason)

    def _drop(self, entry: _Entry) -> None:
        if entry in self._entries:
            self._entries.remove(entry)


def _leases(entry: _Entry) -> int:
    return entry.leases
