# SPDX-License-Identifier: MIT
"""A peer that says hello by hand, for tests of what is answered to it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import trio

from node.mesh.framed import Framed, running
from node.mesh.hello import HELLO, HELLO_S_MAX, Greeter
from node.mesh.transport import Connection, TransportError
from node.networks import Network
from protocol.errors import RemoteProtocolError
from protocol.frames import Frame, StatementFrame
from protocol.hello import Hello
from protocol.sealed import seal, unseal
from simulations.transport import Net
from tests.node.mesh.grounds import (
    Introducing,
    Node,
    RawNode,
    VirtualClock,
    make,
    on,
    raw,
)


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
