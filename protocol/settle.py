# SPDX-License-Identifier: MIT
"""The acceptance rule of cheques and refunds: what a statement newly pays. Nothing is changed here.

Each part of the rule was earned by an attack: without the exact amount an underpaying
cheque released a whole hold; without the own signature an unsolicited one emptied the
bucket; without the memory of what is settled one accept paid again and again.
"""

from protocol.account import Account, Paid
from protocol.cheque import Cheque, Payment, RefundLine
from protocol.errors import CommonsError, Refused, RemoteProtocolError
from protocol.events import Progress, Refunded
from protocol.limits import SETTLED_KEEP_S
from protocol.reasons import Reason
from protocol.sealed import unseal
from protocol.statements import Accept, Result


def point_of(statement: Accept | Result) -> Progress:
    """Read the point of the price curve that a worker's statement fixes."""
    if isinstance(statement, Accept):
        return Progress(statement.order, statement.items, statement.price)
    return Progress(statement.order, statement.through, statement.due)


class Points:
    """The points that this node has signed for one peer: in its claims, or shown as citations.

    Citations are only read when a line needs them: checking 64 signatures costs 8 ms.
    """

    def __init__(
        self, network: bytes, me: bytes, peer: bytes, citations: tuple[bytes, ...], wall_s: float
    ) -> None:
        """Keep the citations unread."""
        self._network = network
        self._me = me
        self._peer = peer
        self._citations = citations
        self._wall_s = wall_s
        self._cited: dict[tuple[bytes, int], int] | None = None

    def wrong(self, reason: Reason, detail: str) -> CommonsError:
        """Make the error: without citations it may be these books that lack something."""
        kind = RemoteProtocolError if self._citations else Refused
        return kind(reason, detail)

    def due(self, account: Account, order: bytes, through: int) -> int:
        """Give what the first `through` items of an order cost in all."""
        claim = account.claims.get(order)
        if claim is not None and through in claim.points:
            return claim.points[through]
        if self._cited is None:
            self._cited = self._read()
        due = self._cited.get((order, through))
        if due is None:
            raise self.wrong(Reason.NOT_ORDERED, f"order {order.hex()} up to item {through}")
        return due

    def _read(self) -> dict[tuple[bytes, int], int]:
        cited = {}
        for wire in self._citations:
            statement = unseal(wire, self._network, Accept, Result).value
            if statement.worker != self._me or statement.requester != self._peer:
                raise RemoteProtocolError(Reason.WRONG_PARTY, "a citation is between other nodes")
            dated_s = (
                statement.accepted_at_s if isinstance(statement, Accept) else statement.issued_at_s
            )
            if dated_s < self._wall_s - SETTLED_KEEP_S:
                raise RemoteProtocolError(Reason.TOO_OLD, f"a citation is dated {dated_s}")
            point = point_of(statement)
            cited[point.order, point.through] = point.due
        return cited

    def paid_by_me(self, order: bytes) -> Paid | None:
        """Read from my own cited cheques what I paid for an order, if these books forgot it."""
        amount = through = 0
        for wire in self._citations:
            cheque = unseal(wire, self._network, Cheque).value
            if cheque.debtor != self._me or cheque.creditor != self._peer:
                raise RemoteProtocolError(Reason.WRONG_PARTY, "a citation is between other nodes")
            lines = [line for line in cheque.payments if line.order == order]
            amount = max(amount, sum(line.amount for line in lines))
            through = max([through, *(line.through for line in lines)])
        return Paid(through, amount) if amount else None


def newly_paid(
    account: Account, payments: tuple[Payment, ...], rise: int, points: Points
) -> tuple[Progress, ...]:
    """Give how far each order is paid after this cheque, or raise RemoteProtocolError."""
    reached: dict[bytes, Progress] = {}
    total = 0
    for line in payments:
        settled = account.settled.get(line.order, Paid(0, 0))
        before = reached.get(line.order, Progress(line.order, settled.through, settled.due))
        if line.through <= before.through:
            continue
        due = points.due(account, line.order, line.through)
        if line.amount != due - before.due:
            detail = f"pays {line.amount} where {due - before.due} is due"
            raise RemoteProtocolError(Reason.WRONG_AMOUNT, detail)
        reached[line.order] = Progress(line.order, line.through, due)
        total += line.amount
    if total != rise:
        raise RemoteProtocolError(Reason.WRONG_AMOUNT, f"rises by {rise}, newly pays {total}")
    return tuple(reached.values())


def newly_refunded(
    account: Account, refunds: tuple[RefundLine, ...], rise: int, points: Points
) -> tuple[Refunded, ...]:
    """Give how much of each order was refunded after this statement, or raise RemoteProtocolError.

    Refunds are restated like payments; the newest lines that sum to the rise are the new ones.
    """
    new: list[RefundLine] = []
    left = rise
    for line in reversed(refunds):
        if left <= 0:
            break
        new.append(line)
        left -= line.amount
    if left:
        raise RemoteProtocolError(
            Reason.WRONG_AMOUNT, f"rises by {rise}, its lines do not sum to that"
        )
    reached: dict[bytes, Refunded] = {}
    for line in reversed(new):
        before = reached.get(line.order) or _known(account, line.order, points)
        refunded = before.refunded + line.amount
        if refunded > before.due:
            raise points.wrong(Reason.REFUND_TOO_HIGH, f"{refunded} of {before.due}")
        reached[line.order] = Refunded(line.order, before.through, before.due, refunded)
    return tuple(reached.values())


def _known(account: Account, order: bytes, points: Points) -> Refunded:
    """Give what was paid for an order, by the books or by a cited cheque, whichever is more."""
    booked = account.paid.get(order, Paid(0, 0))
    shown = points.paid_by_me(order) or booked
    best = shown if shown.due > booked.due else booked
    if not best.due:
        raise points.wrong(Reason.NOT_ORDERED, f"refund of order {order.hex()}")
    return Refunded(order, best.through, best.due, booked.refunded)
