# SPDX-License-Identifier: MIT
"""The processes that fork nodes for all tests with real ones. What a node is: `nodes`."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.e2e.forked import Spawner


@pytest.fixture(scope="session")
def spawner() -> Iterator[Spawner]:
    """Import what a node needs once, and not for each node again."""
    with closing(Spawner()) as found:
        yield found


@pytest.fixture(scope="session")
def hurried() -> Iterator[Spawner]:
    """Fork nodes whose adverts live shorter, and who are proven sooner."""
    with closing(Spawner("--hurry")) as found:
        yield found
