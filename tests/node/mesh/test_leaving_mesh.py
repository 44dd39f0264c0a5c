# SPDX-License-Identifier: MIT
"""Tests of a node that leaves its mesh: it says goodbye, and begins nothing for these moments."""

import pytest
import trio

from node.mesh.peer import Peer
from node.mesh.transport import TransportError
from protocol.errors import Refused
from protocol.reasons import Reason
from simulations.transport import Net
from tests.node.executor.virtual_time import in_virtual_time
from tests.node.mesh.grounds import Node, make, on, settled


async def _tries(node: Node, other: Node, told: list[Exception]) -> None:
    try:
        await node.meets(other)
    except (Refused, TransportError) as error:
        told.append(error)


@in_virtual_time
async def test_who_leaves_dials_nobody_in_the_place_of_those_it_leaves() -> None:
    a, b, c = make(1), make(2), make(3)
    net, told = Net(), list[Exception]()
    async with trio.open_nursery() as nursery, on(net, b, c):
        a.mesh.watch(lambda _peer: None, lambda _key, _why: nursery.start_soon(_tries, a, c, told))
        async with on(net, a):
            await a.meets(b)
        await settled()
        assert [each.reason for each in told if isinstance(each, Refused)] == [Reason.SHUTTING_DOWN]
        assert (c.met, a.met) == ([], [b.key])


@in_virtual_time
async def test_who_leaves_lets_nobody_in() -> None:
    a, b, c = make(1), make(2), make(3)
    net, told = Net(), list[Exception]()
    async with trio.open_nursery() as nursery, on(net, b, c):
        async with on(net, a):
            await a.meets(b)
            addresses = a.addresses

            def dial(_key: bytes, _why: str) -> None:
                nursery.start_soon(_dials, c, a, addresses, told)

            a.mesh.watch(lambda _peer: None, dial)
        await settled()
        assert len(told) == 1
        assert (c.met, a.met) == ([], [b.key])


async def _dials(
    node: Node, other: Node, addresses: tuple[str, ...], told: list[Exception]
) -> None:
    try:
        await node.mesh.meet(other.key, addresses)
    except (Refused, TransportError) as error:
        told.append(error)


@in_virtual_time
async def test_who_has_left_and_comes_back_meets_others_again() -> None:
    a, b = make(1), make(2)
    net = Net()
    async with on(net, b):
        for _ in range(2):
            async with on(net, a):
                peer = await a.meets(b)
                assert isinstance(peer, Peer)
            with pytest.raises(Refused, match="not in the mesh"):
                await a.meets(b)
            await settled()
    assert a.met == [b.key, b.key]
