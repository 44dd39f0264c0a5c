# SPDX-License-Identifier: MIT
"""The one process that forks nodes for all tests with real processes. What a node is: `nodes`."""

from collections.abc import Iterator

import pytest

from tests.e2e.forked import Spawner


@pytest.fixture(scope="session")
def spawner() -> Iterator[Spawner]:
    """Import what a node needs once, and not for each node again."""
    found = Spawner()
    yield found
    found.close()
