# SPDX-License-Identifier: MIT
"""What strangers try on the real transport: nothing of it ends the node or costs others a thing."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from random import Random

import pytest
import trio

from node.mesh.libp2p import host, listening
from node.mesh.libp2p.bytes_in import Wire
from node.mesh.libp2p.choosing import HELLO, answer, line, propose
from node.mesh.libp2p.connections import MuxedConnection
from node.mesh.libp2p.host import Libp2pEndpoint
from node.mesh.libp2p.limits import HANDSHAKE_RECORD_BYTES_MAX, LINE_BYTES_MAX, PROPOSALS_MAX
from node.mesh.libp2p.listening import Handshakes
from node.mesh.libp2p.noise import NOISE, Identity, identity, prove_inbound, prove_outbound
from node.mesh.libp2p.upgrading import upgrade_inbound
from node.mesh.libp2p.yamux import Flag, Kind, header
from node.mesh.transport import Connection, Lost, Unreachable
from tests.node.mesh.libp2p_scene import Libp2pScene
from tests.node.mesh.raw_peer import raw_peer_of, wire_to
from tests.node.mesh.scene import (
    ECHO,
    Node,
    OpenGate,
    echoed,
    joined,
    key_of,
    seed_of,
    until,
)

OTHERS = ("/plaintext/2.0.0", "/secio/1.0.0", "/tls/1.0.0", "/noise-old")


@asynccontextmanager
async def bob(gate: OpenGate | None = None) -> AsyncIterator[Node]:
    """Have a node that is attacked; afterwards it has to serve others as before."""
    scene = Libp2pScene()
    async with joined(scene, "bob", gate=gate) as node, joined(scene, "alice") as alice:
        yield node
        assert await echoed(await alice.dial(node), b"still there") == b"still there"


def inside(node: Node) -> Libp2pEndpoint:
    """Look behind the seam."""
    assert isinstance(node.endpoint, Libp2pEndpoint)
    return node.endpoint


async def is_cut_off(wire: Wire) -> bool:
    """Tell whether the other end hangs up."""
    with trio.move_on_after(5):
        try:
            while True:
                await wire.more()
        except Lost:
            return True
    return False


# --- who speaks something else --------------------------------------------------------------------


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
    """One identity was copied to two machines."""
    async with bob() as node, wire_to(node.endpoint) as wire:
        me = identity(key_of("bob"), seed_of("bob"))
        assert await propose(wire, NOISE)
        _, records = await prove_outbound(wire, me, node.key)
        assert await is_cut_off(records)  # type: ignore[arg-type] # it has `more` as well
        assert node.met == []


# --- who holds the door ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"\x13/multistr",
        HELLO,
        HELLO + line(NOISE),
        HELLO + line(NOISE) + b"\x00\x20",
    ],
)
async def test_a_caller_that_does_not_go_on_is_hung_up_on(
    said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "HANDSHAKE_S", 0.05)
    async with bob() as node, wire_to(node.endpoint) as wire:
        await wire.put(said)
        assert await is_cut_off(wire)
        await until(lambda: len(inside(node)._handshakes) == 0)
        monkeypatch.undo()


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\n" + b"Host: a\r\n" * 9,
        b"\xff\xff\xff\xff\x7f" + b"x" * 100,
        b"\x00",
        bytes((LINE_BYTES_MAX & 0x7F | 0x80, (LINE_BYTES_MAX + 1) >> 7)) + b"\xfe" * 400,
        line("/multistream/2.0.0"),
        HELLO + b"\x03\xff\xfe\n",
        HELLO + b"\x03abc",
        HELLO + line("/a") * (PROPOSALS_MAX + 1),
        HELLO + line(NOISE) + (HANDSHAKE_RECORD_BYTES_MAX + 1).to_bytes(2, "big"),
        HELLO + line(NOISE) + b"\x00\x00",
        HELLO + line(NOISE) + b"\x00\x20" + b"\x00" * 32 + b"\x00\x40" + b"\x01" * 64,
    ],
)
async def test_a_caller_that_says_nonsense_is_hung_up_on(said: bytes) -> None:
    async with bob() as node, wire_to(node.endpoint) as wire:
        await wire.put(said)
        assert await is_cut_off(wire)
        assert node.met == []


async def test_ten_thousand_random_bytes_are_survived_many_times() -> None:
    rng = Random(4)
    async with bob() as node:
        for prefix in [b"", HELLO, HELLO + line(NOISE)] * 10:
            async with wire_to(node.endpoint) as wire:
                await wire.put(prefix + rng.randbytes(10_000))
                assert await is_cut_off(wire)
        assert node.met == []


async def test_a_caller_from_a_refused_address_is_hung_up_on_before_a_word() -> None:
    """The gate is asked right after TCP's accept: nothing was read or sent."""

    class Shut(OpenGate):
        shut = True

        def may_come(self, remote: str) -> bool:
            assert remote.startswith("/ip4/127.0.0.1/tcp/")
            return not self.shut

    gate = Shut()
    async with bob(gate) as node:
        async with wire_to(node.endpoint) as wire:
            assert await is_cut_off(wire)
            assert wire.rest() == b""
            assert len(inside(node)._handshakes) == 0
        gate.shut = False


async def test_who_opens_many_connections_and_says_nothing_loses_his_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Slowloris: the door is full, and yet an honest caller comes in."""
    monkeypatch.setattr(host, "Handshakes", lambda: Handshakes(most=8))
    async with bob() as node:
        async with AsyncExitStack() as stack:
            wires = [await stack.enter_async_context(wire_to(node.endpoint)) for _ in range(20)]
            await until(lambda: len(inside(node)._handshakes) == 8)
            async with raw_peer_of(node.endpoint, "bob"):
                await until(lambda: node.met)
            assert await is_cut_off(wires[0])
            assert len(inside(node)._handshakes) <= 8
        await until(lambda: len(inside(node)._handshakes) == 0)


async def test_a_key_that_may_not_stay_is_told_nothing_more() -> None:
    class Shut(OpenGate):
        def may_stay(self, peer: bytes, remote: str) -> bool:
            return peer != key_of("eve") and remote.startswith("/ip4/")

    async with bob(Shut()) as node:
        with pytest.raises(Lost):
            async with raw_peer_of(node.endpoint, "bob"):
                pass
        assert node.met == []


# --- who has proven a key and then breaks rules ---------------------------------------------------


def damaged(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]


def cut(data: bytes) -> bytes:
    return data[:5]


def empty(_: bytes) -> bytes:
    return b""


@pytest.mark.parametrize("change", [damaged, cut, empty])
async def test_a_forged_record_ends_its_connection_alone(change: Callable[[bytes], bytes]) -> None:
    async with bob() as node, raw_peer_of(node.endpoint, "bob") as eve:
        await until(lambda: node.met)
        sealed = change(eve.records._cipher.encrypt(header(Kind.PING, Flag.SYN, 0, 1)))
        await eve.records.wire.put(len(sealed).to_bytes(2, "big") + sealed)
        assert await eve.is_cut_off()
        await node.met[0].wait_closed()


async def test_random_frames_end_their_connection_alone() -> None:
    rng = Random(5)
    async with bob() as node:
        for _ in range(20):
            async with raw_peer_of(node.endpoint, "bob") as eve:
                with suppress(Lost):
                    for _ in range(50):
                        await eve.send(rng.randbytes(2000))
                assert await eve.is_cut_off()
        for each in node.met:
            await each.wait_closed()


async def test_a_peer_that_keeps_a_stream_unnegotiated_is_reset(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("node.mesh.libp2p.connections.OPEN_S_MAX", 0.05)
    async with bob() as node:
        async with raw_peer_of(node.endpoint, "bob") as eve:
            await eve.opened(1)
            while not (await eve.hear()).flags & Flag.RST:
                pass
            (there,) = node.met
            assert Libp2pScene().streams(there) == 0
        monkeypatch.undo()


async def test_the_gate_bounds_the_streams_of_a_peer_and_counts_them_down_again() -> None:
    class Three(OpenGate):
        most = 0

        def may_stream(self, connection: Connection, open_now: int) -> bool:
            assert connection.inbound
            self.most = max(self.most, open_now)
            return open_now < 3

    gate = Three()
    async with bob(gate) as node, raw_peer_of(node.endpoint, "bob") as eve:
        await until(lambda: node.met)
        (there,) = node.met
        assert isinstance(there, MuxedConnection)
        for round_ in range(20):
            numbers = [1 + 2 * each for each in range(round_ * 10, round_ * 10 + 10)]
            for number in numbers:
                await eve.opened(number)
            taken = dict.fromkeys(numbers, True)
            while sum(not each for each in taken.values()) < 7:
                frame = await eve.hear()
                if frame.flags & Flag.RST:
                    taken[frame.stream] = False
            for number in numbers[:3]:
                assert taken[number]
                await eve.say(Kind.WINDOW, Flag.RST, number, 0)
            await until(lambda: there._serving == 0)
            assert there.streams == 0
        assert gate.most == 3


async def test_a_flood_of_streams_costs_its_sender_alone() -> None:
    """Opened and reset at once, thousands of times."""
    async with bob() as node, raw_peer_of(node.endpoint, "bob") as eve:
        for first in range(1, 6000, 200):
            frames = [
                header(Kind.WINDOW, flag, number, 0)
                for number in range(first, first + 200, 2)
                for flag in (Flag.SYN, Flag.RST)
            ]
            await eve.send(b"".join(frames))
        await eve.say(Kind.PING, Flag.SYN, 0, 77)
        while (await eve.hear()).length != 77:
            pass
        (there,) = node.met
        assert isinstance(there, MuxedConnection)
        await until(lambda: there._serving == 0)
        assert there.streams == 0


async def test_nobody_says_more_of_a_protocol_than_it_may() -> None:
    async with bob() as node, raw_peer_of(node.endpoint, "bob") as eve:
        await eve.opened(1)
        await eve.data(1, HELLO + line("/unknown/1") * (PROPOSALS_MAX + 3) + line(ECHO))
        heard = b""
        while True:
            frame = await eve.hear()
            heard += frame.data
            if frame.flags & Flag.RST:
                break
        assert heard == HELLO + line("na") * PROPOSALS_MAX
