# SPDX-License-Identifier: MIT
"""py-libp2p as it comes, with the least that makes it usable: for interoperation and benchmarks."""

import gc
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import trio
from libp2p import new_host
from libp2p.abc import IHost, INetStream
from libp2p.crypto.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from libp2p.crypto.keys import KeyPair
from libp2p.crypto.x25519 import create_new_key_pair
from libp2p.custom_types import TProtocol
from libp2p.network.stream.exceptions import StreamError
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as Noise
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX
from libp2p.stream_muxer.yamux.yamux import Yamux
from multiaddr import Multiaddr  # type: ignore[import-untyped] # ships no types

from tests.node.mesh.scene import seed_of

LOOPBACK = "/ip4/127.0.0.1/tcp/0"

Handler = Callable[[INetStream], Awaitable[None]]


def keys_of(who: str) -> KeyPair:
    """Give somebody's key as the library wants it."""
    private = Ed25519PrivateKey.from_bytes(seed_of(who))
    return KeyPair(private, private.get_public_key())


def id_of(key: bytes) -> ID:
    """Name a key."""
    return ID.from_pubkey(Ed25519PublicKey.from_bytes(key))


@asynccontextmanager
async def bare_host(
    who: str, handlers: Mapping[str, Handler] | None = None
) -> AsyncIterator[IHost]:
    """Run a host on loopback that speaks what we speak."""
    keys = keys_of(who)
    host = new_host(
        key_pair=keys,
        listen_addrs=[Multiaddr(LOOPBACK)],
        sec_opt={NOISE: Noise(keys, noise_privkey=create_new_key_pair().private_key)},
        muxer_opt={TProtocol(YAMUX): Yamux},
    )
    for protocol, handler in (handlers or {}).items():
        host.set_stream_handler(TProtocol(protocol), handler)
    try:
        async with host.run(listen_addrs=[Multiaddr(LOOPBACK)]):
            with trio.fail_after(5):
                while not host.get_addrs():  # noqa: ASYNC110 - it says nothing when it is ready
                    await trio.sleep(0.001)
            yield host
    finally:
        with warnings.catch_warnings():  # it leaves sockets for the collector, who would complain
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


async def connect(host: IHost, key: bytes, address: str) -> None:
    """Let a bare host dial."""
    await host.connect(PeerInfo(id_of(key), [Multiaddr(address)]))


async def open_stream(host: IHost, key: bytes, protocol: str) -> INetStream:
    """Let a bare host open a stream."""
    return await host.new_stream(id_of(key), [TProtocol(protocol)])


async def read_to_end(stream: INetStream) -> bytes:
    """Read until the library says that it is the end."""
    got = bytearray()
    try:
        while data := await stream.read(1 << 16):
            got += data
    except StreamError:
        pass
    return bytes(got)
