# SPDX-License-Identifier: MIT
"""Noise: a peer proves its key, and bytes go in sealed records. The handshake is the library's.

After the handshake the library would hand out a session that copies each byte five times more
(benchmarks `transport`); the records here use its cipher and nothing else of it.
"""

from dataclasses import dataclass, field
from typing import Protocol, cast

import trio
from libp2p.abc import IRawConnection
from libp2p.crypto.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from libp2p.crypto.keys import KeyPair as LibraryKeys
from libp2p.crypto.x25519 import create_new_key_pair
from libp2p.peer.id import ID
from libp2p.security.noise.io import NoiseTransportReadWriter
from libp2p.security.noise.transport import PROTOCOL_ID
from libp2p.security.noise.transport import Transport as Noise
from libp2p.security.secure_session import SecureSession

from node.mesh.libp2p.bytes_in import Source, Wire
from node.mesh.libp2p.limits import HANDSHAKE_RECORD_BYTES_MAX
from node.mesh.transport import Lost
from protocol.keys import LOW_ORDER_KEYS

NOISE = str(PROTOCOL_ID)


class Cipher(Protocol):
    """What is left of the library's handshake: two counters and two keys."""

    def encrypt(self, data: bytes) -> bytes:
        """Seal the next record."""
        ...

    def decrypt(self, data: bytes) -> bytes:
        """Open the next record; raises when anybody has touched it."""
        ...


@dataclass(frozen=True, slots=True)
class Identity:
    """This node's key, as the library wants it."""

    public: bytes
    encoded: bytes
    noise: Noise
    turn: trio.Lock = field(default_factory=trio.Lock, compare=False)


def identity(public: bytes, seed: bytes) -> Identity:
    """Make it of the seed; a seed that is not the key's raises ValueError."""
    private = Ed25519PrivateKey.from_bytes(seed)
    keys = LibraryKeys(private, private.get_public_key())
    if keys.public_key.to_bytes() != public:
        raise ValueError("the seed is not the one that the key was made of")
    noise = Noise(keys, noise_privkey=create_new_key_pair().private_key)
    return Identity(public, keys.public_key.serialize(), noise)


class Records(Source):
    """Bytes in sealed records, on a connection whose other end has proven its key."""

    def __init__(self, wire: Wire, cipher: Cipher) -> None:
        """Begin with the first record after the handshake."""
        super().__init__()
        self.wire = wire
        self._cipher = cipher

    async def more(self) -> bytes:
        """Open the next record that is not empty."""
        while True:
            length = int.from_bytes(await self.wire.take(2), "big")
            sealed = await self.wire.take(length)
            try:
                opened = self._cipher.decrypt(sealed)
            except Exception:  # noqa: BLE001 - the library's kinds of refusal are its own affair
                raise Lost("a record was damaged on its way, or forged") from None
            if opened:
                return opened

    async def put(self, data: bytes) -> None:
        """Seal and send one record. Cancelled, it is cut: only who ends the connection may."""
        sealed = self._cipher.encrypt(data)
        await self.wire.put(len(sealed).to_bytes(2, "big") + sealed)


async def prove_inbound(wire: Wire, identity: Identity) -> tuple[bytes, Records]:
    """Answer the handshake; the caller's key is what it has proven."""
    return _proven(wire, await identity.noise.secure_inbound(_raw(wire, identity)))


async def prove_outbound(wire: Wire, identity: Identity, peer: bytes) -> tuple[bytes, Records]:
    """Begin the handshake with this peer. Another one does not even learn who we are."""
    wanted = ID.from_pubkey(Ed25519PublicKey.from_bytes(peer))
    return _proven(wire, await identity.noise.secure_outbound(_raw(wire, identity), wanted))


class _Raw:
    """The face of a connection that the library's handshake looks at.

    Each message costs some milliseconds of the processor. So handshakes take turns: between two
    of their steps everybody else has one, and a flood of them holds up nobody who is connected.
    """

    def __init__(self, wire: Wire, turn: trio.Lock) -> None:
        self._wire = wire
        self._turn = turn

    async def read(self, length: int) -> bytes:
        if length > HANDSHAKE_RECORD_BYTES_MAX:
            raise Lost(f"a message of the handshake has {length} bytes")
        data = await self._wire.take(length)
        async with self._turn:
            await trio.lowlevel.checkpoint()
        return data  # and what is computed of it is computed before the next one has its turn

    async def write(self, data: bytes) -> None:
        await self._wire.put(data)


def _raw(wire: Wire, identity: Identity) -> IRawConnection:
    raw = _Raw(wire, identity.turn)
    return cast("IRawConnection", raw)  # the handshake uses these two methods of eight


def _proven(wire: Wire, session: object) -> tuple[bytes, Records]:
    # `session.get_remote_public_key()` would be the key of the handshake, not the peer's (run).
    assert isinstance(session, SecureSession)
    key = session.get_remote_peer().extract_public_key()
    if not isinstance(key, Ed25519PublicKey):
        raise Lost("the peer's key is not an Ed25519 key")
    public = key.to_bytes()
    if public in LOW_ORDER_KEYS:
        raise Lost("the peer's key is one that anybody can sign with")
    sealed = session.conn
    assert isinstance(sealed, NoiseTransportReadWriter)
    return public, Records(wire, sealed.noise_state)
