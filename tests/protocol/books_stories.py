# SPDX-License-Identifier: MIT
"""Sequences that chance alone would rarely draw, as single rules of the money machine."""

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.protocol.books_world import HONEST, PRICE, BooksWorld, Host


class BooksStories(BooksWorld):
    """Each story once was, or could be, the shape of a bug."""

    @rule(
        requester=HONEST,
        worker=HONEST,
        units=st.tuples(PRICE, PRICE),
        who=st.booleans(),
        meet=st.booleans(),
    )
    def a_backup_is_restored_between_two_shards(
        self, requester: int, worker: int, units: tuple[int, int], who: bool, meet: bool
    ) -> None:
        """The story in which a node that forgot what it signed would sign it again."""
        self.two_nodes_meet(requester, worker)
        number = requester if who else worker
        self.a_backup_is_made(number)
        self.a_shard_is_done_and_paid(requester, worker, 1, units[0])
        self.a_backup_is_restored(number)
        if meet:
            self.two_nodes_meet(requester, worker)
        self.a_shard_is_done_and_paid(requester, worker, 1, units[1])

    @rule(requester=HONEST, worker=HONEST, unit=PRICE)
    def two_cheques_overtake_each_other(self, requester: int, worker: int, unit: int) -> None:
        """One order is billed and paid in two parts; the second cheque arrives first."""
        if requester == worker:
            return
        one, other = self.hosts[requester], self.hosts[worker]
        placed = self.order(self.keys[requester], other, 2, unit, session=False)
        aside, self.flight = self.flight, []
        self.arrive(one.me, other.me, placed.sealed)
        for _ in range(2):
            if placed.sealed.id in other.books.account(one.me).claims:
                self.work_on(other, placed, 1)
                self.arrive(*self.flight.pop())  # the result; its cheque stays on the way
        for message in self.flight[::-1]:
            self.arrive(*message)
        self.flight = aside

    @rule(requester=HONEST, worker=HONEST, unit=PRICE)
    def a_refund_is_due_while_a_cheque_is_on_its_way(
        self, requester: int, worker: int, unit: int
    ) -> None:
        """The worker of one order owes for another, whose cheque was not acknowledged yet."""
        if requester == worker:
            return
        self.two_nodes_meet(requester, worker)
        self.a_shard_is_done_and_paid(requester, worker, 1, unit)
        one, other = self.hosts[requester], self.hosts[worker]
        placed = self.order(self.keys[worker], one, 1, unit, session=False)
        aside, self.flight = self.flight, []
        self.arrive(other.me, one.me, placed.sealed)
        if placed.sealed.id in one.books.account(other.me).claims:
            self.work_on(one, placed, 1)
            self.arrive(*self.flight.pop())
        self.flight = aside
        self.refund_all(other, one.me)

    @rule(requester=HONEST, worker=HONEST, unit=PRICE)
    def a_refund_is_forgotten_by_its_backup(self, requester: int, worker: int, unit: int) -> None:
        """A restored worker does not know that it gave the money back already."""
        if requester == worker:
            return
        self.two_nodes_meet(requester, worker)
        self.a_shard_is_done_and_paid(requester, worker, 1, unit)
        self.a_backup_is_made(worker)
        for _ in range(2):
            aside, self.flight = self.flight, []
            self.refund_all(self.hosts[worker], self.hosts[requester].me)
            self.all_messages_arrive_in_reverse()
            self.all_messages_arrive_in_reverse()
            self.flight = aside
            self.a_backup_is_restored(worker)
            self.two_nodes_meet(requester, worker)
            self.all_messages_arrive_in_reverse()

    @rule(requester=HONEST, worker=HONEST, unit=PRICE)
    def a_payment_is_refunded_and_then_forgotten_with_its_ack(
        self, requester: int, worker: int, unit: int
    ) -> None:
        """The requester pays once more, by citation, what the worker gave back already."""
        if requester == worker:
            return
        self.two_nodes_meet(requester, worker)
        one, other = self.hosts[requester], self.hosts[worker]
        aside, self.flight = self.flight, []
        placed = self.order(self.keys[requester], other, 1, unit, session=False)
        self.arrive(one.me, other.me, placed.sealed)
        if placed.sealed.id in other.books.account(one.me).claims:
            self.work_on(other, placed, 1)
            self.a_backup_is_made(worker)
            self.arrive(*self.flight.pop())  # the result; its cheque is on the way
            for message in self.flight[-1:]:
                self.arrive(*message)
            self.flight = []  # the ack is lost
            self.refund_all(other, one.me)
            self.all_messages_arrive_in_reverse()
            self.a_backup_is_restored(worker)
            self.two_nodes_meet(requester, worker)
            self.all_messages_arrive_in_reverse()
            self.refund_all(other, one.me)
            self.all_messages_arrive_in_reverse()
        self.flight = aside

    def refund_all(self, host: Host, peer: bytes) -> None:
        account = host.books.account(peer)
        for order, settled in account.settled.items():
            left = settled.due - settled.refunded
            if left:
                self.refund(host, peer, order, left)
