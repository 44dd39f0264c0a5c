# SPDX-License-Identifier: MIT
"""What py-libp2p does that made us do without parts of it. One that fails has been mended there:
then `docs/design/transport.md` says what of ours could go.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from libp2p import new_host
from libp2p.abc import INetStream
from libp2p.network.exceptions import SwarmException
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from libp2p.stream_muxer.exceptions import MuxedStreamError
from libp2p.stream_muxer.yamux.yamux import MAX_WINDOW_SIZE, Yamux
from libp2p.utils.varint import encode_uvarint, read_delim
from multiaddr import Multiaddr  # type: ignore[import-untyped] # ships no types
from trio.testing import MockClock, wait_all_tasks_blocked

from node.mesh.libp2p.yamux import FIRST_WINDOW_BYTES, Flag, Kind, header
from tests.node.mesh.bare_libp2p import bare_host, connect, keys_of, open_stream
from tests.node.mesh.scene import key_of


class Paper:
    """A secured connection of the library, of which each end is a list and a lock."""

    is_initiator = True

    def __init__(self, said: bytes, *, writes: bool) -> None:
        self.said = bytearray(said)
        self.written: list[bytes] = []
        self.may_write = trio.Event()
        if writes:
            self.may_write.set()

    async def read(self, length: int) -> bytes:
        await trio.lowlevel.checkpoint()
        if not self.said:
            await trio.sleep_forever()
        taken = bytes(self.said[:length])
        del self.said[:length]
        return taken

    async def write(self, data: bytes) -> None:
        half = len(data) // 2
        self.written.append(data[:half])
        await self.may_write.wait()
        await trio.lowlevel.checkpoint()
        self.written.append(data[half:])

    async def close(self) -> None:
        pass


@asynccontextmanager
async def session(said: bytes, *, writes: bool = True) -> AsyncIterator[tuple[Yamux, Paper]]:
    """Run the library's session on paper."""
    paper = Paper(said, writes=writes)
    yamux = Yamux(paper, ID(b"x"), is_initiator=True)  # type: ignore[arg-type] # what it uses of it
    async with trio.open_nursery() as nursery:
        nursery.start_soon(yamux.start)
        await wait_all_tasks_blocked()
        yield yamux, paper
        nursery.cancel_scope.cancel()


def test_fact_1_and_2_its_defaults_offer_plaintext_and_mplex() -> None:
    host = new_host(key_pair=keys_of("carol"))
    upgrader = host.get_network().upgrader  # type: ignore[attr-defined] # of the Swarm that it is
    assert "/plaintext/2.0.0" in upgrader.security_multistream.transports
    assert "/mplex/6.7.0" in upgrader.muxer_multistream.transports


@pytest.mark.slow
async def test_fact_3_what_a_handler_raises_ends_the_host() -> None:
    async def fail(_: INetStream) -> None:
        raise ValueError("a handler's mistake")

    async def open_there() -> None:
        async with bare_host("bob", {"/x/1": fail}) as bob, bare_host("carol") as carol:
            await connect(carol, key_of("bob"), str(bob.get_addrs()[0]))
            await open_stream(carol, key_of("bob"), "/x/1")
            with trio.fail_after(5):
                await trio.sleep_forever()

    with pytest.raises(BaseExceptionGroup) as caught:
        await open_there()
    assert caught.value.subgroup(ValueError)


async def test_fact_4_a_cancelled_write_cuts_a_frame() -> None:
    async with session(b"") as (yamux, paper):
        stream = await yamux.open_stream()
        paper.written.clear()
        paper.may_write = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.write, b"hello")
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert paper.written == [header(Kind.DATA, 0, 1, 5)[:8]], "half of it"


@pytest.mark.slow
async def test_fact_5_it_dials_one_address_and_then_none_for_a_minute() -> None:
    dead = Multiaddr("/ip4/127.0.0.1/tcp/1")
    async with bare_host("bob") as bob, bare_host("carol") as carol:
        live = bob.get_addrs()[0]
        with pytest.raises(SwarmException):
            await carol.connect(PeerInfo(bob.get_id(), [dead, live]))
        with pytest.raises(SwarmException, match="recently failed"):
            await carol.connect(PeerInfo(bob.get_id(), [live]))


async def test_a_port_in_use_is_not_said() -> None:
    async with bare_host("bob") as bob:
        taken = [bob.get_addrs()[0].decapsulate_code(0x01A5)]
        carol = new_host(key_pair=keys_of("carol"), listen_addrs=taken)
        async with carol.run(listen_addrs=taken):
            pass


async def test_a_peer_may_send_more_than_its_window() -> None:
    said = header(Kind.WINDOW, Flag.SYN, 2, 0)
    frame = header(Kind.DATA, 0, 2, FIRST_WINDOW_BYTES) + bytes(FIRST_WINDOW_BYTES)
    async with session(said + frame * 80) as (yamux, _):
        await wait_all_tasks_blocked()
        assert len(yamux.stream_buffers[2]) == 80 * FIRST_WINDOW_BYTES > MAX_WINDOW_SIZE
        assert not yamux.event_shutting_down.is_set()


async def test_its_reader_waits_for_its_writer() -> None:
    """When both ends do, and both have much to say, neither goes on."""
    answered = header(Kind.PING, Flag.SYN, 0, 1)
    async with session(answered + header(Kind.WINDOW, Flag.SYN, 2, 0), writes=False) as (_, paper):
        assert len(paper.said) == len(answered), "what comes next is not read"


async def test_a_writer_is_given_up_after_five_seconds(
    autojump_clock: MockClock,  # noqa: ARG001 - time is virtual
) -> None:
    async with session(b"") as (yamux, _):
        stream = await yamux.open_stream()
        began = trio.current_time()
        with pytest.raises(MuxedStreamError, match="after 5 seconds"):
            await stream.write(bytes(FIRST_WINDOW_BYTES + 1))
        assert 5 <= trio.current_time() - began < 6


async def test_a_line_of_its_negotiation_may_have_any_length() -> None:
    asked = []

    class Reader:
        said = bytearray(encode_uvarint(1 << 40))

        async def read(self, length: int) -> bytes:
            await trio.lowlevel.checkpoint()
            asked.append(length)
            taken = bytes(self.said[:length])
            del self.said[:length]
            return taken

    with pytest.raises(Exception, match="expected"):
        await read_delim(Reader())  # type: ignore[arg-type] # it only reads
    assert 1 << 40 in asked


@pytest.mark.slow
async def test_the_key_of_its_session_is_not_the_peers() -> None:
    """`get_remote_public_key` gives the key of the handshake, which proves nothing by itself."""
    async with bare_host("bob") as bob, bare_host("carol") as carol:
        await connect(carol, key_of("bob"), str(bob.get_addrs()[0]))
        (connection,) = carol.get_network().get_connections(bob.get_id())
        secured = connection.muxed_conn.secured_conn  # type: ignore[attr-defined] # of the Yamux that it is
        assert secured.get_remote_public_key().to_bytes() != key_of("bob")
