# SPDX-License-Identifier: MIT
"""Neighbours that lie, flood, send garbage or freeze: each costs its own line and nothing else."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import trio

from node.mesh.framed import Framed
from node.mesh.line import WAITING_BYTES_MAX, WAITING_FRAMES_MAX, Line
from node.mesh.viewing import PROTOCOL
from protocol.actions import Send
from protocol.advert import Advert
from protocol.canon import encode
from protocol.exchange import Summary, Wanted
from protocol.frames import BlobWant, DocumentFrame, Frame, Ping, StatementFrame
from protocol.keys import Keypair
from protocol.known import Held
from protocol.limits import DIRECTORY_MAX, SOURCE_SHARE, SUMMARY_ROWS_MAX
from protocol.query import Answer, Query
from protocol.sealed import seal
from tests.node.executor.virtual_time import in_virtual_time
from tests.node.mesh.made_mesh import MadeMesh, MadeNode, made_mesh
from tests.protocol.mesh import an_advert


@asynccontextmanager
async def called(liar: MadeNode, victim: MadeNode) -> AsyncIterator[Framed]:
    """A stream of the view from one that speaks for itself to an honest node."""
    await liar.describe()
    await liar.mesh.meet(victim.key, [f"/ip4/{victim.host}/tcp/4001"])
    async with liar.mesh.wire(victim.key, PROTOCOL) as wire:
        yield wire


async def two_and_a_liar(world: MadeMesh) -> tuple[MadeNode, MadeNode, MadeNode]:
    first = await world.start("first")
    second = await world.start("second", first)
    await world.until(world.all_know_all)
    return first, second, await world.start("liar", views=False)


def said(*held: Held) -> DocumentFrame:
    return DocumentFrame(encode(Summary(held)))


def held_of(advert: Advert) -> Held:
    return Held(advert.node, advert.issued_at_s, advert.sequence, 0)


def another(number: int, now_s: float, **changes: object) -> tuple[Keypair, Advert]:
    """A node that nobody runs, with an advert that is signed as it should be."""
    keypair = Keypair(number.to_bytes(32, "big"))
    address = f"/ip4/{20 + number // 200}.{number % 200}.0.1/tcp/4001"
    plain = {"issued_at_s": int(now_s), "addresses": (address,), "reach": 1} | changes
    return keypair, an_advert(keypair.public, **plain)


async def heard(wire: Framed, *kinds: type[Frame]) -> Frame:
    while True:
        frame = await wire.receive()
        if isinstance(frame, kinds):
            return frame
        assert isinstance(frame, Frame), frame


async def is_ended(wire: Framed) -> bool:
    """Whether the other side ends the stream soon."""
    with trio.move_on_after(30):
        try:
            while isinstance(await wire.receive(), Frame):
                pass
        except Exception:  # noqa: BLE001 - any end is one
            return True
        return True
    return False


def faults_of(node: MadeNode) -> list[tuple[bytes, str, str]]:
    """Note what a node blames others for, and carry it out all the same."""
    noted: list[tuple[bytes, str, str]] = []
    blame = node.mesh.blame

    def note(key: bytes, reason: object, detail: str) -> None:
        noted.append((key, str(reason), detail))
        blame(key, reason, detail)  # type: ignore[arg-type]  # handed on as it came

    node.mesh.blame = note  # type: ignore[method-assign]  # this object's only
    return noted


@in_virtual_time
async def test_a_forged_advert_is_not_kept_and_ends_it_with_its_teller() -> None:
    async with made_mesh() as world:
        first, second, liar = await two_and_a_liar(world)
        faults = faults_of(first)
        _, advert = another(7, liar.clock.now().wall_s)
        thief = Keypair(b"\x09" * 32)
        # Signed by somebody else than the node that it describes.
        forged = seal(thief, world.network.id, replace(advert, node=thief.public)).wire[:64]
        async with called(liar, first) as wire:
            await wire.send(said(held_of(advert)))
            wanted = await heard(wire, DocumentFrame)
            while b"wanted" not in wanted.body:  # type: ignore[attr-defined]  # it is a document
                wanted = await heard(wire, DocumentFrame)
            await wire.send(StatementFrame(forged + encode(advert)))
            assert await is_ended(wire)
        assert faults[0][:2] == (liar.key, "bad_signature")
        assert first.known - {liar.key} == {second.key}
        assert first.viewing.view.neighbours.memory.shuns(liar.key, trio.current_time())
        assert first.viewing.neighbours == {second.key}


@in_virtual_time
async def test_an_advert_of_another_network_is_forged() -> None:
    async with made_mesh() as world:
        first, second, liar = await two_and_a_liar(world)
        faults = faults_of(first)
        keypair, advert = another(7, liar.clock.now().wall_s)
        async with called(liar, first) as wire:
            await wire.send(said(held_of(advert)))
            await trio.sleep(1)
            await wire.send(StatementFrame(seal(keypair, bytes(16), advert).wire))
            assert await is_ended(wire)
        assert faults[0][:2] == (liar.key, "bad_signature")
        assert first.known - {liar.key} == {second.key}


@in_virtual_time
async def test_a_replayed_advert_takes_nothing_back() -> None:
    async with made_mesh() as world:
        first, second, liar = await two_and_a_liar(world)
        old = second.own
        await trio.sleep(400)
        new = next(known for known in first.viewing.adverts() if known.node == second.key)
        assert new.wire != old
        async with called(liar, first) as wire:
            for _ in range(5):
                row = Held(second.key, new.advert.issued_at_s + 400, 99, 1)
                await wire.send(said(row), StatementFrame(old))
                await trio.sleep(2)
        held = [known for known in first.viewing.adverts() if known.node == second.key]
        assert held == [new]


@in_virtual_time
async def test_expired_adverts_and_those_of_tomorrow_are_not_kept() -> None:
    async with made_mesh() as world:
        first, second, liar = await two_and_a_liar(world)
        now_s = liar.clock.now().wall_s
        async with called(liar, first) as wire:
            for number, issued_s in ((7, now_s - 7200), (8, now_s + 7200)):
                keypair, advert = another(number, issued_s, ttl_s=3600)
                await wire.send(said(held_of(advert)))
                await trio.sleep(1)
                await wire.send(StatementFrame(seal(keypair, world.network.id, advert).wire))
            await trio.sleep(2)
        assert first.known - {liar.key} == {second.key}


@pytest.mark.slow
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


@pytest.mark.parametrize("kind", ["bytes", "frame", "document", "kind", "ping"])
def test_garbage_on_the_stream_of_the_view_ends_that_stream_and_is_a_fault(kind: str) -> None:
    @in_virtual_time
    async def run() -> None:
        async with made_mesh() as world:
            first, second, liar = await two_and_a_liar(world)
            faults = faults_of(first)
            async with called(liar, first) as wire:
                match kind:
                    case "bytes":
                        await wire.stream.send(b"\xff" * 100)
                    case "frame":
                        await wire.send(BlobWant(bytes(32), 0, 1))
                    case "document":
                        await wire.send(DocumentFrame(b"\x93\x01garbage"))
                    case "kind":
                        await wire.stream.send(bytes([99, 0, 0, 1, 0]))
                    case "ping":
                        for token in range(3):
                            await wire.send(Ping(token))
                if kind != "ping":
                    assert await is_ended(wire)
            await trio.sleep(1)
            assert {key for key, _, _ in faults} <= {liar.key}
            assert bool(faults) is (kind != "ping")
            await trio.sleep(300)
            assert first.viewing.neighbours == {second.key}
            assert first.known >= {second.key}

    run()


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
async def test_answers_that_nobody_asked_for_change_nothing() -> None:
    async with made_mesh() as world:
        first, second, liar = await two_and_a_liar(world)
        keypair, advert = another(7, liar.clock.now().wall_s)
        sealed = seal(keypair, world.network.id, advert).wire
        async with called(liar, first) as wire:
            for number in range(20):
                answer = Answer(number.to_bytes(16, "big"), (sealed,), ())
                await wire.send(DocumentFrame(encode(answer)))
            await trio.sleep(1)
        assert first.known - {liar.key} == {second.key}
        assert liar.key not in first.viewing.neighbours


@in_virtual_time
async def test_wishes_of_a_stranger_bring_nothing_that_was_not_offered() -> None:
    async with made_mesh() as world:
        first, second, liar = await two_and_a_liar(world)
        async with called(liar, first) as wire:
            got: list[bytes] = []
            await wire.send(DocumentFrame(encode(Wanted((bytes(32), second.key)))))
            with trio.move_on_after(0.5):
                while True:
                    frame = await heard(wire, StatementFrame, DocumentFrame)
                    if isinstance(frame, StatementFrame):
                        got.append(frame.wire)
            assert got == []


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
async def test_many_streams_of_one_node_are_one_line_and_end_together() -> None:
    async with made_mesh() as world:
        first, second, liar = await two_and_a_liar(world)
        async with called(liar, first) as wire:
            streams = [wire]
            async with liar.mesh.wire(first.key, PROTOCOL) as other:
                streams.append(other)
                for each in streams:
                    await each.send(DocumentFrame(encode(Query(bytes(16), b"", "", 0, 0, 0, 1))))
                await trio.sleep(1)
                assert set(first.viewing._lines) == {second.key, liar.key}
                await streams[1].stream.reset()
                assert await is_ended(wire)
        assert set(first.viewing._lines) == {second.key}


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
        assert set(viewing._brought) <= {second.key}
        assert not viewing._searches
        assert len(first.known) <= 41
