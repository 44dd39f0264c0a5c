# SPDX-License-Identifier: MIT
"""Tests of two links to one peer: dials that cross leave one, the same on both sides."""

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from node.networks import Network
from protocol.frames import DocumentFrame
from simulations.network import Link, Way
from simulations.transport import Net
from tests.node.mesh.grounds import ECHO, PRIVATE, PUBLIC, Node, make, on

Delays = tuple[float, float, float, float]


class TidalNet(Net):
    """A network whose ways open only now and then, each in a rhythm of its own."""

    def __init__(self, tasks: trio.Nursery, delays: Delays) -> None:
        super().__init__()
        self._tasks = tasks
        self._delays = list(delays)

    def link(self, here: str, there: str) -> Link:
        link = super().link(here, there)
        for way in (link.there, link.back):
            if self._delays and (delay_s := self._delays.pop(0)):
                way.hold(is_held=True)
                self._tasks.start_soon(_open_now_and_then, way, delay_s)
        return link


async def _open_now_and_then(way: Way, delay_s: float) -> None:
    while True:
        await trio.sleep(delay_s)
        way.hold(is_held=False)
        way.hold(is_held=True)


async def cross(network: Network, delays: Delays, starts: tuple[float, float]) -> None:
    a, b = make(1, network=network), make(2, network=network)
    async with trio.open_nursery() as tasks:
        async with on(TidalNet(tasks, delays), a, b):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_meet, a, b, starts[0])
                nursery.start_soon(_meet, b, a, starts[1])
            await trio.sleep(14)
            one, other = a.mesh.peers[b.key], b.mesh.peers[a.key]
            assert len(one.links) == len(other.links) == 1
            assert one.link.connection.far is other.link.connection  # type: ignore[attr-defined]  # simulated ones know
            assert (a.met, b.met, a.left, b.left) == ([b.key], [a.key], [], [])
            async with a.mesh.wire(b.key, ECHO) as wire:
                await wire.send(DocumentFrame(b"still there"))
                assert await wire.take_document() == b"still there"
        tasks.cancel_scope.cancel()


async def _meet(node: Node, other: Node, start_s: float) -> None:
    await trio.sleep(start_s)
    await node.meets(other)


_delay = st.sampled_from([0.0, 0.05, 0.3, 0.7, 1.1])


@pytest.mark.slow
@settings(max_examples=40)
@given(
    st.sampled_from([PUBLIC, PRIVATE]),
    st.tuples(_delay, _delay, _delay, _delay),
    st.tuples(_delay, _delay),
)
def test_dials_that_cross_leave_one_link_whatever_comes_when(
    network: Network, delays: Delays, starts: tuple[float, float]
) -> None:
    trio.run(cross, network, delays, starts, clock=MockClock(autojump_threshold=0))


@pytest.mark.parametrize("stage", range(24))
def test_a_peer_that_vanishes_at_any_step_of_hello_leaves_nothing_behind(stage: int) -> None:
    async def run() -> None:
        a, b = make(1, network=PRIVATE), make(2, network=PRIVATE)
        net = Net()
        async with on(net, a, b), trio.open_nursery() as nursery:
            nursery.start_soon(_try, a, b)
            for _ in range(stage):
                await trio.lowlevel.checkpoint()
            net.kill(b.host)
            await trio.sleep(15)
            assert a.mesh.peers == {}
            assert a.mesh.defence._open == {}
            assert len(a.met) == len(a.left)

    trio.run(run, clock=MockClock(autojump_threshold=0))


async def _try(node: Node, other: Node) -> None:
    try:
        await node.meets(other)
    except Exception as error:  # noqa: BLE001 - any of those that meet() promises
        assert type(error).__name__ in {"Lost", "Unreachable", "RemoteProtocolError"}
