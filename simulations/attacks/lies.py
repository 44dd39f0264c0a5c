# SPDX-License-Identifier: MIT
"""Attacks on trust: a node that lies about itself, takes without giving, or computes wrongly."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from random import Random

from node.executor.hardware import Hardware
from node.host.host import App, Host, Seen, Sensors
from node.world import World
from protocol.advert import Advert, ModelAtHand
from protocol.canon import Message
from protocol.limits import MODELS_PER_ADVERT_MAX
from protocol.query import Answer
from simulations.attacks.attack import Attack, Attacked
from simulations.attacks.tongue import Life, Tongue, tongues
from simulations.executor import SimulatedExecutor
from simulations.faults import Called, Fault, wrong_values


class Equivocate(Attack):
    """Tells each neighbour another advert, all of the same version and all well signed."""

    name = "equivocate"

    def around(self, node: Attacked, world: World, dice: Random) -> World:
        """Sign several adverts."""
        del node
        attack = self

        class Equivocating(Tongue):
            def advert(self, own: Advert) -> Advert:
                attack.did["equivocated"] += 1
                return replace(own, disk_mib=int.from_bytes(self.peer[:3], "big"))

        return tongues(world, Life(self, world.clock, dice), Equivocating)


class FreeRide(Attack):
    """Takes adverts and answers, and gives none: wishes and queries stay without an answer."""

    name = "free_ride"

    def around(self, node: Attacked, world: World, dice: Random) -> World:
        """Keep what was wished for."""
        del node
        attack = self

        class Keeping(Tongue):
            def sealed(self, wire: bytes) -> Iterable[bytes]:
                del wire
                attack.did["kept_advert"] += 1
                return ()

            def message(self, message: Message) -> Iterable[Message]:
                attack.did["kept_answer"] += isinstance(message, Answer)
                return () if isinstance(message, Answer) else (message,)

        return tongues(world, Life(self, world.clock, dice), Keeping)


class LieAboutModels(Attack):
    """Claims to have models that it has not: these, and made-up ones until its advert is full."""

    name = "lie_about_models"

    def __init__(self, models: Sequence[bytes] = (), *, is_on: bool = True) -> None:
        """`models` are digests that somebody may look for."""
        super().__init__(is_on=is_on)
        self._models = tuple(models)

    def around(self, node: Attacked, world: World, dice: Random) -> World:
        """List them."""
        del node
        attack = self
        made_up = [dice.randbytes(32) for _ in range(MODELS_PER_ADVERT_MAX)]
        claimed = sorted({*self._models, *made_up[: MODELS_PER_ADVERT_MAX - len(self._models)]})
        listed = tuple(ModelAtHand(each, 1) for each in claimed)

        class Claiming(Tongue):
            def advert(self, own: Advert) -> Advert:
                attack.did["claimed"] += 1
                return replace(own, models=listed)

        return tongues(world, Life(self, world.clock, dice), Claiming)


class LieAboutHardware(Attack):
    """Says that its machine is so many times as fast as was measured."""

    name = "lie_about_hardware"

    def __init__(self, times: int = 100, *, is_on: bool = True) -> None:
        """Everything that is measured is multiplied."""
        super().__init__(is_on=is_on)
        self._times = times

    def around(self, node: Attacked, world: World, dice: Random) -> World:
        """Let the node itself believe it; it seals its advert as always."""
        del node, dice
        return replace(world, host=_Boasting(world.host, self._boasted))

    def _boasted(self, hardware: Hardware) -> Hardware:
        if not self.is_on:
            return hardware
        self.did["boasted"] += 1
        true = hardware.measured
        measured = replace(
            true,
            fp32_mflops=true.fp32_mflops * self._times,
            int8_mops=true.int8_mops * self._times,
            memory_mbps=true.memory_mbps * self._times,
        )
        return replace(hardware, measured=measured)


class WrongResults(Attack):
    """Gives made-up values for a share of the calls, in no time."""

    name = "wrong_results"

    def __init__(self, rate: float = 1.0, *, is_on: bool = True) -> None:
        """Cheat in this share of calls."""
        super().__init__(is_on=is_on)
        self._rate = rate

    def around(self, node: Attacked, world: World, dice: Random) -> World:
        """Strike calls of the executor, beside the faults that it has anyhow."""
        del node
        executor = world.executor
        assert isinstance(executor, SimulatedExecutor), "wrong results are made in a made world"
        others = executor.faults

        def strike(called: Called) -> Fault | None:
            if self.is_on and dice.random() < self._rate:
                self.did["cheated"] += 1
                return wrong_values(times=0.0)
            return others(called) if others else None

        executor.faults = strike
        return world


class _Boasting:
    """A host whose machine is better than it is."""

    def __init__(self, inner: Host, boasted: Callable[[Hardware], Hardware]) -> None:
        self._inner = inner
        self._boasted = boasted

    async def sense(self) -> Sensors:
        return await self._inner.sense()

    async def hardware(self) -> Hardware:
        return self._boasted(await self._inner.hardware())

    def signals(self) -> AbstractAsyncContextManager[AsyncIterator[int]]:
        return self._inner.signals()

    def serve(self, app: App, socket: str) -> AbstractAsyncContextManager[None]:
        return self._inner.serve(app, socket)

    def house(
        self, name: str, peer: bytes, addresses: Callable[[], tuple[str, ...]]
    ) -> AbstractAsyncContextManager[AsyncIterator[Seen]]:
        return self._inner.house(name, peer, addresses)

    def notify(self, state: Mapping[str, str]) -> None:
        self._inner.notify(state)

    @property
    def watchdog_s(self) -> float | None:
        return self._inner.watchdog_s
