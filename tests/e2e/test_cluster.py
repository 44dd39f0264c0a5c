# SPDX-License-Identifier: MIT
"""Twenty real nodes in one network: who is there is known everywhere, whatever happens to some."""

import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from node.mesh.discovery import SAVE_S_MIN
from tests.e2e.forked import Spawner
from tests.e2e.nodes import Node, cluster, everybody, known_to, peers_of, until

pytestmark = pytest.mark.slow

#: Twenty nodes share the machine with whoever asks them all.
patiently = partial(until, within_s=300, every_s=1)


@pytest.fixture
def twenty(tmp_path: Path, hurried: Spawner) -> Iterator[list[Node]]:
    with cluster(tmp_path, 20, spawner=hurried) as made:
        yield made


def test_twenty_nodes_know_each_other_and_forget_the_dead(twenty: list[Node]) -> None:
    """One start of twenty nodes is dear: these promises are looked at one after another.

    Everybody's advert is everywhere. 30 % are killed at once, the one that all came in by among
    them: they leave every directory, and the rest stay one mesh. The killed ones return and are
    known everywhere again. A newcomer comes in although the node that it was invited by is dead.
    """
    wanted = everybody(twenty)
    took_s = patiently(lambda: all(knows(node, wanted) for node in twenty), "all know all")
    sys.stdout.write(f"\n20 nodes know each other after {took_s:.1f} s\n")
    # Who is killed before it has written down whom it knows has nobody but its bootstrap node.
    time.sleep(SAVE_S_MIN + 1)

    dead, living = twenty[:6], twenty[6:]
    for node in dead:
        node.kill()
    left = everybody(living)
    took_s = patiently(lambda: all(knows_only(node, left) for node in living), "the dead leave")
    sys.stdout.write(f"6 dead ones were forgotten everywhere after {took_s:.1f} s\n")
    assert all(peers_of(node) & left for node in living)

    for node in dead[1:]:  # the first one, whom all were invited by, stays dead
        node.fork()
    for node in dead[1:]:
        node.wait_ready()
    wanted = everybody(twenty[1:])
    took_s = patiently(lambda: all(knows(node, wanted) for node in twenty[1:]), "all are back")
    sys.stdout.write(f"5 that returned are known everywhere after {took_s:.1f} s\n")


def knows(node: Node, wanted: set[str]) -> bool:
    return known_to(node) >= wanted - {node.peer}


def knows_only(node: Node, wanted: set[str]) -> bool:
    return known_to(node) == wanted - {node.peer}
