# SPDX-License-Identifier: MIT
"""The view at work: adverts get everywhere, nodes go and come, and what is wanted is found."""

import pytest
import trio

from protocol.advert import ModelAtHand
from protocol.errors import Refused
from protocol.limits import (
    ADVERT_INTERVAL_S_MIN,
    INBOUND_NEIGHBOURS_MAX,
    NEIGHBOURS_MAX,
    SEARCHES_MAX,
)
from protocol.reasons import Reason
from tests.node.executor.virtual_time import in_virtual_time
from tests.node.mesh.made_mesh import made_mesh

MODEL = b"m" * 32
WARM = (ModelAtHand(MODEL, 1),)


@pytest.mark.slow
@in_virtual_time
async def test_every_advert_gets_to_every_node() -> None:
    async with made_mesh() as world:
        first = await world.start("first")
        await world.start_many(11, first)
        await world.until(world.all_know_all, 60)
        for node in world.living:
            assert 3 <= len(node.viewing.neighbours) <= NEIGHBOURS_MAX
            assert len(node.viewing.view.neighbours.inbound()) <= INBOUND_NEIGHBOURS_MAX


@pytest.mark.slow
@in_virtual_time
async def test_a_crowd_that_comes_at_once_through_one_node_is_in_the_mesh_within_seconds() -> None:
    """A hundred whole nodes came to one, and some of them knew one advert after a minute."""
    async with made_mesh() as world:
        first = await world.start("first")
        async with trio.open_nursery() as nursery:
            for number in range(30):
                nursery.start_soon(world.start, f"node {number}", first)
        await world.until(world.all_know_all, 15)
        assert world.is_one_mesh()
        assert all(len(node.viewing.neighbours) >= 3 for node in world.living)
        await trio.sleep(45)
        # Who was sent on does not stay connected.
        for node in world.living:
            assert set(node.mesh.peers) == node.viewing.neighbours


@in_virtual_time
async def test_who_is_sent_on_gets_all_that_was_told_before() -> None:
    """Goodbye came right behind the adverts, and what still waited to be said was lost."""
    async with made_mesh() as world:
        first = await world.start("first")
        second = await world.start("second", first)
        await world.until(world.all_know_all)
        heard = second.viewing._lines[first.key]
        last_words = first.viewing._lines[second.key]
        before = heard._allowance._left
        for _ in range(20):
            last_words.tell(first.own)
        first.viewing._let_go(second.key)
        assert not last_words.is_over
        await trio.sleep(0.5)
        assert last_words.is_over
        assert heard.is_over
        assert heard._allowance._left < before - 10
        assert not first.viewing._leaving


@in_virtual_time
async def test_there_is_one_line_between_two_neighbours_and_mostly_one_stream() -> None:
    async with made_mesh() as world:
        first = await world.start("first")
        second = await world.start("second", first)
        await world.until(world.all_know_all)
        await trio.sleep(300)
        for node, other in ((first, second), (second, first)):
            assert set(node.viewing._lines) == {other.key}
            assert len(node.viewing._lines[other.key]._wires) == 1


@pytest.mark.slow
@in_virtual_time
async def test_a_killed_node_leaves_every_directory_and_returns() -> None:
    async with made_mesh() as world:
        first = await world.start("first")
        await world.start_many(3, first)
        gone = await world.start("gone", first, ttl_s=900)
        await world.until(world.all_know_all)
        await world.kill(gone)
        await world.until(lambda: all(gone.key not in n.known for n in world.living), 901)
        await world.start(gone.name, first)
        await world.until(world.all_know_all, 120)


@pytest.mark.slow
@in_virtual_time
async def test_a_third_of_all_nodes_dies_at_once_and_the_rest_stays_one_mesh() -> None:
    async with made_mesh() as world:
        first = await world.start("first")
        await world.start_many(8, first)
        await world.until(world.all_know_all)
        for node in [first, *world.living[5:7]]:
            await world.kill(node)
        await world.until(lambda: world.is_one_mesh() and world.all_know_all(), 120)
        newcomer = await world.start("newcomer", world.living[0])
        await world.until(world.all_know_all, 60)
        assert not newcomer.viewing.is_alone


@in_virtual_time
async def test_a_node_that_restarts_at_once_is_known_anew_after_five_minutes() -> None:
    """Nobody takes an advert that is younger than five minutes than the last one."""
    async with made_mesh() as world:
        first = await world.start("first")
        second = await world.start("second", first)
        await world.until(world.all_know_all)
        await world.kill(second)
        await trio.sleep(20)
        await world.start("second", first)

        def incarnations() -> set[bytes]:
            return {known.advert.incarnation for known in first.viewing.adverts()}

        await world.until(lambda: incarnations() == {second.incarnation}, 400)


@pytest.mark.slow
@in_virtual_time
async def test_an_own_advert_is_renewed_long_before_it_expires() -> None:
    async with made_mesh() as world:
        first = await world.start("first")
        second = await world.start("second", first)
        for _ in range(4):
            await trio.sleep(1200)
            assert first.known == {second.key}
            assert second.known == {first.key}


@in_virtual_time
async def test_a_change_is_told_as_soon_as_others_take_it_and_not_more_often() -> None:
    async with made_mesh() as world:
        first = await world.start("first")
        second = await world.start("second", first)
        await trio.sleep(2 * ADVERT_INTERVAL_S_MIN)
        second.models = WARM
        before = second.sequence
        for _ in range(50):
            second.viewing.renew_soon()
        await world.until(lambda: any(MODEL in k.models for k in first.viewing.adverts()), 400)
        assert second.sequence == before + 1


@in_virtual_time
async def test_a_search_finds_who_has_the_model() -> None:
    async with made_mesh() as world:
        first = await world.start("first")
        await world.start_many(4, first)
        holder = await world.start("holder", first, models=WARM)
        await world.until(world.all_know_all)
        for node in world.living:
            found = await node.viewing.search(most=1, model=MODEL)
            wanted = set() if node is holder else {holder.key}
            assert {known.node for known in found.adverts} == wanted
            assert found.reason == (Reason.NO_WORKER if node is holder else None)


@in_virtual_time
async def test_a_search_asks_nodes_that_are_not_connected_and_takes_no_place_there() -> None:
    async with made_mesh() as world:
        teller = await world.start("teller")
        holder = await world.start("holder", models=WARM)
        asker = await world.start("asker", teller)
        await world.until(lambda: asker.known == {teller.key})
        # The teller knows the holder from somewhere, and the asker only hears it in an answer.
        teller.viewing.view.restore([], [holder.own], teller.clock.now().wall_s)
        found = await asker.viewing.search(most=2, model=MODEL)
        assert [known.node for known in found.adverts] == [holder.key]


@in_virtual_time
async def test_who_only_asks_is_no_neighbour() -> None:
    async with made_mesh() as world:
        holder = await world.start("holder", models=WARM)
        asker = await world.start("asker")
        await trio.sleep(1)
        view = asker.viewing.view
        view.restore([], [holder.own], asker.clock.now().wall_s)
        view.neighbours.memory.rest(holder.key, trio.current_time())  # or the view would dial it
        found = await asker.viewing.search(most=2, model=MODEL)
        assert found.asked == 1
        assert found.reason == Reason.QUERY_SPENT
        assert holder.viewing.neighbours == asker.viewing.neighbours == frozenset()
        assert holder.key in asker.mesh.peers


@in_virtual_time
async def test_a_connection_that_nobody_needs_any_more_is_closed() -> None:
    async with made_mesh() as world:
        holder = await world.start("holder", models=WARM)
        asker = await world.start("asker", views=True)
        await trio.sleep(1)
        view = asker.viewing.view
        view.restore([], [holder.own], asker.clock.now().wall_s)
        view.neighbours.memory.shun(holder.key, trio.current_time())
        await asker.viewing.search(most=2, model=MODEL)
        assert holder.key in asker.mesh.peers
        await world.until(lambda: not asker.mesh.peers and not holder.mesh.peers, 180)
        assert not asker.viewing._lines
        assert not holder.viewing._lines


@in_virtual_time
async def test_a_search_without_an_answer_ends_in_time() -> None:
    async with made_mesh() as world:
        first = await world.start("first")
        second = await world.start("second", first)
        await world.until(world.all_know_all)
        world.net.freeze(second.host)
        begin_s = trio.current_time()
        found = await first.viewing.search(most=1, model=MODEL, deadline_s=3)
        assert found.adverts == ()
        assert found.reason == Reason.DEADLINE
        assert trio.current_time() - begin_s == 3
        assert not first.viewing.view.searches


@in_virtual_time
async def test_a_search_that_is_given_up_leaves_nothing() -> None:
    async with made_mesh() as world:
        first = await world.start("first")
        second = await world.start("second", first)
        await world.until(world.all_know_all)
        world.net.freeze(second.host)
        with trio.move_on_after(1):
            await first.viewing.search(most=1, model=MODEL)
        assert not first.viewing._searches
        assert not first.viewing.view.searches


@in_virtual_time
async def test_one_search_too_many_is_refused() -> None:
    async with made_mesh() as world:
        first = await world.start("first")
        second = await world.start("second", first)
        await world.until(world.all_know_all)
        world.net.freeze(second.host)

        async def search() -> None:
            await first.viewing.search(most=1, model=MODEL, deadline_s=5)

        async with trio.open_nursery() as nursery:
            for _ in range(SEARCHES_MAX):
                nursery.start_soon(search)
            await trio.sleep(1)
            with pytest.raises(Refused) as refused:
                await first.viewing.search(most=1)
            assert refused.value.reason == Reason.BUSY


@in_virtual_time
async def test_a_view_can_be_run_again_after_it_has_crashed() -> None:
    async with made_mesh() as world:
        first = await world.start("first")
        second = await world.start("second", views=False)
        with trio.move_on_after(30):
            await second.viewing.run()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(second.viewing.run)
            await trio.sleep(1)
            assert await second.viewing.introduce(first.key, (first.address,))
            await world.until(world.all_know_all)
            nursery.cancel_scope.cancel()
        assert not second.viewing._lines
        assert second.viewing.is_alone
        async with trio.open_nursery() as nursery:
            nursery.start_soon(second.viewing.run)
            await trio.sleep(1)
            assert await second.viewing.introduce(first.key, (first.address,))
            await world.until(lambda: second.key in first.viewing.neighbours)
            nursery.cancel_scope.cancel()


@in_virtual_time
async def test_a_mesh_that_ends_leaves_nothing() -> None:
    tasks = trio.lowlevel.current_statistics().tasks_living
    async with made_mesh() as world:
        first = await world.start("first")
        await world.start_many(4, first)
        await trio.sleep(7)
    assert trio.lowlevel.current_statistics().tasks_living == tasks
    assert not world.net.endpoints
    for node in world.nodes.values():
        assert not node.viewing._lines
        assert not node.viewing._places
