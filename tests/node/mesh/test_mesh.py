# SPDX-License-Identifier: MIT
"""Tests of `node.mesh.mesh`: who meets whom, once, and what ends it."""

from contextlib import AsyncExitStack, suppress
from dataclasses import replace

import pytest
import trio

from node.mesh.dialing import Dialing
from node.mesh.framed import Framed
from node.mesh.hello import HELLO_S_MAX
from node.mesh.peer import Peer
from node.mesh.transport import Lost, NotSpoken, TransportError, Unreachable
from node.networks import Network
from protocol.channel import NoFrame
from protocol.errors import Refused, RemoteProtocolError
from protocol.frames import DocumentFrame, TensorData, TensorStart, encode
from protocol.keys import peer_id
from protocol.reasons import Reason
from protocol.tensors import ElementType, Tensor
from simulations.transport import Net
from tests.node.executor.virtual_time import in_virtual_time
from tests.node.mesh.grounds import ECHO, PRIVATE, PUBLIC, Introducing, make, on, raw, settled


@pytest.mark.parametrize("network", [PUBLIC, PRIVATE], ids=["public", "private"])
@in_virtual_time
async def test_two_nodes_meet_and_each_knows_what_the_other_said(network: Network) -> None:
    a, b = make(1, network=network), make(2, network=network)
    async with on(Net(), a, b):
        peer = await a.meets(b)
        await settled()
        back = b.mesh.peers[a.key]
        assert (peer.key, peer.inbound, peer.member) == (b.key, False, network is PRIVATE)
        assert (back.key, back.inbound, back.member) == (a.key, True, network is PRIVATE)
        assert peer.hello.advert == back.hello.advert == b"a" * 100
        assert (peer.hello.held_total, peer.hello.signed_total) == (3, 4)
        assert peer.rtt_s is not None
        assert (a.met, b.met, a.left, b.left) == ([b.key], [a.key], [], [])
    assert a.left == [(b.key, "shutting_down")]
    assert b.left == [(a.key, "shutting_down")]


@in_virtual_time
async def test_a_wire_is_warm_the_second_time() -> None:
    a, b = make(1), make(2)
    async with on(Net(), a, b):
        seen = set()
        for number in range(20):
            async with a.mesh.wire(b.key, ECHO, b.addresses) as wire:
                await wire.send(DocumentFrame(b"%d" % number))
                assert await wire.take_document() == b"%d" % number
                seen.add(id(wire))
        assert len(seen) == 1


@in_virtual_time
async def test_what_a_peer_does_not_speak_is_said() -> None:
    a, b = make(1), make(2)
    async with on(Net(), a, b):
        with pytest.raises(NotSpoken):
            async with a.mesh.wire(b.key, "/tests/nothing/1", b.addresses):
                pass


@in_virtual_time
async def test_nobody_there_is_unreachable_with_a_reason_for_each_address() -> None:
    a, b = make(1), make(2)
    async with on(Net(), a):
        with pytest.raises(Unreachable, match=r"10\.0\.0\.2.*10\.0\.0\.3"):
            await a.mesh.meet(b.key, ["/ip4/10.0.0.2/tcp/1", "/ip4/10.0.0.3/tcp/1"])
        with pytest.raises(Unreachable, match="no address"):
            await a.mesh.meet(b.key)


@in_virtual_time
async def test_its_own_key_is_refused_in_words() -> None:
    a = make(1)
    async with on(Net(), a):
        with pytest.raises(Refused, match="one machine only"):
            await a.meets(a)


@in_virtual_time
async def test_a_dial_in_progress_is_joined_and_brings_its_addresses() -> None:
    a, b = make(1), make(2)
    async with on(Net(), a, b), trio.open_nursery() as nursery:
        found = []

        async def meet(addresses: tuple[str, ...]) -> None:
            found.append(await a.mesh.meet(b.key, addresses))

        nursery.start_soon(meet, ("/ip4/10.0.0.9/tcp/1",))
        nursery.start_soon(meet, b.addresses)
        nursery.start_soon(meet, ())
        await settled()
        assert len(found) == 3
        assert len({id(each) for each in found}) == 1
        assert (a.met, b.met) == ([b.key], [a.key])


@in_virtual_time
async def test_whoever_gives_up_waiting_leaves_the_dial_to_the_others() -> None:
    a, b = make(1), make(2)
    async with on(Net(), a, b), trio.open_nursery() as nursery:
        impatient = trio.CancelScope()

        async def give_up() -> None:
            with impatient:
                await a.meets(b)

        nursery.start_soon(give_up)
        await trio.lowlevel.checkpoint()
        impatient.cancel()
        assert (await a.meets(b)).key == b.key


@in_virtual_time
async def test_a_dial_ends_when_the_peer_has_dialled_meanwhile() -> None:
    a, b = make(1), make(2)
    net = Net()
    net.cut(a.host, "10.0.0.99")
    async with on(net, a, b), trio.open_nursery() as nursery:
        nursery.start_soon(a.mesh.meet, b.key, ["/ip4/10.0.0.99/tcp/1"])
        await settled()
        await b.meets(a)
        await settled()
        assert b.key in a.mesh.peers
        assert a.mesh._dials._dialings == {}
        assert len(net._links) == 1


@in_virtual_time
async def test_parting_tells_the_peer_why() -> None:
    a, b = make(1), make(2)
    async with on(Net(), a, b):
        await a.meets(b)
        await settled()
        await a.mesh.part(b.key, Reason.VIEW_FULL)
        await settled()
        assert a.left == [(b.key, "view_full")]
        assert b.left == [(a.key, "view_full")]
        assert a.mesh.peers == b.mesh.peers == {}


@in_virtual_time
async def test_a_frozen_peer_is_gone_within_25_s() -> None:
    a, b = make(1), make(2)
    net = Net()
    async with on(net, a, b):
        await a.meets(b)
        await settled()
        net.freeze(b.host)
        await trio.sleep(25.1)
        assert a.left == [(b.key, "unreachable")]
        net.thaw(b.host)


@in_virtual_time
async def test_a_killed_peer_is_gone_at_once_and_met_again_when_it_is_back() -> None:
    a, b = make(1), make(2)
    net = Net()
    async with on(net, a):
        async with on(net, b):
            await a.meets(b)
            net.kill(b.host)
            await settled()
            assert a.left == [(b.key, "unreachable")]
        again = make(2, incarnation=b"j" * 8)
        async with on(net, again):
            await a.meets(again)
            assert a.met == [b.key, b.key]


@in_virtual_time
async def test_a_peer_that_was_started_anew_is_met_anew_though_its_old_link_seems_alive() -> None:
    a, b = make(1), make(2)
    again = make(2, incarnation=b"j" * 8, host="10.0.0.22")
    async with on(Net(), a, b, again):
        await a.meets(b)
        old = a.mesh.peers[b.key]
        await again.meets(a)
        await settled(3)
        assert a.left == [(b.key, "stale")]
        assert a.met == [b.key, b.key]
        assert a.mesh.peers[b.key] is not old
        assert a.mesh.peers[b.key].incarnation == b"j" * 8
        assert a.key not in b.mesh.peers


@in_virtual_time
async def test_who_hears_that_it_was_started_anew_and_was_not_knows_that_it_has_a_twin() -> None:
    """One identity on two machines that do not know each other: both hear it from a third node."""
    a, b = make(1), make(2)
    twin = make(2, incarnation=b"j" * 8, host="10.0.0.22")
    async with on(Net(), a, b, twin):
        await b.meets(a)
        await twin.meets(a)
        await settled(3)
        assert peer_id(a.key) in b.mesh.defence.elsewhere
        assert not twin.mesh.defence.elsewhere
        await b.meets(a)
        await settled(3)
        assert peer_id(a.key) in twin.mesh.defence.elsewhere


@in_virtual_time
async def test_a_node_whose_books_were_made_anew_has_no_twin() -> None:
    """After a full disk the same process speaks as another start of itself."""
    a, b = make(1), make(2)
    async with on(Net(), a, b):
        await b.meets(a)
        b.mesh._greeter._introduction = Introducing(b"j" * 8)
        assert b.mesh._endpoint is not None
        connection = await b.mesh._endpoint.dial(a.key, a.addresses)
        b.mesh._start(b.mesh._meetings.say_hello, connection, Dialing(a.key))
        await settled(2)
        assert a.mesh.peers[b.key].incarnation == b"j" * 8
        assert (a.mesh.defence.elsewhere, b.mesh.defence.elsewhere) == ("", "")
        assert a.key in b.mesh.peers


@pytest.mark.parametrize("first", [0, 1])
@in_virtual_time
async def test_dials_that_cross_leave_one_link_the_same_on_both_sides(first: int) -> None:
    pair = make(1), make(2)
    a, b = pair[first], pair[1 - first]
    async with on(Net(), a, b):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(a.meets, b)
            nursery.start_soon(b.meets, a)
        await settled(12)
        one, other = a.mesh.peers[b.key], b.mesh.peers[a.key]
        assert len(one.links) == len(other.links) == 1
        assert one.inbound != other.inbound
        assert (a.met, b.met, a.left, b.left) == ([b.key], [a.key], [], [])


@in_virtual_time
async def test_a_lost_connection_that_one_side_believes_in_does_not_win_over_a_live_one() -> None:
    small, large = sorted((make(1), make(2)), key=lambda each: each.key)
    net = Net()
    async with on(net, small, large):
        await small.meets(large)  # by rule this one would be kept
        await settled()
        (link,) = net._links
        net.cut(small.host, large.host)
        await large.mesh.part(small.key, Reason.IDLE)
        await settled(2)
        assert large.key in small.mesh.peers  # which has not noticed, and never will
        net.unlink(link)
        net.heal(small.host, large.host)
        await large.meets(small)
        await trio.sleep(6)
        assert len(small.mesh.peers[large.key].links) == 1
        assert small.key in large.mesh.peers


@in_virtual_time
async def test_streams_wait_for_hello_and_are_reset_when_it_does_not_come() -> None:
    net = Net()
    a = make(1)
    async with on(net, a), raw(net, 2, ()) as stranger:
        connection = await stranger.dials(a)
        stream = await connection.open(ECHO)
        await stream.send(*encode(DocumentFrame(b"answer me")))
        with trio.fail_after(10.5):
            with suppress(Lost):
                assert await stream.receive() == b""
            await connection.wait_closed()
        assert a.mesh.peers == {}


@in_virtual_time
async def test_what_a_handler_raises_ends_its_stream_and_nothing_else() -> None:
    a, b = make(1), make(2)

    async def fails(_peer: Peer, _wire: Framed) -> None:
        raise ZeroDivisionError

    async def blames(_peer: Peer, _wire: Framed) -> None:
        raise RemoteProtocolError(Reason.UNEXPECTED, "what a peer said")

    async def loses(_peer: Peer, _wire: Framed) -> None:
        raise ExceptionGroup("from a nursery", [Lost("the line")])

    for name, handler in (("fails", fails), ("blames", blames), ("loses", loses)):
        b.mesh.speak(f"/tests/{name}/1", handler)
    async with on(Net(), a, b):
        await a.meets(b)
        for name, score in (("fails", 0), ("loses", 0), ("blames", 25)):
            with suppress(Lost):
                async with a.mesh.wire(b.key, f"/tests/{name}/1") as wire:
                    assert await wire.receive() is NoFrame.LOST
            await settled()
            assert b.mesh.behaviour.score(a.key) == pytest.approx(score, abs=0.1)
        async with a.mesh.wire(b.key, ECHO) as wire:
            await wire.send(DocumentFrame(b"still here"))
            assert await wire.take_document() == b"still here"


@in_virtual_time
async def test_enough_blame_bans_and_parts() -> None:
    a, b = make(1), make(2)
    async with on(Net(), a, b):
        await a.meets(b)
        await settled()
        a.mesh.blame(b.key, Reason.BAD_SIGNATURE, "forged")
        await settled()
        assert a.left == [(b.key, "banned")]
        assert b.left == [(a.key, "banned")]
        with pytest.raises(Refused, match="bad_signature"):
            await a.meets(b)
        with pytest.raises(Unreachable, match="does not let"):
            await b.meets(a)
        await trio.sleep(601)
        await b.meets(a)


@in_virtual_time
async def test_an_exception_in_the_block_comes_out_as_it_is() -> None:
    a = make(1)
    with pytest.raises(ZeroDivisionError):
        async with on(Net(), a):
            raise ZeroDivisionError


@in_virtual_time
async def test_a_port_that_is_taken_is_said_by_the_system() -> None:
    a, b = make(1), make(2, host="10.0.0.1")
    net = Net()
    async with on(net, a):
        with pytest.raises(OSError, match="listens"):
            async with b.mesh.open(net.transport(b.host), b.seed, a.addresses):
                pass


@in_virtual_time
async def test_all_that_a_peer_sends_unasked_has_one_bound_over_all_its_streams() -> None:
    a, b = make(1), make(2)
    size = 1 << 20
    tensor = Tensor(ElementType.UINT8, (size,), bytes(size))

    async def never_listens(_peer: Peer, _wire: Framed) -> None:
        await trio.sleep_forever()

    a.mesh.speak("/tests/deaf/1", never_listens)
    async with on(Net(), a, b), trio.open_nursery() as nursery:

        async def send() -> None:
            with suppress(Lost):
                async with b.mesh.wire(a.key, "/tests/deaf/1") as wire:
                    await wire.send_tensor(0, 0, tensor)
                    await trio.sleep_forever()

        await b.meets(a)
        await settled()
        room = a.mesh.peers[b.key].room
        assert room is not None
        room._most_bytes = size
        for _ in range(10):
            nursery.start_soon(send)
        await settled(3)
        assert size <= room.used_bytes < 4 * size  # what each may read when nothing waits on it
        await b.mesh.part(a.key, Reason.IDLE)
        await settled(3)
        assert room.used_bytes == 0
        nursery.cancel_scope.cancel()


@in_virtual_time
async def test_a_watcher_that_fails_leaves_no_peer_half_met() -> None:
    a, b = make(1), make(2)

    def fails(*_: object) -> None:
        raise ZeroDivisionError

    a.mesh.watch(fails, fails)
    async with on(Net(), a, b):
        await a.meets(b)
        await a.mesh.part(b.key, Reason.IDLE)
        await settled()
        assert a.mesh.peers == b.mesh.peers == {}
        await a.meets(b)
        assert b.key in a.mesh.peers


@pytest.mark.slow
async def test_over_the_real_network_too() -> None:
    from node.mesh.libp2p import Libp2p

    here = ["/ip4/127.0.0.1/tcp/0"]
    a, b = make(1, network=PRIVATE), make(2, network=PRIVATE)
    c = make(3, network=replace(PRIVATE, secrets={1: b"\x09" * 32}))
    async with AsyncExitStack() as stack:
        for node in (a, b, c):
            await stack.enter_async_context(node.mesh.open(Libp2p(), node.seed, here))
        with trio.fail_after(20):
            assert (await a.meets(b)).member
            async with a.mesh.wire(b.key, ECHO) as wire, trio.open_nursery() as nursery:
                size = 5 << 20
                tensor = Tensor(ElementType.UINT8, (size,), bytes(size))
                nursery.start_soon(wire.send_tensor, 0, 0, tensor)
                assert (await wire.take(TensorStart)).header.size_bytes == size
                while size:
                    size -= len((await wire.take(TensorData)).data)
            with pytest.raises(TransportError):
                await c.meets(a)
            assert (a.met, b.met, c.met) == ([b.key], [a.key], [])
    assert a.left == [(b.key, "shutting_down")]
    assert b.left == [(a.key, "shutting_down")]


@in_virtual_time
async def test_a_connection_that_dies_before_hello_takes_no_place_any_more() -> None:
    """Once it was counted for ten seconds more, and what waited on its streams was kept."""
    net, node = Net(), make(1)
    async with on(net, node), raw(net, 2, ()) as stranger:
        begin_s = trio.current_time()
        connection = await stranger.dials(node)
        await connection.open(ECHO)
        await settled()
        assert len(node.mesh.defence._open) == 1
        await connection.close()
        await settled()
        assert not node.mesh.defence._open
        assert trio.current_time() < begin_s + HELLO_S_MAX
