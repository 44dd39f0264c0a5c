# SPDX-License-Identifier: MIT
"""When things arrive over links that take time: how much passes, what is shared, in what order."""

from math import inf
from random import Random

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from node.mesh.transport import Unreachable
from simulations.connection import SimulatedConnection
from simulations.links import (
    Access,
    LinkTraits,
)
from simulations.network import Seen
from simulations.routes import Routes
from simulations.transport import Net, SimulatedEndpoint
from simulations.ways import TICK_S, TimedWay
from simulations.wire import Wire
from tests.node.executor.virtual_time import in_virtual_time
from tests.node.mesh.scene import ECHO, echoed, read_some
from tests.simulations.made_nets import (
    ALICE,
    BOB,
    CAROL,
    DAVE,
    IDEAL,
    TENTH,
    endpoint,
    sunk_s,
    two,
    wired,
)

MEGABYTE = LinkTraits(latency_s=0.01, bytes_per_s=1e6)
MB = 1_000_000


# --- how much passes ------------------------------------------------------------------------------


@in_virtual_time
async def test_ten_megabytes_take_ten_seconds_over_one_megabyte_per_second() -> None:
    async with wired(MEGABYTE) as net, two(net) as (_, _, here):
        assert await sunk_s(here, 10 * MB) == pytest.approx(10, rel=0.02)


@in_virtual_time
async def test_a_long_way_passes_no_more_than_a_window_in_a_round_trip() -> None:
    async with wired(TENTH) as net, two(net) as (_, _, here):
        took_s = await sunk_s(here, 10 * MB)
        assert 10 * MB / 262_144 * 0.1 < took_s < 10 * MB / 131_072 * 0.21


@in_virtual_time
async def test_two_streams_share_what_passes() -> None:
    async with wired(MEGABYTE) as net, two(net) as (_, _, here):
        took_s = await _all_s([here, here], 5 * MB)
        assert took_s == pytest.approx([10, 10], rel=0.05)


async def _all_s(connections: list[SimulatedConnection], size_bytes: int) -> list[float]:
    took_s: list[float] = []

    async def sink(connection: SimulatedConnection) -> None:
        took_s.append(await sunk_s(connection, size_bytes))

    async with trio.open_nursery() as nursery:
        for each in connections:
            nursery.start_soon(sink, each)
    return took_s


@in_virtual_time
async def test_all_that_a_home_sends_shares_its_uplink() -> None:
    slow_up = Access("home", up=LinkTraits(bytes_per_s=1e6), down=LinkTraits(bytes_per_s=8e6))
    async with wired(LinkTraits(0.002)) as net, two(net) as (alice, _, to_bob):
        net.set_access(ALICE, slow_up)
        async with endpoint(net, "carol", CAROL) as carol:
            to_carol = await alice.dial(carol.key, carol.addresses)
            assert await _all_s([to_bob, to_carol], 4 * MB) == pytest.approx([8, 8], rel=0.05)
            back = await carol.dial(alice.key, alice.addresses)
            assert await sunk_s(back, 8 * MB) == pytest.approx(1, rel=0.1)
            net.set_link(ALICE, CAROL, LinkTraits(0.001))
            both_s = await _all_s([to_bob, to_carol], 4 * MB)
            assert sorted(both_s) == pytest.approx([0.1, 4], abs=0.2)


@in_virtual_time
async def test_all_that_a_home_receives_shares_its_downlink_and_a_near_one_need_not_wait() -> None:
    home = Access("home", down=LinkTraits(bytes_per_s=1e6))
    async with wired(LinkTraits(0.01)) as net, two(net) as (_, bob, here):
        net.set_access(BOB, home)
        async with (
            endpoint(net, "carol", CAROL) as carol,
            endpoint(net, "dave", DAVE) as dave,
        ):
            other = await carol.dial(bob.key, bob.addresses)
            assert await _all_s([here, other], 4 * MB) == pytest.approx([8, 8], rel=0.05)
            assert await sunk_s(here, MB) == pytest.approx(1, rel=0.1)
            far = await dave.dial(bob.key, bob.addresses)
            stream = await far.open(ECHO)
            net.set_link(DAVE, BOB, LinkTraits(5.0))
            await stream.send(bytes(60_000))  # it is at the door in five seconds, not before
            assert await sunk_s(here, MB) == pytest.approx(1, rel=0.1)


@in_virtual_time
async def test_a_narrow_leg_after_a_wide_one_takes_its_time_for_a_single_message() -> None:
    async with wired(IDEAL) as net, two(net) as (_, _, here):
        stream = await here.open(ECHO)
        for up, down, both_ways_s in ((1e6, inf, 0.06), (inf, 1e6, 0.06), (1e6, 0.5e6, 0.12)):
            net.set_access(ALICE, Access("a", up=LinkTraits(bytes_per_s=up)))
            net.set_access(BOB, Access("b", down=LinkTraits(bytes_per_s=down)))
            begin_s = trio.current_time()
            await stream.send(bytes(60_000))
            await read_some(stream, 60_000)
            assert trio.current_time() - begin_s == pytest.approx(both_ways_s, rel=0.01)
            await trio.sleep(1)


def test_bits_stream_so_a_leg_adds_only_what_it_is_slower_than_those_before_it() -> None:
    for up, between, down, took_s in ((1e6, 5e5, inf, 0.12), (5e5, 1e6, inf, 0.12)):
        routes = Routes(Random, LinkTraits(bytes_per_s=between))
        routes.set_access(ALICE, Access("a", up=LinkTraits(bytes_per_s=up)))
        routes.set_access(BOB, Access("b", down=LinkTraits(bytes_per_s=down)))
        assert routes.route(ALICE, BOB).at_s(0.0, 60_000) == pytest.approx(took_s)


# --- when things arrive ---------------------------------------------------------------------------

_traits = st.builds(
    LinkTraits,
    st.sampled_from([0.0, 0.01, 0.3]),
    st.sampled_from([0.0, 0.05, 1.0]),
    st.sampled_from([inf, 1e5, 1e3]),
    st.sampled_from([0.0, 0.2]),
    st.sampled_from([0.0, 2.0]),
)


@given(
    _traits,
    st.sampled_from([inf, 2e3]),
    st.sampled_from([0.0, TICK_S]),
    st.lists(st.tuples(st.sampled_from([0.0, 0.001, 0.5]), st.integers(0, 2), st.booleans())),
)
def test_nothing_overtakes_on_a_way_whatever_holds_it_up(
    traits: LinkTraits, down: float, tick_s: float, steps: list[tuple[float, int, bool]]
) -> None:
    """What is posted arrives once, in order, and not before its time."""
    sent_s: list[float] = []
    got: list[tuple[int, float]] = []

    async def run() -> None:
        wire, routes = Wire(), Routes(Random, traits)
        routes.set_access(BOB, Access("b", down=LinkTraits(bytes_per_s=down)))
        route = routes.route(ALICE, BOB)
        ways = [TimedWay(route, wire, tick_s, is_held=False, seen=Seen()) for _ in range(2)]
        async with trio.open_nursery() as tasks:
            tasks.start_soon(wire.run)
            for wait_s, count, is_held in steps:
                ways[0].hold(is_held=is_held)
                for _ in range(count):
                    number = len(sent_s)
                    sent_s.append(trio.current_time())
                    ways[0].post(100, lambda n=number: got.append((n, trio.current_time())))  # type: ignore[misc]  # a default is how the number is kept
                    ways[1].post(50, lambda: None)
                await trio.sleep(wait_s)
            ways[0].hold(is_held=False)
            await trio.sleep(10_000)
            assert wire.waiting == 0
            tasks.cancel_scope.cancel()

    trio.run(run, clock=MockClock(autojump_threshold=0))
    assert [number for number, _ in got] == list(range(len(sent_s)))
    for number, at_s in got:
        assert at_s >= sent_s[number] + traits.latency_s - 1e-9


@in_virtual_time
async def test_jitter_is_so_long_on_average_and_of_two_connections_one_may_overtake() -> None:
    jittery = LinkTraits(latency_s=0.1, jitter_s=0.05)
    routes = Routes(Random, jittery)
    took_s = [routes.route(ALICE, BOB).at_s(0.0, 12) for _ in range(5000)]
    assert min(took_s) >= 0.1
    assert sum(took_s) / len(took_s) == pytest.approx(0.15, rel=0.03)
    assert took_s != sorted(took_s)


@in_virtual_time
async def test_a_stall_holds_up_all_that_comes_after_it() -> None:
    async with wired(LinkTraits(0.1)) as net, two(net) as (_, _, here):
        stream = await here.open(ECHO)
        net.set_link(ALICE, BOB, LinkTraits(0.1, stall_probability=1.0, stall_s=7.0), TENTH)
        begin_s = trio.current_time()
        await stream.send(b"1")
        net.set_link(ALICE, BOB, TENTH)
        await stream.send(b"2")
        assert await read_some(stream, 2) == b"12"
        assert trio.current_time() - begin_s == pytest.approx(7.2)
        assert await echoed(here, b"x") == b"x"


@in_virtual_time
async def test_a_reset_ends_the_connection_for_both_and_they_may_dial_again() -> None:
    async with wired() as net, two(net) as (alice, bob, here):
        stream = await here.open(ECHO)
        net.set_link(ALICE, BOB, LinkTraits(0.1, reset_probability=1.0), TENTH)
        await stream.send(b"x")
        await here.wait_closed()
        assert (alice.connections, bob.connections) == ([], [])
        with pytest.raises(Unreachable, match="the connection was reset"):
            await alice.dial(bob.key, bob.addresses)
        net.set_link(ALICE, BOB, TENTH)
        again = await alice.dial(bob.key, bob.addresses)
        net.reset(BOB, ALICE)
        await again.wait_closed()
        assert await echoed(await bob.dial(alice.key, alice.addresses), b"x") == b"x"
        assert len(net._links) == 1


@in_virtual_time
async def test_who_else_is_in_the_world_changes_nothing_for_two() -> None:
    async def times(others: int) -> list[float]:
        took_s = []
        async with (
            wired(LinkTraits(0.1, 0.05), seed=3) as net,
            two(net) as (_, bob, here),
            trio.open_nursery() as nursery,
        ):
            begin_s = trio.current_time()
            for number in range(others):
                nursery.start_soon(_talk_beside, net, bob, f"10.0.1.{number + 1}")
            for _ in range(10):
                await echoed(here, b"x")
                took_s.append(round(trio.current_time() - begin_s, 6))
            nursery.cancel_scope.cancel()
        return took_s

    assert await times(0) == await times(5)


async def _talk_beside(net: Net, bob: SimulatedEndpoint, host: str) -> None:
    async with endpoint(net, host, host) as one:
        here = await one.dial(bob.key, bob.addresses)
        while True:
            await echoed(here, b"y")
