# SPDX-License-Identifier: MIT
"""The world of the money machine: three honest nodes, their network, crashes and backups.

Every node journals before it sends. The network may lose, repeat and reorder messages; a
crash may lose what was not durable yet; a backup may be restored at any time.
"""

from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from protocol import events as ev
from protocol.account import ClaimState
from protocol.books import Books
from protocol.budget import BudgetRules, Standing
from protocol.cheque import Ack, Cheque, Receipt, Refund
from protocol.errors import LocalProtocolError, Refused, RemoteProtocolError
from protocol.events import Event, Instant
from protocol.hello import network_id
from protocol.keys import Keypair
from protocol.ledger import Outcome
from protocol.reasons import Reason
from protocol.sealed import Sealed, Statement, seal
from protocol.settle import point_of
from protocol.statements import Accept, Order, Result, SessionOrder

NETWORK = network_id("machine", b"s" * 16)
RULES = BudgetRules(size_cu=60, refill_cu_per_s=2, stranger_line_cu=25)
WALL_S = 1_800_000_000
MONEY = (ev.Credited, ev.Adopted, ev.Signed, ev.Acked, ev.Recalled)
HONEST = st.integers(0, 2)
PRICE = st.integers(1, 6)


@dataclass
class Host:
    """An honest node: its books, its journal, and what its owner would remember."""

    number: int
    books: Books
    journal: list[Event] = field(default_factory=list)
    durable: int = 0
    starts: int = 0
    restores: int = 0
    snapshot: int | None = None
    refunded: dict[bytes, int] = field(default_factory=dict)

    @property
    def me(self) -> bytes:
        return self.books.me


@dataclass
class Placed:
    """An order between any two nodes, and its true price curve."""

    sealed: Sealed[Any]
    requester: bytes
    worker: bytes
    items: int
    unit: int
    session: bool = False


class BooksWorld(RuleBasedStateMachine):
    """The honest part."""

    def __init__(self) -> None:
        super().__init__()
        self.now = Instant(0.0, float(WALL_S))
        self.keys = [Keypair(bytes([number + 1]) * 32) for number in range(3)]
        self.hosts = [Host(n, self.make_books(key)) for n, key in enumerate(self.keys)]
        self.by_key = {host.me: host for host in self.hosts}
        self.adversaries = [Keypair((1000 + number).to_bytes(32, "big")) for number in range(2)]
        self.flight: list[tuple[bytes, bytes, object]] = []  # from, to, message
        self.placed: dict[bytes, Placed] = {}
        self.truth: dict[bytes, set[tuple[bytes, bytes, int, int]]] = {
            h.me: set() for h in self.hosts
        }
        self.loot: dict[bytes, int] = {host.me: 0 for host in self.hosts}
        self.signed: dict[tuple[object, ...], bytes] = {}
        self.bought: dict[tuple[bytes, bytes], int] = {}  # (host, order): what it signed for it
        self.hired: list[tuple[Keypair, Host, bytes, int]] = []  # paid work of the adversary
        self.looked_at: set[tuple[bytes, bytes, bytes]] = set()
        self.stuck: set[tuple[bytes, bytes]] = set()  # withdrawals that wait for the budget
        self.genuine: set[bytes] = set()  # all cheques and refunds that honest nodes signed
        self.totals: dict[tuple[bytes, bytes, str], int] = {}
        self.spoils: list[tuple[Keypair, Host, Sealed[Accept], Sealed[Result] | None]] = []
        self.shown: list[bytes] = []  # every cheque that the adversary ever saw
        self.orders = 0

    def make_books(self, key: Keypair) -> Books:
        return Books(key, NETWORK, RULES)

    @initialize()
    def begin(self) -> None:
        for host in self.hosts:
            self.start(host, restored=False)
        for one in self.hosts:
            for other in self.hosts:
                if one is not other:
                    self.greet(one, other)

    def start(self, host: Host, *, restored: bool) -> None:
        host.starts += 1
        incarnation = bytes([host.number, 0, 0, 0]) + host.starts.to_bytes(4, "big")
        self.done(host, host.books.start(incarnation, self.now, restored=restored))
        host.durable = len(host.journal)

    # --- how honest nodes act ----------------------------------------------------------------

    def done(self, host: Host, outcome: Outcome, to: bytes | None = None) -> None:
        """Journal, then send: the order that every node must keep."""
        host.journal.extend(outcome.events)
        for event in outcome.events:
            if isinstance(event, ev.Signed) and not event.refunds:
                for line in event.lines:
                    key = (host.me, line.order)
                    self.bought[key] = self.bought.get(key, 0) + line.amount
        if any(isinstance(event, MONEY) for event in outcome.events):
            host.durable = len(host.journal)
        for message in outcome.send:
            if isinstance(message, Sealed):
                self.note_signed(host, message)
            if to is not None:
                self.flight.append((host.me, to, message))

    def note_signed(self, host: Host, sealed: Sealed[Statement]) -> None:
        value = sealed.value
        if isinstance(value, Cheque | Refund):
            self.genuine.add(sealed.wire)
            slot = ("money", value.debtor, value.incarnation, value.creditor, value.total)
            assert self.signed.setdefault(slot, sealed.id) == sealed.id, (
                "an honest node equivocated"
            )
        if isinstance(value, Accept | Result):
            point = point_of(value)
            self.truth[host.me].add((value.requester, point.order, point.through, point.due))

    def greet(self, one: Host, other: Host) -> None:
        """Both hellos are exchanged on one connection; what follows may get lost."""
        for host, peer in ((one, other), (other, one)):
            account = peer.books.account(host.me)
            self.done(
                host, host.books.greet(peer.me, account.held_total, account.signed_total), peer.me
            )

    def order(
        self, requester: Keypair, worker: Host, items: int, unit: int, *, session: bool
    ) -> Placed:
        self.orders += 1
        nonce = self.orders.to_bytes(32, "big")
        wall_s = int(self.now.wall_s)
        digest = b"d" * 32
        common = (requester.public, worker.me, b"inc_____", nonce, digest, 0, b"")
        value: Order | SessionOrder
        if session:
            value = SessionOrder(
                *common, digest, items, items * unit, 0, 0, 1, 1, 20, 30, wall_s, 0
            )
        else:
            value = Order(*common, digest, digest, items, items * unit, 1, 1, 20, 30, wall_s, 0)
        sealed: Sealed[Any] = seal(requester, NETWORK, value)
        placed = Placed(sealed, requester.public, worker.me, items, unit, session)
        self.placed[sealed.id] = placed
        return placed

    @rule(
        requester=HONEST, worker=HONEST, items=st.integers(1, 4), unit=PRICE, session=st.booleans()
    )
    def an_order_is_placed(
        self, requester: int, worker: int, items: int, unit: int, session: bool
    ) -> None:
        if requester == worker:
            return
        one, other = self.hosts[requester], self.hosts[worker]
        placed = self.order(self.keys[requester], other, items, unit, session=session)
        self.flight.append((one.me, other.me, placed.sealed))

    @rule(requester=HONEST, worker=HONEST, items=st.integers(1, 4), unit=PRICE)
    def a_shard_is_done_and_paid(self, requester: int, worker: int, items: int, unit: int) -> None:
        """The usual case, without waiting for the network to draw its messages."""
        if requester == worker:
            return
        one, other = self.hosts[requester], self.hosts[worker]
        placed = self.order(self.keys[requester], other, items, unit, session=False)
        before = len(self.flight)
        self.arrive(one.me, other.me, placed.sealed)
        while len(self.flight) > before:
            self.arrive(*self.flight.pop())
        if placed.sealed.id in other.books.account(one.me).claims:
            self.work_on(other, placed, items)
            while len(self.flight) > before:
                self.arrive(*self.flight.pop())

    @precondition(lambda self: self.flight)
    @rule(data=st.data(), twice=st.booleans())
    def a_message_arrives(self, data: st.DataObject, twice: bool) -> None:
        index = data.draw(st.integers(0, len(self.flight) - 1))
        message = self.flight[index]
        if not twice:
            del self.flight[index]
        self.arrive(*message)

    @precondition(lambda self: self.flight)
    @rule()
    def all_messages_arrive_in_reverse(self) -> None:
        waiting, self.flight = self.flight[::-1], []
        for message in waiting:
            self.arrive(*message)

    @precondition(lambda self: self.flight)
    @rule(data=st.data())
    def a_message_is_lost(self, data: st.DataObject) -> None:
        del self.flight[data.draw(st.integers(0, len(self.flight) - 1))]

    def arrive(self, sender: bytes, receiver: bytes, message: object) -> None:
        """An honest node handles a message of an honest node: it never breaks a rule, unless
        one of the two lost memory."""
        host = self.by_key[receiver]
        try:
            self.handle(host, sender, message)
        except Refused:
            pass
        except RemoteProtocolError as error:
            assert self.forgetful(host) or self.forgetful(self.by_key[sender]), error
            if isinstance(message, Receipt):
                self.withdraw(self.by_key[sender], receiver)

    def withdraw(self, host: Host, peer: bytes) -> None:
        """The peer refused a cheque and what it cites: go back to what it acknowledged."""
        try:
            self.done(host, host.books.withdraw(peer, self.now))
        except Refused:
            self.stuck.add((host.me, peer))  # until the budget allows it
        else:
            self.stuck.discard((host.me, peer))

    def forgetful(self, host: Host) -> bool:
        return host.restores > 0

    def handle(self, host: Host, sender: bytes, message: object) -> None:
        if isinstance(message, Receipt):
            self.done(host, host.books.take(sender, message, self.now), sender)
            return
        assert isinstance(message, Sealed)
        value = message.value
        if isinstance(value, Order | SessionOrder):
            _, outcome = host.books.accept(
                message, self.now, gift_policy=2, idle=self.orders % 7 == 0
            )
            self.done(host, outcome, sender)
        elif isinstance(value, Result):
            self.pay(host, sender, message)
        elif isinstance(value, Cheque | Refund):
            self.handle(host, sender, Receipt(message.wire, b"", ()))
        elif isinstance(value, Ack):
            self.done(host, host.books.acked(message, self.now), sender)

    def pay(self, host: Host, worker: bytes, bill: Sealed[Result]) -> None:
        placed = self.placed[bill.value.order]
        assert bill.value.due in (0, bill.value.through * placed.unit)
        try:
            self.done(host, host.books.pay(worker, [bill], self.now), worker)
        except LocalProtocolError as error:
            waits = "hello" in str(error) or error.reason is Reason.WINDOW_FULL
            assert waits, error

    @rule(worker=HONEST, data=st.data())
    def a_worker_works(self, worker: int, data: st.DataObject) -> None:
        host = self.hosts[worker]
        mine = [
            self.placed[order]
            for account in host.books.accounts.values()
            for order, claim in account.claims.items()
            if claim.state in (ClaimState.HELD, ClaimState.BEGUN) and order in self.placed
        ]
        if mine:
            placed = data.draw(st.sampled_from(mine))
            self.work_on(host, placed, data.draw(st.integers(1, placed.items)))

    def work_on(self, host: Host, placed: Placed, more: int) -> None:
        account = host.books.account(placed.requester)
        order = placed.sealed.id
        claim = account.claims[order]
        if claim.state is ClaimState.HELD:
            self.done(host, host.books.begin(placed.requester, order, self.now))
            self.note_work(host, placed.requester, claim.held)
        first = claim.billed.through if claim.billed else 0
        gift = claim.price == 0
        if placed.session and not gift and claim.billed:
            try:
                self.done(host, host.books.extend(placed.requester, order, Standing(), self.now))
            except Refused:
                return  # the session pauses
            self.note_work(host, placed.requester, claim.window_price)
        through = first + more if placed.session else min(placed.items, first + more)
        due = 0 if gift else through * placed.unit
        last = through == placed.items if not placed.session else more == placed.items
        result = Result(
            host.me,
            placed.requester,
            host.books.incarnation,
            order,
            first,
            through,
            due,
            b"o" * 32,
            "cpu",
            int(last),
            int(self.now.wall_s),
        )  # fmt: skip - one field after the other
        if placed.requester in self.by_key:
            self.done(host, host.books.bill(result, self.now), placed.requester)
        else:
            outcome = host.books.bill(result, self.now)
            self.done(host, outcome)
            bill_sent: Any = outcome.send[0]
            self.spoils = [
                (key, at, accept, bill_sent if accept.value.order == order else bill)
                for key, at, accept, bill in self.spoils
            ]

    def note_work(self, host: Host, requester: bytes, amount: int) -> None:
        """Work is counted when it may have been done, whether or not it was delivered."""
        if requester not in self.by_key:
            self.loot[host.me] += amount

    @rule(worker=HONEST, data=st.data(), share=st.integers(0, 2))
    def an_order_is_cancelled(self, worker: int, data: st.DataObject, share: int) -> None:
        host = self.hosts[worker]
        claims = [
            (account.peer, order, claim)
            for account in host.books.accounts.values()
            for order, claim in account.claims.items()
            if claim.state in (ClaimState.HELD, ClaimState.BEGUN)
        ]
        if claims:
            peer, order, claim = data.draw(st.sampled_from(claims))
            kept = 0 if claim.state is ClaimState.HELD else claim.held
            if peer in self.by_key and kept:
                kept = kept * share // 2
            self.done(host, host.books.end(peer, order, kept, self.now))

    @rule(worker=HONEST, data=st.data())
    def a_worker_refunds(self, worker: int, data: st.DataObject) -> None:
        host = self.hosts[worker]
        paid = [
            (account, order, settled)
            for account in host.books.accounts.values()
            for order, settled in account.settled.items()
            if account.peer in self.by_key and settled.due > settled.refunded
        ]
        if not paid or not host.books.greeted:
            return
        account, order, settled = data.draw(st.sampled_from(paid))
        amount = data.draw(st.integers(1, settled.due - settled.refunded))
        self.refund(host, account.peer, order, amount)

    def refund(self, host: Host, peer: bytes, order: bytes, amount: int) -> None:
        """Give money back, citing the cheque that brought it; the journal has it."""
        cheques = [
            event.wire
            for event in host.journal
            if isinstance(event, ev.Credited | ev.Adopted)
            and event.peer == peer
            and any(progress.order == order for progress in event.paid)
        ]
        try:
            outcome = host.books.refund(peer, order, amount, cheques[-1], self.now)
        except LocalProtocolError as error:
            waits = "hello" in str(error) or error.reason is Reason.WINDOW_FULL
            # What two cheques paid together, one cannot prove.
            assert waits or error.reason is Reason.REFUND_TOO_HIGH
        else:
            self.done(host, outcome, peer)

    @rule(seconds=st.integers(1, 20))
    def time_passes(self, seconds: int) -> None:
        self.now = Instant(self.now.mono_s + seconds, self.now.wall_s + seconds)
        for host in self.hosts:
            self.done(host, host.books.expire(self.now))

    @rule(one=HONEST, other=HONEST)
    def two_nodes_meet(self, one: int, other: int) -> None:
        if one != other:
            self.greet(self.hosts[one], self.hosts[other])

    # --- crash and restore -------------------------------------------------------------------

    @rule(number=HONEST, lose=st.booleans())
    def a_node_crashes(self, number: int, lose: bool) -> None:
        """What was not durable may be gone; what was sent on the strength of it is not."""
        host = self.hosts[number]
        if lose and host.durable < len(host.journal):
            del host.journal[host.durable :]
            host.restores += 1  # like a very young backup: it may forget exposure once
        self.rebuild(host)
        self.start(host, restored=False)

    @rule(number=HONEST)
    def a_backup_is_made(self, number: int) -> None:
        self.hosts[number].snapshot = len(self.hosts[number].journal)

    @rule(number=HONEST)
    def a_backup_is_restored(self, number: int) -> None:
        host = self.hosts[number]
        if host.snapshot is not None:
            del host.journal[host.snapshot :]
            host.restores += 1
            self.rebuild(host)
            # The new hello ends older connections: nothing of the lost history arrives any more.
            self.flight = [message for message in self.flight if message[0] != host.me]
            self.start(host, restored=True)

    def rebuild(self, host: Host) -> None:
        host.books = self.make_books(self.keys[host.number])
        for event in host.journal:
            host.books.apply(event)
        self.totals = {key: total for key, total in self.totals.items() if key[0] != host.me}
        for other in self.hosts:
            other.books.left(host.me)
        # What was on its way to the node is lost with its connections; what it sent may arrive.
        self.flight = [message for message in self.flight if message[1] != host.me]
