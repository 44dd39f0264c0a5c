# SPDX-License-Identifier: MIT
"""What tests of networks begin with."""

from pathlib import Path

from node.networks import Network, Networks
from node.paths import Paths
from protocol.invite import Invite, parse_invite
from protocol.keys import Keypair, peer_id
from tests.node.mesh.virtual_clock import EPOCH_S, VirtualClock

PEER = peer_id(Keypair(b"\x07" * 32).public)


def address(number: int) -> str:
    return f"/ip4/192.0.2.{number}/tcp/4001/p2p/{PEER}"


def networks_at(folder: Path, seed: str = "") -> Networks:
    return Networks(
        Paths(folder / "config", folder / "state", folder / "cache", folder / "runtime"),
        VirtualClock(seed or folder.name),
    )


def invite_of(text: str) -> Invite:
    return parse_invite(text, EPOCH_S)


def same(one: Network, other: Network) -> bool:
    return (one.id, dict(one.secrets), one.bootstrap) == (
        other.id,
        dict(other.secrets),
        other.bootstrap,
    )
