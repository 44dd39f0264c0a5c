# SPDX-License-Identifier: MIT
"""The accounts of this node in one network: its books, and the journal that they are made of.

What may happen is decided in `protocol.books`; here it is made to last. An order takes its
course in `worker` and `requester`, and receipts outside of orders in `receipts`.

Theory of operation
-------------------
The books change at once, in memory; the events that changed them are written behind, in the
same order, and share their commits. What binds this node is durable before anybody hears of it:

=====================  ===================================================================
cheque, ack, refund    waited for. They are given out when they are on the disk
order, accept, result  written with the next commit, not waited for: a new incarnation
                       makes losing them harmless
=====================  ===================================================================

A write that fails (a full disk) leaves the books in memory ahead of the journal. Then the
accounts **stop**: everything is refused, with the reason, and what was waited for is never
sent. When the disk takes writes again the books are made anew from the journal, as after a
restart, so that nothing is in them that was not written.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

import trio

from node.clock import Clock
from node.store.journal import Journal
from node.store.store import Database, Statement
from node.work.beside import beside
from node.work.wires import Post
from node.work.writing import Pen, Written
from protocol.account import ClaimState
from protocol.books import Books
from protocol.budget import STRANGER, BudgetRules, OrderClass, Standing
from protocol.cheque import Ack, Receipt
from protocol.errors import LocalProtocolError, Refused
from protocol.keys import Keypair
from protocol.ledger import Outcome
from protocol.reasons import Reason
from protocol.sealed import Sealed, StatementT, seal, unseal
from protocol.sealed import Statement as Signed
from protocol.statements import Accept, Order, Result, SessionOrder

#: Holds end within so many seconds of their time; nobody needs it sharper.
EXPIRE_S = 5.0

#: Records of settled orders are dropped once a day.
FORGET_S = 86_400.0

#: How often a disk that failed is tried again.
RETRY_S = 5.0

#: A node that stops waits so long for its last writes.
FINISH_S = 10.0

#: While books are made from the journal others have their turn after so many: some milliseconds.
EVENTS_IN_ONE_GO = 200

#: A quarter of a day of work is lent, and refilled by one part in so many each second.
_REFILL_PARTS = 86_400 // 4 * 100


def budget_rules(budget_cu: int, capacity_cu_per_s: int) -> BudgetRules:
    """Give the budget that the owner wrote down, or that of a machine of this capacity."""
    if not budget_cu:
        return BudgetRules.for_capacity(max(1, capacity_cu_per_s))
    return BudgetRules(budget_cu, max(1, budget_cu // _REFILL_PARTS))


class Accounts:
    """All accounts of this node. They work inside :meth:`open`."""

    def __init__(
        self,
        keypair: Keypair,
        network: bytes,
        rules: BudgetRules,
        database: Database,
        clock: Clock,
        post: Post,
    ) -> None:
        """Open nothing yet."""
        self.me = keypair.public
        self.network = network
        self._keypair = keypair
        self._rules = rules
        self._database = database
        self._journal = Journal(database)
        self._clock = clock
        self._post = post
        self._pen = Pen(database)
        self._writing = trio.CancelScope(shield=True)
        self.books = Books(keypair, network, rules)
        #: Why nothing is done now; empty while all is well.
        self.stopped = "they are not open yet"

    @asynccontextmanager
    async def open(self, *, restored: bool = False) -> AsyncIterator[None]:
        """Read the journal, and keep accounts inside the block.

        `restored`: the journal is a backup, and knows less than this node has signed. OSError
        when the disk takes nothing: then the node cannot begin.
        """
        await self._begin(restored=restored)
        async with beside(self._keep_writing, self._let_time_pass):
            try:
                yield
            finally:
                with trio.move_on_after(FINISH_S) as finishing:
                    finishing.shield = True
                    await self._pen.finish()
                self._writing.cancel()
                self.stopped = "this node stops"

    # --- as worker ------------------------------------------------------------------------------

    def accept(
        self,
        order: Sealed[Order] | Sealed[SessionOrder],
        standing: Standing = STRANGER,
        *,
        gift_policy: int = 0,
        idle: bool = False,
    ) -> tuple[OrderClass, Sealed[Accept]]:
        """Accept an order whose price was found right, or raise Refused."""
        self._check()
        order_class, outcome = self.books.accept(
            order, self._clock.now(), standing, gift_policy=gift_policy, idle=idle
        )
        self._note(outcome)
        return order_class, _only(outcome, Accept)

    def begin(self, peer: bytes, order: bytes) -> None:
        """Note the first input of an order; Refused when its time is over."""
        self._check_open(peer, order)
        self._note(self.books.begin(peer, order, self._clock.now()))

    def bill(self, result: Result) -> Sealed[Result]:
        """Sign a result; Refused when the time of its order is over."""
        self._check_open(result.requester, result.order)
        outcome = self.books.bill(result, self._clock.now())
        self._note(outcome)
        return _only(outcome, Result)

    def end(self, peer: bytes, order: bytes, kept_cu: int) -> None:
        """End an order early, if it is still open; `kept_cu` stay as what the peer owes for it.

        An order that the books do not know any more has ended already.
        """
        claim = None if self.stopped else self.books.account(peer).claims.get(order)
        if claim is None:
            return
        try:
            outcome = self.books.end(peer, order, min(kept_cu, claim.held), self._clock.now())
        except LocalProtocolError:  # it is billed, or over
            return
        self._note(outcome)

    async def take(self, peer: bytes, receipt: Receipt) -> Sealed[Ack] | None:
        """Take what a peer shows; its ack is durable, and None when there is nothing to say.

        Refused: citations are missing. RemoteProtocolError: it is wrong.
        """
        self._check()
        outcome = self.books.take(peer, receipt, self._clock.now())
        # Also when nothing changed: the ack that is repeated may itself be on its way to the disk.
        await self._note(outcome).wait()
        return _only(outcome, Ack) if outcome.send else None

    # --- as requester ---------------------------------------------------------------------------

    async def pay(
        self, peer: bytes, bills: Sequence[Sealed[Result] | Sealed[Accept]]
    ) -> Receipt | None:
        """Sign a cheque for what was found right; it is durable. None: nothing is due."""
        self._check()
        return await self._signed(self.books.pay(peer, bills, self._clock.now()))

    async def refund(
        self, peer: bytes, order: bytes, amount_cu: int, cheque: bytes
    ) -> Receipt | None:
        """Give back what a peer paid for an order; it is durable."""
        self._check()
        return await self._signed(
            self.books.refund(peer, order, amount_cu, cheque, self._clock.now())
        )

    def acked(self, wire: bytes) -> None:
        """Take the ack of something that this node has signed."""
        self._check()
        ack = unseal(wire, self.network, Ack)
        self._note(self.books.acked(ack, self._clock.now()))

    def unacked(self, peer: bytes) -> Receipt | None:
        """Give what a peer has not acknowledged yet, with all that proves it."""
        account = self.books.account(peer)
        citations = tuple(dict.fromkeys(line.citation for line in account.lines))
        return Receipt(account.signed_wire, b"", citations) if account.lines else None

    def has_paid(self, peer: bytes, order: bytes) -> bool:
        """Whether this node has signed for an order, and has not taken that back."""
        paid = self.books.account(peer).paid.get(order)
        return paid is not None and paid.due > 0

    def is_settled(self, peer: bytes, order: bytes) -> bool:
        """Whether what this node has paid for an order is acknowledged."""
        lines = self.books.account(peer).lines
        return self.has_paid(peer, order) and all(line.order != order for line in lines)

    async def withdraw(self, peer: bytes) -> None:
        """Take back what a peer refused in spite of its citations."""
        self._check()
        await self._note(self.books.withdraw(peer, self._clock.now())).wait()

    def freeze(self, peer: bytes, evidence: bytes) -> None:
        """Stop all dealings with a peer."""
        self._check()
        self._note(self.books.freeze(peer, evidence, self._clock.now()))

    def history(self, peer: bytes) -> int:
        """Give the CU of a worker's results that were found right or not checked, and were paid.

        It is what the books say was earned: nothing is earned that failed its check.
        """
        account = self.books.account(peer)
        return 0 if account.frozen else max(0, account.earned)

    # --- meeting --------------------------------------------------------------------------------

    def totals(self, peer: bytes) -> tuple[int, int]:
        """Give what hello says to a peer: the total held from it, and the one signed for it."""
        account = self.books.account(peer)
        return account.held_total, account.signed_total

    async def greet(self, peer: bytes, held_total: int, signed_total: int) -> tuple[Receipt, ...]:
        """Compare the totals of a peer's hello; give what it seems to lack, all of it durable."""
        self._check()
        outcome = self.books.greet(peer, held_total, signed_total)
        await self._note(outcome).wait()
        return tuple(each for each in outcome.send if isinstance(each, Receipt))

    def has_greeted(self, peer: bytes) -> bool:
        """Whether the totals were compared since this peer is here: else nothing is signed."""
        return peer in self.books.greeted

    def left(self, peer: bytes) -> None:
        """Note that a peer is gone."""
        self.books.left(peer)

    # --- all of them ----------------------------------------------------------------------------

    def sign(self, statement: StatementT) -> Sealed[StatementT]:
        """Sign what moves no money: an order, a refusal, a cancel, a dispute."""
        return seal(self._keypair, self.network, statement)

    def write(self, statements: Iterable[Statement]) -> Written:
        """Write something else of this network into the same row of commits."""
        return self._pen.write(statements)

    def _check(self) -> None:
        if self.stopped:
            raise Refused(Reason.PAUSED, f"the accounts stand still: {self.stopped}")

    def _check_open(self, peer: bytes, order: bytes) -> None:
        """Books that were made anew, or time, may have ended what somebody still works on."""
        self._check()
        claim = self.books.account(peer).claims.get(order)
        if claim is None or claim.state not in (ClaimState.HELD, ClaimState.BEGUN):
            raise Refused(Reason.HANDED_BACK, "the books do not know this order any more")

    def _note(self, outcome: Outcome) -> Written:
        return self._pen.write(self._journal.statements(outcome.events))

    async def _signed(self, outcome: Outcome) -> Receipt | None:
        await self._note(outcome).wait()
        for each in outcome.send:
            assert isinstance(each, Sealed)
            return Receipt(each.wire, b"", ())
        return None

    async def _begin(self, *, restored: bool = False) -> None:
        """Make the books from the journal, and begin a new incarnation that is on the disk."""
        books = Books(self._keypair, self.network, self._rules)
        for count, event in enumerate(self._journal.replay()):
            books.apply(event)
            if count % EVENTS_IN_ONE_GO == 0:  # a year of them takes minutes
                await trio.lowlevel.checkpoint()
        incarnation = self._clock.secret_bytes(8)
        outcome = books.start(incarnation, self._clock.now(), restored=restored)
        await self._database.write(self._journal.statements(outcome.events))
        # Nothing that was ever sent is missing in them: whoever has greeted needs not do it again.
        books.greeted |= self.books.greeted
        self.books = books
        self.stopped = ""

    async def _keep_writing(self) -> None:
        """Write until all is written at the end: who is cancelled from outside still needs it."""
        with self._writing:
            while True:
                try:
                    await self._pen.run()
                except (OSError, ValueError) as error:
                    await self._recover(error)

    async def _recover(self, error: Exception) -> None:
        self.stopped = str(error) or type(error).__name__
        self._post("accounts_stopped", error=self.stopped)
        while self.stopped:
            await trio.sleep(RETRY_S)
            self._pen = Pen(self._database)
            try:
                await self._begin()
            except (OSError, ValueError) as again:
                self.stopped = str(again) or type(again).__name__
        self._post("accounts_rebuilt")

    async def _let_time_pass(self) -> None:
        forget_s = trio.current_time() + FORGET_S
        while True:
            await trio.sleep(EXPIRE_S)
            if self.stopped:
                continue
            outcome = self.books.expire(self._clock.now())
            if outcome.events:
                self._note(outcome)
            if trio.current_time() >= forget_s:
                forget_s += FORGET_S
                self._note(self.books.forget(self._clock.now()))


def _only(outcome: Outcome, kind: type[StatementT]) -> Sealed[StatementT]:
    """Give the one statement of an outcome."""
    (sealed,) = outcome.send
    assert isinstance(sealed, Sealed)
    value: Signed = sealed.value
    assert isinstance(value, kind)
    return Sealed(value, sealed.body, sealed.signature, sealed.id)
