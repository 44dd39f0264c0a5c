# SPDX-License-Identifier: MIT
"""A model that is the owner's own: a stranger can neither have it run nor find out about it."""

from pathlib import Path

import pytest
import trio

from node.work.placed import Declined
from node.work.wires import WORK
from protocol.reasons import Reason
from protocol.statements import Accept, Refuse
from tests.node.executor.virtual_time import in_virtual_time
from tests.node.work.made_model import BODY, DIGEST, items
from tests.node.work.pair import World, a_world
from tests.node.work.rogues import RogueRequester
from tests.node.work.test_orders import place


async def answers(world: World, model: bytes) -> list[tuple[str, int]]:
    """What a stranger hears that orders a model twice, of which it has nothing but the name."""
    rogue = RogueRequester(world.ann, world.bob, items(1))
    heard = []
    for _ in range(2):
        async with world.ann.wire(world.bob.public, WORK) as wire:
            answer = await rogue.say(wire, await rogue.order(model=model))
            assert isinstance(answer, Refuse)
            heard.append((answer.reason, answer.retry_s))
        await trio.sleep(2)
    return heard


@in_virtual_time
async def test_who_knows_nothing_but_a_name_does_not_learn_that_the_model_is_here(
    tmp_path: Path,
) -> None:
    async with a_world(tmp_path) as world:
        world.ann.member = False
        await world.start()
        assert world.bob.library.find(DIGEST)
        wanted: list[bytes] = []
        serve = world.ann.library.size_for

        def asked(blob: bytes, peer: bytes) -> int | None:
            wanted.append(blob)
            return serve(blob, peer)

        world.ann.library.size_for = asked  # type: ignore[method-assign]  # spied upon
        here = await answers(world, DIGEST)
        elsewhere = await answers(world, b"?" * 32)
        assert here == elsewhere
        assert here[0] == (Reason.MODEL_UNKNOWN, 2)
        assert wanted == [DIGEST, b"?" * 32]
        assert world.bob.accounts.books.account(world.ann.public).claims == {}


@in_virtual_time
async def test_who_has_the_model_itself_shows_its_manifest_and_nothing_else_is_fetched(
    tmp_path: Path,
) -> None:
    async with a_world(tmp_path) as world:
        world.ann.member = False
        await world.start()
        bob = world.bob
        with pytest.raises(Declined) as declined:
            await place(world)
        assert declined.value.reason is Reason.MODEL_UNKNOWN
        await trio.sleep(declined.value.retry_s)
        assert (await place(world)).acked
        assert bob.library.lending.is_kept(DIGEST), "it is still its owner's own"
        assert bob.library.size_for(DIGEST, world.ann.public) is None


@pytest.mark.parametrize("how", ["served", "lent", "member", "origin"])
def test_who_may_know_of_a_model_orders_it_at_once(tmp_path: Path, how: str) -> None:
    @in_virtual_time
    async def run() -> None:
        async with a_world(tmp_path) as world:
            ann, bob = world.ann, world.bob
            ann.member = how == "member"
            bob.knows = how != "origin"
            await world.start()
            if how == "served":
                await bob.library.add(BODY, origin="", ours=True, served=True)
            elif how == "lent":
                bob.library.lend(DIGEST, ann.public)
            elif how == "origin":
                with pytest.raises(Declined):
                    await place(world)
                await trio.sleep(2)
                bob.crash()  # it knows from its disk whom it has it from
                await bob.down.wait()
                await world.start(bob)
            rogue = RogueRequester(ann, bob, items(1))
            async with ann.wire(bob.public, WORK) as wire:
                assert isinstance(await rogue.say(wire, await rogue.order()), Accept)

    run()
