# SPDX-License-Identifier: MIT
"""A whole node loses power at any moment, and comes back as the same with the same accounts."""

from functools import partial
from pathlib import Path
from random import Random

import pytest
import trio

from protocol.order import Role
from simulations.node import MadeNode, MadeNodes
from tests.node.executor.virtual_time import in_virtual_time
from tests.node.whole_nodes import agreed, does, friends, is_joined, order, some_nodes

#: Each takes a second; the soak has many more of them.
SEEDS = [*range(5), *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(5, 60))]


async def _orders(one: MadeNode, other: MadeNode, enough: trio.Event) -> None:
    """Order one from another until it is enough, whatever becomes of it."""
    seed = 0
    while not enough.is_set():
        seed += 1
        if is_joined(one):
            await does(one, partial(order, one, other, 1, seed=seed, ttl_s=60))
        await trio.sleep(0.5)


async def _crash_and_come_back(nodes: MadeNodes, node: MadeNode, dice: Random) -> None:
    """Lose power after a moment, often while something is on its way; be there again later."""
    await trio.sleep(dice.choice([dice.uniform(0, 2), dice.uniform(0, 10)]))
    before = (node.readies[-1].peer, node.readies[-1].addresses)
    node.crash()
    await node.over.wait()
    await trio.sleep(dice.choice([0, 1, 30, 90]))
    await nodes.start(node.name)
    assert (node.readies[0].peer, node.readies[0].addresses) == before
    assert node.readies[0].network == "friends"


def _over(node: MadeNode) -> bool:
    """Whether no order is open any more, in either role."""
    return not any(node.member.orders.open_as(role) for role in Role)


@pytest.mark.parametrize("seed", SEEDS)
def test_crashes_at_any_moment_leave_both_with_the_same_accounts(tmp_path: Path, seed: int) -> None:
    dice = Random(seed)

    @in_virtual_time
    async def run() -> None:
        async with some_nodes(tmp_path) as nodes:
            ann, bob = await friends(nodes, "ann", "bob", commit_s=0.02)
            enough = trio.Event()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_orders, ann, bob, enough)
                nursery.start_soon(_orders, bob, ann, enough)
                for _ in range(2):
                    await _crash_and_come_back(nodes, dice.choice([ann, bob]), dice)
                await trio.sleep(5)
                enough.set()
            await trio.sleep(120)
            assert _over(ann)
            assert _over(bob)
            signed, _ = agreed(ann, bob)
            for each in (ann, bob):
                assert each.error is None
                assert each.member.accounts.stopped == ""
                assert not each.desk.ground.supervised.ailing()
            placed = await order(ann, bob, seed=1000)
            assert placed.acked
            assert agreed(ann, bob)[0] == signed + placed.price

    run()
