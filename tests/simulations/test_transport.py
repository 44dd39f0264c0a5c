# SPDX-License-Identifier: MIT
"""What only a made network can do: be cut, keep virtual time, and have any hosts that one likes."""

import errno
from random import Random

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from node.mesh.address import parse_address
from node.mesh.transport import OPEN_S_MAX, Unreachable
from simulations.connection import SimulatedConnection, contained
from simulations.network import Way
from simulations.stream import WINDOW_BYTES, SimulatedStream
from simulations.transport import Net, SimulatedEndpoint
from tests.node.executor.virtual_time import in_virtual_time
from tests.node.mesh import stream_promises
from tests.node.mesh.memory_scene import MemoryScene
from tests.node.mesh.scene import (
    ECHO,
    SILENT,
    Pair,
    connected,
    echoed,
    joined,
    read_some,
    until,
)
from tests.node.mesh.transport_promises import kept
from tests.simulations.made_nets import ALICE, BOB, CAROL, endpoint


def made(pair: Pair) -> MemoryScene:
    """Give the scene of a pair as what it is."""
    assert isinstance(pair.alice.scene, MemoryScene)
    return pair.alice.scene


@in_virtual_time
async def test_between_hosts_that_are_cut_bytes_wait_and_then_arrive_in_order() -> None:
    async with connected(MemoryScene()) as pair:
        net = made(pair).net
        stream = await pair.here.open(ECHO)
        net.cut(ALICE, BOB)
        for each in (b"1", b"22", b"333"):
            await stream.send(each)
        with trio.move_on_after(1000) as scope:
            await stream.receive()
        assert scope.cancelled_caught
        net.heal(BOB, ALICE)
        assert await read_some(stream, 6) == b"122333"


@in_virtual_time
async def test_a_cut_is_between_two_hosts_and_others_go_on() -> None:
    scene = MemoryScene()
    async with connected(scene) as pair, joined(scene, "carol") as carol:
        scene.net.cut(ALICE, BOB)
        for one, other in ((pair.alice, carol), (carol, pair.alice), (carol, pair.bob)):
            assert await echoed(await one.dial(other), b"x") == b"x"


@in_virtual_time
async def test_a_dial_across_a_cut_fails_in_time_unless_it_is_healed() -> None:
    async with connected(MemoryScene()) as pair:
        net = made(pair).net
        net.cut(ALICE, BOB)
        began_s = trio.current_time()
        with pytest.raises(Unreachable, match="no answer within 10 s"):
            await pair.alice.dial(pair.bob)
        assert trio.current_time() - began_s == OPEN_S_MAX
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pair.alice.dial, pair.bob)
            await trio.sleep(OPEN_S_MAX / 2)
            net.heal(ALICE, BOB)
        assert trio.current_time() - began_s == OPEN_S_MAX * 1.5
        await until(lambda: len(pair.bob.met) == 2)


@in_virtual_time
async def test_two_reasons_to_stand_still_are_two_to_end() -> None:
    async with connected(MemoryScene()) as pair:
        net = made(pair).net
        stream = await pair.here.open(ECHO)
        net.freeze(BOB)
        net.cut(ALICE, BOB)
        net.thaw(BOB)
        await stream.send(b"x")
        with trio.move_on_after(100) as scope:
            await stream.receive()
        assert scope.cancelled_caught
        net.heal(ALICE, BOB)
        assert await stream.receive() == b"x"


@in_virtual_time
async def test_a_connection_that_ends_across_a_cut_is_missed_until_it_is_healed() -> None:
    async with connected(MemoryScene()) as pair:
        net = made(pair).net
        net.cut(ALICE, BOB)
        net.kill(BOB)
        with trio.move_on_after(1000) as scope:
            await pair.here.wait_closed()
        assert scope.cancelled_caught
        net.heal(ALICE, BOB)
        await pair.here.wait_closed()


@in_virtual_time
async def test_what_a_killed_peer_had_sent_is_read_and_then_looks_like_its_end() -> None:
    async with connected(MemoryScene()) as pair:
        stream = await pair.here.open(ECHO)
        await stream.send(b"x")
        await trio.sleep(1)
        made(pair).net.kill(BOB)
        assert await stream.receive() == b"x"
        assert await stream.receive() == b""


@in_virtual_time
async def test_a_kill_ends_every_node_of_its_host_and_no_other() -> None:
    net = Net()
    async with (
        endpoint(net, "alice", ALICE) as alice,
        endpoint(net, "bob", BOB) as bob,
        endpoint(net, "bobby", BOB) as bobby,
        endpoint(net, "carol", CAROL) as carol,
    ):
        here = [await alice.dial(each.key, each.addresses) for each in (bob, bobby, carol)]
        net.kill(BOB)
        await trio.lowlevel.checkpoint()
        assert [each.is_gone for each in here] == [True, True, False]
        with pytest.raises(Unreachable, match="this host was killed"):
            await bob.dial(carol.key, carol.addresses)


@in_virtual_time
async def test_nothing_is_left_of_what_has_ended() -> None:
    """A network that runs for weeks would else keep every link that ever was."""
    scene = MemoryScene()
    async with connected(scene) as pair:
        await pair.here.open(SILENT)
        for _ in range(20):
            await (await pair.alice.dial(pair.bob)).close()
            with pytest.raises(Unreachable):
                await pair.alice.endpoint.dial(pair.bob.key, [scene.dead])
        scene.net.cut(ALICE, BOB)
        with pytest.raises(Unreachable):
            await pair.alice.dial(pair.bob)
        with trio.move_on_after(1):
            await pair.alice.dial(pair.bob)
        assert len(scene.net._links) == 1
        scene.net.heal(ALICE, BOB)
    assert (scene.net._links, scene.net.endpoints, scene.net.listening) == ({}, {}, {})


@in_virtual_time
async def test_every_byte_passes_through_the_ways_of_its_link() -> None:
    """A world that wants to slow or to break something finds all of it there."""
    scene = MemoryScene()
    async with connected(scene) as pair:
        (link,) = scene.net._links
        before = link.there.carried_bytes, link.back.carried_bytes
        assert await echoed(pair.here, bytes(1_000_000)) == bytes(1_000_000)
        carried = link.there.carried_bytes - before[0], link.back.carried_bytes - before[1]
        assert all(1_000_000 < each < 1_010_000 for each in carried)


@in_virtual_time
async def test_whoever_has_left_is_not_connected_any_more_by_a_dial_that_was_under_way() -> None:
    net = Net()
    async with endpoint(net, "bob", BOB) as bob, trio.open_nursery() as nursery:
        async with endpoint(net, "alice", ALICE) as alice:
            net.cut(ALICE, BOB)
            nursery.start_soon(dial_in_vain, alice, bob)
            await trio.sleep(1)
        net.heal(ALICE, BOB)
        await trio.sleep(1)
        assert bob.connections == []
    assert net._links == {}


async def dial_in_vain(one: SimulatedEndpoint, other: SimulatedEndpoint) -> None:
    """Be told that one has left oneself."""
    with pytest.raises(Unreachable, match="this node has left the network"):
        await one.dial(other.key, other.addresses)


async def test_what_is_meant_to_end_the_program_is_not_contained() -> None:
    async def fail(_: None) -> None:
        raise BaseExceptionGroup("x", [ValueError("x"), KeyboardInterrupt()])

    with pytest.raises(BaseExceptionGroup) as caught:
        await contained(fail, None, "x")
    assert caught.group_contains(KeyboardInterrupt)
    assert not caught.group_contains(ValueError)


@in_virtual_time
async def test_what_was_read_is_all_given_back_to_the_window() -> None:
    """A warm stream that lost a byte of it now and then would stand still after weeks.

    It is given back when it was half of the window, so the rest of it is still to be said.
    """
    async with connected(MemoryScene()) as pair:
        stream = await pair.here.open(ECHO)
        assert isinstance(stream, SimulatedStream)
        for size in (1, 10, 70_000, 200_000, 1):
            await stream.send(bytes(size))
            await read_some(stream, size)
            await wait_all_tasks_blocked()
            assert isinstance(pair.there, SimulatedConnection)
            (far,) = pair.there.streams.values()
            assert stream._window_bytes + far._read_bytes == WINDOW_BYTES
            assert far._read_bytes < WINDOW_BYTES // 2


def test_what_arrives_may_post_in_turn_and_that_comes_after_it() -> None:
    way, seen = Way(is_held=True), []

    def first() -> None:
        way.post(1, lambda: seen.append("third"))
        seen.append("first")

    way.post(1, first)
    way.post(1, lambda: seen.append("second"))
    assert seen == []
    way.hold(is_held=False)
    assert seen == ["first", "second", "third"]


def test_the_same_talk_takes_the_same_way_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where trio's own dice are fixed, which choose who goes first, no other chance is left."""
    monkeypatch.setattr("trio._core._run._ALLOW_DETERMINISTIC_SCHEDULING", True)

    def run() -> list[tuple[float, int, int]]:
        trace = []

        @in_virtual_time
        async def talk() -> None:
            scene = MemoryScene()
            began_s = trio.current_time()
            async with connected(scene) as pair:
                (link,) = scene.net._links
                for size in (1, 70_000, 300_000):
                    await echoed(pair.here, bytes(size))
                    passed_s = trio.current_time() - began_s
                    trace.append((passed_s, link.there.carried_bytes, link.back.carried_bytes))

        monkeypatch.setattr("trio._core._run._r", Random(1))
        talk()
        return trace

    assert run() == run()


async def test_it_keeps_real_time_too() -> None:
    await kept(stream_promises.bytes_arrive_in_order_and_whole, MemoryScene())


@in_virtual_time
async def test_a_host_listens_where_it_is_and_nowhere_else() -> None:
    net = Net()
    both = ["/ip4/0.0.0.0/tcp/0", "/ip6/::/tcp/0"]
    async with (
        endpoint(net, "alice", ALICE, both) as alice,
        endpoint(net, "bob", "fd00::2", both) as bob,
    ):
        assert [each.rsplit("/", 1)[0] for each in alice.addresses] == [f"/ip4/{ALICE}/tcp"]
        assert [each.rsplit("/", 1)[0] for each in bob.addresses] == ["/ip6/fd00::2/tcp"]
        here = await alice.dial(bob.key, bob.addresses)
        assert here.remote == bob.addresses[0]
        with pytest.raises(BaseExceptionGroup) as caught:
            async with endpoint(net, "carol", CAROL, [f"/ip4/{ALICE}/tcp/0"]):
                pass
        assert isinstance(caught.value.exceptions[0], OSError)
        assert caught.value.exceptions[0].errno == errno.EADDRNOTAVAIL


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "10.0.0.1:4001",
        "/ip4/10.0.0.1",
        "/ip4/10.0.0.1/udp/1",
        "/ip4/10.0.0.1/tcp/x",
        "/ip4/10.0.0.1/tcp/65536",
        "/ip4/fd00::1/tcp/1",
        "/ip6/10.0.0.1/tcp/1",
        "/ip4/10.0.0.1/tcp/1/p2p",
        "/ip4/10.0.0.1/tcp/1/p2p/x",
        "/ip4/10.0.0.1/tcp/1/ws",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="'"):
        parse_address(text)
