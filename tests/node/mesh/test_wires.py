# SPDX-License-Identifier: MIT
"""Tests of `node.mesh.wires`: what is kept warm, for how long, and what is never used again."""

from contextlib import suppress

import pytest
import trio

from node.mesh.framed import Framed
from node.mesh.peer import Peer
from node.mesh.transport import Lost
from node.mesh.wires import SWEEP_S, WARM_MAX, WARM_S
from protocol.channel import NoFrame
from protocol.errors import RemoteProtocolError
from protocol.frames import DocumentFrame, Frame
from protocol.reasons import Reason
from simulations.transport import Net
from tests.node.executor.virtual_time import in_virtual_time
from tests.node.mesh.grounds import ECHO, Node, make, on, settled


def warm(node: Node, other: Node, protocol: str = ECHO) -> int:
    assert node.mesh._wires is not None
    return node.mesh._wires.warm(other.key, protocol)


async def said(node: Node, other: Node, text: bytes) -> Framed:
    async with node.mesh.wire(other.key, ECHO, other.addresses) as wire:
        await wire.send(DocumentFrame(text))
        assert await wire.take_document() == text
        return wire


@in_virtual_time
async def test_at_most_four_stay_warm_and_after_a_minute_none() -> None:
    a, b = make(1), make(2)
    async with on(Net(), a, b):
        await a.meets(b)
        async with trio.open_nursery() as nursery:
            for number in range(10):
                nursery.start_soon(hold, a, b, number)
        assert warm(a, b) == WARM_MAX
        await settled(6)
        assert b.mesh.peers[a.key].serving == WARM_MAX
        await trio.sleep(WARM_S + SWEEP_S)
        assert warm(a, b) == 0
        await settled(6)
        assert b.mesh.peers[a.key].serving == 0
        assert a.mesh.behaviour.score(b.key) == b.mesh.behaviour.score(a.key) == 0


async def hold(node: Node, other: Node, number: int) -> None:
    async with node.mesh.wire(other.key, ECHO) as wire:
        await wire.send(DocumentFrame(b"%d" % number))
        await trio.sleep(1)
        assert await wire.take_document() == b"%d" % number


@in_virtual_time
async def test_a_stream_whose_user_failed_is_not_used_again() -> None:
    a, b = make(1), make(2)
    async with on(Net(), a, b):
        first = await said(a, b, b"one")
        with pytest.raises(ZeroDivisionError):  # noqa: PT012 - a block that fails is the point
            async with a.mesh.wire(b.key, ECHO) as wire:
                assert wire is first
                raise ZeroDivisionError
        assert warm(a, b) == 0
        assert await said(a, b, b"two") is not first


@in_virtual_time
async def test_a_stream_whose_user_was_cancelled_is_not_used_again() -> None:
    a, b = make(1), make(2)
    async with on(Net(), a, b):
        await said(a, b, b"one")
        with trio.move_on_after(1):
            async with a.mesh.wire(b.key, ECHO):
                assert a.mesh.peers[b.key].is_held
                await trio.sleep_forever()
        assert warm(a, b) == 0
        assert not a.mesh.peers[b.key].is_held


@in_virtual_time
async def test_a_stream_on_which_something_is_left_is_not_used_again() -> None:
    a, b = make(1), make(2)
    async with on(Net(), a, b):
        async with a.mesh.wire(b.key, ECHO, b.addresses) as wire:
            await wire.send(DocumentFrame(b"an answer that nobody takes"))
            await trio.sleep(1)
        assert warm(a, b) == 0


@in_virtual_time
async def test_a_stream_that_the_peer_has_ended_is_not_used_again() -> None:
    a, b = make(1), make(2)

    async def once(_peer: Peer, wire: Framed) -> None:
        await wire.send(DocumentFrame(await wire.take_document()))

    b.mesh.speak("/tests/once/1", once)
    async with on(Net(), a, b):
        for text in (b"one", b"two"):
            async with a.mesh.wire(b.key, "/tests/once/1", b.addresses) as wire:
                await wire.send(DocumentFrame(text))
                assert await wire.take_document() == text
            await settled()
        assert warm(a, b, "/tests/once/1") == 0


@in_virtual_time
async def test_streams_of_a_peer_that_has_gone_are_gone() -> None:
    net = Net()
    a, b = make(1), make(2)
    async with on(net, a):
        async with on(net, b):
            await said(a, b, b"one")
            assert warm(a, b) == 1
            net.kill(b.host)
            await settled()
            assert warm(a, b) == 0
        async with on(net, again := make(2, incarnation=b"j" * 8)):
            await said(a, again, b"two")


@in_virtual_time
async def test_a_breach_within_the_block_comes_out_without_a_group_around_it() -> None:
    a, b = make(1), make(2)
    async with on(Net(), a, b):
        with pytest.raises(RemoteProtocolError):
            async with a.mesh.wire(b.key, ECHO, b.addresses):
                raise RemoteProtocolError(Reason.UNEXPECTED, "as the caller found it")


@in_virtual_time
async def test_a_warm_stream_that_has_died_unnoticed_says_lost_before_anything_was_heard() -> None:
    net = Net()
    a, b = make(1), make(2)
    async with on(net, a, b):
        await said(a, b, b"one")
        net.cut(a.host, b.host)
        with suppress(Lost):
            async with a.mesh.wire(b.key, ECHO) as wire:
                await wire.send(DocumentFrame(b"two"))
                assert await wire.receive() is NoFrame.LOST
        net.heal(a.host, b.host)
        await settled(2)
        await said(a, b, b"two")


@in_virtual_time
async def test_a_bug_that_a_peers_bytes_find_costs_one_stream_and_not_the_mesh() -> None:
    """Streams that a peer opens end by themselves; those that we open ran among the mesh's own."""

    def buggy(_frame: Frame) -> None:
        raise KeyError("a bug")

    a, b = make(1), make(2)
    async with on(Net(), a, b):
        with suppress(Lost):
            async with a.mesh.wire(b.key, ECHO, b.addresses) as wire:
                wire._take_in = buggy  # type: ignore[assignment, method-assign]  # the fault
                await wire.send(DocumentFrame(b"hello"))
                await wire.take_document()
        await said(a, b, b"again")
        assert b.key in a.mesh.peers
