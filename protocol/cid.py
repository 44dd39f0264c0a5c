# SPDX-License-Identifier: MIT
"""The text form of a blob's name: CID v1 of its SHA-256. Where blobs are stored is not said here.

Other systems (IPFS and its relatives) name bytes the same way, so a blob can be fetched
from them too. Of the many forms that a CID may take, one is written and read here: version
1, codec "raw", multihash SHA-256, base32 in lower case without padding.
"""

from base64 import b32decode, b32encode
from hashlib import sha256

from protocol.errors import LocalProtocolError, RemoteProtocolError
from protocol.reasons import Reason

DIGEST_BYTES = 32

# CID version 1, codec raw (0x55), multihash function SHA-256 (0x12) of 32 (0x20) bytes.
_PREFIX = bytes([0x01, 0x55, 0x12, 0x20])
# The letter that says "base32, lower case", and the 36 bytes in steps of five bits.
_MULTIBASE = "b"
_CHARACTERS = 1 + 58


def cid_of(data: bytes) -> str:
    """Name some bytes."""
    return format_cid(sha256(data).digest())


def format_cid(digest: bytes) -> str:
    """Write a SHA-256 digest as a CID."""
    if len(digest) != DIGEST_BYTES:
        raise LocalProtocolError(f"a digest has {DIGEST_BYTES} bytes, got {len(digest)}")
    return _MULTIBASE + b32encode(_PREFIX + digest).decode().rstrip("=").lower()


def parse_cid(text: str) -> bytes:
    """Read the digest out of a CID; only the one spelling of it is taken."""
    if len(text) != _CHARACTERS or not text.isascii() or text != text.lower():
        raise RemoteProtocolError(Reason.MALFORMED, f"{text[:64]!r} is not a CID of this protocol")
    try:
        data = b32decode(text[1:].upper() + "======")
    except ValueError as error:
        raise RemoteProtocolError(Reason.MALFORMED, f"{text!r} is not base32") from error
    digest = data[len(_PREFIX) :]
    # Also refuses other prefixes, and unused last bits that are not zero.
    if format_cid(digest) != text:
        raise RemoteProtocolError(Reason.MALFORMED, f"{text!r} is not a raw SHA-256 CID in base32")
    return digest
