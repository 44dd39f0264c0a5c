# SPDX-License-Identifier: MIT
"""A private network: members see each other, strangers see nothing, secrets change on the way."""

from dataclasses import replace

import trio

from node.network import Network
from tests.node.executor.virtual_time import in_virtual_time
from tests.node.mesh.made_mesh import MadeNode, made_mesh

SCHOOL = Network("school", b"salt of a school", {1: b"1" * 32})
ROTATED = replace(SCHOOL, secrets={1: b"1" * 32, 2: b"2" * 32})
NEWEST = replace(SCHOOL, secrets={2: b"2" * 32})


def sees_nothing(stranger: MadeNode) -> bool:
    return not stranger.known and not stranger.mesh.peers and stranger.viewing.is_alone


@in_virtual_time
async def test_a_stranger_gets_nothing_not_even_adverts() -> None:
    async with made_mesh(SCHOOL) as world:
        first = await world.start("first")
        second = await world.start("second", first)
        await world.until(world.all_know_all)
        names = {
            "without": replace(SCHOOL, secrets={}),
            "guesses": replace(SCHOOL, secrets={1: b"x" * 32}),
            "other": Network("school", b"another founder.", {1: b"1" * 32}),
        }
        strangers = [
            await world.start(name, first, second, network=network)
            for name, network in names.items()
        ]
        await trio.sleep(300)
        assert all(sees_nothing(stranger) for stranger in strangers)
        for node, other in ((first, second), (second, first)):
            assert node.known == {other.key}
            assert set(node.mesh.peers) == {other.key}


@in_virtual_time
async def test_a_secret_is_rotated_without_losing_anybody() -> None:
    async with made_mesh(SCHOOL) as world:
        first = await world.start("first")
        nodes = [first, *await world.start_many(3, first)]
        await world.until(world.all_know_all)
        for network in (ROTATED, NEWEST):
            for node in nodes:
                node.mesh.network = network
                await trio.sleep(20)
                assert world.all_know_all()
                assert all(each.viewing.neighbours for each in nodes)
        old = await world.start("old", first)
        newcomer = await world.start("newcomer", first, network=NEWEST)
        await world.until(lambda: {each.key for each in nodes} <= newcomer.known, 60)
        assert sees_nothing(old)
        assert [old.mesh.newest_secret, newcomer.mesh.newest_secret] == [2, 0]
        old.mesh.network = NEWEST
        await world.until(lambda: {each.key for each in nodes} <= old.known, 120)


@in_virtual_time
async def test_who_has_the_newest_secret_is_never_told_of_a_newer_one() -> None:
    """A stranger that dials may claim any version; only whom a node dials itself is believed."""
    async with made_mesh(ROTATED) as world:
        first = await world.start("first")
        liar = replace(SCHOOL, secrets={99: b"x" * 32})
        await world.start("liar", first, network=liar)
        await trio.sleep(300)
        assert first.mesh.newest_secret == 0
