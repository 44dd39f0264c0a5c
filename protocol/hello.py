# SPDX-License-Identifier: MIT
"""The first words on a connection, and the proof that a node belongs to a private network.

Theory of operation
-------------------
Both sides send a hello as soon as the stream is open, each with a nonce of its own. In a
private network these first two carry nothing but versions and nonces: no advert, no sync
point. The dialer then sends a second hello that answers the listener's nonce and carries
its proof; only when that holds does the listener send its own second hello. So the one who
dials shows its proof first, and a stranger learns nothing from either side.

The proof is a MAC under the network's secret over the role, both keys **as the transport
authenticated them** and both nonces: a man in the middle has other keys, a replay other
nonces, a mirror the other role.
"""

import hmac
from typing import Annotated

from protocol.advert import Extension
from protocol.canon import (
    BytesCodec,
    Flag,
    Incarnation,
    Key,
    NetworkId,
    Nonce,
    Uint,
    UintCodec,
    domain_tag,
    message,
    tagged_hash,
)
from protocol.errors import RemoteProtocolError
from protocol.limits import CLOCK_SKEW_S_MAX, HELLO_BYTES_MAX, STATEMENT_BYTES_MAX
from protocol.reasons import Reason
from protocol.sealed import PairStatement

DIALER, LISTENER = 0, 1

# A node speaks its own version and the one before it.
SPEAKS_LOW, SPEAKS_HIGH = 1, 1


@message("hello", most=HELLO_BYTES_MAX)
class Hello(PairStatement):
    """Who I am, what I speak, and how far our common account goes.

    `held_total` is what the peer owes me in all as I have it, `signed_total` what I owe the
    peer as I signed it: when both sides name the same two numbers there is nothing to sync.
    """

    node: Key
    peer: Key
    incarnation: Incarnation
    network: NetworkId
    role: Flag
    speaks_low: Annotated[int, UintCodec(1, 1 << 16)]
    speaks_high: Annotated[int, UintCodec(1, 1 << 16)]
    price_low: Uint
    price_high: Uint
    wall_ms: Uint
    nonce: Nonce
    answers: Annotated[bytes, BytesCodec(32, 32, or_empty=True)]
    secret_version: Uint
    proof: Annotated[bytes, BytesCodec(32, 32, or_empty=True)]
    held_total: Uint
    signed_total: Uint
    advert: Annotated[bytes, BytesCodec(65, STATEMENT_BYTES_MAX + 64, or_empty=True)]
    extension: Extension

    def broken_rule(self) -> str:
        """Ranges are ranges, and a proof proves something about an answered nonce."""
        if self.speaks_low > self.speaks_high or self.price_low > self.price_high:
            return "a range of versions ends before it begins"
        if self.proof and not self.answers:
            return "a proof without an answered nonce"
        return PairStatement.broken_rule(self)


def network_id(name: str, salt: bytes) -> bytes:
    """Name a network: two founders who choose the same name still found two networks."""
    return tagged_hash("network", salt, name.encode())[:16]


def membership_proof(secret: bytes, hello: Hello, peer_nonce: bytes) -> bytes:
    """Make the proof that belongs into `hello`, which answers `peer_nonce`."""
    ends = ((hello.node, hello.nonce), (hello.peer, peer_nonce))
    dialer, listener = ends if hello.role == DIALER else ends[::-1]
    text = bytes([hello.role]) + dialer[0] + listener[0] + dialer[1] + listener[1]
    return hmac.digest(secret, domain_tag("membership") + text, "sha256")


def check_hello(hello: Hello, *, me: bytes, peer: bytes, role: int, network: bytes) -> None:
    """Check a hello against what the transport knows: the two keys and who dialled."""
    if hello.network != network:
        raise RemoteProtocolError(Reason.OTHER_NETWORK, f"network {hello.network.hex()}")
    if hello.node != peer or hello.peer != me or hello.role != role:
        raise RemoteProtocolError(Reason.WRONG_PARTY, "the hello was made for another connection")
    if hello.speaks_low > SPEAKS_HIGH or hello.speaks_high < SPEAKS_LOW:
        detail = f"speaks {hello.speaks_low}..{hello.speaks_high}, here {SPEAKS_LOW}..{SPEAKS_HIGH}"
        raise RemoteProtocolError(Reason.UNKNOWN_VERSION, detail)


def check_membership(hello: Hello, secrets: dict[int, bytes], my_nonce: bytes) -> None:
    """Check the proof in a hello against the secrets of this network by version."""
    secret = secrets.get(hello.secret_version)
    if secret is None:
        raise RemoteProtocolError(Reason.NOT_A_MEMBER, f"secret of version {hello.secret_version}")
    if hello.answers != my_nonce:
        raise RemoteProtocolError(Reason.NOT_A_MEMBER, "the proof answers another nonce")
    if not hmac.compare_digest(hello.proof, membership_proof(secret, hello, my_nonce)):
        raise RemoteProtocolError(Reason.NOT_A_MEMBER, "the proof was made without the secret")


def clock_offset_s(hello: Hello, now_s: float) -> float:
    """How far the peer's clock is ahead of ours; more than the cap raises RemoteProtocolError."""
    offset = hello.wall_ms / 1000 - now_s
    if abs(offset) > CLOCK_SKEW_S_MAX:
        raise RemoteProtocolError(
            Reason.CLOCK_SKEW, f"the peer's clock is {offset:+.0f} s from ours"
        )
    return offset
