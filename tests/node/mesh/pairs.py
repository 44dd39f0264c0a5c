# SPDX-License-Identifier: MIT
"""Two ends of one stream on a made network, for tests of what is said on it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from node.mesh.framed import Framed, running
from node.mesh.transport import Stream
from simulations.transport import Net
from tests.node.mesh.grounds import ECHO, RawNode, raw


@asynccontextmanager
async def streams(net: Net | None = None) -> AsyncIterator[tuple[Stream, Stream]]:
    """Give both ends; the first one has opened the stream."""
    net = net or Net()
    async with raw(net, 1, ()) as one, raw(net, 2, (ECHO,)) as other:
        yield await opened(one, other)


async def opened(one: RawNode, other: RawNode) -> tuple[Stream, Stream]:
    connection = await one.endpoint.dial(other.key, other.addresses)
    near = await connection.open(ECHO)
    with trio.fail_after(1):
        return near, await other.incoming.receive()


@asynccontextmanager
async def pair(net: Net | None = None) -> AsyncIterator[tuple[Framed, Framed]]:
    """Give both ends as frames."""
    async with (
        streams(net) as (near, far),
        running(Framed(near)) as one,
        running(Framed(far)) as other,
    ):
        yield one, other
