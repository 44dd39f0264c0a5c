# SPDX-License-Identifier: MIT
"""The program that forks nodes for the tests leaves each of them its own signals."""

import signal
from pathlib import Path

import pytest

from tests.e2e.forked import Spawner
from tests.e2e.nodes import nodes

pytestmark = pytest.mark.slow


def test_a_signal_right_after_the_fork_is_for_that_node_alone(
    tmp_path: Path, spawner: Spawner
) -> None:
    """The spawner once answered it in the child: status 1, and all other nodes were killed."""
    with nodes(tmp_path, 2, spawner=spawner) as (stays, one):
        stays.fork()
        for _ in range(8):
            one.fork()
            assert one.stop() in (0, -signal.SIGTERM)
            assert stays.runs, stays.tail()
