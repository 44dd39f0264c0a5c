# SPDX-License-Identifier: MIT
"""A peer that sends whatever it likes: frames of Yamux, records of Noise, lines, bytes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import cast

import trio
from trio.testing import lockstep_stream_pair, memory_stream_pair, wait_all_tasks_blocked

from node.mesh.address import parse_address
from node.mesh.libp2p.bytes_in import Wire
from node.mesh.libp2p.limits import WINDOW_BYTES
from node.mesh.libp2p.noise import Records, identity
from node.mesh.libp2p.session import Session
from node.mesh.libp2p.streams import MuxedStream
from node.mesh.libp2p.upgrading import upgrade_outbound
from node.mesh.libp2p.yamux import FIRST_WINDOW_BYTES, HEADER, Flag, Kind, header
from node.mesh.transport import Connection, Endpoint, Lost
from tests.node.mesh.scene import key_of, seed_of

MORE_WINDOW = WINDOW_BYTES - FIRST_WINDOW_BYTES


class Plain:
    """A cipher that leaves all as it is."""

    def encrypt(self, data: bytes) -> bytes:
        return data

    def decrypt(self, data: bytes) -> bytes:
        return data


class NoConnection:
    """What a session's streams say they run on, where nobody asks."""

    peer = bytes(32)
    inbound = False
    remote = ""


@dataclass
class Frame:
    """One frame that came."""

    kind: int
    flags: int
    stream: int
    length: int
    data: bytes


@dataclass
class RawPeer:
    """The other end of a connection, with its hands on the wire."""

    records: Records

    async def say(
        self, kind: Kind, flags: int, stream: int, length: int, data: bytes = b""
    ) -> None:
        """Send a frame, true or not."""
        await self.send(header(kind, flags, stream, length) + data)

    async def data(self, stream: int, data: bytes) -> None:
        """Send data."""
        await self.say(Kind.DATA, 0, stream, len(data), data)

    async def opened(self, stream: int) -> None:
        """Open a stream."""
        await self.say(Kind.WINDOW, Flag.SYN, stream, 0)

    async def send(self, data: bytes) -> None:
        """Send a record."""
        await self.records.put(data)

    async def hear(self) -> Frame:
        """Wait for the next frame."""
        _, kind, flags, stream, length = HEADER.unpack(await self.records.take(HEADER.size))
        data = await self.records.take(length) if kind == Kind.DATA else b""
        return Frame(kind, flags, stream, length, data)

    async def is_cut_off(self) -> bool:
        """Tell whether the other end ends the connection, having read what it says."""
        with trio.move_on_after(60):  # a machine may be slow and busy
            try:
                while True:
                    await self.records.more()
            except Lost:
                return True
        return False


@dataclass
class Alone:
    """A session without a network, and the raw peer on its other end."""

    session: Session
    peer: RawPeer
    arrived: list[MuxedStream]


@asynccontextmanager
async def alone(*, lockstep: bool = False, takes: bool = True) -> AsyncIterator[Alone]:
    """Run a session that was dialled; in lockstep, nothing is sent before somebody reads it."""
    here, there = lockstep_stream_pair() if lockstep else memory_stream_pair()
    session = Session(_plain(here), cast("Connection", NoConnection()), dialled=True)
    arrived: list[MuxedStream] = []

    def take(stream: MuxedStream) -> bool:
        arrived.append(stream)
        return takes

    async with trio.open_nursery() as nursery:
        nursery.start_soon(session.run, take)
        await wait_all_tasks_blocked()
        yield Alone(session, RawPeer(_plain(there)), arrived)
        nursery.cancel_scope.cancel()


async def accepted(scene: Alone, number: int = 2) -> MuxedStream:
    """Let the peer open a stream."""
    await scene.peer.opened(number)
    frame = await scene.peer.hear()
    assert (frame.flags, frame.stream, frame.length) == (Flag.ACK, number, MORE_WINDOW)
    return scene.arrived[-1]


def _plain(stream: object) -> Records:
    return Records(Wire(stream), Plain())  # type: ignore[arg-type] # a stream in memory


@asynccontextmanager
async def wire_to(endpoint: Endpoint) -> AsyncIterator[Wire]:
    """Connect, and say nothing."""
    address, _ = parse_address(endpoint.addresses[0])
    async with await trio.open_tcp_stream(address.host, address.port) as stream:
        yield Wire(stream)


@asynccontextmanager
async def raw_peer_of(endpoint: Endpoint, whose: str, who: str = "eve") -> AsyncIterator[RawPeer]:
    """Prove a key and agree on Yamux like an honest node."""
    me = identity(key_of(who), seed_of(who))
    async with wire_to(endpoint) as wire:
        yield RawPeer(await upgrade_outbound(wire, me, key_of(whose)))
