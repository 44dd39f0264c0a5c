# SPDX-License-Identifier: MIT
"""Choices without dice: keyed hashes that nobody outside can predict. What for is said elsewhere.

A node's view is born with a secret salt. Whatever looks random in it is a hash of that
salt, the purpose, a bucket (a round, a query, or nothing) and the candidate. So a run can
be repeated exactly, and a flooder who repeats a key, or shows it first, gains nothing: the
draw of a key is the same each time, and he cannot know which keys draw low.
"""

from hashlib import blake2b

from protocol.errors import LocalProtocolError

SALT_BYTES = 32


def check_salt(salt: bytes) -> None:
    """Refuse a salt that could be guessed."""
    if len(salt) != SALT_BYTES:
        raise LocalProtocolError(f"a salt has {SALT_BYTES} secret bytes, got {len(salt)}")


def draw(salt: bytes, purpose: bytes, candidate: bytes, bucket: int = 0) -> int:
    """Give the candidate's place in the lottery of this purpose and bucket; the lowest wins."""
    text = bucket.to_bytes(8, "big") + candidate
    return int.from_bytes(blake2b(text, digest_size=8, key=salt, person=purpose).digest(), "big")
