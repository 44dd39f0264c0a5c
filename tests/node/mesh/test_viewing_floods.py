# SPDX-License-Identifier: MIT
"""Neighbours that flood, freeze or say nothing: what they cost others has a bound."""

import trio

from node.mesh.framed import Framed
from node.mesh.line import WAITING_BYTES_MAX, WAITING_FRAMES_MAX, Line
from protocol.actions import Send
from protocol.canon import encode
from protocol.frames import DocumentFrame, StatementFrame
from protocol.limits import DIRECTORY_MAX, SOURCE_SHARE, SUMMARY_ROWS_MAX
from protocol.query import Query
from protocol.sealed import seal
from tests.node.executor.virtual_time import in_virtual_time
from tests.node.mesh.liars import (
    another,
    called,
    faults_of,
    heard,
    held_of,
    is_ended,
    said,
    two_and_a_liar,
)
from tests.node.mesh.made_mesh import made_mesh


@in_virtual_time
async def test_twenty_fake_adverts_for_each_honest_one_fill_a_share_and_push_nobody_out() -> None:
    """What one neighbour tells may fill an eighth of the directory, whatever the number of keys."""
    async with made_mesh() as world:
        first = await world.start("first")
        honest = await world.start_many(4, first)
        await world.until(world.all_know_all)
        liar = await world.start("liar", views=False)
        fakes = [another(1000 + n, liar.clock.now().wall_s) for n in range(100)]
        wires = {
            advert.node: seal(keypair, world.network.id, advert).wire for keypair, advert in fakes
        }
        rows = [held_of(advert) for _, advert in fakes]
        async with called(liar, first) as wire, trio.open_nursery() as nursery:

            async def answer() -> None:
                while True:
                    frame = await heard(wire, DocumentFrame)
                    assert isinstance(frame, DocumentFrame)
                    for key, sealed in wires.items():
                        if key in frame.body and b"wanted" in frame.body[:16]:
                            await wire.send(StatementFrame(sealed))

            nursery.start_soon(answer)
            for at in range(0, len(rows), SUMMARY_ROWS_MAX):
                await wire.send(said(*rows[at : at + SUMMARY_ROWS_MAX]))
                await trio.sleep(5)
            await trio.sleep(60)
            assert set(wires) & first.known
            for node in (first, *honest):
                directory = node.viewing.view.directory
                assert directory.held_of(liar.key) <= DIRECTORY_MAX // SOURCE_SHARE
                assert {each.key for each in (first, *honest)} - {node.key} <= node.known
            nursery.cancel_scope.cancel()


@in_virtual_time
async def test_a_flood_of_summaries_ends_with_the_one_who_sent_it() -> None:
    async with made_mesh() as world:
        first, second, liar = await two_and_a_liar(world)
        faults = faults_of(first)
        async with called(liar, first) as wire:
            with trio.move_on_after(60):
                try:
                    while True:
                        await wire.send(said())
                        await trio.sleep(0.01)
                except Exception:  # noqa: BLE001 - it is over, whatever they say
                    pass
        assert {key for key, _, _ in faults} == {liar.key}
        assert first.viewing.view.neighbours.memory.shuns(liar.key, trio.current_time())
        assert first.viewing.neighbours == {second.key}


@in_virtual_time
async def test_queries_of_one_who_only_asks_are_answered_within_its_allowance() -> None:
    async with made_mesh() as world:
        first, _, liar = await two_and_a_liar(world)
        answers = 0
        async with called(liar, first) as wire, trio.open_nursery() as nursery:

            async def count() -> None:
                nonlocal answers
                while True:
                    frame = await heard(wire, DocumentFrame)
                    answers += isinstance(frame, DocumentFrame) and b"answer" in frame.body[:16]

            nursery.start_soon(count)
            for number in range(200):
                query = Query(number.to_bytes(16, "big"), b"", "", 0, 0, 0, 1)
                await wire.send(DocumentFrame(encode(query)))
            await trio.sleep(10)
            nursery.cancel_scope.cancel()
        assert 8 <= answers <= 12


@in_virtual_time
async def test_one_who_talks_all_the_time_does_not_keep_a_node_from_meeting_others() -> None:
    async with made_mesh() as world:
        first = await world.start("first")
        second = await world.start("second")
        liar = await world.start("liar", views=False)
        async with called(liar, first) as wire, trio.open_nursery() as nursery:

            async def talk() -> None:
                while True:
                    query = Query(bytes(16), b"", "", 0, 0, 0, 1)
                    await wire.send(DocumentFrame(encode(query)))
                    await trio.sleep(0.5)

            nursery.start_soon(talk)
            await trio.sleep(3)
            first.viewing.view.restore([], [second.own], first.clock.now().wall_s)
            await world.until(lambda: second.key in first.viewing.neighbours, 30)
            nursery.cancel_scope.cancel()


@in_virtual_time
async def test_a_frozen_neighbour_costs_only_itself_its_messages() -> None:
    async with made_mesh() as world:
        first, second, _ = await two_and_a_liar(world)
        third = await world.start("third", first)
        await world.until(lambda: {second.key, third.key} <= first.known)
        world.net.freeze(third.host)
        line = first.viewing._lines[third.key]
        for _ in range(1000):
            first.viewing._do([Send(third.key, first.own)])
        assert len(line._waiting) == WAITING_FRAMES_MAX
        assert line.lost_count >= 900
        fourth = await world.start("fourth", first)
        await world.until(lambda: fourth.key in second.known)
        await world.until(lambda: third.key not in first.viewing.neighbours, 120)
        assert line.is_over


@in_virtual_time
async def test_what_waits_for_a_slow_neighbour_is_bounded_in_bytes_too() -> None:
    line = Line(bytes(32), dial=None, hear=lambda _key, _frame: None, patient=False)  # type: ignore[arg-type]  # never dials
    for _ in range(100):
        line.say(DocumentFrame(bytes(30_000)))
    assert line._waiting_bytes <= WAITING_BYTES_MAX
    assert line.lost_count == 100 - WAITING_BYTES_MAX // 30_000


@in_virtual_time
async def test_one_who_opens_streams_and_says_nothing_gets_no_place() -> None:
    async with made_mesh() as world:
        first, second, liar = await two_and_a_liar(world)
        async with called(liar, first) as wire:
            await trio.sleep(30)
            assert first.viewing.neighbours == {second.key}
            assert await is_ended_later(wire)
        assert set(first.viewing._lines) == {second.key}


async def is_ended_later(wire: Framed) -> bool:
    await trio.sleep(60)
    return await is_ended(wire)


@in_virtual_time
async def test_strangers_that_come_and_go_leave_nothing_behind() -> None:
    async with made_mesh() as world:
        first, second, _ = await two_and_a_liar(world)
        for number in range(40):
            stranger = await world.start(f"stranger {number}", views=False)
            async with called(stranger, first) as wire:
                await wire.send(said())
            await world.kill(stranger)
        await trio.sleep(90)
        viewing = first.viewing
        assert set(viewing._lines) == set(viewing._places) == {second.key}
        assert set(viewing.view.exchange.talks) == {second.key}
        assert set(viewing._contacts.brought) <= {second.key}
        assert not viewing._searches
        assert len(first.known) <= 41
