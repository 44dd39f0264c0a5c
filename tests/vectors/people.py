# SPDX-License-Identifier: MIT
"""Who speaks in the vectors, in which network, and about what."""

from hashlib import sha256

from protocol.hello import network_id
from protocol.keys import Keypair

NETWORK_NAME, NETWORK_SALT = "vectors", bytes(range(16))
NETWORK = network_id(NETWORK_NAME, NETWORK_SALT)
SECRET = bytes(range(100, 132))
NOW_S = 1_800_000_000

SEEDS = {"requester": b"\x01" * 32, "worker": b"\x02" * 32, "third": b"\x03" * 32}
REQUESTER, WORKER, THIRD = (Keypair(seed) for seed in SEEDS.values())
SEED_OF = {pair.public: SEEDS[name] for name, pair in zip(SEEDS, (REQUESTER, WORKER, THIRD))}  # noqa: B905 - a dictionary and the tuple made from it
KEYPAIR_OF = {pair.public: pair for pair in (REQUESTER, WORKER, THIRD)}

HERE, THERE = bytes(range(8)), bytes(range(8, 16))  # incarnations
ADDRESSES = ("/ip4/192.0.2.7/tcp/4001", "/dns4/node.example/tcp/4001")


def digest(name: str) -> bytes:
    """32 bytes that stand for something named."""
    return sha256(name.encode()).digest()


def stream(name: str, size: int) -> bytes:
    """Bytes without a pattern, the same each time."""
    blocks = (size + 31) // 32
    return b"".join(digest(f"{name} {block}") for block in range(blocks))[:size]
