# SPDX-License-Identifier: MIT
"""From a TCP connection to a proven key and an agreed multiplexer. Nothing else is offered.

Only Noise and only Yamux: the library's defaults offer a plaintext in which a caller merely says
who it is (fact 1), and a multiplexer that one bad frame turns against the whole process (fact 2).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from libp2p.security.noise.exceptions import PeerIDMismatchesPubkey

from node.mesh.libp2p.bytes_in import Source, Wire
from node.mesh.libp2p.choosing import answer, propose
from node.mesh.libp2p.noise import NOISE, Identity, Records, prove_inbound, prove_outbound
from node.mesh.libp2p.yamux import YAMUX
from node.mesh.transport import Lost, TransportError
from protocol.keys import peer_id


class OwnKey(TransportError):
    """The other end has this very key."""


async def upgrade_outbound(wire: Wire, identity: Identity, peer: bytes) -> Records:
    """Agree with the peer that was dialled; TransportError says why not."""
    with _in_our_words():
        if not await propose(wire, NOISE):
            raise Lost("the peer does not offer encryption by Noise")
        try:
            proven, records = await prove_outbound(wire, identity, peer)
        except PeerIDMismatchesPubkey as error:
            if peer_id(identity.public) in str(error):
                raise OwnKey("this node's own key answered there") from None
            raise Lost("another peer answered there") from None
        if proven != peer:  # the library has looked; what money goes by is looked at twice
            raise Lost("another peer answered there")
        if not await propose(records, YAMUX):
            raise Lost("the peer does not speak Yamux")
        return records


async def upgrade_inbound(
    wire: Wire, identity: Identity, may_stay: Callable[[bytes], bool]
) -> tuple[bytes, Records]:
    """Agree with a caller; it is asked for nothing more when its key may not stay."""
    with _in_our_words():
        await _must_speak(wire, NOISE, "the caller does not offer encryption by Noise")
        peer, records = await prove_inbound(wire, identity)
        stays = may_stay(peer)  # asked of our own key as well: whoever has it is to be known of
        if peer == identity.public:
            raise OwnKey("the caller has this node's own key")
        if not stays:
            raise Lost("this key may not stay")
        await _must_speak(records, YAMUX, "the caller does not speak Yamux")
        return peer, records


async def _must_speak(source: Source, protocol: str, otherwise: str) -> None:
    if await answer(source, {protocol}) is None:
        raise Lost(otherwise)


@contextmanager
def _in_our_words() -> Iterator[None]:
    """Whatever the library raises about what a stranger sent is the stranger's end."""
    try:
        yield
    except TransportError:
        raise
    except Exception as error:
        raise Lost(f"the handshake failed: {type(error).__name__}: {str(error)[:200]}") from error
