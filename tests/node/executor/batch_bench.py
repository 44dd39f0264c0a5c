# SPDX-License-Identifier: MIT
"""An executor whose calls take a second of virtual time, and what its runners were asked.

What goes wrong with a call is said by the values of the rows that are in it.
"""

from array import array
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import trio
from trio.testing import wait_all_tasks_blocked

from node.executor.batches import BatchingRunner
from node.executor.executor import Group, Item, Model, Runner
from node.executor.leases import PoolLimits
from protocol.errors import CommonsError
from protocol.interface import Interface, PortShape
from protocol.reasons import Reason
from protocol.tensors import ElementType, Tensor
from simulations.executor import SimulatedExecutor
from simulations.faults import CRASHES, FAILS, Called, Fault, not_finite
from simulations.link import Traits

FLOAT = ElementType.FLOAT
GROUP = Group("ann", trusted=True)
INTERFACE = Interface(
    (PortShape("x", FLOAT, False, ((1, 0), (1, 1))),),
    (PortShape("y", FLOAT, False, ((1, 0), (1, 1))),),
    (),
    2,
    (),
)
MODEL = Model(b"rows", Path(), INTERFACE, batchable=True)
#: What a call of this many CU takes with the speed of a simulated machine.
CALL_S = 1.0
TRAITS = Traits(price=lambda *_: 200_000)
LONG_S = 100.0

FAULTY, DEADLY, STRANGE = -1.0, -2.0, -3.0


def row(*values: float, width: int = 1) -> Tensor:
    """Make rows; the value of each tells it from the others."""
    data = array("f", [value for value in values for _ in range(width)])
    return Tensor(FLOAT, (len(values), width), data.tobytes())


@dataclass
class Bench:
    """An executor with one slot, and what its runners were asked."""

    executor: SimulatedExecutor
    runner: Runner
    calls: list[list[float]]
    got: dict[object, Item | Reason] = field(default_factory=dict)
    order: list[object] = field(default_factory=list)

    async def ask(
        self,
        name: object,
        inputs: Tensor,
        *,
        deadline_s: float = LONG_S,
        look: bool = False,
    ) -> None:
        """Call, and keep what comes out under a name."""
        try:
            outputs = await self.runner.run([inputs], deadline_s=deadline_s, look=look)
        except CommonsError as error:
            self.got[name] = error.reason
        else:
            finite = outputs.finite or not look
            self.got[name] = outputs.tensors if finite else Reason.NOT_FINITE
        self.order.append(name)


def strike(called: Called) -> Fault | None:
    """Let the values of rows say what goes wrong with the call that they are in."""
    values = set(array("f", bytes(called.inputs[0].data)))
    if DEADLY in values:
        return CRASHES
    if FAULTY in values:
        return FAILS
    return not_finite() if STRANGE in values else None


@asynccontextmanager
async def bench(traits: Traits = TRAITS, model: Model = MODEL) -> AsyncIterator[Bench]:
    """Lease a runner that joins calls."""
    calls: list[list[float]] = []

    def faults(called: Called) -> Fault | None:
        width = called.inputs[0].dims[1] or 1
        calls.append(list(array("f", bytes(called.inputs[0].data)))[::width])
        return strike(called)

    executor = SimulatedExecutor(PoolLimits(), {model.digest: traits}, faults=faults)
    async with executor.open(), executor.lease(model, GROUP) as runner:
        assert isinstance(runner, BatchingRunner) == model.batchable
        yield Bench(executor, runner, calls)


async def alone(inputs: Tensor) -> Item:
    """Say what comes out for these rows where nothing is joined."""
    async with bench(model=replace(MODEL, batchable=False)) as quiet:
        return (await quiet.runner.run([inputs], deadline_s=LONG_S)).tensors


async def all_at_once(made: Bench, *asks: Callable[[], Awaitable[None]]) -> None:
    """Keep the runner busy for a second, and meanwhile ask one after the other."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.ask, "first", row(0.0))
        await wait_all_tasks_blocked()
        for each in asks:
            nursery.start_soon(each)
            await wait_all_tasks_blocked()
