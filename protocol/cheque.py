# SPDX-License-Identifier: MIT
"""What two nodes sign when money moves: cheques, refunds and their acks. The rules are in `settle`.

A cheque holds one running total for each direction between two nodes. It never falls, so
of two cheques the higher one is the newer, and merging two books is taking the maximum.
"""

from typing import Annotated

from protocol.canon import (
    BytesCodec,
    Digest,
    Incarnation,
    Key,
    Message,
    Row,
    UintCodec,
    message,
    row,
    rows_of,
    values_of,
)
from protocol.limits import (
    PAYMENTS_PER_CHEQUE_MAX,
    RECEIPT_BYTES_MAX,
    REFUNDS_MAX,
    STATEMENT_BYTES_MAX,
)
from protocol.sealed import PairStatement
from protocol.statements import Price


@row
class Payment(Row):
    """One line of a cheque: `amount` brings the order's paid items up to `through`."""

    order: Digest
    through: Annotated[int, UintCodec(1)]
    amount: Price


@message("cheque")
class Cheque(PairStatement):
    """The debtor's word: "in all, I have owed you `total`", and what the latest rise pays for.

    The lines restate everything since the last acknowledged total, oldest first, so a
    cheque that was lost or refused never blocks the next one.
    """

    debtor: Key
    creditor: Key
    incarnation: Incarnation
    total: Annotated[int, UintCodec(1)]
    payments: Annotated[tuple[Payment, ...], rows_of(Payment, 1, PAYMENTS_PER_CHEQUE_MAX)]

    def broken_rule(self) -> str:
        """Totals are cumulative: they cover at least what is named."""
        return PairStatement.broken_rule(self) or _covers(self.total, self.payments)


@row
class RefundLine(Row):
    """One line of a refund: `amount` of what the creditor once paid for the order goes back."""

    order: Digest
    amount: Price


@message("refund")
class Refund(PairStatement):
    """A worker gives back what it was paid for bad work, on the same total as its cheques."""

    debtor: Key
    creditor: Key
    incarnation: Incarnation
    total: Annotated[int, UintCodec(1)]
    refunds: Annotated[tuple[RefundLine, ...], rows_of(RefundLine, 1, REFUNDS_MAX)]

    def broken_rule(self) -> str:
        """Totals are cumulative: they cover at least what is named."""
        return PairStatement.broken_rule(self) or _covers(self.total, self.refunds)


@message("ack")
class Ack(PairStatement):
    """The creditor has stored a cheque or refund: together the two are a receipt."""

    creditor: Key
    debtor: Key
    incarnation: Incarnation
    statement: Digest
    total: Annotated[int, UintCodec(1)]


_Wire = BytesCodec(65, STATEMENT_BYTES_MAX + 64)


@message("receipt", most=RECEIPT_BYTES_MAX)
class Receipt(Message):
    """A cheque or refund with what proves it: the creditor's ack, or statements that it cites.

    The citations are the creditor's own accepts and results (for a refund, its own cheques):
    a creditor that lost its books believes its own signature.
    """

    statement: Annotated[bytes, _Wire]
    ack: Annotated[bytes, BytesCodec(65, 512, or_empty=True)]
    citations: Annotated[tuple[bytes, ...], values_of(_Wire, 0, PAYMENTS_PER_CHEQUE_MAX)]


def _covers(total: int, lines: tuple[Payment, ...] | tuple[RefundLine, ...]) -> str:
    named = sum(line.amount for line in lines)
    return "" if named <= total else f"names {named} but totals {total}"
