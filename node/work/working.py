# SPDX-License-Identifier: MIT
"""What becomes of the orders that this node has taken on. What is said on streams is in `worker`.

An order is computed by a task of its own, which outlives the stream that brought it; outputs
and result are written down. Every way out of an order is here, and each leaves books, row and
state of the order agreeing.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import trio

from node.clock import Clock
from node.executor.executor import Executor, Item
from node.store.store import Statement
from node.work.accounts import Accounts
from node.work.admission import Admission, Admitted
from node.work.beside import alone, beside
from node.work.computing import compute
from node.work.orders import Orders, Row
from node.work.results import OUTPUTS, Results
from node.work.tensors import root_of
from node.work.wires import Note, Post
from node.work.writing import Written
from protocol.errors import CommonsError, Refused, RemoteProtocolError
from protocol.merkle import OUTPUT
from protocol.order import OrderLife, Role, State, Step
from protocol.reasons import Reason
from protocol.sealed import Sealed
from protocol.statements import Result

#: What a result says it was computed with; no rule depends on it yet.
ENVIRONMENT = "onnxruntime cpu"

#: No single order computes longer, whatever its time to live: what takes longer is many orders.
COMPUTE_S_MAX = 3600.0

#: A requester that was just delivered to has so long to check and pay, while this node ends.
PAY_S = 5.0

#: The word that an order is given back has so long to be said.
TELL_S = 2.0

#: A disk that takes so long for a result is broken, and said to be elsewhere.
WRITTEN_S = 30.0

#: How often ended orders are looked through.
FORGET_S = 3600.0

#: Outputs that nobody has paid for, and those of a gift, can be asked for again for so long.
UNPAID_KEPT_S = 86_400.0


class _LostError(Refused):
    """The requester is gone before it gave what it wanted computed."""


@dataclass(eq=False)
class Taken:
    """An order that is being worked on.

    `done` is set when there is a result, or never will be; `told` when its stream has said so;
    `paid` when its cheque is here while this node ends.
    """

    admitted: Admitted
    life: OrderLife = field(default_factory=lambda: OrderLife(Role.WORKER))
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    done: trio.Event = field(default_factory=trio.Event)
    told: trio.Event = field(default_factory=trio.Event)
    paid: trio.Event = field(default_factory=trio.Event)
    has_inputs: bool = False
    computed: int = 0
    outputs: list[Item] = field(default_factory=list)
    result: Sealed[Result] | None = None
    billed: Written | None = None
    error: CommonsError | None = None

    @property
    def id(self) -> bytes:
        """The order."""
        return self.admitted.order.id

    @property
    def peer(self) -> bytes:
        """Who wants it."""
        return self.admitted.order.value.requester

    async def wait_over(self) -> None:
        """Wait until nothing more is done for it, and its requester was told, if it is there."""
        await self.told.wait()
        if self.has_inputs:
            await self.done.wait()

    @property
    def is_due(self) -> bool:
        """Whether there is a result that its requester should pay."""
        return self.result is not None and self.admitted.accept.value.price > 0

    def count(self) -> None:
        """Note that one more item is computed."""
        self.computed += 1


class Working:
    """The orders in work. Computes inside :meth:`open`."""

    def __init__(
        self,
        accounts: Accounts,
        admission: Admission,
        executor: Executor,
        orders: Orders,
        results: Results,
        clock: Clock,
        post: Post,
        *,
        note: Note,
    ) -> None:
        """Work on nothing yet; `note` is told how the orders of each requester ended."""
        self._accounts = accounts
        self._admission = admission
        self._executor = executor
        self._orders = orders
        self._results = results
        self._clock = clock
        self._post = post
        self._note = note
        self._nursery: trio.Nursery | None = None
        self._taken: dict[bytes, Taken] = {}
        self._last: dict[bytes, Taken] = {}

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Compute inside the block; first, close what an earlier process has left open."""
        self._close_what_was_left()
        await alone(self._sweep)
        async with beside(self._forget_old) as nursery:
            self._nursery = nursery
            try:
                yield
            finally:
                self._nursery = None

    def find(self, order: bytes) -> Taken | None:
        """Give an order that is worked on now."""
        return self._taken.get(order)

    @property
    def models(self) -> set[bytes]:
        """Name the models that are in use for them."""
        return {each.admitted.model.digest for each in self._taken.values()}

    def __len__(self) -> int:
        """Count them."""
        return len(self._taken)

    # --- the way through ------------------------------------------------------------------------

    def take(self, admitted: Admitted) -> Taken:
        """Take on an order; its accept may be sent."""
        taken = Taken(admitted)
        taken.life.did(Step.ACCEPT)
        self._taken[taken.id] = taken
        placed = self._orders.placed(Role.WORKER, admitted.order, taken.life.state)
        accept = admitted.accept.wire
        stands = self._orders.stands(taken.id, taken.life.state, accept=accept)
        self._accounts.write([placed, stands])
        return taken

    def begin(self, taken: Taken) -> None:
        """Note the first input; Refused when the order's time is over."""
        if taken.life.state is State.ACCEPTED:
            self._accounts.begin(taken.peer, taken.id)
            taken.life.saw(Step.INPUTS)
            self._accounts.write([self._stands(taken)])

    def start(self, taken: Taken, secret: bytes, inputs: Sequence[Item]) -> None:
        """Compute: all inputs are here, and they are those that were ordered."""
        taken.has_inputs = True
        assert self._nursery, "orders are worked on inside of open()"
        self._nursery.start_soon(alone, self._compute, taken, secret, inputs)

    async def _compute(self, taken: Taken, secret: bytes, inputs: Sequence[Item]) -> None:
        """Compute, write down, sign; the stream may be gone meanwhile."""
        admitted = taken.admitted
        time_s = min(admitted.order.value.ttl_s, COMPUTE_S_MAX)
        try:
            with taken.scope, trio.move_on_after(time_s) as timing:
                model, group = admitted.model.model(), admitted.group
                outputs = await compute(self._executor, model, group, inputs, taken.count)
                root = await root_of(secret, OUTPUT, outputs)
                await self._results.keep(taken.id, OUTPUTS, outputs, secret)
                self._bill(taken, root)
                taken.outputs = outputs
            if timing.cancelled_caught:
                taken.error = Refused(Reason.DEADLINE, "the order's time is over")
        except CommonsError as error:
            taken.error = error
        except OSError as error:
            taken.error = Refused(Reason.PAUSED, f"outputs cannot be kept: {error}")
        finally:
            if not taken.result:
                self.give_up(taken, taken.error or Refused(Reason.HANDED_BACK))
            taken.done.set()
            try:
                await _wait_written(taken)
            finally:
                self._forget(taken)

    def _bill(self, taken: Taken, root: bytes) -> None:
        value, accept = taken.admitted.order.value, taken.admitted.accept.value
        result = Result(
            self._accounts.me,
            value.requester,
            self._accounts.books.incarnation,
            taken.id,
            first=0,
            through=value.items,
            due=accept.price,
            output_root=root,
            environment=ENVIRONMENT,
            last=1,
            issued_at_s=int(self._clock.now().wall_s),
        )
        taken.result = self._accounts.bill(result)
        taken.life.did(Step.LAST_RESULT)
        taken.billed = self._accounts.write([self._stands(taken, result=taken.result.wire)])
        if not accept.price:  # nobody will pay for a gift
            self._note(taken.peer, well=True)
        self._post("order_delivered", peer=taken.peer.hex(), items=value.items, price=accept.price)

    # --- the ways out ---------------------------------------------------------------------------

    def give_up(self, taken: Taken, error: CommonsError) -> None:
        """End an order from this side: nothing is due for it."""
        self._accounts.end(taken.peer, taken.id, 0)
        taken.error = taken.error or error
        if taken.life.state in (State.ACCEPTED, State.WORKING):
            taken.life.did(Step.CANCEL)
            if not taken.has_inputs and isinstance(error, RemoteProtocolError | _LostError):
                self._note(taken.peer, well=False)
            self._post("order_given_up", peer=taken.peer.hex(), error=str(error))
            self._close(taken)
        if not taken.has_inputs:
            self._forget(taken)

    def cancelled(self, taken: Taken) -> None:
        """The requester wants it no more. What was begun stays its debt until it is refilled."""
        begun = min(taken.computed + 1, taken.admitted.table.items) if taken.has_inputs else 0
        self._accounts.end(taken.peer, taken.id, taken.admitted.table.due(begun))
        taken.life.saw(Step.CANCEL)
        taken.error = Refused(Reason.REQUESTER_CANCELLED)
        taken.scope.cancel()
        self._close(taken)
        self._post("order_cancelled", peer=taken.peer.hex(), begun=begun)
        if not taken.has_inputs:
            self._forget(taken)

    def lost(self, taken: Taken) -> None:
        """The stream is gone. What has all its inputs goes on; the rest will never come."""
        if not taken.has_inputs:
            self.give_up(taken, _LostError(Reason.DEADLINE, "its inputs did not come"))

    def disputed(self, peer: bytes, order: bytes, code: str) -> None:
        """The requester says that a result is wrong. Its word changes no totals."""
        row = self._orders.find(order, Role.WORKER)
        if row and row.peer == peer and row.result:
            self._note(peer, well=False)
            error = Refused(Reason.RESULT_WRONG, f"the requester says {code}")
            self._accounts.write([self._orders.stands(order, State.DISPUTED, error=error)])
            self._post("order_disputed", peer=peer.hex(), reason=code)

    def paid(self, peer: bytes, orders: Sequence[bytes]) -> None:
        """A cheque names these; those of which nothing is open are over, and their outputs go."""
        claims = self._accounts.books.account(peer).claims
        over = [each for each in orders if each not in claims]
        for each in over:
            if each in self._last:
                self._last[each].paid.set()
        for each in over:
            row = self._orders.find(each, Role.WORKER)
            if row and row.state is State.DELIVERED:  # else it is a cheque that was shown before
                self._note(peer, well=True)
        self._accounts.write([self._orders.stands(each, State.SETTLED) for each in over])
        if self._nursery and over:
            self._nursery.start_soon(alone, self._results.drop, over)

    async def wait_quiet(self) -> None:
        """Wait until nothing is computed for others; what was computed may still be sent."""
        while busy := [each for each in self._taken.values() if not each.done.is_set()]:
            await busy[0].done.wait()

    async def hand_back(self, reason: Reason, grace_s: float) -> None:
        """Take nothing new, let running work end for a while, then give the rest back."""
        self._admission.close(reason)
        running = list(self._taken.values())
        self._last = {each.id: each for each in running}
        with trio.move_on_after(grace_s):
            for each in running:
                await each.wait_over()
                with trio.move_on_after(PAY_S if each.is_due else 0):
                    await each.paid.wait()
        for each in running:
            if not each.done.is_set():
                each.error = Refused(reason, "the worker gave it back")
                each.scope.cancel()
        with trio.move_on_after(TELL_S):
            for each in running:
                await each.wait_over()

    async def _sweep(self) -> None:
        """Drop files of which no row tells: a crash came between the two, at either role."""
        there = await self._results.orders()
        known = self._orders.known(there)
        await self._results.drop([each for each in there if each not in known])

    def _close_what_was_left(self) -> None:
        """After a crash nobody computes what was accepted; what was billed is still owed."""
        self._accounts.write(self._ends_of(self._orders.open_as(Role.WORKER)))

    def _ends_of(self, rows: Iterable[Row]) -> list[Statement]:
        """Say which of these orders, that nobody works on, are over by the books."""
        statements: list[Statement] = []
        for row in rows:
            if not row.result:
                self._accounts.end(row.peer, row.id, 0)
                error = Refused(Reason.HANDED_BACK, "this node was started anew")
                statements.append(self._orders.stands(row.id, State.CANCELLED, error=error))
            elif row.id not in self._accounts.books.account(row.peer).claims:
                statements.append(self._orders.stands(row.id, State.SETTLED))
        return statements

    async def _forget_old(self) -> None:
        """Drop the outputs that nobody came for, and all of what ended a month ago."""
        while True:
            await alone(self._forget_what_is_old)
            await trio.sleep(FORGET_S)

    async def _forget_what_is_old(self) -> None:
        lying = self._orders.open_as(Role.WORKER, self._clock.now().wall_s - UNPAID_KEPT_S)
        left = [each for each in lying if each.id not in self._taken]
        await self._results.drop([each.id for each in left])
        self._accounts.write(self._ends_of(left))
        old, statement = self._orders.forget()
        if old:
            self._accounts.write([statement])
            await self._results.drop(old)

    def _close(self, taken: Taken) -> None:
        """Write down how an order ended; it is settled when nothing is due, by these books."""
        is_open = taken.id in self._accounts.books.account(taken.peer).claims
        if taken.life.state is State.OWING and not is_open:
            taken.life.did(Step.CLOSE)
        self._accounts.write([self._stands(taken)])

    def _forget(self, taken: Taken) -> None:
        if self._taken.pop(taken.id, None):
            self._admission.leave(taken.admitted)

    def _stands(self, taken: Taken, *, result: bytes | None = None) -> Statement:
        state = taken.life.state
        return self._orders.stands(taken.id, state, result=result, error=taken.error)


async def _wait_written(taken: Taken) -> None:
    """Wait until the row has the result: whoever asks for it again finds one or the other."""
    if taken.billed:
        with suppress(Refused), trio.move_on_after(WRITTEN_S):
            await taken.billed.wait()
