# SPDX-License-Identifier: MIT
"""Whole nodes over links that take time, and that break: they meet, work, part and meet again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest
import trio

from simulations.links import DSL, INTERCONTINENTAL, MOBILE, SATELLITE, Access
from simulations.node import MadeNode, MadeNodes, made_nodes
from simulations.transport import Net
from simulations.wire import Wire
from tests.node.executor.virtual_time import in_virtual_time
from tests.node.whole_nodes import agreed, friends, knows_all, order, until


@asynccontextmanager
async def linked_nodes(
    folder: Path, access: Access = DSL, seed: int = 0
) -> AsyncIterator[MadeNodes]:
    """Nodes at homes with this access, on two continents in turn."""
    wire = Wire()
    net = Net(wire=wire, dice=lambda purpose: Random(f"{seed} {purpose}"))
    hosts = [f"10.0.0.{number}" for number in range(1, 10)]
    for each in hosts:
        net.set_access(each, access)
    net.set_group("europe", hosts[::2])
    net.set_group("america", hosts[1::2])
    net.set_distance("europe", "america", INTERCONTINENTAL)
    with trio.fail_after(86_400):
        async with trio.open_nursery() as tasks, made_nodes(net, folder) as nodes:
            tasks.start_soon(wire.run)
            yield nodes
            tasks.cancel_scope.cancel()


def are_met(one: MadeNode, other: MadeNode) -> bool:
    """Whether each is a peer of the other one."""
    return other.key in one.member.mesh.peers and one.key in other.member.mesh.peers


def have_parted(one: MadeNode, other: MadeNode) -> bool:
    """Whether neither thinks that the other one is there."""
    return other.key not in one.member.mesh.peers and one.key not in other.member.mesh.peers


@pytest.mark.parametrize("access", [DSL, MOBILE, SATELLITE], ids=lambda each: each.name)
@in_virtual_time
async def test_friends_on_two_continents_place_an_order(tmp_path: Path, access: Access) -> None:
    async with linked_nodes(tmp_path, access) as nodes:
        made = await friends(nodes, "ann", "bob", "cas")
        for requester, worker in (made[:2], made[1:]):
            placed = await order(requester, worker)
            assert (placed.wrong, placed.acked) == (None, True)
            assert agreed(requester, worker) == (placed.price, 0)


@pytest.mark.parametrize("is_ann", [True, False])
@in_virtual_time
async def test_who_is_not_heard_is_given_up_by_both_and_met_again(
    tmp_path: Path, is_ann: bool
) -> None:
    async with linked_nodes(tmp_path) as nodes:
        ann, bob, cas = made = await friends(nodes, "ann", "bob", "cas")
        await until(lambda: are_met(ann, bob))
        mute, other = (ann, bob) if is_ann else (bob, ann)
        wall = nodes.net.partition([mute.address], [other.address], one_way=True)
        took_s = await until(lambda: have_parted(ann, bob), within_s=180)
        assert took_s > 1
        assert are_met(ann, cas) or are_met(bob, cas)
        await trio.sleep(600)
        assert have_parted(ann, bob)
        wall.lift()
        await until(lambda: are_met(ann, bob), within_s=900)
        await until(lambda: all(knows_all(each, made) for each in made))
        placed = await order(ann, bob)
        assert (placed.wrong, placed.acked) == (None, True)
        assert agreed(ann, bob) == (placed.price, 0)


@in_virtual_time
async def test_a_short_cut_parts_nobody(tmp_path: Path) -> None:
    async with linked_nodes(tmp_path) as nodes:
        ann, bob = await friends(nodes, "ann", "bob")
        await until(lambda: are_met(ann, bob))
        wall = nodes.net.partition([ann.address])
        await trio.sleep(5)
        wall.lift()
        for _ in range(60):
            await trio.sleep(1)
            assert are_met(ann, bob)


@in_virtual_time
async def test_who_loses_power_is_given_up_though_nobody_is_told(tmp_path: Path) -> None:
    async with linked_nodes(tmp_path) as nodes:
        ann, bob = await friends(nodes, "ann", "bob")
        await until(lambda: are_met(ann, bob))
        nodes.net.switch_off(bob.address)
        bob.crash()
        await bob.over.wait()
        assert bob.key in ann.member.mesh.peers
        await until(lambda: bob.key not in ann.member.mesh.peers, within_s=180)
        nodes.net.switch_on(bob.address)
        await nodes.start("bob")
        await until(lambda: are_met(ann, bob), within_s=900)
        placed = await order(ann, bob)
        assert (placed.wrong, placed.acked) == (None, True)
