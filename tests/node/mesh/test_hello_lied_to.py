# SPDX-License-Identifier: MIT
"""Tests of `node.mesh.hello` with peers that lie, replay, relay, flood and wait."""

from contextlib import suppress
from dataclasses import replace

import pytest
import trio

from node.mesh.framed import Framed, running
from node.mesh.hello import HELLO, HELLO_S_MAX
from node.mesh.transport import Lost, Stream, TransportError
from protocol.channel import NoFrame
from protocol.errors import Refused, RemoteProtocolError
from protocol.frames import CancelFrame, DocumentFrame, Frame, StatementFrame, encode
from protocol.hello import DIALER, LISTENER, membership_proof
from simulations.transport import Net
from tests.node.executor.virtual_time import in_virtual_time
from tests.node.mesh.grounds import (
    ECHO,
    PRIVATE,
    PUBLIC,
    Node,
    make,
    on,
    raw,
)
from tests.node.mesh.knocking import greeter, heard, knocking, nothing_more, scene, signed


@in_virtual_time
async def test_a_stranger_learns_nothing_but_versions_from_a_private_network() -> None:
    async with scene(PRIVATE) as (a, stranger), knocking(stranger, a) as (line, wire):
        mine = greeter(stranger, PRIVATE).first(a.key, DIALER)
        await wire.send(signed(stranger, PRIVATE, mine))
        theirs = await heard(wire, PRIVATE)
        assert (theirs.advert, theirs.held_total, theirs.signed_total, theirs.proof) == (
            b"",
            0,
            0,
            b"",
        )
        lie = replace(mine, answers=theirs.nonce, proof=b"p" * 32)
        await wire.send(signed(stranger, PRIVATE, lie))
        assert await nothing_more(line, wire) == []
        assert a.met == []


@in_virtual_time
async def test_a_hello_that_is_replayed_or_mirrored_lets_nobody_in() -> None:
    """A proof answers one nonce in one role; a member's own words are of no use to another."""
    async with scene(PRIVATE) as (a, stranger):
        said: list[StatementFrame] = []
        async with knocking(stranger, a) as (line, wire):
            member = greeter(stranger, PRIVATE)
            mine = member.first(a.key, DIALER)
            said.append(signed(stranger, PRIVATE, mine))
            await wire.send(said[0])
            theirs = await heard(wire, PRIVATE)
            full = replace(mine, answers=theirs.nonce)
            proof = membership_proof(PRIVATE.secrets[1], full, theirs.nonce)
            said.append(signed(stranger, PRIVATE, replace(full, proof=proof)))
            await wire.send(said[1])
            assert (await heard(wire, PRIVATE)).advert
            await line.close()
        await trio.sleep(1)
        assert len(a.met) == len(a.left) == 1
        async with knocking(stranger, a) as (line, wire):  # replayed
            await wire.send(*said)
            assert len(await nothing_more(line, wire)) == 1
        async with knocking(stranger, a) as (line, wire):  # mirrored
            await wire.send(said[0])
            await wire.send(StatementFrame(await wire.take_statement()))
            assert await nothing_more(line, wire) == []
        assert len(a.met) == 1


@in_virtual_time
async def test_a_proof_that_is_relayed_lets_nobody_in() -> None:
    """A man in the middle of two members passes all on, under the only key that he has."""
    net = Net()
    a, b = make(1, network=PRIVATE), make(2, network=PRIVATE)
    async with on(net, a, b), raw(net, 9, (HELLO,)) as middle, trio.open_nursery() as nursery:
        outcome: list[BaseException | None] = []

        async def dial() -> None:
            with suppress(TransportError, Refused, RemoteProtocolError):
                await a.mesh.meet(middle.key, middle.addresses)
            outcome.append(None)

        nursery.start_soon(dial)
        near = await middle.incoming.receive()
        far = await (await middle.dials(b)).open(HELLO)
        nursery.start_soon(_relay, near, far)
        nursery.start_soon(_relay, far, near)
        await trio.sleep(30)
        assert outcome == [None]
        assert a.met == b.met == []
        nursery.cancel_scope.cancel()


async def _relay(source: Stream, sink: Stream) -> None:
    with suppress(TransportError):
        while data := await source.receive():
            await sink.send(data)


@in_virtual_time
async def test_a_middleman_who_signs_for_himself_cannot_use_the_proof_of_a_member() -> None:
    net = Net()
    a, b = make(1, network=PRIVATE), make(2, network=PRIVATE)
    async with on(net, a, b), raw(net, 9, (HELLO,)) as middle, trio.open_nursery() as nursery:

        async def dial() -> None:
            with suppress(TransportError, Refused, RemoteProtocolError):
                await a.mesh.meet(middle.key, middle.addresses)

        nursery.start_soon(dial)
        async with (
            running(Framed(await middle.incoming.receive())) as near,
            knocking(middle, b) as (line, far),
        ):
            to_b = greeter(middle, PRIVATE).first(b.key, DIALER)
            await far.send(signed(middle, PRIVATE, to_b))
            of_b = await heard(far, PRIVATE)
            of_a = await heard(near, PRIVATE)
            to_a = greeter(middle, PRIVATE).first(a.key, LISTENER)
            await near.send(signed(middle, PRIVATE, replace(to_a, nonce=of_b.nonce)))
            proof = (await heard(near, PRIVATE)).proof  # a proves itself, answering b's nonce
            stolen = replace(to_b, nonce=of_a.nonce, answers=of_b.nonce, proof=proof)
            await far.send(signed(middle, PRIVATE, stolen))
            assert await nothing_more(line, far) == []
        assert b.met == []
        nursery.cancel_scope.cancel()


@in_virtual_time
async def test_the_second_hello_is_of_the_one_who_said_the_first() -> None:
    async with scene(PRIVATE) as (a, member), knocking(member, a) as (line, wire):
        mine = greeter(member, PRIVATE).first(a.key, DIALER)
        await wire.send(signed(member, PRIVATE, mine))
        theirs = await heard(wire, PRIVATE)
        other = replace(mine, incarnation=b"k" * 8, answers=theirs.nonce)
        proof = membership_proof(PRIVATE.secrets[1], other, theirs.nonce)
        await wire.send(signed(member, PRIVATE, replace(other, proof=proof)))
        assert await nothing_more(line, wire) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"peer": b"\x07" * 32}, "wrong_party"),
        ({"role": LISTENER}, "wrong_party"),
        ({"speaks_low": 8, "speaks_high": 9}, "unknown_version"),
        ({"wall_ms": 1}, "clock_skew"),
    ],
)
@in_virtual_time
async def test_in_an_open_network_the_reason_is_told(
    change: dict[str, object], reason: str
) -> None:
    async with scene(PUBLIC) as (a, stranger), knocking(stranger, a) as (line, wire):
        mine = greeter(stranger, PUBLIC).first(a.key, DIALER)
        await wire.send(signed(stranger, PUBLIC, replace(mine, **change)))  # type: ignore[arg-type]  # one field of any kind
        said = await nothing_more(line, wire)
        assert said[-1] == CancelFrame(reason)
        assert a.met == []


@pytest.mark.parametrize(
    "frames",
    [
        [DocumentFrame(b"d" * 60_000)],
        [StatementFrame(b"s" * 6000)],
        [CancelFrame("because")],
        [],
    ],
    ids=["large", "garbage", "leaves", "silent"],
)
@in_virtual_time
async def test_whatever_a_stranger_says_first_the_connection_ends_in_time(
    frames: list[Frame],
) -> None:
    async with scene(PRIVATE) as (a, stranger), knocking(stranger, a) as (line, wire):
        with suppress(Lost):
            await wire.send(*frames)
        said = await nothing_more(line, wire)
        assert all(isinstance(each, StatementFrame) for each in said)  # its bare first hello
        assert a.met == []


@in_virtual_time
async def test_a_large_frame_before_hello_ends_the_connection_at_its_header() -> None:
    async with scene(PUBLIC) as (a, stranger):
        connection = await stranger.dials(a)
        stream = await connection.open(HELLO)
        (head, _) = encode(DocumentFrame(b"d" * 60_000))
        await stream.send(head)
        with trio.fail_after(2):
            await connection.wait_closed()


@in_virtual_time
async def test_a_hello_that_comes_a_byte_at_a_time_is_not_waited_for() -> None:
    async with scene(PRIVATE) as (a, stranger), trio.open_nursery() as nursery:
        connection = await stranger.dials(a)
        stream = await connection.open(HELLO)
        mine = greeter(stranger, PRIVATE).first(a.key, DIALER)
        data = b"".join(bytes(each) for each in encode(signed(stranger, PRIVATE, mine)))

        async def drip() -> None:
            with suppress(TransportError):
                for at in range(len(data)):
                    await stream.send(data[at : at + 1])
                    await trio.sleep(0.5)

        nursery.start_soon(drip)
        with trio.fail_after(HELLO_S_MAX + 0.5):
            await connection.wait_closed()
        nursery.cancel_scope.cancel()


@in_virtual_time
async def test_a_second_hello_stream_ends_the_connection() -> None:
    async with scene(PUBLIC) as (a, stranger), knocking(stranger, a) as (line, wire):
        await wire.send(signed(stranger, PUBLIC, greeter(stranger, PUBLIC).first(a.key, DIALER)))
        await heard(wire, PUBLIC)
        await trio.sleep(1)
        assert a.met == [stranger.key]
        with suppress(TransportError):
            await line.open(HELLO)
        with trio.fail_after(2):
            await line.wait_closed()
        assert a.mesh.behaviour.score(stranger.key) > 0


@in_virtual_time
async def test_nothing_else_is_said_on_the_control_stream() -> None:
    async with scene(PUBLIC) as (a, stranger), knocking(stranger, a) as (line, wire):
        hello = signed(stranger, PUBLIC, greeter(stranger, PUBLIC).first(a.key, DIALER))
        await wire.send(hello)
        await heard(wire, PUBLIC)
        await trio.sleep(1)
        await wire.send(hello)
        with suppress(TransportError):
            while not isinstance(await wire.receive(), NoFrame):
                pass
        with trio.fail_after(2):
            await line.wait_closed()
        assert a.left == [(stranger.key, "unexpected")]


@in_virtual_time
async def test_a_flood_of_hellos_costs_others_nothing() -> None:
    """Strangers who connect and stay silent are gone in time; meanwhile others come in."""
    net = Net()
    a, b = make(1), make(2)
    async with on(net, a, b), trio.open_nursery() as nursery:
        for number in range(20, 50):
            nursery.start_soon(_connect_and_wait, net, number, a)
        await trio.sleep(1)
        await b.meets(a)
        await trio.sleep(HELLO_S_MAX + 1)
        assert list(a.mesh.peers) == [b.key]
        assert len(a.mesh.defence._open) == 1
        nursery.cancel_scope.cancel()


async def _connect_and_wait(net: Net, number: int, node: Node) -> None:
    async with raw(net, number, ()) as stranger:
        connection = await stranger.dials(node)
        await connection.wait_closed()
        await trio.sleep_forever()


@in_virtual_time
async def test_a_peer_may_be_quicker_than_this_node() -> None:
    """A stream that comes right behind the hello is served as soon as hello is done."""
    async with scene(PUBLIC) as (a, stranger):
        connection = await stranger.dials(a)
        early = await connection.open(ECHO)
        async with running(Framed(early)) as wire:
            await wire.send(DocumentFrame(b"early"))
            await trio.sleep(2)
            stream = await connection.open(HELLO)
            async with running(Framed(stream)) as control:
                hello = greeter(stranger, PUBLIC).first(a.key, DIALER)
                await control.send(signed(stranger, PUBLIC, hello))
                assert await wire.take_document() == b"early"
