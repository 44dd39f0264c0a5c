# SPDX-License-Identifier: MIT
"""Who this node is: one Ed25519 key, made at the first start and kept in a file.

The key *is* the node: its name in the mesh, its credit and its debts. Two machines that run
with copies of one key sign different things in one name, which looks like cheating and is
treated so. To move a node, move the whole state folder, and start it in one place only.

The file is text, so that whoever finds it sees what it is. It names the peer id beside the
seed: a seed that was damaged would otherwise be a new node, without a word and without credit.
"""

from dataclasses import dataclass, field
from pathlib import Path

from node.clock import Clock
from node.errors import ConfigError
from node.paths import Paths, make_private
from node.private_file import create_private, read_private
from protocol.keys import KEY_BYTES, Keypair, peer_id

FILE = "identity.key"

#: The file has some 330 bytes; a longer one was edited by somebody.
FILE_BYTES_MAX = 4096

_HEADER = """\
# The identity of a node of the compute commons. Whoever has this file is this node and can
# spend its credit: show it to nobody, and never run two machines with it at a time.
"""


@dataclass(frozen=True, slots=True)
class Identity:
    """The key of this node, and the 32 bytes that it was made of."""

    seed: bytes = field(repr=False)
    keypair: Keypair

    @property
    def me(self) -> bytes:
        """The public key, which names this node."""
        return self.keypair.public


def identity_file(paths: Paths) -> Path:
    """Say where the identity is kept."""
    return paths.state / FILE


def load(paths: Paths) -> Identity | None:
    """Read the identity; None when there is none yet, ConfigError when it cannot be used."""
    path = identity_file(paths)
    data = read_private(path, FILE_BYTES_MAX)
    return None if data is None else _read(path, data)


def load_or_make(paths: Paths, clock: Clock) -> Identity:
    """Read the identity, or make one; of two processes that do so at once both get the same."""
    make_private(paths.state)
    found = load(paths)
    if found is None:
        seed = clock.secret_bytes(KEY_BYTES)
        text = f"{_HEADER}peer {peer_id(Keypair(seed).public)}\nseed {seed.hex()}\n"
        create_private(identity_file(paths), text.encode())
        found = load(paths)
    if found is None:
        raise ConfigError(f"{identity_file(paths)} was removed while it was made: start again.")
    return found


def _read(path: Path, data: bytes) -> Identity:
    broken = f"{path} is no identity: put back a copy of it, or move it away to be a new node"
    try:
        lines = [line.split() for line in data.decode().splitlines() if not line.startswith("#")]
        (peer_name, peer), (seed_name, text) = lines
        seed = bytes.fromhex(text)
    except ValueError as error:
        raise ConfigError(f"{broken} (wanted are the lines `peer` and `seed`).") from error
    if (peer_name, seed_name) != ("peer", "seed"):
        raise ConfigError(f"{broken} (wanted are the lines `peer` and `seed`).")
    if len(seed) != KEY_BYTES:
        raise ConfigError(f"{broken} (its seed has {len(seed)} bytes instead of {KEY_BYTES}).")
    keypair = Keypair(seed)
    if peer_id(keypair.public) != peer:
        raise ConfigError(f"{broken} (its seed is not that of {peer[:64]!r}).")
    return Identity(seed, keypair)
