# SPDX-License-Identifier: MIT
"""The real executor: runners are processes that a zygote forks. Who gets one is in `leases`."""

import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import trio

from node.executor.executor import CPU, Group, Layer, Model, Outputs, Runner
from node.executor.leases import Leases
from node.executor.leases import PoolLimits as PoolLimits
from node.executor.link import Link
from node.executor.retry import run_once
from node.executor.runners import LinkedRunner
from node.executor.sandbox.confine import holds_strangers
from node.executor.task import Task
from node.executor.wire import Op
from node.executor.zygote import Zygote
from protocol.tensors import Tensor

_SOCKET_BYTES = 1 << 20


class Pool:
    """An :class:`~node.executor.executor.Executor` on this machine. Works inside :meth:`open`."""

    def __init__(self, limits: PoolLimits, zygote: Zygote | None = None) -> None:
        """Start nothing yet: the first lease starts the zygote."""
        self._limits = limits
        self._zygote = zygote or Zygote()
        self._slots = trio.Semaphore(limits.runners)
        self._leases = Leases(limits, self._load, self.layers)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Work inside this block; after it nothing is left of zygote and runners."""
        async with self._zygote.held(), self._leases.open():
            yield

    def lease(self, model: Model, group: Group) -> AbstractAsyncContextManager[Runner]:
        """Give a runner of this model to this group."""
        return self._leases.lease(model, group)

    async def run(
        self, model: Model, group: Group, inputs: Sequence[Tensor], *, deadline_s: float
    ) -> Outputs:
        """Lease, run once, and try again when a runner was lost through nobody's fault."""
        return await run_once(self, model, group, inputs, deadline_s=deadline_s)

    async def pause(self, grace_s: float) -> None:
        """Take nothing new, let calls end for a while, then free all memory."""
        await self._leases.pause(grace_s)
        if self._leases.is_paused:
            await self._zygote.end()

    def resume(self) -> None:
        """Take work again."""
        self._leases.resume()

    async def layers(self) -> tuple[Layer, ...]:
        """Ask the zygote, which has tried each of them in a child."""
        await self._zygote.ready()
        return self._zygote.layers

    async def providers(self) -> tuple[str, ...]:
        """Ask what the installed ONNX Runtime offers; the processor's is always the last."""
        await self._zygote.ready()
        return self._zygote.providers

    @property
    def memory_bytes(self) -> int:
        """What is reserved for runners now, with what they share with the daemon."""
        return self._leases.memory_bytes

    @property
    def pids(self) -> list[int]:
        """The processes of all runners."""
        return [each.child.pid for each in self.links]

    @property
    def links(self) -> list[Link]:
        """What reaches all runners."""
        links = [each.link for each in self._leases.runners]
        return [each for each in links if isinstance(each, Link)]

    # --- loading ------------------------------------------------------------------------------

    async def _load(self, model: Model, memory_bytes: int) -> LinkedRunner:
        link = await self._linked(model, memory_bytes)
        return LinkedRunner(link, model, self._slots)

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
        link = Link(child, ours, memory_bytes)
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
            # where strangers can be contained nobody runs without it; where not, none gets here
            contained=model.provider == CPU and holds_strangers(self._zygote.layers),
            optimise=model.tuning.optimise,
            entries=model.tuning.entries,
        )
