# SPDX-License-Identifier: MIT
"""A machine that sleeps for ten minutes: what its node finds when it wakes, and what it does."""

from pathlib import Path

import trio

from node.mesh.control import PING_S, PONG_S
from node.work.placed import Placed
from protocol.errors import Refused
from protocol.order import Role
from protocol.reasons import Reason
from simulations.determinism import run_in_virtual_time
from simulations.node import MadeNode
from tests.node.executor.virtual_time import in_virtual_time
from tests.node.whole_nodes import (
    agreed,
    friends,
    is_joined,
    knows_all,
    order,
    ordering,
    slow,
    some_nodes,
    until,
)

ASLEEP_S = 600.0


def is_met(one: MadeNode, other: MadeNode) -> bool:
    return one.key in other.member.mesh.peers and other.key in one.member.mesh.peers


@in_virtual_time
async def test_nothing_of_a_sleeping_node_runs(tmp_path: Path) -> None:
    async with some_nodes(tmp_path) as nodes:
        ann, bob = await friends(nodes, "ann", "bob")
        bob.suspend()
        looks, commits, sent = bob.host.looks, bob.store.commits, len(bob.host.notified)
        bob.desk.stop()  # who calls its objects wakes its tasks, and they do not run
        await trio.sleep(ASLEEP_S)
        assert (bob.host.looks, bob.store.commits, len(bob.host.notified)) == (looks, commits, sent)
        assert (bob.state, bob.is_up, bob.is_living) == ("suspended", False, True)
        assert ann.is_up
        bob.resume()
        await until(lambda: not bob.is_living, 60)
        assert (bob.error, bob.failures, bob.suspends) == (None, [], 1)


@in_virtual_time
async def test_a_laptop_that_slept_finds_its_connections_dead_and_comes_back(
    tmp_path: Path,
) -> None:
    async with some_nodes(tmp_path) as nodes:
        made = await friends(nodes, "ann", "bob", "cas")
        ann, bob, cas = made
        before = bob.clock.now()
        bob.suspend()
        await until(lambda: bob.key not in ann.member.mesh.peers, PING_S + PONG_S + 1)
        await until(lambda: bob.key not in cas.member.mesh.peers, PING_S + PONG_S + 1)
        await trio.sleep(ASLEEP_S)
        bob.resume()
        after = bob.clock.now()
        assert after.mono_s - before.mono_s > ASLEEP_S  # as CLOCK_BOOTTIME does
        await until(lambda: is_met(bob, ann) or is_met(bob, cas), 60)
        await until(lambda: all(knows_all(each, made) for each in made), 120)
        assert await until(lambda: bob.desk.ground.governing.may_work()[0] is None) < 120
        assert (await order(ann, bob)).acked
        assert all(each.failures == [] for each in made)


@in_virtual_time
async def test_adverts_that_ended_while_a_laptop_slept_are_forgotten_and_made_anew(
    tmp_path: Path,
) -> None:
    async with some_nodes(tmp_path) as nodes:
        made = await friends(nodes, "ann", "bob")
        ann, bob = made
        before_s = ann.clock.now().wall_s
        bob.suspend()
        await trio.sleep(3 * 3600)
        assert ann.member.viewing.adverts() == []
        bob.resume()
        await until(lambda: all(knows_all(each, made) for each in made), 900)
        for each in made:
            (known,) = each.member.viewing.adverts()
            assert known.advert.issued_at_s > before_s + 2 * 3600


@in_virtual_time
async def test_an_order_whose_worker_slept_through_its_end_is_over_for_both(tmp_path: Path) -> None:
    async with some_nodes(tmp_path) as nodes:
        ann, bob = await friends(nodes, "ann", "bob", faults=slow("bob", 10.0))
        async with ordering(ann, bob) as told:
            await trio.sleep(5)
            bob.suspend()
            await trio.sleep(ASLEEP_S)
            bob.resume()
            await until(lambda: bool(told), 600)
        assert isinstance(told[0], Refused)
        await until(lambda: is_joined(bob) and is_met(ann, bob), 120)
        await trio.sleep(120)
        for each, role in ((ann, Role.REQUESTER), (bob, Role.WORKER)):
            assert each.member.orders.open_as(role) == []
            assert each.failures == []
        assert agreed(ann, bob) == (0, 0)
        assert (await order(ann, bob, seed=1)).acked


@in_virtual_time
async def test_a_requester_that_slept_gets_what_was_computed_meanwhile_or_a_reason(
    tmp_path: Path,
) -> None:
    async with some_nodes(tmp_path) as nodes:
        ann, bob = await friends(nodes, "ann", "bob", faults=slow("bob", 10.0))
        told: list[object] = []

        async def place() -> None:
            told.append(await ann.does(lambda: order(ann, bob, ttl_s=3600)))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(place)
            await trio.sleep(5)
            ann.suspend()
            await trio.sleep(ASLEEP_S)
            assert told == []
            ann.resume()
            await until(lambda: bool(told), 600)
        (placed,) = told
        assert isinstance(placed, Placed), placed
        assert agreed(ann, bob) == (placed.price, 0)


@in_virtual_time
async def test_a_governor_sees_that_nobody_looked_for_a_while(tmp_path: Path) -> None:
    async with some_nodes(tmp_path) as nodes:
        _ann, bob = await friends(nodes, "ann", "bob")
        bob.suspend()
        assert bob.desk.ground.governing.may_work()[0] is None
        await trio.sleep(ASLEEP_S)
        bob.resume()
        assert bob.desk.ground.governing.may_work()[0] is Reason.SENSORS_SILENT
        assert await until(lambda: bob.desk.ground.governing.may_work()[0] is None) < 120


@in_virtual_time
async def test_a_world_ends_with_machines_asleep(tmp_path: Path) -> None:
    async with some_nodes(tmp_path) as nodes:
        ann, bob = await friends(nodes, "ann", "bob")
        ann.suspend()
        bob.suspend()
        bob.crash()
        await bob.over.wait()
        assert bob.error is None
        assert bob.state == "down"
        await nodes.start("bob")
        await trio.sleep(60)
        bob.suspend()
    assert ann.state == bob.state == "down"


def test_the_same_seed_gives_the_same_life_with_its_sleeps_and_crashes(tmp_path: Path) -> None:
    async def lives(folder: Path) -> list[object]:
        told: list[object] = []
        async with some_nodes(folder) as nodes:
            ann, bob = made = await friends(nodes, "ann", "bob", faults=slow("bob", 3.0))
            async with ordering(ann, bob):
                await trio.sleep(2)
                bob.suspend()
                await trio.sleep(90)
                bob.resume()
                await trio.sleep(30)
            ann.crash()
            await nodes.start("ann")
            await trio.sleep(120)
            for each in made:
                told += [each.key, each.starts, each.store.commits, each.store.size_bytes]
                told += [one.as_document() for one in each.desk.happenings.since(0)]
                told += map(str, each.said.lines)
        return told

    one, two = (run_in_virtual_time("1", lives, tmp_path / name) for name in ("a", "another"))
    assert one == two
    assert len(one) > 20
