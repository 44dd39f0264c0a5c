# SPDX-License-Identifier: MIT
"""The pair of nodes of an open network that most attacks are made on; it outlives them all.

No longer: its client measures all the time, which other tests would have to pay for.
"""

from collections.abc import Iterator

import pytest

from tests.e2e.adversaries.victim import Victim, victim
from tests.e2e.forked import Spawner


@pytest.fixture(scope="package")
def besieged(tmp_path_factory: pytest.TempPathFactory, spawner: Spawner) -> Iterator[Victim]:
    """Start once; whoever attacks next finds what the last one has left."""
    with victim(tmp_path_factory.mktemp("besieged"), spawner) as made:
        yield made
