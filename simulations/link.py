# SPDX-License-Identifier: MIT
"""A runner in virtual time, behind the link that real runners are behind.

The node's own code checks what goes in and comes out, joins calls and chooses runners. What is
made up here is what a process would have done: compute for a while, keep state, die.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from math import inf

import trio

from node.executor.executor import Item, Model
from node.executor.link import WORDS_S, Answer, PortSaid, acquire
from node.executor.wire import Op, Placed, layout
from protocol.errors import Refused
from protocol.interface import Dims, Interface
from protocol.price import Polynomial, PriceFacts, constant, price_v1
from protocol.reasons import Reason
from protocol.tensors import Tensor, TensorHeader
from simulations.faults import Fault, has_nan
from simulations.made import Noise, make_outputs


@dataclass(frozen=True, slots=True)
class Traits:
    """What a made world knows of a model beside its interface.

    `price` gives CU for the values of the symbols and the bytes that travel, in the place of
    the price facts; `broken` says why the model does not load.
    """

    facts: PriceFacts = ()
    weights_bytes: int = 0
    work_bytes: Polynomial = field(default_factory=partial(constant, 0))
    price: Callable[[Dims, int], int] | None = None
    broken: str = ""

    def price_cu(self, values: Dims, io_bytes: int) -> int:
        """Give the price of one call."""
        if self.price:
            return self.price(values, io_bytes)
        return price_v1(self.facts, values, io_bytes)


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast a simulated machine is, beside what a price says; and how exact it is."""

    us_per_cu: float = 5.0
    call_s: float = 1e-4
    start_s: float = 0.02
    load_bytes_per_s: float = 1e9
    end_s: float = 1e-3
    noise: Noise = field(default_factory=Noise)


Strike = Callable[[Model, Item], Fault]
"""Says what happens to the next call."""


class _DiedError(Exception):
    """The process is not there any more."""


class SimulatedLink:
    """What :class:`~node.executor.link.Link` is to a process."""

    inputs: Sequence[PortSaid] = ()

    def __init__(
        self, model: Model, traits: Traits, speed: Speed, memory_bytes: int, strike: Strike
    ) -> None:
        """The model is loaded already; that took its time elsewhere."""
        self._model = model
        self._traits = traits
        self._speed = speed
        self._memory_bytes = memory_bytes
        self._strike = strike
        self._turns = trio.Lock()
        self._room = memoryview(b"")
        self._state: dict[int, Item] = {}
        self._over = trio.Event()
        self._death: tuple[Reason, str] | None = None
        self._reason = Reason.IDLE
        self._ended: trio.Event | None = None
        self.gone = ""
        self.shared_bytes = 0
        self.is_computing = False

    @property
    def is_gone(self) -> bool:
        """It serves nobody any more, whether or not somebody has noticed."""
        return bool(self.gone) or self._death is not None

    @property
    def is_free(self) -> bool:
        """Nobody has the turn."""
        return not self._turns.locked()

    @asynccontextmanager
    async def turn(self, due_s: float = inf) -> AsyncIterator[None]:
        """Hold it for one call; in the order in which callers came."""
        was_there = not self.gone
        await acquire(self._turns, due_s)
        try:
            if self.is_gone:
                self.gone = self.gone or (self._death[1] if self._death else "")
                lost = was_there and self._reason is Reason.IDLE
                reason = Reason.HANDED_BACK if lost else self._reason
                raise Refused(reason, f"the runner is gone: {self.gone}")
            yield
        finally:
            self._turns.release()

    async def place(self, headers: Sequence[TensorHeader]) -> tuple[list[Placed], list[memoryview]]:
        """Make room for inputs; the views are where to write them."""
        self._check_there()
        placed, size_bytes = layout(headers)
        self.shared_bytes = max(self.shared_bytes, size_bytes)
        self._room = memoryview(bytearray(size_bytes))
        return placed, [self._room[each.offset : each.end] for each in placed]

    async def call(
        self,
        op: Op,
        inputs: Sequence[Tensor] | Sequence[Placed],
        *,
        expected: Sequence[TensorHeader] | None = None,
        session: int = 0,
        look: bool = False,
        deadline_s: float = WORDS_S,
    ) -> Answer:
        """Answer after a while; whatever ends this without an answer ends the runner too."""
        del expected  # where a process would write: here nothing is shared
        self._check_there()
        answered = False
        try:
            with trio.fail_after(deadline_s):
                answer = await self._answered(op, self._tensors(inputs), session, look=look)
            answered = True
        except Refused:
            answered = not self._over.is_set()
            raise
        except trio.TooSlowError:
            self.gone = f"it did not answer within {deadline_s:g} s"
            raise Refused(Reason.DEADLINE, self.gone) from None
        except _DiedError:
            self._check_there()
            reason, self.gone = self._death or (Reason.RUN_FAILED, "it died")
            raise Refused(reason, self.gone) from None
        finally:
            if not answered:
                await self.end(self.gone or "its caller left")
        return answer

    async def forget(self, session: int) -> None:
        """Drop a session."""
        self._state.pop(session, None)

    async def end(self, why: str, reason: Reason = Reason.IDLE) -> None:
        """End it. That takes a moment, in which others may act."""
        with trio.CancelScope(shield=True):
            if self._ended is not None:
                await self._ended.wait()
                return
            self._ended = trio.Event()
            self.gone, self._reason = self.gone or why, reason
            self._over.set()
            await trio.sleep(self._speed.end_s)
            self._state.clear()
            self._ended.set()

    def die(self, words: str, *, lost: bool = False) -> None:
        """End as if the kernel had done it: nobody is told before he asks."""
        self._death = (Reason.HANDED_BACK if lost else Reason.RUN_FAILED, words)
        self._over.set()

    # --- what the process does ----------------------------------------------------------------

    async def _answered(self, op: Op, given: Item, session: int, *, look: bool) -> Answer:
        if op in (Op.OPEN, Op.READ):
            await self._pass(self._speed.call_s)
            if op == Op.READ and session not in self._state:
                raise Refused(Reason.IDLE, f"session {session} is not open")
            if op == Op.OPEN:
                self._state[session] = given
            return Answer(self._state[session] if op == Op.READ else (), look, 0.0)
        interface = self._interface
        inputs = self._with_state(interface, given, session) if op == Op.STEP else given
        values = interface.bind([each.dims for each in inputs], self._model.adapter_dims())
        if self._traits.weights_bytes + self._traits.work_bytes.at(values) > self._memory_bytes:
            await self._pass(self._speed.call_s)
            raise Refused(Reason.OVER_MEMORY, "the call wants more memory than the cap")
        fault = self._strike(self._model, inputs)
        io_bytes = interface.io_bytes(values, session=op == Op.STEP)
        price_cu = self._traits.price_cu(values, io_bytes)
        busy_s = self._speed.call_s + price_cu * self._speed.us_per_cu / 1e6
        busy_s = busy_s * fault.times + fault.extra_s
        self.is_computing = True
        try:
            await self._pass(busy_s)
        finally:
            self.is_computing = False
        if fault.dies:
            self.die(fault.dies, lost=fault.lost)
            raise _DiedError
        if fault.fails:
            raise Refused(Reason.RUN_FAILED, fault.fails)
        adapter = self._model.adapter.digest if self._model.adapter else b""
        identity = self._model.digest + b"/" + adapter
        outputs = make_outputs(identity, interface, inputs, values, self._speed.noise)
        if op == Op.STEP:
            self._state[session] = tuple(outputs[pair[1]] for pair in interface.states)
            stays = {pair[1] for pair in interface.states}
            outputs = tuple(each for at, each in enumerate(outputs) if at not in stays)
        if fault.change:
            outputs = fault.change(outputs)
        if broken := next(filter(None, (each.header.broken_rule() for each in outputs)), ""):
            self.die(f"it broke the rules of its link: {broken}")
            raise _DiedError
        lent = tuple(Tensor(each.element, each.dims, memoryview(each.data)) for each in outputs)
        return Answer(lent, look and not has_nan(outputs), busy_s)

    async def _pass(self, seconds: float) -> None:
        """Let time pass, for as long as the process lives."""
        with trio.move_on_after(seconds):
            await self._over.wait()
        if self._over.is_set():
            raise _DiedError

    @property
    def _interface(self) -> Interface:
        assert self._model.interface, "a model without an interface is not loaded"
        return self._model.interface

    def _with_state(self, interface: Interface, given: Item, session: int) -> Item:
        """Put the state of a session in its places among the inputs."""
        if session not in self._state:
            raise Refused(Reason.IDLE, f"session {session} is not open")
        stays = {pair[0]: at for at, pair in enumerate(interface.states)}
        rest = iter(given)
        return tuple(
            self._state[session][stays[at]] if at in stays else next(rest)
            for at, port in enumerate(interface.inputs)
            if not port.optional
        )

    def _tensors(self, inputs: Sequence[Tensor] | Sequence[Placed]) -> Item:
        """Take inputs for as long as the call lasts, from where they were written."""
        return tuple(
            each
            if isinstance(each, Tensor)
            else Tensor(
                each.header.element, each.header.dims, bytes(self._room[each.offset : each.end])
            )
            for each in inputs
        )

    def _check_there(self) -> None:
        if self._ended is not None:
            raise Refused(self._reason, f"the runner was ended: {self.gone}")
