# SPDX-License-Identifier: MIT
"""People who come, compute, leave and break things, over an executor with little memory.

After every step it is looked at what no order of events may change. What each caller gets is
compared with what the model gives, and his refusals with what was done to him.
"""

from array import array
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import trio
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from node.executor.executor import Group, Item, Model, Runner
from node.executor.leases import PoolLimits
from node.executor.runners import LinkedRunner
from protocol.errors import CommonsError
from protocol.interface import Interface, PortShape
from protocol.reasons import Reason
from protocol.tensors import ElementType, Tensor
from simulations.executor import SimulatedExecutor
from simulations.faults import CRASHES, FAILS, LOST, NEVER_ANSWERS, Called, Fault, late
from simulations.link import SimulatedLink, Traits
from simulations.made import Noise, make_outputs

RUNNER_BYTES = 1 << 20
LIMITS = PoolLimits(
    runners=2, memory_bytes=3 * RUNNER_BYTES, runner_memory_bytes=RUNNER_BYTES, warm_s=8.0
)
INTERFACE = Interface(
    (PortShape("x", ElementType.FLOAT, False, ((1, 0),)),),
    (PortShape("y", ElementType.FLOAT, False, ((1, 0),)),),
    (),
    1,
    (),
)
MODELS = [
    Model(b"joined", Path(), INTERFACE, batchable=True),
    Model(b"single", Path(), INTERFACE),
    Model(b"large", Path(), INTERFACE, memory_bytes=2 * RUNNER_BYTES),
]
GROUPS = [Group("ann"), Group("ann", trusted=True), Group("bob")]
#: A call takes a quarter of a second.
TRAITS = Traits(price=lambda *_: 50_000, weights_bytes=RUNNER_BYTES // 2)

FAULTS = [CRASHES, FAILS, LOST, NEVER_ANSWERS, late(5.0)]

# Why a runner may end that somebody has leased.
_FATES = ("its caller left", "it did not answer", "SIG", "paused", "lost", "it died", "stops")


@dataclass(eq=False)
class Customer:
    """Somebody with a lease, or on the way to one."""

    model: Model
    group: Group
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    runner: Runner | None = None
    calls: trio.Nursery | None = None
    leave: trio.Event = field(default_factory=trio.Event)

    @property
    def is_leaving(self) -> bool:
        """Whether he makes no more calls."""
        return self.leave.is_set() or self.scope.cancel_called


class Machine:
    """The world, its people, and what must always hold."""

    def __init__(self, nursery: trio.Nursery) -> None:
        """Everybody lives in `nursery`."""
        self.nursery = nursery
        models = {each.digest: TRAITS for each in MODELS}
        self.executor = SimulatedExecutor(LIMITS, models, faults=self._fault)
        self.customers: list[Customer] = []
        self.owners: dict[SimulatedLink, Group] = {}
        self.next_fault: Fault | None = None
        self.served = 0
        self.pausing = 0

    def _fault(self, _: Called) -> Fault | None:
        fault, self.next_fault = self.next_fault, None
        return fault

    # --- what people do -----------------------------------------------------------------------

    def come(self, model: Model, group: Group) -> None:
        """Somebody wants a runner, and keeps it until he is told to leave."""
        customer = Customer(model, group)
        self.customers.append(customer)
        self.nursery.start_soon(self._live, customer)

    async def _live(self, customer: Customer) -> None:
        try:
            with customer.scope:
                async with self.executor.lease(customer.model, customer.group) as customer.runner:
                    self._note(customer)
                    try:
                        async with trio.open_nursery() as customer.calls:
                            await customer.leave.wait()
                    finally:
                        customer.calls = None
        except CommonsError as error:
            assert error.reason in {Reason.BUSY, Reason.PAUSED, Reason.HANDED_BACK}, error
        finally:
            customer.runner = None
            self.customers.remove(customer)

    async def ask(self, customer: Customer, rows: int, deadline_s: float, leaves_s: float) -> None:
        """Compute something, and hold the answer against the truth."""
        assert customer.runner
        values = [float(rows + at) for at in range(rows)]
        inputs = (Tensor(ElementType.FLOAT, (rows,), array("f", values).tobytes()),)
        begin_s = trio.current_time()
        with trio.move_on_after(leaves_s):
            try:
                outputs = await customer.runner.run(inputs, deadline_s=deadline_s)
            except CommonsError as error:
                assert error.reason in {
                    *(Reason.DEADLINE, Reason.IDLE, Reason.HANDED_BACK),
                    *(Reason.PAUSED, Reason.RUN_FAILED),
                }, error
                customer.leave.set()
            else:
                assert outputs.tensors == _truth(customer.model, inputs)
                self.served += 1
            assert trio.current_time() - begin_s <= deadline_s + 0.01

    async def pause(self, grace_s: float) -> None:
        """Pause; whoever resumes meanwhile calls it off."""
        self.pausing += 1
        begin_s = trio.current_time()
        await self.executor.pause(grace_s)
        self.pausing -= 1
        assert trio.current_time() - begin_s <= grace_s + 0.1

    # --- what must hold -----------------------------------------------------------------------

    def _note(self, customer: Customer) -> None:
        link = self._link(customer)
        assert self.owners.setdefault(link, customer.group) == customer.group, "groups share"

    def _link(self, customer: Customer) -> SimulatedLink:
        runner = getattr(customer.runner, "_inner", customer.runner)
        assert isinstance(runner, LinkedRunner)
        assert isinstance(runner.link, SimulatedLink)
        return runner.link

    def look(self) -> None:
        """Check what no order of events may change."""
        executor, links = self.executor, self.executor.links
        assert executor.memory_bytes <= LIMITS.memory_bytes
        assert sum(each.is_computing for each in links) <= LIMITS.runners
        assert 0 <= executor._slots.value <= LIMITS.runners
        for customer in self.customers:
            if customer.runner:
                gone = self._link(customer).gone
                fated = not gone or any(each in gone for each in _FATES)
                assert fated, f"a leased runner was ended: {gone}"

    async def end(self) -> None:
        """Everybody leaves; then everybody is served, one after the other."""
        for customer in list(self.customers):
            customer.scope.cancel()
        await trio.sleep(100.0)
        self.executor.resume()
        self.next_fault = None
        assert self.customers == []
        assert self.executor._slots.value == LIMITS.runners
        assert all(each.is_free for each in self.executor.links)
        for model in MODELS:
            for group in GROUPS:
                customer = Customer(model, group)
                async with self.executor.lease(model, group) as customer.runner:
                    self._note(customer)
                    before = self.served
                    await self.ask(customer, 3, 10.0, 10.0)
                    assert self.served == before + 1
                self.look()

    # --- what may happen ----------------------------------------------------------------------

    async def step(self, event: "Event") -> None:
        """Let something happen, and look."""
        one, other = event.one, event.other
        leased = [each for each in self.customers if each.calls and not each.is_leaving]
        customer = leased[one % len(leased)] if leased else None
        links = self.executor.links
        match event.what:
            case "come":
                self.come(MODELS[one % len(MODELS)], GROUPS[other % len(GROUPS)])
            case "ask" if customer:
                deadline_s, leaves_s = (0.2, 9.0)[other % 4 > 0], (0.3, 50.0)[other % 5 > 0]
                assert customer.calls
                customer.calls.start_soon(self.ask, customer, 1 + other % 3, deadline_s, leaves_s)
            case "leave" if customer:
                customer.leave.set()
            case "cancel" if customer:
                customer.scope.cancel()
            case "pause":
                self.nursery.start_soon(self.pause, (0.0, 0.5, 30.0)[one % 3])
            case "resume":
                self.executor.resume()
            case "kill" if links:
                links[one % len(links)].die("it was ended by SIGKILL")
            case "lose":
                self.executor.lose_all()
            case "fault":
                self.next_fault = FAULTS[one % len(FAULTS)]
        if event.then == "settle":
            await wait_all_tasks_blocked()
        elif event.then == "wait":
            await trio.sleep((0.001, 0.03, 0.1, 0.5, 3.0, 12.0)[other % 6])
        self.look()


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens: `one` and `other` choose among what there is at that moment."""

    what: str
    one: int
    other: int
    then: str


WHATS = [
    *(*["come"] * 16, *["ask"] * 24, *["leave"] * 6, *["resume"] * 5),
    *("cancel", "pause", "kill", "lose", "fault"),
]
THENS = ["settle", "wait", "go on"]
EVENTS = st.builds(
    Event,
    st.sampled_from(WHATS),
    st.integers(0, 11),
    st.integers(0, 59),
    st.sampled_from(THENS),
)


def rolled(seed: int, count: int) -> list[Event]:
    """Roll events: a longer and wilder life than Hypothesis makes up."""
    dice = Random(seed)
    return [
        Event(dice.choice(WHATS), dice.randrange(12), dice.randrange(60), dice.choice(THENS))
        for _ in range(count)
    ]


async def live_through(events: list[Event]) -> int:
    """Let it all happen; say how many calls were answered on the way."""
    async with trio.open_nursery() as nursery:
        machine = Machine(nursery)
        async with machine.executor.open():
            for event in events:
                await machine.step(event)
            await machine.end()
            nursery.cancel_scope.cancel()
    return machine.served


def _truth(model: Model, inputs: Item) -> Item:
    return make_outputs(model.digest + b"/", INTERFACE, inputs, [inputs[0].dims[0]], Noise())
