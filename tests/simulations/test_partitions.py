# SPDX-License-Identifier: MIT
"""What the world does to links: walls, holds, and machines without power."""

from math import inf

import pytest
import trio

from node.mesh.transport import Lost, Unreachable
from simulations.stream import SimulatedStream
from simulations.transport import Net
from tests.node.executor.virtual_time import in_virtual_time
from tests.node.mesh.scene import ECHO, SINK, echoed, read_some
from tests.simulations.made_nets import ALICE, BOB, CAROL, DAVE, endpoint, two, wired


async def heard_s(stream: SimulatedStream, within_s: float) -> float:
    """Give the seconds until something comes; infinite when that is too long."""
    begin_s = trio.current_time()
    with trio.move_on_after(within_s):
        assert await stream.receive()
        return trio.current_time() - begin_s
    return inf


# --- walls ----------------------------------------------------------------------------------------


@in_virtual_time
async def test_what_is_under_way_when_a_wall_comes_arrives_after_it_is_lifted() -> None:
    async with wired() as net, two(net) as (_, _, here):
        stream = await here.open(ECHO)
        await stream.send(b"1")
        await trio.sleep(0.05)
        wall = net.partition([ALICE], [BOB])
        await stream.send(b"2")
        assert await heard_s(stream, 100) == inf
        wall.lift()
        wall.lift()
        begin_s = trio.current_time()
        assert await read_some(stream, 2) == b"12"
        assert trio.current_time() - begin_s == pytest.approx(0.2)


@in_virtual_time
async def test_those_on_one_side_of_a_wall_go_on() -> None:
    async with wired() as net, two(net) as (_, _, here):
        net.partition([ALICE, BOB])
        assert await echoed(here, b"x") == b"x"


@in_virtual_time
async def test_a_wall_that_is_lifted_before_it_was_felt_costs_nothing() -> None:
    async with wired() as net, two(net) as (_, _, here):
        stream = await here.open(ECHO)
        await stream.send(b"1")
        wall = net.partition([ALICE])
        await trio.sleep(0.05)
        wall.lift()
        assert await heard_s(stream, 1) == pytest.approx(0.15)


@pytest.mark.parametrize("is_speaker", [True, False])
@in_virtual_time
async def test_through_a_wall_of_one_way_nothing_leaves_and_all_else_arrives(
    is_speaker: bool,
) -> None:
    async with wired() as net, two(net) as (_, _, here):
        stream = await here.open(SINK if is_speaker else ECHO)
        wall = net.partition([ALICE if is_speaker else BOB], one_way=True)
        await stream.send(b"x")
        await trio.sleep(50)
        arrived = net.traffic(BOB).received.bytes
        await stream.send(b"y")
        assert await heard_s(stream, 50) == inf
        assert (net.traffic(BOB).received.bytes == arrived) == is_speaker
        wall.lift()
        if not is_speaker:
            assert await read_some(stream, 2) == b"xy"
        assert await echoed(here, b"z") == b"z"


@in_virtual_time
async def test_walls_overlap_and_each_is_lifted_on_its_own() -> None:
    async with wired() as net, two(net) as (_, _, here):
        stream = await here.open(ECHO)
        walls = [
            net.partition([ALICE, CAROL]),
            net.partition([BOB], [ALICE], one_way=True),
            net.partition([CAROL], [DAVE]),
        ]
        net.cut(BOB, ALICE)
        net.hold(ALICE, BOB)
        await stream.send(b"x")
        for lift in (walls[1].lift, walls[0].lift, lambda: net.heal(ALICE, BOB)):
            lift()
            assert await heard_s(stream, 10) == inf
        net.release(ALICE, BOB)
        assert await heard_s(stream, 10) == pytest.approx(0.2)
        assert list(net.barriers.partitions) == [walls[2]]


@in_virtual_time
async def test_when_trouble_ends_all_walls_are_gone() -> None:
    async with wired() as net, two(net) as (_, _, here):
        net.partition([ALICE])
        net.cut(ALICE, BOB)
        net.hold(BOB, ALICE)
        net.end_trouble()
        assert await echoed(here, b"x") == b"x"


@in_virtual_time
async def test_a_hard_wall_ends_what_crosses_it_and_nothing_else() -> None:
    async with (
        wired() as net,
        two(net) as (alice, _, here),
        endpoint(net, "carol", CAROL) as carol,
    ):
        other = await alice.dial(carol.key, carol.addresses)
        wall = net.partition([BOB], hard=True)
        assert here.is_gone
        assert here.far.is_gone
        with pytest.raises(Lost):
            await here.open(ECHO)
        assert await echoed(other, b"x") == b"x"
        assert len(net._links) == 1
        wall.lift()


@in_virtual_time
async def test_a_wall_stands_before_whoever_dials_later_too() -> None:
    async with wired() as net, two(net) as (alice, bob, _):
        wall = net.partition([ALICE])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(alice.dial, bob.key, bob.addresses)
            await trio.sleep(5)
            wall.lift()  # soon enough for whoever knocks again and again
        assert len(bob.connections) == 2


# --- holds ----------------------------------------------------------------------------------------


@in_virtual_time
async def test_what_is_held_between_two_is_overtaken_by_what_others_say() -> None:
    seen: list[bytes] = []

    async def listen(stream: object) -> None:
        assert isinstance(stream, SimulatedStream)
        seen.append(await stream.receive())

    handlers = {"/test/listen/1": listen}
    async with (
        wired() as net,
        two(net, handlers) as (_, bob, here),
        endpoint(net, "carol", CAROL) as carol,
    ):
        there = await carol.dial(bob.key, bob.addresses)
        first, second = [await each.open("/test/listen/1") for each in (here, there)]
        net.hold(ALICE, BOB)
        await first.send(b"first")
        await trio.sleep(1)
        await second.send(b"second")
        await trio.sleep(1)
        assert seen == [b"second"]
        net.release(ALICE, BOB)
        await trio.sleep(1)
        assert seen == [b"second", b"first"]


# --- machines -------------------------------------------------------------------------------------


@in_virtual_time
async def test_who_loses_power_says_nothing_and_is_missed_by_whoever_talks_when_it_is_back() -> (
    None
):
    async with wired() as net, two(net) as (alice, bob, here):
        stream = await here.open(ECHO)
        net.switch_off(BOB)
        assert bob.connections == []
        await stream.send(b"x")
        with trio.move_on_after(1000) as scope:
            await here.wait_closed()
        assert scope.cancelled_caught
        with pytest.raises(Unreachable, match="no answer"):
            await alice.dial(bob.key, [f"/ip4/{BOB}/tcp/9"])
        net.switch_on(BOB)
        begin_s = trio.current_time()
        await here.wait_closed()
        assert trio.current_time() - begin_s == pytest.approx(0.2)
        assert net._links == {}
        async with endpoint(net, "bob", BOB) as again:
            assert await echoed(await alice.dial(again.key, again.addresses), b"x") == b"x"


@in_virtual_time
async def test_what_a_killed_process_had_sent_arrives_before_its_end() -> None:
    async with wired() as net, two(net) as (_, _, here):
        stream = await here.open(ECHO)
        await stream.send(b"x")
        await trio.sleep(0.15)
        net.kill(BOB)
        assert await stream.receive() == b"x"
        assert await stream.receive() == b""


@in_virtual_time
async def test_what_a_frozen_host_was_sent_is_there_soon_after_it_thaws() -> None:
    async with wired() as net, two(net) as (_, _, here):
        net.freeze(BOB)
        stream_s: list[float] = []

        async def open_one() -> None:
            await here.open(ECHO)
            stream_s.append(trio.current_time())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(open_one)
            await trio.sleep(5)
            assert stream_s == []
            net.thaw(BOB)
            begin_s = trio.current_time()
        assert stream_s == [pytest.approx(begin_s + 0.2)]


# --- without a wire -------------------------------------------------------------------------------


@in_virtual_time
async def test_without_a_wire_doors_and_walls_are_the_same() -> None:
    net = Net()
    async with two(net) as (alice, bob, here):
        stream = await here.open(ECHO)
        wall = net.partition([ALICE], one_way=True)
        await stream.send(b"x")
        assert await heard_s(stream, 100) == inf
        net.close_door(BOB)
        with pytest.raises(Unreachable, match="no answer"):
            await alice.dial(bob.key, bob.addresses)
        wall.lift()
        assert await heard_s(stream, 100) == 0
        net.open_door(BOB)
        assert await echoed(await alice.dial(bob.key, bob.addresses), b"x") == b"x"
        with pytest.raises(Unreachable, match="nobody listens there"):
            await alice.dial(bob.key, ["/ip4/10.9.9.9/tcp/9"])
