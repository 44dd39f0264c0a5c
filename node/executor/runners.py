# SPDX-License-Identifier: MIT
"""Runners as the seam describes them, over a link to a process. Who gets one is in `leases`.

Inputs are held against the interface before anything is sent, outputs before anybody sees
them, and what a caller keeps is a copy that the runner cannot reach any more.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from itertools import count
from math import inf
from typing import Protocol

import trio

from node.executor.executor import Call, Item, Model, Outputs, Session
from node.executor.link import COPY_BYTES, WORDS_S, Answer, PortSaid, acquire, copy
from node.executor.rooms import own_memory
from node.executor.wire import INLINE_BYTES_MAX, Op, Placed, header_of
from protocol.errors import Refused, RemoteProtocolError
from protocol.interface import Dims, Interface, PortShape
from protocol.reasons import Reason
from protocol.tensors import ElementType, Tensor, TensorHasher, TensorHeader

#: Items have few forms; what is known of each costs as much as a small call.
_FORMS_REMEMBERED = 256

# Every byte of these types is a value: nothing in them has to be looked at.
_ANY_BITS = frozenset(each for each in ElementType if each.bits and not each.bits % 8) - {
    ElementType.BOOL
}

# As many of the shortest strings as are looked at in some 10 ms.
_LOOK_BYTES = 1 << 15


class RunnerLink(Protocol):
    """What reaches one runner: :class:`~node.executor.link.Link`, or what simulates one."""

    @property
    def inputs(self) -> Sequence[PortSaid]:
        """The ports as the runner says them; empty where only an interface is believed."""
        ...

    @property
    def shared_bytes(self) -> int:
        """What it holds beside its own memory."""
        ...

    @property
    def gone(self) -> str:
        """Why it was ended; empty while it was not."""
        ...

    @property
    def is_gone(self) -> bool:
        """It serves nobody any more, whether or not somebody has noticed."""
        ...

    def turn(self, due_s: float = inf) -> AbstractAsyncContextManager[None]:
        """Hold it for one call; in the order in which callers came."""
        ...

    async def place(self, headers: Sequence[TensorHeader]) -> tuple[list[Placed], list[memoryview]]:
        """Make room for inputs; the views are where to write them."""
        ...

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
        """Call in the caller's turn; without an answer it is ended."""
        ...

    async def forget(self, session: int) -> None:
        """Drop a session."""
        ...

    async def end(self, why: str, reason: Reason = Reason.IDLE) -> None:
        """End it, and wait until it is gone."""
        ...


class LinkedRunner:
    """A :class:`~node.executor.executor.Runner` whose model is loaded elsewhere."""

    def __init__(self, link: RunnerLink, model: Model, slots: trio.Semaphore) -> None:
        """`slots` bounds how many calls of all runners compute at the same time."""
        self.link = link
        self._model = model
        self._slots = slots
        self._sessions = count(1)
        self._known: dict[tuple[object, ...], list[TensorHeader]] = {}
        self._items = [each for each in _inputs_of(model) if not each.optional]
        self.open_sessions = 0

    async def run(
        self, inputs: Sequence[Tensor], *, deadline_s: float, look: bool = False
    ) -> Outputs:
        """Run one call on tensors that are there, and own what comes out."""
        expected = self._expected([each.header for each in inputs])
        due_s = trio.current_time() + deadline_s
        async with self.link.turn(due_s), slot(self._slots, due_s):
            answer = await self.link.call(
                Op.RUN, inputs, expected=_big(expected), look=look, deadline_s=_left_s(due_s)
            )
            return await _owned(answer, expected)

    @asynccontextmanager
    async def call(self, headers: Sequence[TensorHeader]) -> AsyncIterator[Call]:
        """Hold the runner for one call whose inputs are written where it reads them."""
        expected = self._expected(headers)
        async with self.link.turn(), slot(self._slots):
            placed, views = await self.link.place(headers)
            call = _PlacedCall(self.link, placed, tuple(views), expected)
            try:
                yield call
            finally:
                call.take_back()

    async def open(self, state: Sequence[Tensor]) -> Session:
        """Begin a session from a state."""
        interface = self._model.interface
        if interface is None or not interface.states:
            raise Refused(Reason.INPUT_DEVIATES, "this model keeps no state between calls")
        ports = [interface.inputs[pair[0]] for pair in interface.states]
        _check_forms(ports, [each.header for each in state])
        session = next(self._sessions)
        async with self.link.turn():
            await self.link.call(Op.OPEN, state, session=session)
        self.open_sessions += 1
        return LinkedSession(self, interface, session, [each.dims for each in state], self._slots)

    def _expected(self, headers: Sequence[TensorHeader]) -> list[TensorHeader] | None:
        """Say what must come out; None when it is known only afterwards."""
        interface = self._model.interface
        if interface is None:
            _check_forms(self.link.inputs, headers)
            return None
        given = tuple((each.element, each.dims, each.size_bytes) for each in headers)
        if given not in self._known:
            _check_forms(self._items, headers)
            values = _bound(interface, [each.dims for each in headers], self._model.adapter_dims())
            if len(self._known) > _FORMS_REMEMBERED:
                self._known.clear()
            self._known[given] = _forms(interface.outputs, values)
        return self._known[given]


class _PlacedCall:
    """One call in the hands of the one who holds the runner."""

    def __init__(
        self,
        link: RunnerLink,
        placed: list[Placed],
        inputs: tuple[memoryview, ...],
        expected: list[TensorHeader] | None,
    ) -> None:
        self.inputs = inputs
        self._link = link
        self._placed = placed
        self._expected = expected
        self._lent = list(inputs)

    def take_back(self) -> None:
        """Let nobody write into the next call, or read from it, by what was lent for this one."""
        for view in self._lent:
            with suppress(BufferError):  # a part of it is in use elsewhere
                view.release()

    async def run(self, *, deadline_s: float, look: bool = False) -> Outputs:
        """Run on what was written; what comes out is lent, and can still be changed."""
        answer = await self._link.call(
            Op.RUN, self._placed, expected=_big(self._expected), look=look, deadline_s=deadline_s
        )
        self._lent += [each.data for each in answer.tensors if isinstance(each.data, memoryview)]
        _check_outputs(answer, self._expected)
        return Outputs(answer.tensors, answer.finite, answer.busy_s)


class LinkedSession:
    """A :class:`~node.executor.executor.Session` whose state is in another process."""

    def __init__(
        self,
        runner: LinkedRunner,
        interface: Interface,
        number: int,
        state_dims: list[Dims],
        slots: trio.Semaphore,
    ) -> None:
        """Only the forms of the state are known here; they grow as the model says."""
        self._runner = runner
        self._interface = interface
        self._number = number
        self._state_dims = state_dims
        self._slots = slots
        self._open = True
        self._stays_in = [pair[0] for pair in interface.states]
        self._stays_out = [pair[1] for pair in interface.states]

    async def step(
        self, inputs: Sequence[Tensor], *, deadline_s: float, look: bool = False
    ) -> Outputs:
        """Run one call on the state, which is then the next one's."""
        self._check_open()
        link = self._runner.link
        due_s = trio.current_time() + deadline_s
        async with link.turn(due_s), slot(self._slots, due_s):
            self._check_open()
            outputs, state_dims = self._bind(inputs)
            answer = await link.call(
                Op.STEP,
                inputs,
                expected=_big(outputs),
                session=self._number,
                look=look,
                deadline_s=_left_s(due_s),
            )
            self._state_dims = state_dims
            try:
                return await _owned(answer, outputs)
            except BaseException:  # the state moved on, and the caller does not know how
                await self.close()
                raise

    async def read_state(self) -> Item:
        """Give the state, in the order of the interface's pairs."""
        self._check_open()
        link = self._runner.link
        async with link.turn():
            self._check_open()
            answer = await link.call(Op.READ, (), session=self._number)
            ports = [self._interface.inputs[at] for at in self._stays_in]
            expected = [
                _form(port, dims) for port, dims in zip(ports, self._state_dims, strict=True)
            ]
            return (await _owned(answer, expected)).tensors

    async def close(self) -> None:
        """Forget the state. Closing twice is fine, and so is closing after the runner ended."""
        if not self._open:
            return
        self._open = False
        self._runner.open_sessions -= 1
        link = self._runner.link
        if not link.gone:
            with trio.CancelScope(shield=True):
                await link.forget(self._number)

    def _check_open(self) -> None:
        if not self._open:
            raise Refused(Reason.IDLE, "the session is closed")

    def _bind(self, inputs: Sequence[Tensor]) -> tuple[list[TensorHeader], list[Dims]]:
        """Say what must come out, and which form the state will have then."""
        interface = self._interface
        given = iter(inputs)
        state = dict(zip(self._stays_in, self._state_dims, strict=True))
        ports = [port for at, port in enumerate(interface.inputs) if at not in state]
        _check_forms([port for port in ports if not port.optional], [e.header for e in inputs])
        shape = [
            state[at] if at in state else next(given).dims
            for at, port in enumerate(interface.inputs)
            if not port.optional
        ]
        values = _bound(interface, shape, self._runner._model.adapter_dims())  # noqa: SLF001 - its own
        forms = _forms(interface.outputs, values) or []
        outputs = [form for at, form in enumerate(forms) if at not in self._stays_out]
        return outputs, [forms[at].dims for at in self._stays_out]


@asynccontextmanager
async def slot(slots: trio.Semaphore, due_s: float = inf) -> AsyncIterator[None]:
    """Compute while others may not."""
    await acquire(slots, due_s)
    try:
        yield
    finally:
        slots.release()


def _left_s(due_s: float) -> float:
    """Say how much time a call has left; without any, its runner is not even asked."""
    left_s = due_s - trio.current_time()
    if left_s <= 0:
        raise Refused(Reason.DEADLINE, "its turn did not come in time")
    return left_s


# --- forms ----------------------------------------------------------------------------------------


def _check_forms(
    ports: Sequence[PortShape] | Sequence[object], given: Sequence[TensorHeader]
) -> None:
    """Refuse inputs of another number, type or rank; symbols are the interface's business."""
    if len(ports) != len(given):
        detail = f"{len(given)} tensors, expected {len(ports)}"
        raise Refused(Reason.INPUT_DEVIATES, detail)
    for port, header in zip(ports, given, strict=True):
        element: ElementType = port.element  # type: ignore[attr-defined]  # both kinds have it
        if element is not header.element:
            name: str = port.name  # type: ignore[attr-defined]  # both kinds have it
            detail = f"{name} is {header.element.name}, expected {element.name}"
            raise Refused(Reason.INPUT_DEVIATES, detail)
        if broken := header.broken_rule() or _misfit(port, header.dims):
            raise Refused(Reason.INPUT_DEVIATES, broken)


def _misfit(port: object, dims: Dims) -> str:
    """Say why dimensions can be none of this port's, whatever its symbols are."""
    if not isinstance(port, PortShape):
        return ""
    fits = len(dims) == len(port.dims) and all(
        symbolic or value == size for size, (symbolic, value) in zip(dims, port.dims, strict=True)
    )
    return "" if fits else f"{port.name} is {dims}: not what the interface says"


def check_adapter(model: Model) -> None:
    """Refuse an adapter that the interface has no place for; its symbols bind with the inputs'."""
    if model.adapter is None or model.interface is None:
        return
    there = {port.name: port for port in model.interface.inputs if port.optional}
    names = [name for name, _ in model.adapter.tensors]
    if lost := [name for name in names if name not in there]:
        raise Refused(Reason.MODEL_REFUSED, f"the model has no place for {lost[0]!r}")
    if len(set(names)) < len(names):
        raise Refused(Reason.MODEL_REFUSED, "the adapter names a tensor twice")
    ports = [there[name] for name in names]
    try:
        _check_forms(ports, [each.header for _, each in model.adapter.tensors])
    except Refused as error:
        raise Refused(Reason.MODEL_REFUSED, f"the adapter: {error.detail}") from None


def _bound(interface: Interface, shape: Sequence[Dims], adapter: Mapping[str, Dims]) -> Dims:
    """Give the symbols their values. Here nobody broke a protocol: a caller's wish is refused."""
    try:
        return interface.bind(shape, adapter)
    except RemoteProtocolError as error:
        raise Refused(error.reason, error.detail) from None


def _inputs_of(model: Model) -> tuple[PortShape, ...]:
    return model.interface.inputs if model.interface else ()


def _forms(ports: Sequence[PortShape], values: Dims) -> list[TensorHeader]:
    return [_form(port, port.at(values)) for port in ports]


def _form(port: PortShape, dims: Dims) -> TensorHeader:
    """Give the header of a port at some dimensions; the size of strings is not known."""
    elements = 1
    for dim in dims:
        elements *= dim
    size_bytes = (
        -1 if port.element is ElementType.STRING else (elements * port.element.bits + 7) // 8
    )
    return header_of(port.element, dims, size_bytes)


def _big(expected: list[TensorHeader] | None) -> list[TensorHeader] | None:
    """Tell the runner where to write only when that spares copies, and every size is known."""
    if expected is None or sum(each.size_bytes for each in expected) <= INLINE_BYTES_MAX:
        return None
    if any(each.size_bytes < 0 for each in expected):
        return None
    if broken := next(filter(None, (each.broken_rule() for each in expected)), ""):
        raise Refused(Reason.OVER_MEMORY, f"an output: {broken}")
    return expected


def _check_outputs(answer: Answer, expected: list[TensorHeader] | None) -> None:
    """Hold outputs against the interface: ONNX Runtime does not, and a runner may lie."""
    if expected is None:
        return
    got = [(each.element, each.dims) for each in answer.tensors]
    wanted = [(each.element, each.dims) for each in expected]
    if got != wanted:
        raise Refused(Reason.WRONG_FORM, f"outputs {got[:4]}, expected {wanted[:4]}")


async def _owned(answer: Answer, expected: list[TensorHeader] | None) -> Outputs:
    """Copy what is lent, look at the copy, and hand it out."""
    _check_outputs(answer, expected)
    tensors = []
    for each in answer.tensors:
        data = each.data
        if len(data) > COPY_BYTES:
            own = own_memory(len(data))
            await copy(memoryview(data), own)
            data = own.toreadonly()
        else:
            data = bytes(data)
        tensor = Tensor(each.element, each.dims, data)
        if each.element not in _ANY_BITS:
            await _look(tensor)
        tensors.append(tensor)
    return Outputs(tuple(tensors), answer.finite, answer.busy_s)


async def _look(tensor: Tensor) -> None:
    """Hold the data of an output against the rules of its type.

    A million strings take more than a second, so other tasks of the daemon get their turn.
    """
    if len(tensor.data) <= _LOOK_BYTES:
        broken = tensor.broken_rule()
    else:
        broken = ""
        looker = TensorHasher(tensor.header)
        data = memoryview(tensor.data)
        try:
            for start in range(0, len(data), _LOOK_BYTES):
                looker.update(data[start : start + _LOOK_BYTES])
                await trio.lowlevel.checkpoint()
        except RemoteProtocolError as error:
            broken = error.detail
    if broken:
        raise Refused(Reason.WRONG_FORM, f"an output: {broken}")
