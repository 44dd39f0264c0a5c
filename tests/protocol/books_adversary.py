# SPDX-License-Identifier: MIT
"""The adversary of the money machine: any number of fresh keys, and every trick that we know."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from protocol.canon import encode
from protocol.cheque import Ack, Cheque, Payment, Receipt, Refund, RefundLine
from protocol.errors import LocalProtocolError, Refused, RemoteProtocolError
from protocol.keys import Keypair
from protocol.reasons import Reason
from protocol.sealed import Sealed, seal
from protocol.settle import point_of
from protocol.statements import Accept, Result
from tests.protocol.books_stories import BooksStories
from tests.protocol.books_world import HONEST, NETWORK, Host

PAYMENTS = st.sampled_from(["pay", "bill", "low", "high", "unit", "twice", "split"])
REFUNDS = st.sampled_from(["right", "high", "twice", "rise"])


class BooksAdversary(BooksStories):
    """Rules that try to take more than the budget, or to make money appear or vanish."""

    @rule(
        worker=HONEST,
        items=st.integers(1, 4),
        unit=st.integers(1, 10),
        new=st.booleans(),
        session=st.booleans(),
        inputs=st.booleans(),
    )  # fmt: skip - one line says it
    def attacker_orders(
        self, worker: int, items: int, unit: int, new: bool, session: bool, inputs: bool
    ) -> None:
        if new:
            self.adversaries.append(Keypair((1000 + len(self.adversaries)).to_bytes(32, "big")))
        host, key = self.hosts[worker], self.adversaries[-1]
        placed = self.order(key, host, items, unit, session=session)
        try:
            _, outcome = host.books.accept(placed.sealed, self.now)
        except Refused:
            return
        self.done(host, outcome)
        accept: Any = outcome.send[0]
        self.spoils.append((key, host, accept, None))
        if inputs:
            self.work_on(host, placed, items)

    @precondition(lambda self: self.spoils)
    @rule(data=st.data(), how=PAYMENTS)
    def attacker_pays(self, data: st.DataObject, how: str) -> None:
        """Pay right, too little, too much, twice for one order, or in lines that overlap."""
        self.pay_wrongly(*data.draw(st.sampled_from(self.spoils)), how)

    @rule(worker=HONEST, items=st.integers(1, 4), unit=st.integers(2, 6), how=PAYMENTS)
    def attacker_orders_and_pays(self, worker: int, items: int, unit: int, how: str) -> None:
        """At once, before any crash could blur what was sold; and a second time."""
        before = len(self.spoils)
        self.attacker_orders(worker, items, unit, True, False, True)
        for each in self.spoils[before:]:
            self.pay_wrongly(*each, how)
            self.pay_wrongly(*each, "bill")
            self.pay_wrongly(*each, how)

    def pay_wrongly(
        self,
        key: Keypair,
        host: Host,
        accept: Sealed[Accept],
        bill: Sealed[Result] | None,
        how: str,
    ) -> None:
        point = point_of(bill.value if bill and how != "pay" else accept.value)
        held = host.books.account(key.public).held_total
        settled = host.books.account(key.public).settled.get(point.order)
        amount = max(1, point.due - (settled.due if settled else 0))
        rise = {"low": 1, "high": amount + 1000}.get(how, amount)
        through = max(1, point.through)
        lines = [Payment(point.order, through, rise if how in ("low", "high") else amount)]
        if how == "unit":
            rise += 1
        if how == "twice":
            lines, rise = lines * 2, 2 * amount
        if how == "split" and amount > 1:
            lines = [
                Payment(point.order, through, amount - 1),
                Payment(point.order, through + 1, 1),
            ]
        self.show(key, host, held + rise, lines, (accept, bill))

    @precondition(lambda self: len(self.spoils) > 1)
    @rule(data=st.data())
    def attacker_cites_for_another_key(self, data: st.DataObject) -> None:
        """An accept that was given to one key is cited by another."""
        _, host, accept, bill = data.draw(st.sampled_from(self.spoils))
        other = data.draw(st.sampled_from(self.adversaries))
        point = point_of(bill.value if bill else accept.value)
        if point.due and point.through:
            held = host.books.account(other.public).held_total
            self.show(
                other,
                host,
                held + point.due,
                [Payment(point.order, point.through, point.due)],
                (accept, bill),
            )

    @precondition(lambda self: self.spoils)
    @rule(data=st.data(), amount=st.integers(1, 500))
    def attacker_cites_itself(self, data: st.DataObject, amount: int) -> None:
        """An accept that the attacker signed itself, about an order that nobody took."""
        key, host, _, _ = data.draw(st.sampled_from(self.spoils))
        other = data.draw(st.sampled_from(self.adversaries))
        order = b"z" * 32
        forged = Accept(
            other.public, key.public, b"inc_____", order, 1, amount, 9, int(self.now.wall_s)
        )
        if other is not key:
            held = host.books.account(key.public).held_total
            self.show(
                key,
                host,
                held + amount,
                [Payment(order, 1, amount)],
                (seal(other, NETWORK, forged),),
            )

    @rule(data=st.data(), amount=st.integers(1, 500), victim=HONEST, debtor=HONEST)
    def attacker_forges(self, data: st.DataObject, amount: int, victim: int, debtor: int) -> None:
        """A cheque drawn on an honest node, signed by the attacker; or shown to its debtor."""
        key = data.draw(st.sampled_from(self.adversaries))
        host, name = self.hosts[victim], self.hosts[debtor]
        creditor = host.me if host is not name else key.public
        value = Cheque(
            name.me, creditor, b"inc_____", amount + 600, (Payment(b"q" * 32, 1, amount),)
        )
        honest = seal(self.keys[debtor], NETWORK, value)
        forged = key.sign(b"something else") + honest.body
        ack = seal(key, NETWORK, Ack(key.public, name.me, b"inc_____", honest.id, amount + 600))
        sender = key.public if host is name else name.me
        attempts = [(forged, b""), (forged, ack.wire)]
        account = host.books.account(name.me)
        for order, claim in account.claims.items():
            for through, due in claim.points.items():
                exact = Payment(order, through, due)
                value = Cheque(name.me, host.me, b"inc_____", account.held_total + due, (exact,))
                attempts.append((key.sign(b"something else") + encode(value), b""))
        for wire, proof in attempts:
            try:
                outcome = host.books.take(sender, Receipt(wire, proof, ()), self.now)
            except (RemoteProtocolError, Refused):
                continue
            self.done(host, outcome)

    @rule(data=st.data(), amount=st.integers(1, 500), victim=HONEST)
    def attacker_acks_for_the_creditor(self, data: st.DataObject, amount: int, victim: int) -> None:
        """Its own cheque, with an ack that the creditor never gave."""
        key = data.draw(st.sampled_from(self.adversaries))
        other = data.draw(st.sampled_from(self.adversaries))
        host = self.hosts[victim]
        total = host.books.account(key.public).held_total + amount
        cheque = seal(
            key,
            NETWORK,
            Cheque(key.public, host.me, b"inc_____", total, (Payment(b"q" * 32, 1, 1),)),
        )
        acks = []
        if other is not key:
            value = Ack(other.public, key.public, b"inc_____", cheque.id, total)
            acks.append(seal(other, NETWORK, value).wire)
        held_ack = host.books.account(key.public).held_ack
        if held_ack:
            acks.append(held_ack)
        for ack in acks:
            try:
                outcome = host.books.take(key.public, Receipt(cheque.wire, ack, ()), self.now)
            except (RemoteProtocolError, Refused):
                continue
            self.done(host, outcome)

    @precondition(lambda self: self.shown)
    @rule(data=st.data(), victim=HONEST)
    def attacker_replays(self, data: st.DataObject, victim: int) -> None:
        """Any receipt that was ever seen, shown to anybody, as coming from anybody."""
        sender = data.draw(st.sampled_from([*self.adversaries, *self.keys])).public
        host = self.hosts[victim]
        receipts = [Receipt(data.draw(st.sampled_from(self.shown)), b"", ())]
        receipts += [
            Receipt(account.held_wire, account.held_ack, ())
            for account in host.books.accounts.values()
            if account.held_wire
        ]
        for receipt in receipts:
            try:
                outcome = host.books.take(sender, receipt, self.now)
            except (RemoteProtocolError, Refused):
                continue
            self.done(host, outcome)

    @rule(requester=HONEST, amount=st.integers(1, 12))
    def attacker_works(self, requester: int, amount: int) -> None:
        """The adversary does real work for an honest node, and is paid for it."""
        host, key = self.hosts[requester], self.adversaries[-1]
        self.orders += 1
        order = self.orders.to_bytes(32, "big")
        result = Result(
            key.public,
            host.me,
            b"inc_____",
            order,
            0,
            1,
            amount,
            b"o" * 32,
            "cpu",
            1,
            int(self.now.wall_s),
        )
        account = host.books.account(key.public)
        host.books.greet(key.public, account.signed_total, account.held_total)
        try:
            outcome = host.books.pay(key.public, [seal(key, NETWORK, result)], self.now)
        except LocalProtocolError as error:
            assert error.reason is Reason.WINDOW_FULL
            return
        self.done(host, outcome)
        self.loot[host.me] -= amount
        cheque: Any = outcome.send[0]
        self.hired.append((key, host, order, amount))
        ack = Ack(key.public, host.me, b"inc_____", cheque.id, cheque.value.total)
        self.done(host, host.books.acked(seal(key, NETWORK, ack), self.now))

    @rule(requester=HONEST, amount=st.integers(1, 12), how=REFUNDS)
    def attacker_works_and_refunds_too_much(self, requester: int, amount: int, how: str) -> None:
        """At once, before any crash could blur what was paid."""
        hired = len(self.hired)
        self.attacker_works(requester, amount)
        for each in self.hired[hired:]:
            self.refund_wrongly(*each, how)

    @rule(worker=HONEST, amount=st.integers(50, 400), times=st.integers(1, 3))
    def attacker_redeems_after_each_restore(self, worker: int, amount: int, times: int) -> None:
        """Earn much, then spend it, and spend it once more whenever the debtor forgets."""
        self.attacker_works(worker, amount)
        self.a_backup_is_made(worker)
        for _ in range(times):
            self.attacker_orders(worker, 1, amount, False, False, True)
            self.a_backup_is_restored(worker)
        self.attacker_orders(worker, 1, amount, False, False, True)

    @precondition(lambda self: self.spoils)
    @rule(data=st.data(), amount=st.integers(1, 50))
    def attacker_refunds_what_was_never_paid(self, data: st.DataObject, amount: int) -> None:
        """Money pushed on an honest node as a refund would raise what it seems to be owed."""
        key, host, accept, _ = data.draw(st.sampled_from(self.spoils))
        self.show_refund(key, host, amount, [RefundLine(accept.value.order, amount)])

    @precondition(lambda self: self.hired)
    @rule(data=st.data(), how=REFUNDS)
    def attacker_refunds_too_much(self, data: st.DataObject, how: str) -> None:
        self.refund_wrongly(*data.draw(st.sampled_from(self.hired)), how)

    def refund_wrongly(self, key: Keypair, host: Host, order: bytes, amount: int, how: str) -> None:
        more = amount + 1 if how == "high" else amount
        lines = [RefundLine(order, more)] * (2 if how == "twice" else 1)
        self.show_refund(key, host, more * len(lines) + (how == "rise"), lines)

    @rule(data=st.data(), amount=st.integers(1, 8), victim=HONEST)
    def attacker_pays_for_nothing(self, data: st.DataObject, amount: int, victim: int) -> None:
        """A debt that nobody asked for would drain the budget of the creditor."""
        key = data.draw(st.sampled_from(self.adversaries))
        host = self.hosts[victim]
        held = host.books.account(key.public).held_total
        self.show(key, host, held + amount, [Payment(b"y" * 32, 1, amount)], ())

    def show_refund(self, key: Keypair, host: Host, rise: int, lines: list[RefundLine]) -> None:
        named = sum(line.amount for line in lines)
        account = host.books.account(key.public)
        held, right = account.held_total, max(0, account.uncharged - account.net)
        total = max(held + rise, named)
        value = Refund(key.public, host.me, b"inc_____", total, tuple(lines))
        try:
            outcome = host.books.take(
                key.public, Receipt(seal(key, NETWORK, value).wire, b"", ()), self.now
            )
        except (RemoteProtocolError, Refused):
            return
        self.done(host, outcome)
        # Work whose pay came back, and was not redeemed yet, was no work for the host.
        risen = host.books.account(key.public).held_total - held
        self.loot[host.me] += min(max(0, risen), right)

    @rule(worker=HONEST, amount=st.integers(10, 60), times=st.integers(1, 4))
    def attacker_refunds_and_redeems(self, worker: int, amount: int, times: int) -> None:
        """Earn by work that is given back, and redeem what it seemed to earn."""
        for _ in range(times):
            hired = len(self.hired)
            self.attacker_works(worker, amount)
            for each in self.hired[hired:]:
                self.refund_wrongly(*each, "right")
            before = len(self.spoils)
            self.attacker_orders(worker, 1, amount, False, False, True)
            for spoil in self.spoils[before:]:
                self.pay_wrongly(*spoil, "bill")

    @precondition(lambda self: self.placed)
    @rule(data=st.data())
    def attacker_replays_an_order(self, data: st.DataObject) -> None:
        placed = data.draw(st.sampled_from(list(self.placed.values())))
        host = self.by_key[placed.worker]
        known = placed.sealed.id in host.books.seen
        try:
            _, outcome = host.books.accept(placed.sealed, self.now)
        except Refused:
            return
        assert not known, "an order was accepted twice"
        self.done(host, outcome)
        accept: Any = outcome.send[0]
        if placed.requester not in self.by_key:
            key = next(key for key in self.adversaries if key.public == placed.requester)
            self.spoils.append((key, host, accept, None))

    def show(
        self,
        key: Keypair,
        host: Host,
        total: int,
        lines: list[Payment],
        cited: tuple[Sealed[Any] | None, ...],
    ) -> None:
        named = sum(line.amount for line in lines)
        value = Cheque(key.public, host.me, b"inc_____", max(total, named), tuple(lines))
        wire = seal(key, NETWORK, value).wire
        self.shown.append(wire)
        citations = tuple(statement.wire for statement in cited if statement)
        for proofs in ((), citations):
            try:
                outcome = host.books.take(key.public, Receipt(wire, b"", proofs), self.now)
            except (RemoteProtocolError, Refused):
                continue
            self.done(host, outcome)
