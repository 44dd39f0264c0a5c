# SPDX-License-Identifier: MIT
"""Whatever is lost, and at whatever step: both books come to agree, and work goes on."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
import trio

from node.store.store import Statement
from node.work.placed import Placed
from node.work.wires import WORK
from protocol.errors import CommonsError
from protocol.statements import Accept
from tests.node.executor.virtual_time import in_virtual_time
from tests.node.work.made_model import items
from tests.node.work.pair import Node, World, a_world
from tests.node.work.rogues import RogueRequester

#: All steps of a whole order on either side, and a few more; a test says when this is not so.
SENDS, STEPS = range(1, 9), range(1, 40)

Happens = Callable[[Node], None]


def at(world: World, number: int, whom: Callable[[Node, str], bool], happens: Happens) -> list[int]:
    """Let something happen at the how many-th step that is looked at; give the count."""
    count = [0]

    def on_step(node: Node, what: str) -> None:
        if not whom(node, what):
            return
        count[0] += 1
        if count[0] == number:
            happens(node)

    world.on_step = on_step
    return count


async def order(world: World, seed: int = 0) -> Placed | Exception | None:
    ann, bob = world.ann, world.bob
    return await ann.does(
        lambda: ann.requester.place(bob.public, ann.model(), items(2, seed=seed), ttl_s=300)
    )


async def come_back(world: World) -> None:
    """Start who is down, and let both meet."""
    world.on_step = None
    for node in (world.ann, world.bob):
        if not node.is_up:
            await node.down.wait()
            await world.start(node)
    world.part()
    world.meet()
    await trio.sleep(700)


async def all_is_well(world: World) -> None:
    """The books agree, nobody is blamed or blocked, and the next order is computed and paid."""
    before, _ = await world.agree()
    placed = await order(world, seed=1)
    assert isinstance(placed, Placed), placed
    assert placed.wrong is None
    assert placed.acked
    assert await world.agree() == (before + placed.price, 0)
    assert world.ann.blamed == world.bob.blamed == []
    for node in (world.ann, world.bob):
        assert len(node.working) == 0
        assert not node.accounts.stopped


@pytest.mark.parametrize("number", SENDS)
@pytest.mark.parametrize("side", ["ann", "bob"])
def test_a_connection_may_be_lost_at_every_step(tmp_path: Path, side: str, number: int) -> None:
    @in_virtual_time
    async def run() -> None:
        async with a_world(tmp_path) as world:
            await world.start()

            def is_sent(node: Node, what: str) -> bool:
                return node.name == side and what == "send"

            at(world, number, is_sent, lambda _node: world.part())
            placed = await order(world)
            await come_back(world)
            # Once the worker has accepted, no loss of a connection costs more than time.
            if isinstance(placed, Placed):
                assert placed.wrong is None
                assert await world.agree() == (placed.price, 0)
            else:
                assert isinstance(placed, CommonsError | Exception)
            await all_is_well(world)

    run()


@in_virtual_time
async def test_a_result_can_be_asked_for_again_before_its_row_is_written(tmp_path: Path) -> None:
    """Else who is lost in that moment hears that there is none, and takes a billed order back."""
    async with a_world(tmp_path) as world:
        await world.start()
        bob, rogue = world.bob, RogueRequester(world.ann, world.bob, items(2))
        order = await rogue.order()
        pen = bob.accounts._pen
        write = pen._database.write
        slow = trio.Event()

        async def waits(statements: Sequence[Statement]) -> None:
            await slow.wait()
            await write(statements)

        pen._database = SimpleNamespace(write=waits)  # a slow disk
        for again in (False, True):
            async with world.ann.wire(bob.public, WORK) as wire:
                answer = await rogue.say(wire, order)
                assert isinstance(answer, Accept), answer
                if not again:
                    await rogue.inputs(wire, order)
                await rogue.outputs(wire)
            await trio.sleep(1)
        assert len(bob.working) == 1
        slow.set()
        await trio.sleep(1)
        assert len(bob.working) == 0
        async with world.ann.wire(bob.public, WORK) as wire:
            assert isinstance(await rogue.say(wire, order), Accept)
            await rogue.outputs(wire)


@pytest.mark.parametrize("number", STEPS[::3])
def test_what_is_signed_after_the_two_met_anew_is_shown_without_another_meeting(
    tmp_path: Path, number: int
) -> None:
    """The totals of that meeting knew nothing of the cheque whose stream was lost before."""

    @in_virtual_time
    async def run() -> None:
        async with a_world(tmp_path) as world:
            await world.start()

            def anew(_node: Node) -> None:
                world.part()
                world.meet()

            at(world, number, lambda node, _what: node.name == "ann", anew)
            placed = await order(world)
            world.on_step = None
            if isinstance(placed, Placed):
                assert await world.agree() == (placed.price, 0)
            await trio.sleep(700)
            await all_is_well(world)

    run()


@pytest.mark.parametrize("number", STEPS)
@pytest.mark.parametrize("side", ["ann", "bob"])
def test_a_node_may_crash_at_every_step(tmp_path: Path, side: str, number: int) -> None:
    @in_virtual_time
    async def run() -> None:
        async with a_world(tmp_path) as world:
            await world.start()
            at(world, number, lambda node, _what: node.name == side, Node.crash)
            await order(world)
            await come_back(world)
            await all_is_well(world)

    run()


@pytest.mark.parametrize("side", ["ann", "bob"])
def test_the_steps_that_are_tried_are_all_there_are(tmp_path: Path, side: str) -> None:
    @in_virtual_time
    async def run() -> None:
        async with a_world(tmp_path) as world:
            await world.start()
            steps: list[str] = []
            world.on_step = lambda node, what: steps.append(what) if node.name == side else None
            assert isinstance(await order(world), Placed)
            await trio.sleep(10)
            assert 3 < steps.count("send") < len(SENDS)
            assert 20 < len(steps) < len(STEPS)

    run()
