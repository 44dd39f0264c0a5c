# SPDX-License-Identifier: MIT
"""What a peer tries that has proven its key: its connection ends, and nothing else does."""

from collections.abc import Callable
from contextlib import suppress
from random import Random

import pytest

from node.mesh.libp2p.choosing import HELLO, line
from node.mesh.libp2p.connections import MuxedConnection
from node.mesh.libp2p.holding import Holding
from node.mesh.libp2p.limits import PROPOSALS_MAX
from node.mesh.libp2p.yamux import Flag, Kind, header
from node.mesh.transport import Connection, Lost
from tests.node.mesh.libp2p_scene import Libp2pScene
from tests.node.mesh.raw_peer import raw_peer_of
from tests.node.mesh.scene import (
    ECHO,
    SILENT,
    OpenGate,
    joined,
    until,
)
from tests.node.mesh.under_attack import bob, inside


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


async def test_who_fills_all_windows_and_is_not_read_is_cut_off_before_the_memory_is_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Once each connection could fill its windows, and 256 of them gigabytes, before hello."""
    most_bytes = 2 << 20
    monkeypatch.setattr("node.mesh.libp2p.host.Holding", lambda: Holding(most_bytes))
    async with bob() as node, joined(Libp2pScene(), "carol") as carol:
        modest = await (await carol.dial(node)).open(SILENT)
        await modest.send(bytes(200_000))
        async with raw_peer_of(node.endpoint, "bob") as eve:
            with suppress(Lost):
                for number in range(1, 17, 2):
                    await eve.opened(number)
                    await eve.data(number, HELLO + line(SILENT))
                    for _ in range(16):
                        await eve.data(number, bytes(60_000))
            assert await eve.is_cut_off()
        holding = inside(node)._holding
        assert holding.bytes <= 200_000
        await modest.send(b"still here")
        await until(lambda: 200_010 <= holding.bytes < 201_000)
        await modest.reset()
        await until(lambda: not holding.bytes)
