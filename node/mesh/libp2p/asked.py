# SPDX-License-Identifier: MIT
"""Identify and ping, for every libp2p node that asks. Nothing of ours is said here.

identify tells where we listen; 0.0.0.0 is never among it (fact 2), nor anything that was not
asked for: no push, no records that others could pass on.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence

import trio
from libp2p.identity.identify.identify import ID as IDENTIFY_ID
from libp2p.identity.identify.pb.identify_pb2 import Identify
from libp2p.utils.varint import encode_varint_prefixed
from multiaddr import Multiaddr  # type: ignore[import-untyped] # ships no types; two calls

from node import __version__
from node.mesh.transport import Handler, Stream

IDENTIFY = str(IDENTIFY_ID)
PING = "/ipfs/ping/1.0.0"

_PING_BYTES = 32
_IDLE_S = 120.0
_ADDRESSES_MAX = 32


async def ping(stream: Stream) -> None:
    """Send back each 32 bytes, until the peer has enough or is silent."""
    held = b""
    while True:
        data = b""
        with trio.move_on_after(_IDLE_S):
            data = await stream.receive()
        if not data:
            return
        held += data
        whole = len(held) - len(held) % _PING_BYTES
        if whole:
            await stream.send(held[:whole])
            held = held[whole:]


def identify(
    encoded_key: bytes, addresses: Callable[[], Sequence[str]], protocols: Sequence[str]
) -> Callable[[Stream], Awaitable[None]]:
    """Make the handler that says who we are, once."""

    async def tell(stream: Stream) -> None:
        message = Identify(
            protocol_version="ipfs/0.1.0",  # what all libp2p nodes say here
            agent_version=f"compute-commons/{__version__}",
            public_key=encoded_key,
            listen_addrs=[Multiaddr(each).to_bytes() for each in addresses()[:_ADDRESSES_MAX]],
            observed_addr=_bytes_of(stream.connection.remote),
            protocols=list(protocols),
        )
        await stream.send(encode_varint_prefixed(message.SerializeToString()))

    return tell


def with_asked(
    handlers: Mapping[str, Handler], encoded_key: bytes, addresses: Callable[[], Sequence[str]]
) -> dict[str, Handler]:
    """Give these handlers and the two of libp2p."""
    protocols = [*handlers, IDENTIFY, PING]
    return {**handlers, IDENTIFY: identify(encoded_key, addresses, protocols), PING: ping}


def _bytes_of(address: str) -> bytes:
    return bytes(Multiaddr(address).to_bytes()) if address else b""
