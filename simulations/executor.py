# SPDX-License-Identifier: MIT
"""The executor of a made world: the node's own rules over runners that only pass virtual time.

Who gets which runner, what stays warm, joined calls, the checks of inputs and outputs: all that
is the node's code. Made up are the runners (see `link`) and what loading them costs. No threads,
no wall clock, and no dice but those of whoever gives the faults.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import trio

from node.executor.executor import Group, Item, Layer, Model, Outputs, Runner
from node.executor.leases import Leases, PoolLimits
from node.executor.retry import run_once
from node.executor.runners import LinkedRunner
from node.executor.sandbox.confine import LAYERS
from protocol.errors import Refused
from protocol.reasons import Reason
from protocol.tensors import Tensor
from simulations.faults import Called, Fault, Faults
from simulations.link import SimulatedLink, Speed, Traits

#: A machine that contains strangers' work.
CONTAINED = tuple(Layer(name, True, "as simulated") for name in LAYERS)

_NO_FAULT = Fault()


class SimulatedExecutor:
    """An :class:`~node.executor.executor.Executor` of a made world. Works inside :meth:`open`."""

    def __init__(
        self,
        limits: PoolLimits,
        models: Mapping[bytes, Traits],
        speed: Speed | None = None,
        *,
        faults: Faults | None = None,
        layers: Sequence[Layer] = CONTAINED,
    ) -> None:
        """`models` are those that this world knows, by their digest; others do not load."""
        self._limits = limits
        self._models = models
        self._speed = speed or Speed()
        self.faults = faults  # they may be changed at any time
        self._contained = tuple(layers)
        self._slots = trio.Semaphore(limits.runners)
        self._leases = Leases(limits, self._load, self.layers)
        self._lost = trio.Event()
        self._calls = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Work inside this block; after it no runner is left."""
        async with self._leases.open():
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

    def resume(self) -> None:
        """Take work again."""
        self._leases.resume()

    async def layers(self) -> tuple[Layer, ...]:
        """Say what the world was told."""
        await trio.lowlevel.checkpoint()
        return self._contained

    @property
    def memory_bytes(self) -> int:
        """What is reserved for runners now."""
        return self._leases.memory_bytes

    @property
    def links(self) -> list[SimulatedLink]:
        """What stands for the processes of all runners, for the world to break."""
        links = [each.link for each in self._leases.runners]
        return [each for each in links if isinstance(each, SimulatedLink)]

    def lose_all(self) -> None:
        """End every runner as if the zygote had died: nobody's fault, and nobody is told."""
        for link in self.links:
            link.die("it was lost together with the zygote", lost=True)
        self._lost.set()
        self._lost = trio.Event()

    async def _load(self, model: Model, memory_bytes: int) -> LinkedRunner:
        """Take as long as loading takes; refuse what does not load."""
        traits = self._models.get(model.digest, Traits(broken="this world does not know it"))
        load_s = self._speed.start_s + traits.weights_bytes / self._speed.load_bytes_per_s
        with trio.move_on_after(min(load_s, self._limits.load_s)):
            await self._lost.wait()
            raise Refused(Reason.HANDED_BACK, "it was lost while loading")
        if load_s > self._limits.load_s:
            detail = f"it did not load within {self._limits.load_s:g} s"
            raise Refused(Reason.MODEL_REFUSED, detail)
        if traits.broken:
            raise Refused(Reason.MODEL_REFUSED, traits.broken)
        if model.interface is None:
            raise Refused(Reason.MODEL_REFUSED, "without an interface nothing can be simulated")
        if traits.weights_bytes > memory_bytes:
            raise Refused(Reason.OVER_MEMORY, "the model does not fit under the cap")
        link = SimulatedLink(model, traits, self._speed, memory_bytes, self._strike)
        return LinkedRunner(link, model, self._slots)

    def _strike(self, model: Model, inputs: Item) -> Fault:
        called = Called(self._calls, model, inputs)
        self._calls += 1
        return (self.faults and self.faults(called)) or _NO_FAULT
