# SPDX-License-Identifier: MIT
"""The tables: strict, indexed for what is asked of them, and never changed once released."""

from collections.abc import Sequence
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from node.store.connection import Connection
from node.store.store import Cell
from node.store.tables import NETWORK, NODE

#: What released programs have made. A line is added for a new script; none is ever changed.
RELEASED: dict[str, list[str]] = {"node": [], "network": []}


def rows(migrations: tuple[str, ...], sql: str, parameters: Sequence[Cell] = ()) -> list[Any]:
    """Ask a new database."""
    with closing(Connection(Path("one.db"), name=":memory:")) as connection:
        connection.prepare(migrations)
        return connection.rows(sql, parameters)


@pytest.mark.parametrize("migrations", [NODE, NETWORK])
def test_all_tables_are_strict(migrations: tuple[str, ...]) -> None:
    tables = rows(migrations, "PRAGMA table_list")
    ours = {row[1]: row[5] for row in tables if not str(row[1]).startswith("sqlite_")}
    assert ours
    assert set(ours.values()) == {1}


@pytest.mark.parametrize(
    ("sql", "index"),
    [
        ("SELECT * FROM journal WHERE number > ? ORDER BY number LIMIT ?", "PRIMARY KEY"),
        ("SELECT * FROM orders WHERE id = ?", "autoindex"),
        ("SELECT * FROM orders WHERE peer = ? ORDER BY placed_s DESC LIMIT 10", "orders_by_peer"),
        ("SELECT * FROM orders WHERE state = ? ORDER BY updated_s", "orders_by_state"),
        ("SELECT * FROM orders ORDER BY placed_s DESC LIMIT 10", "orders_by_time"),
        ("SELECT * FROM peers WHERE key = ?", "autoindex"),
        ("SELECT * FROM peers ORDER BY last_s LIMIT 10", "peers_by_last"),
        ("SELECT * FROM adverts WHERE node = ?", "autoindex"),
        ("DELETE FROM bans WHERE until_s < ?", "bans_by_end"),
    ],
)
def test_a_question_to_a_table_that_grows_uses_an_index(sql: str, index: str) -> None:
    count = sql.count("?")
    parameters: list[Cell] = [1] * count
    plan = " ".join(str(row[3]) for row in rows(NETWORK, f"EXPLAIN QUERY PLAN {sql}", parameters))
    assert index in plan
    assert "TEMP B-TREE" not in plan


@pytest.mark.parametrize(("name", "migrations"), [("node", NODE), ("network", NETWORK)])
def test_a_script_that_was_released_is_never_changed(
    name: str, migrations: tuple[str, ...]
) -> None:
    known = RELEASED[name]
    assert [sha256(script.encode()).hexdigest() for script in migrations[: len(known)]] == known
