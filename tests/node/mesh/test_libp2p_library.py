# SPDX-License-Identifier: MIT
"""Our streams and the library's understand each other, whoever dials: they are the same Yamux."""

import pytest
import trio
from libp2p.abc import INetStream
from libp2p.host.exceptions import StreamFailure
from libp2p.host.ping import PingService
from libp2p.identity.identify.identify import parse_identify_response

from node.mesh.libp2p.asked import IDENTIFY, PING
from node.mesh.transport import NotSpoken
from tests.node.mesh.bare_libp2p import (
    bare_host,
    connect,
    id_of,
    open_stream,
    read_to_end,
)
from tests.node.mesh.libp2p_scene import Libp2pScene
from tests.node.mesh.scene import ECHO, echoed, exchanged, joined, key_of, read, until

pytestmark = pytest.mark.slow  # the library takes a quarter of a second to dial

DATA = bytes(range(256)) * 12_000  # three times what our window holds, twelve times the first one


async def bare_echo(stream: INetStream) -> None:
    """Give back what comes, as a handler of the library."""
    try:
        while data := await stream.read(1 << 16):
            await stream.write(data)
    except Exception:  # noqa: BLE001 - the library raises at the end of data
        pass
    await stream.close()


async def say(stream: INetStream, data: bytes) -> None:
    """Write in pieces, then say that this is all."""
    for at in range(0, len(data), 60_000):
        await stream.write(data[at : at + 60_000])
    await stream.close_write()  # type: ignore[attr-defined] # of the NetStream that it is


async def test_the_library_dials_us() -> None:
    async with joined(Libp2pScene(), "bob") as bob, bare_host("carol") as carol:
        await connect(carol, bob.key, bob.endpoint.addresses[0])
        for data in (b"x", DATA):
            stream = await open_stream(carol, bob.key, ECHO)
            got = []
            async with trio.open_nursery() as nursery:
                nursery.start_soon(say, stream, data)
                got.append(await read_to_end(stream))
            assert got == [data]
        (connection,) = bob.met
        assert (connection.peer, connection.inbound) == (key_of("carol"), True)
        with pytest.raises(StreamFailure, match="failed to open"):
            await open_stream(carol, bob.key, "/unknown/1")


async def test_we_dial_the_library() -> None:
    async with bare_host("carol", {ECHO: bare_echo}) as carol, joined(Libp2pScene(), "bob") as bob:
        connection = await bob.endpoint.dial(key_of("carol"), [str(carol.get_addrs()[0])])
        for data in (b"x", DATA):
            assert await echoed(connection, data) == data
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(echoed, connection, DATA[:100_000])
        with pytest.raises(NotSpoken):
            await connection.open("/unknown/1")
        assert await exchanged(await connection.open(PING), bytes(64)) == bytes(64)
        told = parse_identify_response(await read(await connection.open(IDENTIFY)))
        assert ECHO in told.protocols


async def test_the_library_opens_streams_to_whoever_dialled_it() -> None:
    async with bare_host("carol") as carol, joined(Libp2pScene(), "bob") as bob:
        connection = await bob.endpoint.dial(key_of("carol"), [str(carol.get_addrs()[0])])
        await until(lambda: carol.get_network().get_connections(id_of(bob.key)))
        stream = await open_stream(carol, bob.key, ECHO)
        await say(stream, b"hello")
        assert await read_to_end(stream) == b"hello"
        await carol.close()
        await connection.wait_closed()


async def test_the_library_pings_us_and_learns_who_we_are() -> None:
    async with joined(Libp2pScene(), "bob") as bob, bare_host("carol") as carol:
        await connect(carol, bob.key, bob.endpoint.addresses[0])
        assert len(await PingService(carol).ping(id_of(bob.key), 3)) == 3
        stream = await open_stream(carol, bob.key, IDENTIFY)
        told = parse_identify_response(await read_to_end(stream))
        assert told.public_key.endswith(bob.key)
        await bob.met[0].close()
