# SPDX-License-Identifier: MIT
"""Who offers something else than Noise and Yamux, or another key, as a caller or when dialled."""

from contextlib import suppress
from typing import Any, ClassVar, cast

import pytest
import trio
from libp2p.abc import IRawConnection
from libp2p.crypto.ed25519 import Ed25519PublicKey
from libp2p.crypto.keys import PublicKey
from libp2p.crypto.secp256k1 import create_new_key_pair
from libp2p.peer.id import ID
from libp2p.security.noise.io import NoiseTransportReadWriter
from libp2p.security.secure_session import SecureSession

from node.mesh.libp2p import noise
from node.mesh.libp2p.bytes_in import Wire
from node.mesh.libp2p.choosing import answer, propose
from node.mesh.libp2p.noise import NOISE, Identity, identity, prove_inbound, prove_outbound
from node.mesh.libp2p.upgrading import upgrade_inbound
from node.mesh.transport import Lost, Unreachable
from tests.node.mesh.libp2p_scene import Libp2pScene
from tests.node.mesh.raw_peer import wire_to
from tests.node.mesh.scene import (
    OpenGate,
    joined,
    key_of,
    seed_of,
)
from tests.node.mesh.under_attack import bob, is_cut_off

OTHERS = ("/plaintext/2.0.0", "/secio/1.0.0", "/tls/1.0.0", "/noise-old")


@pytest.mark.parametrize("protocol", OTHERS)
async def test_a_caller_gets_no_other_encryption_than_noise(protocol: str) -> None:
    """Fact 1: the library's defaults take a caller's word for its key, in plaintext."""
    async with bob() as node, wire_to(node.endpoint) as wire:
        assert not await propose(wire, protocol)
        assert node.met == []


@pytest.mark.parametrize("muxer", ["/mplex/6.7.0", "/yamux/2.0.0"])
async def test_a_caller_gets_no_other_multiplexer_than_yamux(muxer: str) -> None:
    """Fact 2: with mplex one bad frame ends the library's whole process."""
    me = identity(key_of("eve"), seed_of("eve"))
    async with bob() as node, wire_to(node.endpoint) as wire:
        assert await propose(wire, NOISE)
        _, records = await prove_outbound(wire, me, node.key)
        assert not await propose(records, muxer)
        assert node.met == []


async def answers_falsely(me: Identity, wire: Wire, noise: str, muxer: str) -> None:
    """Answer a dialler with these protocols only."""
    if noise != NOISE:
        await answer(wire, {noise})
        return
    if not muxer:
        await upgrade_inbound(wire, me, lambda _: True)
        return
    await answer(wire, {NOISE})
    _, records = await prove_inbound(wire, me)
    await answer(records, {muxer})


@pytest.mark.parametrize(
    ("who", "noise", "muxer", "complaint"),
    [
        ("mallory", "/plaintext/2.0.0", "", "encryption by Noise"),
        ("mallory", NOISE, "/mplex/6.7.0", "does not speak Yamux"),
        ("eve", NOISE, "", "another peer answered"),
        ("alice", NOISE, "", "this node's own key answered"),
    ],
)
async def test_a_dialler_is_not_talked_into_anything_else(
    who: str, noise: str, muxer: str, complaint: str
) -> None:
    """Whoever answers must prove the very key that was dialled; Alice dials Mallory."""
    me = identity(key_of(who), seed_of(who))

    async def serve(stream: trio.SocketStream) -> None:
        wire = Wire(stream)
        with suppress(Lost):
            await answers_falsely(me, wire, noise, muxer)
        assert await is_cut_off(wire)
        await stream.aclose()

    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    async with trio.open_nursery() as nursery, joined(Libp2pScene(), "alice") as alice:
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        with pytest.raises(Unreachable, match=complaint):
            await alice.endpoint.dial(key_of("mallory"), [f"/ip4/127.0.0.1/tcp/{port}"])
        assert alice.met == []
        nursery.cancel_scope.cancel()


async def test_a_caller_with_our_own_key_is_turned_away() -> None:
    """One identity was copied to two machines; the gate hears of it, and so does the owner."""

    class Hearing(OpenGate):
        heard: ClassVar[list[bytes]] = []

        def may_stay(self, peer: bytes, remote: str) -> bool:
            assert remote.startswith("/ip4/127.0.0.1/tcp/")
            self.heard.append(peer)
            return True

    async with bob(Hearing()) as node, wire_to(node.endpoint) as wire:
        me = identity(key_of("bob"), seed_of("bob"))
        assert await propose(wire, NOISE)
        _, records = await prove_outbound(wire, me, node.key)
        assert await is_cut_off(records)  # type: ignore[arg-type] # it has `more` as well
        assert node.met == []
        assert Hearing.heard == [node.key]


def proven_by(key: PublicKey, wire: Wire) -> SecureSession:
    """Make what the library gives after a handshake with this key."""
    keys = identity(key_of("bob"), seed_of("bob")).noise
    return SecureSession(
        local_peer=keys.local_peer,
        local_private_key=keys.libp2p_privkey,
        remote_peer=ID.from_pubkey(key),
        remote_permanent_pubkey=key,
        is_initiator=False,
        conn=NoiseTransportReadWriter(cast("IRawConnection", wire), cast("Any", None)),
    )


@pytest.mark.parametrize(
    ("key", "complaint"),
    [
        (create_new_key_pair().public_key, "not an Ed25519 key"),
        (Ed25519PublicKey.from_bytes(bytes(32)), "anybody can sign with"),
    ],
)
def test_only_a_sound_ed25519_key_is_a_peer(key: PublicKey, complaint: str) -> None:
    wire = Wire(cast("trio.SocketStream", None))
    with pytest.raises(Lost, match=complaint):
        noise._proven(wire, proven_by(key, wire))
