# SPDX-License-Identifier: MIT
"""The node that all came in by dies for ever: others come in and come back without it."""

import time
from functools import partial
from pathlib import Path

import pytest

from protocol.invite import parse_invite
from tests.e2e.forked import Spawner
from tests.e2e.nodes import Node, cluster, everybody, known_to, nodes, peers_of, until

pytestmark = pytest.mark.slow


def test_a_mesh_outlives_the_node_that_all_came_in_by(tmp_path: Path, hurried: Spawner) -> None:
    """A newcomer comes in through the invite of a member.

    And when all have been stopped, who knows no living bootstrap node returns by its cache.
    """
    with cluster(tmp_path / "made", 4, spawner=hurried) as made:
        founder, *rest = made
        wanted = everybody(made)
        until(lambda: all(knows(each, wanted) for each in made), "all know all")
        until(lambda: leads_to_others(founder), "its neighbours have stayed for a while")
        old_invite = founder.commons("invite").strip()
        # What they know is written down soon after the start, and at the end.
        founder.kill()
        until(
            lambda: not any(founder.peer in peers_of(each) for each in rest),
            "it is gone",
        )

        with nodes(tmp_path / "new", 2, spawner=founder.spawner) as (newcomer, late):
            newcomer.enter(rest[-1].commons("invite").strip())
            newcomer.fork().wait_ready()
            wanted = everybody([*rest, newcomer])
            until(lambda: known_to(newcomer) >= wanted - {newcomer.peer}, newcomer.tail())
            until(
                lambda: all(newcomer.peer in known_to(each) for each in rest),
                "it is known",
            )

            # The founder's own invite names others besides, so it outlives its writer.
            late.enter(old_invite)
            late.fork().wait_ready()
            until(lambda: peers_of(late), f"an invite of the dead lets in: {late.tail()}")

            every = [*rest, newcomer, late]
            for each in every:
                each.stop()
            for each in every:
                each.fork()
            for each in every:
                each.wait_ready()
            wanted = everybody(every)
            for each in every:
                until(partial(knows, each, wanted), f"all are back: {each.tail()}")
            assert not founder.runs


def knows(node: Node, wanted: set[str]) -> bool:
    return known_to(node) >= wanted - {node.peer}


def leads_to_others(node: Node) -> bool:
    """Whether a node's invite has other ways in than itself."""
    invite = parse_invite(node.commons("invite").strip(), time.time())
    return any(node.peer not in each for each in invite.bootstrap)
