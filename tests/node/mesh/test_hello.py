# SPDX-License-Identifier: MIT
"""Tests of `node.mesh.hello`: who is let in, and what a stranger can learn and cost."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest
import trio
from trio.testing import MockClock

from node.mesh.framed import Framed, running
from node.mesh.hello import HELLO, HELLO_S_MAX, Greeter
from node.mesh.transport import Connection, Lost, Stream, TransportError
from node.networks import Network
from protocol.channel import NoFrame
from protocol.errors import Refused, RemoteProtocolError
from protocol.frames import CancelFrame, DocumentFrame, Frame, StatementFrame, encode
from protocol.hello import DIALER, LISTENER, Hello, membership_proof
from protocol.reasons import Reason
from protocol.sealed import seal, unseal
from simulations.transport import Net
from tests.node.executor.virtual_time import in_virtual_time
from tests.node.mesh.grounds import (
    ECHO,
    PRIVATE,
    PUBLIC,
    Introducing,
    Node,
    RawNode,
    VirtualClock,
    make,
    on,
    raw,
)
from tests.tree import ROOT

NEW = replace(PRIVATE, secrets={1: b"\x01" * 32, 2: b"\x02" * 32})
ROTATED = replace(PRIVATE, secrets={2: b"\x02" * 32})
WRONG = replace(PRIVATE, secrets={1: b"\x09" * 32})
ELSEWHERE = Network("elsewhere", b"a salt of tests.")


async def tries(one: Node, other: Node) -> BaseException | None:
    """Let one dial the other; give what came of it."""
    try:
        await one.meets(other)
    except (RemoteProtocolError, Refused, TransportError) as error:
        return error
    return None


@pytest.mark.parametrize(
    ("dialer", "listener"),
    [(PRIVATE, PRIVATE), (NEW, PRIVATE), (PRIVATE, NEW), (NEW, ROTATED), (ROTATED, NEW)],
    ids=["1-1", "12-1", "1-12", "12-2", "2-12"],
)
@in_virtual_time
async def test_members_meet_with_the_newest_secret_that_both_have(
    dialer: Network, listener: Network
) -> None:
    a, b = make(1, network=dialer), make(2, network=listener)
    async with on(Net(), a, b):
        peer = await a.meets(b)
        assert peer.member
        await trio.sleep(0.1)
        assert peer.hello.secret_version == b.mesh.peers[a.key].hello.secret_version
        assert peer.hello.secret_version == max(dialer.secrets.keys() & listener.secrets.keys())


@pytest.mark.parametrize(
    ("dialer", "listener", "reason"),
    [
        (PRIVATE, ROTATED, None),  # the listener does not even say which of its secrets it was
        (ROTATED, PRIVATE, Reason.NOT_A_MEMBER),
        (WRONG, PRIVATE, None),
        (PUBLIC, PRIVATE, Reason.NOT_A_MEMBER),
        (PRIVATE, PUBLIC, Reason.NOT_A_MEMBER),
        (PUBLIC, ELSEWHERE, Reason.OTHER_NETWORK),
    ],
    ids=["retired", "too new", "wrong secret", "stranger", "not private there", "elsewhere"],
)
@in_virtual_time
async def test_who_is_no_member_is_not_let_in(
    dialer: Network, listener: Network, reason: Reason | None
) -> None:
    a, b = make(1, network=dialer), make(2, network=listener)
    async with on(Net(), a, b):
        error = await tries(a, b)
        await trio.sleep(1)
        assert error is not None
        if reason is None:
            assert isinstance(error, TransportError)
        else:
            assert isinstance(error, RemoteProtocolError | Refused)
            assert error.reason is reason
        assert a.met == b.met == []


@in_virtual_time
async def test_a_secret_is_rotated_while_all_stay_connected() -> None:
    a, b, c = (make(number, network=PRIVATE) for number in (1, 2, 3))
    async with on(Net(), a, b, c):
        await a.meets(b)
        for stage in (NEW, ROTATED):
            for node in (a, b):
                node.mesh.network = stage
            await trio.sleep(60)
        assert a.left == b.left == []
        assert await tries(c, a) is not None
        c.mesh.network = NEW
        assert await tries(c, a) is None


@in_virtual_time
async def test_a_mesh_does_not_become_another_or_an_open_one() -> None:
    a = make(1, network=PRIVATE)
    for other in (PUBLIC, replace(PRIVATE, name="another")):
        with pytest.raises(ValueError, match="another mesh"):
            a.mesh.network = other


@in_virtual_time
async def test_clocks_that_are_too_far_apart_are_said() -> None:
    a, b, c = make(1), make(2, ahead_s=700), make(3, ahead_s=500)
    async with on(Net(), a, b, c):
        error = await tries(a, b)
        assert isinstance(error, RemoteProtocolError | Refused)
        assert error.reason is Reason.CLOCK_SKEW
        assert (await a.meets(c)).offset_s == pytest.approx(500, abs=1)
        assert a.mesh.behaviour.score(b.key) == 0  # a wrong clock is no bad will


# --- a peer that lies -----------------------------------------------------------------------


def greeter(node: RawNode, network: Network) -> Greeter:
    return Greeter(VirtualClock(9), node.keypair, network, Introducing())


@asynccontextmanager
async def knocking(node: RawNode, other: Node) -> AsyncIterator[tuple[Connection, Framed]]:
    """Give a control stream to a node, on which the test says what it likes."""
    connection = await node.dials(other)
    stream = await connection.open(HELLO)
    async with running(Framed(stream)) as wire:
        yield connection, wire


def signed(node: RawNode, network: Network, hello: Hello) -> StatementFrame:
    return StatementFrame(seal(node.keypair, network.id, hello).wire)


async def heard(wire: Framed, network: Network) -> Hello:
    return unseal(await wire.take_statement(), network.id, Hello).value


async def nothing_more(connection: Connection, wire: Framed) -> list[Frame]:
    """Wait for the end of a connection; give what was said before it."""
    said: list[Frame] = []
    with trio.fail_after(HELLO_S_MAX + 1):
        with suppress(TransportError, RemoteProtocolError):
            while isinstance(frame := await wire.receive(), Frame):
                said.append(frame)
        await connection.wait_closed()
    return said


@asynccontextmanager
async def scene(network: Network) -> AsyncIterator[tuple[Node, RawNode]]:
    net, a = Net(), make(1, network=network)
    async with on(net, a), raw(net, 9, (HELLO,)) as stranger:
        yield a, stranger


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


def test_the_exchange_in_the_docs_is_what_is_said() -> None:
    text = (ROOT / "docs" / "design" / "mesh.md").read_text(encoding="utf-8")
    shown = [bytes.fromhex(each) for each in re.findall(r"^    ([0-9a-f ]+)$", text, re.MULTILINE)]
    documented = b"".join(shown)
    assert documented == b"".join(trio.run(_exchange, clock=MockClock(autojump_threshold=0)))


async def _exchange() -> list[bytes]:
    """Give the four messages of a private hello between nodes whose every byte is fixed."""
    net = Net()
    said: list[bytes] = []
    a, b = make(1, network=PRIVATE), make(2, network=PRIVATE)
    async with on(net, b), raw(net, 9, (HELLO,)) as _, raw(net, 1, ()) as dialer:
        stream = await (await dialer.dials(b)).open(HELLO)
        async with running(Framed(stream)) as wire:
            one = Greeter(VirtualClock(1), dialer.keypair, PRIVATE, Introducing(sealed=b""))
            mine = one.first(b.key, DIALER)
            said.append(signed(dialer, PRIVATE, mine).wire)
            await wire.send(StatementFrame(said[0]))
            said.append(await wire.take_statement())
            theirs = unseal(said[1], PRIVATE.id, Hello).value
            full = replace(one.full(mine), answers=theirs.nonce)
            proof = membership_proof(PRIVATE.secrets[1], full, theirs.nonce)
            said.append(signed(dialer, PRIVATE, replace(full, proof=proof)).wire)
            await wire.send(StatementFrame(said[2]))
            said.append(await wire.take_statement())
    assert a.key == dialer.key
    return said
