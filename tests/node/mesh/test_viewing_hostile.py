# SPDX-License-Identifier: MIT
"""Neighbours that forge, replay or send garbage: each costs its own line and nothing else."""

from dataclasses import replace

import pytest
import trio

from node.mesh.viewing import PROTOCOL
from protocol.canon import encode
from protocol.exchange import Wanted
from protocol.frames import BlobWant, DocumentFrame, Ping, StatementFrame
from protocol.keys import Keypair
from protocol.known import Held
from protocol.query import Answer, Query
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
async def test_a_hello_with_the_advert_of_another_node_gets_no_place() -> None:
    async with made_mesh() as world:
        first, second, liar = await two_and_a_liar(world)
        faults = faults_of(first)
        liar.own = second.own
        await liar.mesh.meet(first.key, [f"/ip4/{first.host}/tcp/4001"])
        async with liar.mesh.wire(first.key, PROTOCOL) as wire:
            await wire.send(said())
            assert await is_ended(wire)
        assert faults[0][:2] == (liar.key, "wrong_party")
        assert first.viewing.neighbours == {second.key}
