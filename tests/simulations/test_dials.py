# SPDX-License-Identifier: MIT
"""Dials over links that take time: how long they take, and how they fail; then all promises."""

from collections.abc import Callable

import pytest
import trio

from node.mesh.transport import OPEN_S_MAX, Unreachable
from simulations.call import DIAL_ROUNDS
from simulations.links import COUNTRY, DSL, INTERCONTINENTAL, LinkTraits, joined
from simulations.transport import Net
from tests.node.executor.virtual_time import in_virtual_time
from tests.node.mesh.scene import ECHO, echoed
from tests.node.mesh.transport_promises import PROMISES, Promise, kept
from tests.simulations.made_nets import ALICE, BOB, CAROL, LinkedScene, endpoint, two, wired


@in_virtual_time
async def test_a_dial_takes_four_round_trips_and_a_stream_takes_one() -> None:
    async with wired() as net, two(net) as (alice, bob, _):
        begin_s = trio.current_time()
        here = await alice.dial(bob.key, bob.addresses)
        assert trio.current_time() - begin_s == pytest.approx(DIAL_ROUNDS * 0.2)
        begin_s = trio.current_time()
        await here.open(ECHO)
        assert trio.current_time() - begin_s == pytest.approx(0.2)


@in_virtual_time
async def test_a_host_refuses_after_a_round_trip_where_nobody_listens() -> None:
    async with wired() as net, two(net) as (alice, bob, _):
        begin_s = trio.current_time()
        with pytest.raises(Unreachable, match="nobody listens there"):
            await alice.dial(bob.key, [f"/ip4/{BOB}/tcp/9"])
        assert trio.current_time() - begin_s == pytest.approx(0.2)
        net.kill(BOB)
        begin_s = trio.current_time()
        with pytest.raises(Unreachable, match="nobody listens there"):
            await alice.dial(bob.key, [f"/ip4/{BOB}/tcp/32768"])
        assert trio.current_time() - begin_s == pytest.approx(0.2)


Where = Callable[[Net], object]

#: Ways of not being there for Alice.
SILENT_WAYS: dict[str, Where] = {
    "there was never one": lambda _: None,
    "it is off": lambda net: net.switch_off(BOB),
    "it has no door": lambda net: net.close_door(BOB),
    "a cut is between": lambda net: net.cut(ALICE, BOB),
    "nothing gets there": lambda net: net.partition([ALICE], [BOB], one_way=True),
    "nothing comes back": lambda net: net.partition([BOB], [ALICE], one_way=True),
}


@pytest.mark.parametrize("how", SILENT_WAYS)
@in_virtual_time
async def test_where_nothing_answers_a_dial_fails_at_its_deadline(how: str) -> None:
    async with wired() as net, two(net) as (alice, bob, _):
        SILENT_WAYS[how](net)
        addresses = ["/ip4/10.9.9.9/tcp/9"] if "never" in how else bob.addresses
        begin_s = trio.current_time()
        with pytest.raises(Unreachable, match="no answer within 10 s"):
            await alice.dial(bob.key, addresses)
        assert trio.current_time() - begin_s == pytest.approx(OPEN_S_MAX)


@in_virtual_time
async def test_who_is_behind_a_door_can_dial_and_two_of_them_cannot_meet() -> None:
    async with wired() as net, two(net) as (alice, bob, here), endpoint(net, "c", CAROL) as carol:
        net.close_door(ALICE)
        net.close_door(BOB, but_for=[CAROL])
        assert await echoed(here, b"x") == b"x"  # whoever has met goes on
        for one, other in ((alice, bob), (bob, alice), (carol, alice)):
            with pytest.raises(Unreachable, match="no answer"):
                await one.dial(other.key, other.addresses)
        for one, other in ((alice, carol), (carol, bob)):
            assert await echoed(await one.dial(other.key, other.addresses), b"x") == b"x"
        net.open_door(ALICE)
        assert await echoed(await bob.dial(alice.key, alice.addresses), b"x") == b"x"


# --- all that a transport promises ----------------------------------------------------------------

LINES = {
    "dsl": (joined([DSL.up, COUNTRY, DSL.down])),
    "intercontinental": INTERCONTINENTAL,
    "stalling": LinkTraits(0.005, 0.02, 20e6, 0.01, 0.2),
}


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("promise", PROMISES)
@in_virtual_time
async def test_over_links_that_take_time_the_made_network_keeps_its_promises(
    promise: Promise, line: str
) -> None:
    async with wired(LINES[line]) as net:
        await kept(promise, LinkedScene(net))
