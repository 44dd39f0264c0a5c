# SPDX-License-Identifier: MIT
"""A stateful machine over money and budget: three honest nodes and an unlimited adversary.

After every step the invariants of the ledger are checked against what really happened,
which the world keeps beside the books. Their numbers are those of `docs/design/ledger.md`.
"""

from hypothesis.stateful import invariant, rule

from protocol.cheque import Cheque, Refund
from protocol.sealed import unseal
from tests.protocol.books_adversary import BooksAdversary
from tests.protocol.books_world import NETWORK, RULES


class BooksMachine(BooksAdversary):
    """The world, the adversary, and what must always hold."""

    @invariant()
    def the_budget_is_never_overdrawn(self) -> None:
        """I5: tokens plus what is lent never exceed the bucket and its refill."""
        for host in self.hosts:
            tokens = host.books.bucket.tokens
            lent = sum(account.exposure().lent_cu for account in host.books.accounts.values())
            assert 0 <= tokens <= RULES.size_cu
            assert tokens + lent <= RULES.size_cu + RULES.refill_cu_per_s * self.now.mono_s

    @invariant()
    def no_number_of_keys_takes_more_than_the_bound(self) -> None:
        """I8: however many identities there are, what they take is bounded by one budget."""
        for host in self.hosts:
            bound = RULES.size_cu * (1 + host.restores) + RULES.refill_cu_per_s * self.now.mono_s
            assert self.loot[host.me] <= bound, (self.loot[host.me], bound)

    @invariant()
    def totals_only_rise(self) -> None:
        """I3: as long as a node keeps its memory, no total of it ever falls."""
        for host in self.hosts:
            for peer, account in host.books.accounts.items():
                for side, total in (("held", account.held_total), ("signed", account.signed_total)):
                    key = (host.me, peer, side)
                    if host.restores or self.by_key.get(peer, host).restores:
                        continue  # a cheque may be withdrawn where somebody forgot
                    assert total >= self.totals.get(key, 0)
                    self.totals[key] = total
                unacked = sum(line.amount for line in account.lines)
                assert account.signed_total - account.acked_total == unacked

    @invariant()
    def every_order_is_paid_once_and_by_its_price(self) -> None:
        """I4: a total is the sum of what its orders cost, at points that the worker signed."""
        for host in self.hosts:
            for peer, account in host.books.accounts.items():
                if account.held_wire and (host.me, peer, account.held_wire) not in self.looked_at:
                    self.looked_at.add((host.me, peer, account.held_wire))
                    held = unseal(account.held_wire, NETWORK, Cheque, Refund).value
                    assert (held.debtor, held.creditor) == (peer, host.me), "between others"
                if peer in self.by_key and account.held_wire:
                    assert account.held_wire in self.genuine, "credited what nobody signed"
                for order, settled in account.settled.items():
                    point = (peer, order, settled.through, settled.due)
                    assert host.restores or point in self.truth[host.me], (
                        "paid for what was never sold"
                    )
                if not host.restores:
                    back = sum(paid.refunded for paid in account.paid.values())
                    paid_due = sum(settled.due for settled in account.settled.values())
                    assert account.held_total == paid_due + back
                for order, paid in account.paid.items():
                    assert paid.refunded <= self.bought.get((host.me, order), 0), (
                        "refunded too much"
                    )

    @rule()
    def the_journal_is_replayed(self) -> None:
        """I1: the books are the fold of their journal."""
        for host in self.hosts:
            again = self.make_books(self.keys[host.number])
            for event in host.journal:
                again.apply(event)
            again.bucket.refill(self.now.mono_s)
            host.books.bucket.refill(self.now.mono_s)
            assert again.accounts == host.books.accounts
            assert again.bucket.tokens == host.books.bucket.tokens
            assert again.seen == host.books.seen

    @rule()
    def everybody_syncs(self) -> None:
        """I2 and I6: after hello, both sides of every honest pair hold the same two integers."""
        for _ in range(3):
            for one in self.hosts:
                for other in self.hosts[: one.number]:
                    before = len(self.flight)
                    self.greet(one, other)
                    while len(self.flight) > before:
                        self.arrive(*self.flight.pop(before))
        balance = 0
        for one in self.hosts:
            for other in self.hosts:
                if one is not other:
                    mine, theirs = one.books.account(other.me), other.books.account(one.me)
                    if (other.me, one.me) in self.stuck or (one.me, other.me) in self.stuck:
                        continue
                    assert mine.held_total == theirs.signed_total == theirs.acked_total
                    balance += mine.held_total - mine.signed_total
        assert balance == 0

    def teardown(self) -> None:
        self.everybody_syncs()
        self.the_journal_is_replayed()
