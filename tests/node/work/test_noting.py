# SPDX-License-Identifier: MIT
"""How an order ended is noted on both sides, once, and as what it was."""

from pathlib import Path

import pytest
import trio

from protocol.errors import Refused
from protocol.reasons import Reason
from simulations.faults import late, wrong_values
from tests.node.executor.virtual_time import in_virtual_time
from tests.node.work.made_model import items
from tests.node.work.pair import World, a_world


async def place(world: World, seed: int = 0) -> None:
    ann, bob = world.ann, world.bob
    await ann.requester.place(bob.public, ann.model(), items(2, seed=seed), ttl_s=60)


@in_virtual_time
async def test_an_order_that_was_paid_ended_well_for_both(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await world.start()
        await place(world)
        assert world.ann.noted == [(world.bob.public, True)]
        assert world.bob.noted == [(world.ann.public, True)]
        world.part()
        world.meet()
        await trio.sleep(60)
        (row,) = world.bob.database.read("SELECT id FROM orders")
        order = row[0]
        assert isinstance(order, bytes)
        world.bob.working.paid(world.ann.public, [order])  # its cheque is shown again
        assert len(world.ann.noted) == len(world.bob.noted) == 1


@in_virtual_time
async def test_a_gift_ends_well_when_it_is_computed(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        world.bob.gift = "anyone"
        await world.start()
        await place(world)
        assert world.ann.noted == [(world.bob.public, True)]
        assert world.bob.noted == [(world.ann.public, True)]


@in_virtual_time
async def test_a_wrong_result_is_a_failure_of_the_order_on_both_sides(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        world.bob.faults = lambda _called: wrong_values()
        await world.start()
        await place(world)
        await trio.sleep(1)
        assert world.ann.noted == [(world.bob.public, False)]
        assert world.bob.noted == [(world.ann.public, False)]


@in_virtual_time
async def test_an_order_that_is_given_back_failed_for_its_requester_alone(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        world.bob.faults = lambda _called: late(1000)
        await world.start()
        async with trio.open_nursery() as nursery:

            async def ends() -> None:
                await trio.sleep(5)
                await world.bob.working.hand_back(Reason.SHUTTING_DOWN, 1.0)

            nursery.start_soon(ends)
            with pytest.raises(Refused, match="gave it back"):
                await place(world)
        assert world.ann.noted == [(world.bob.public, False)]
        assert world.bob.noted == []


@in_virtual_time
async def test_an_order_that_is_not_done_in_its_time_failed(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        world.bob.faults = lambda _called: late(1000)
        await world.start()
        with pytest.raises(Refused):
            await place(world)
        assert world.ann.noted == [(world.bob.public, False)]


@in_virtual_time
async def test_a_refusal_is_no_failure(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        world.bob.may_work = lambda: (Reason.PAUSED, "the owner is at work")
        await world.start()
        with pytest.raises(Refused):
            await place(world)
        assert world.ann.noted == world.bob.noted == []


@in_virtual_time
async def test_inputs_that_do_not_come_are_a_failure_of_the_requester(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await world.start()

        def crash_of_ann(node: object, what: str) -> None:
            if node is world.bob and what == "send":  # its accept
                world.on_step = None
                world.ann.crash()

        world.on_step = crash_of_ann
        await world.ann.does(lambda: place(world))
        await trio.sleep(400)
        assert world.bob.noted == [(world.ann.public, False)]
