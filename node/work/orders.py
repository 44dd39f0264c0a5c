# SPDX-License-Identifier: MIT
"""The orders of this node as rows: where each one stands, and the statements that prove it.

What is in a row joins the commits of the accounts. Inputs and outputs are in `results`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from node.clock import Clock
from node.store.store import Database, Statement
from protocol.errors import CommonsError
from protocol.order import Role, State
from protocol.sealed import Sealed
from protocol.statements import Order

#: States in which nothing more happens by itself; such rows are for people to look at.
ENDED = (State.SETTLED, State.REFUSED, State.LAPSED, State.CANCELLED, State.FORFEIT)

#: Ended orders are shown for a month; what was paid is in the journal for longer.
KEPT_S = 30 * 86_400.0

#: Later than any time that a clock tells.
FOR_EVER_S = 1e18

# A statement has fewer marks than SQLite takes.
_ASKED_MAX = 500

_COLUMNS = "id, role, peer, state, order_wire, accept_wire, result_wire"


@dataclass(frozen=True, slots=True)
class Row:
    """An order as it was written down."""

    id: bytes
    role: Role
    peer: bytes
    state: State
    order: bytes
    accept: bytes
    result: bytes


class Orders:
    """Reads and words the rows; the accounts write them."""

    def __init__(self, database: Database, clock: Clock) -> None:
        """Look into this database."""
        self._database = database
        self._clock = clock

    def placed(self, role: Role, order: Sealed[Order], state: State) -> Statement:
        """Word a new row."""
        value = order.value
        peer = value.worker if role is Role.REQUESTER else value.requester
        now_s = self._clock.now().wall_s
        return (
            (
                "INSERT OR REPLACE INTO orders (id, role, peer, state, model, items, price,"
                " placed_s, updated_s, order_wire) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            ),
            (
                *(order.id, role.value, peer, state.value, value.model, value.items),
                *(value.price, now_s, now_s, order.wire),
            ),
        )

    def stands(
        self,
        order: bytes,
        state: State,
        *,
        accept: bytes | None = None,
        result: bytes | None = None,
        error: CommonsError | None = None,
    ) -> Statement:
        """Word where an order stands now, and what it has since."""
        return (
            (
                "UPDATE orders SET state = ?, updated_s = ?,"
                " accept_wire = coalesce(?, accept_wire),"
                " result_wire = coalesce(?, result_wire), reason = coalesce(?, reason),"
                " detail = coalesce(?, detail) WHERE id = ?"
            ),
            (
                *(state.value, self._clock.now().wall_s, accept, result),
                error.reason.value if error else None,
                error.detail[:200] if error else None,
                order,
            ),
        )

    def find(self, order: bytes, role: Role) -> Row | None:
        """Give one of them."""
        sql = f"SELECT {_COLUMNS} FROM orders WHERE id = ? AND role = ?"  # noqa: S608 - columns of ours
        rows = self._database.read(sql, (order, role.value))
        return _row(rows[0]) if rows else None

    def open_as(self, role: Role, before_s: float = FOR_EVER_S) -> list[Row]:
        """Give those of a role that have not ended, and that nothing happened to since then."""
        marks = ", ".join("?" * len(ENDED))
        sql = (
            f"SELECT {_COLUMNS} FROM orders WHERE role = ?"  # noqa: S608 - columns of ours
            f" AND state NOT IN ({marks}) AND updated_s < ?"
        )
        ended = [each.value for each in ENDED]
        return [_row(each) for each in self._database.read(sql, (role.value, *ended, before_s))]

    def open_with(self, peer: bytes, role: Role) -> list[Row]:
        """Give those with a peer that have not ended."""
        marks = ", ".join("?" * len(ENDED))
        sql = (
            f"SELECT {_COLUMNS} FROM orders WHERE peer = ? AND role = ?"  # noqa: S608 - columns of ours
            f" AND state NOT IN ({marks}) ORDER BY placed_s LIMIT 256"
        )
        ended = [each.value for each in ENDED]
        return [_row(each) for each in self._database.read(sql, (peer, role.value, *ended))]

    def models_open(self, role: Role) -> set[bytes]:
        """Name the models of those of a role that have not ended."""
        marks = ", ".join("?" * len(ENDED))
        sql = f"SELECT DISTINCT model FROM orders WHERE role = ? AND state NOT IN ({marks})"  # noqa: S608 - marks alone
        ended = [each.value for each in ENDED]
        return {cast("bytes", row[0]) for row in self._database.read(sql, (role.value, *ended))}

    def known(self, orders: Sequence[bytes]) -> set[bytes]:
        """Give those of these that there are rows of."""
        found: set[bytes] = set()
        for begin in range(0, len(orders), _ASKED_MAX):
            some = orders[begin : begin + _ASKED_MAX]
            sql = f"SELECT id FROM orders WHERE id IN ({', '.join('?' * len(some))})"  # noqa: S608 - marks alone
            found |= {cast("bytes", row[0]) for row in self._database.read(sql, some)}
        return found

    def counts(self, role: Role, since_s: float) -> dict[State, int]:
        """Count the orders that were placed since then, by where they stand."""
        rows = self._database.read(
            "SELECT state, count(*) FROM orders WHERE role = ? AND placed_s >= ? GROUP BY state",
            (role.value, since_s),
        )
        return {State(str(state)): cast("int", count) for state, count in rows}

    def forget(self) -> tuple[list[bytes], Statement]:
        """Find what ended long ago; give its orders, and the word that removes them."""
        before_s = self._clock.now().wall_s - KEPT_S
        marks = ", ".join("?" * len(ENDED))
        where = f"state IN ({marks}) AND updated_s < ?"
        cells = [*(each.value for each in ENDED), before_s]
        rows = self._database.read(f"SELECT id FROM orders WHERE {where}", cells)  # noqa: S608 - marks alone
        return [cast("bytes", row[0]) for row in rows], (f"DELETE FROM orders WHERE {where}", cells)  # noqa: S608 - marks alone


def _row(cells: tuple[object, ...]) -> Row:
    order, role, peer, state, wire, accept, result = cast(
        "tuple[bytes, str, bytes, str, bytes, bytes | None, bytes | None]", cells
    )
    return Row(order, Role(role), peer, State(state), wire, accept or b"", result or b"")
