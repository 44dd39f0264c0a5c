# SPDX-License-Identifier: MIT
"""What a node remembers of itself comes back with its type, or is an error that names it."""

from pathlib import Path

import pytest

from node.errors import ConfigError
from node.store.settings import PAUSED_UNTIL_S, PORT, QUOTAS, WALL_S, get, put
from node.store.tables import NODE
from simulations.store import SimulatedStore


async def test_what_is_remembered_comes_back_with_its_type() -> None:
    async with SimulatedStore(Path()).open("node", NODE) as database:
        assert get(database, PORT) is None
        await database.write(
            [
                *put(PORT, 4001),
                *put(PAUSED_UNTIL_S, 1_800_000_000.125),
                *put(WALL_S, 1e-3),
                *put(QUOTAS, "été's; DROP"),
            ]
        )
        assert get(database, PORT) == 4001
        assert get(database, PAUSED_UNTIL_S) == 1_800_000_000.125
        assert get(database, WALL_S) == 1e-3
        assert get(database, QUOTAS) == "été's; DROP"


async def test_the_last_value_counts_and_none_forgets() -> None:
    async with SimulatedStore(Path()).open("node", NODE) as database:
        await database.write([*put(PORT, 1), *put(PORT, 2)])
        assert get(database, PORT) == 2
        await database.write(put(PORT, None))
        assert get(database, PORT) is None
        await database.write(put(PORT, None))


async def test_a_value_that_does_not_read_back_is_named() -> None:
    async with SimulatedStore(Path()).open("node", NODE) as database:
        await database.write([("INSERT INTO settings VALUES ('port', 'four')", ())])
        with pytest.raises(ConfigError, match="remembers 'four' as its port, which is none"):
            get(database, PORT)


def test_what_would_not_read_back_is_a_mistake() -> None:
    with pytest.raises((AssertionError, ValueError)):
        put(PORT, 1.5)  # type: ignore[misc]  # a port is a whole number
