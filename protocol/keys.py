# SPDX-License-Identifier: MIT
"""Identities: Ed25519 keys, signatures and the names of peers. Nothing is stored here.

A node is its public key. libp2p writes that key as a peer id (`12D3KooW…`); the same text
is made here without importing libp2p, so that a ledger can be read without a network.
"""

from collections.abc import Callable
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.reasons import Reason

KEY_BYTES = 32
SIGNATURE_BYTES = 64

# The order of the prime subgroup: S must be below it, or one signature has two spellings.
_GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493
_FIELD_PRIME = 2**255 - 19
_Y_MASK = 2**255 - 1

# The seven points of small order, each also with the sign bit set. A key among them verifies one
# fixed signature for a large share of all messages (for all of them with order 1), so whoever
# "owns" it can disown or be forged at will.
_LOW_ORDER_Y = (
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
)


def _both_signs(encoding: bytes) -> tuple[bytes, bytes]:
    return encoding, encoding[:-1] + bytes([encoding[-1] | 0x80])


LOW_ORDER_KEYS = frozenset(key for text in _LOW_ORDER_Y for key in _both_signs(bytes.fromhex(text)))

# Multihash "identity" of 36 bytes: protobuf field 1 = Ed25519, field 2 = 32 bytes of key.
_PEER_ID_PREFIX = bytes.fromhex("002408011220")
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


class Keypair:
    """A private key that can sign. It never shows itself in a message or a log."""

    __slots__ = ("_private", "public")

    def __init__(self, seed: bytes) -> None:
        """Build the key from its 32-byte seed; the caller threw the dice."""
        if len(seed) != KEY_BYTES:
            raise LocalProtocolError(f"a key seed has {KEY_BYTES} bytes, got {len(seed)}")
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self._private.public_key().public_bytes_raw()

    def sign(self, data: bytes) -> bytes:
        """Sign `data`; the same data gives the same signature."""
        return self._private.sign(data)

    def __repr__(self) -> str:
        """Name the public half only."""
        return f"Keypair({peer_id(self.public)})"


@lru_cache(maxsize=4096)  # loading a key costs a third of a check, and a node talks to few peers
def _load(public: bytes) -> Ed25519PublicKey:
    if len(public) != KEY_BYTES:
        raise RemoteProtocolError(
            Reason.MALFORMED, f"a public key has {KEY_BYTES} bytes, got {len(public)}"
        )
    if public in LOW_ORDER_KEYS or int.from_bytes(public, "little") & _Y_MASK >= _FIELD_PRIME:
        raise RemoteProtocolError(Reason.WEAK_KEY, f"key {public.hex()}")
    return Ed25519PublicKey.from_public_bytes(public)


def check_key(public: bytes) -> None:
    """Raise RemoteProtocolError for a key whose signatures would prove nothing."""
    _load(public)


def _is_signed(public: bytes, signature: bytes, data: bytes) -> bool:
    try:
        _load(public).verify(signature, data)
    except InvalidSignature:
        return False
    return True


Check = Callable[[bytes, bytes, bytes], bool]
"""Tells of a key, 64 bytes and some data whether those are its signature of these."""

is_signed: Check = _is_signed
"""Only a made world puts another one here, which remembers answers: simulations/signatures.py."""


def verify(public: bytes, signature: bytes, data: bytes) -> None:
    """Raise RemoteProtocolError unless `signature` is this key's one signature of `data`."""
    if len(signature) != SIGNATURE_BYTES:
        raise RemoteProtocolError(
            Reason.MALFORMED, f"a signature has {SIGNATURE_BYTES} bytes, got {len(signature)}"
        )
    if int.from_bytes(signature[32:], "little") >= _GROUP_ORDER:
        raise RemoteProtocolError(
            Reason.BAD_SIGNATURE, "the signature is a second spelling of another one"
        )
    check_key(public)
    if not is_signed(public, signature, data):
        raise RemoteProtocolError(Reason.BAD_SIGNATURE, f"not signed by {peer_id(public)}")


def peer_id(public: bytes) -> str:
    """Write a public key as libp2p writes it: base58 of the identity multihash."""
    data = _PEER_ID_PREFIX + public
    number = int.from_bytes(data, "big")
    digits = ""
    while number:
        number, digit = divmod(number, 58)
        digits = _BASE58[digit] + digits
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + digits


def parse_peer_id(text: str) -> bytes:
    """Read a peer id back into its public key; only the one spelling of it is taken."""
    number = 0
    for character in text[:64]:
        digit = _BASE58.find(character)
        if digit < 0:
            raise RemoteProtocolError(
                Reason.MALFORMED, f"{character!r} does not occur in a peer id"
            )
        number = number * 58 + digit
    public = number.to_bytes(64, "big")[-KEY_BYTES:]
    if peer_id(public) != text:
        raise RemoteProtocolError(
            Reason.MALFORMED, f"{text[:64]!r} is not the peer id of an Ed25519 key"
        )
    check_key(public)
    return public
