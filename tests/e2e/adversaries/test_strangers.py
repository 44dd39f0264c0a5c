# SPDX-License-Identifier: MIT
"""Strangers on bare TCP, and strangers with a proven key, before a real node: it goes on."""

import sys
from contextlib import suppress
from random import Random

import pytest
import trio

from node.mesh.libp2p.choosing import HELLO, line
from node.mesh.libp2p.yamux import Flag, Kind, header
from node.mesh.transport import TransportError
from tests.e2e.adversaries.callers import (
    ENDS,
    Target,
    calling,
    enough,
    fresh,
    heard_of,
    place,
    proven,
)
from tests.e2e.adversaries.victim import Victim, vitals_of
from tests.e2e.nodes import PATIENCE_S

pytestmark = pytest.mark.slow

NOISE = line("/noise")

#: So many new keys are proven, however long that takes.
KEYS_LEAST = 21

#: What strangers may make a node hold while they fill all that they are granted.
PEAK_MIB_MAX = 160.0


@pytest.mark.parametrize(
    "many", [pytest.param(1), pytest.param(10, marks=pytest.mark.soak)], ids=["brief", "long"]
)
class TestStrangers:
    """One pair of honest nodes; all attacks on it, one after another."""

    def test_other_protocols_are_declined(self, besieged: Victim, many: int) -> None:
        offers = ("/plaintext/2.0.0", "/secio/1.0.0", "/tls/1.0.0", "/mplex/6.7.0", "/yamux/1.0.0")

        async def attack() -> None:
            for offer in offers * many:
                async with calling(besieged.target, place(2)) as stream:
                    with suppress(trio.BrokenResourceError):
                        await stream.send_all(HELLO + line(offer) * 20)
                    assert (await heard_of(stream)).count(line("na")) <= 8

        with besieged.attacked("plaintext, secio, tls, mplex"):
            trio.run(attack)

    def test_random_bytes_end_their_connection_alone(self, besieged: Victim, many: int) -> None:
        """One thousand streams of bytes in the brief run, ten thousand in the long one."""
        with besieged.attacked(f"{1000 * many} random byte streams"):
            heard = trio.run(random_streams, besieged.target, 1000 * many)
        assert heard > 500 * many, "most were turned away before they said anything"

    def test_slow_callers_keep_nobody_out(self, besieged: Victim, many: int) -> None:
        with besieged.attacked("slowloris"):
            trio.run(slowloris, besieged.target, 1.5 * many)

    def test_a_flood_of_connections_keeps_nobody_out(self, besieged: Victim, many: int) -> None:
        with besieged.attacked("connection flood"):
            trio.run(connection_flood, besieged.target, 1.5 * many)

    def test_strangers_with_many_keys(self, besieged: Victim, many: int) -> None:
        with besieged.attacked("handshakes with ever new keys, no hello"):
            proved = trio.run(key_flood, besieged.target, 1.5 * many)
            sys.stdout.write(f"\n{proved} keys were proven")
        assert proved >= KEYS_LEAST

    def test_a_stranger_that_floods_streams_before_hello(self, besieged: Victim, many: int) -> None:
        with besieged.attacked("streams and pings without end before hello"):
            trio.run(stream_flood, besieged.target, 1.5 * many)

    def test_strangers_cannot_fill_the_memory_before_hello(
        self, besieged: Victim, many: int
    ) -> None:
        with besieged.attacked("streams filled with data before hello", PEAK_MIB_MAX):
            peak_mib = trio.run(fill, besieged, 32 * min(many, 4))
            sys.stdout.write(f"\nat most {peak_mib:+.1f} MiB meanwhile")
        assert peak_mib < PEAK_MIB_MAX
        # What the allocator has kept is used again: twice is not twice as much.
        again_mib = trio.run(fill, besieged, 16 * min(many, 4))
        assert max(peak_mib, 0) + again_mib < PEAK_MIB_MAX

    def test_what_breaks_the_rules_of_yamux(self, besieged: Victim, many: int) -> None:
        with besieged.attacked("oversized and impossible Yamux frames"):
            trio.run(bad_frames, besieged.target, many)


async def random_streams(target: Target, many: int) -> int:
    """Send garbage: at once, after the first line, in the handshake, in and above the session.

    Give to how many the node listened.
    """
    dice = Random(7)
    limit = trio.CapacityLimiter(16)
    heard = 0

    async def one(number: int) -> None:
        nonlocal heard
        async with limit:
            with trio.move_on_after(PATIENCE_S), suppress(*ENDS):
                was_heard = await garbage(target, place(number % 400), number % 20, dice)
                heard += was_heard  # others were counted meanwhile

    async with trio.open_nursery() as nursery:
        for number in range(many):
            nursery.start_soon(one, number)
    return heard


async def garbage(target: Target, here: str, kind: int, dice: Random) -> bool:
    data = dice.randbytes(dice.choice((1, 20, 300, 5000)))
    if kind < 17:
        noise = HELLO + NOISE
        starts = (b"", HELLO, noise, noise + b"\x01\x00", noise + b"\xff\xff")
        async with calling(target, here) as stream:
            greeted = await stream.receive_some(100) == HELLO
            with suppress(*ENDS):
                await stream.send_all(starts[kind % len(starts)] + data)
                await stream.send_eof()
            await heard_of(stream)
            return greeted
    async with proven(target, fresh(), here) as eve:
        if kind == 17:
            await eve.records.wire.put(data)
        elif kind == 18:
            await eve.send(data)
        else:
            await eve.opened(1)
            await eve.data(1, HELLO + line("/commons/hello/1") + data)
        with suppress(*ENDS):
            await eve.records.wire.stream.send_eof()
        await eve.is_cut_off()
        return True


async def slowloris(target: Target, for_s: float) -> None:
    """200 callers, each with an address of its own, who say a byte now and then."""

    async def drip(number: int) -> None:
        with suppress(trio.BrokenResourceError, OSError):
            async with calling(target, place(10 + number)) as stream:
                for byte in HELLO + NOISE * 100:
                    await stream.send_all(bytes([byte]))
                    await trio.sleep(0.2)

    async with trio.open_nursery() as nursery:
        for number in range(200):
            nursery.start_soon(drip, number)
        await trio.sleep(for_s / 2)
        # Somebody honest who comes just now is let in.
        async with proven(target, fresh(), place(1)):
            pass
        await trio.sleep(for_s / 2)
        nursery.cancel_scope.cancel()


async def connection_flood(target: Target, for_s: float) -> None:
    """Connect from many places as fast as can be, and leave or stay."""

    async def call(first: int) -> None:
        number = first
        while True:
            number += 8
            with suppress(OSError, trio.BrokenResourceError):
                async with calling(target, place(10 + number % 400)) as stream:
                    await stream.send_all(HELLO)
                    if number % 16 < 8:
                        await trio.sleep(0.01)

    with trio.move_on_after(for_s):
        async with trio.open_nursery() as nursery:
            for first in range(8):
                nursery.start_soon(call, first)


async def key_flood(target: Target, for_s: float) -> int:
    """Prove a new key from another place each time, as fast as this machine can."""
    proved = 0

    async def call(first: int) -> None:
        nonlocal proved
        number = first
        while True:
            number += 16
            with suppress(*ENDS):
                async with proven(target, fresh(), place(number % 400)) as eve:
                    proved += 1
                    await eve.opened(1)
            await trio.sleep(0.001)

    async with trio.open_nursery() as nursery:
        for first in range(16):
            nursery.start_soon(call, first)
        await enough(for_s, lambda: proved >= KEYS_LEAST)
        nursery.cancel_scope.cancel()
    return proved


async def stream_flood(target: Target, for_s: float) -> None:
    """Open streams and ping on the session without reading, as fast as it takes them."""
    number = 0
    with trio.move_on_after(for_s):
        while True:
            number += 1
            async with proven(target, fresh(), place(number % 400)) as eve:
                with suppress(TransportError):
                    for first in range(1, 40_000, 400):
                        frames = [
                            header(Kind.WINDOW, Flag.SYN, each, 0)
                            + header(Kind.PING, Flag.SYN, 0, each)
                            for each in range(first, first + 400, 2)
                        ]
                        await eve.send(b"".join(frames))
                assert await eve.is_cut_off()


async def fill(besieged: Victim, many: int) -> float:
    """Fill every window that a stranger is granted, on as many connections as it may have."""
    target, before = besieged.target, vitals_of(besieged.node)

    async def one(number: int) -> None:
        with suppress(*ENDS):
            async with proven(target, fresh(), place(number % 400)) as eve:
                for stream in range(1, 17, 2):
                    await eve.opened(stream)
                    await eve.data(stream, HELLO + line("/commons/work/1"))
                for _ in range(4):
                    for stream in range(1, 17, 2):
                        for _ in range(4):
                            await eve.data(stream, bytes(60_000))
                await trio.sleep(20)

    peak_mib = 0.0
    with trio.move_on_after(30):
        async with trio.open_nursery() as nursery:
            for number in range(many):
                nursery.start_soon(one, number)
            for _ in range(12):
                await trio.sleep(0.1)
                peak_mib = max(peak_mib, vitals_of(besieged.node).pss_mib - before.pss_mib)
            nursery.cancel_scope.cancel()
    return peak_mib


async def bad_frames(target: Target, many: int) -> None:
    frames = (
        header(Kind.DATA, Flag.SYN, 1, (1 << 32) - 1),
        header(Kind.DATA, 0, 1, 1 << 24),
        header(Kind.WINDOW, Flag.SYN, 2, 0),
        header(Kind.WINDOW, Flag.SYN, 0, 0),
        header(Kind.WINDOW, Flag.SYN, 1, (1 << 32) - 1) * 3,
        b"\x01" + bytes(11),
        b"\x00\x09" + bytes(10),
        header(Kind.GO_AWAY, 0, 0, 2),
    )
    for number in range(many):
        for frame in frames:
            async with proven(target, fresh(), place(20 + number % 200)) as eve:
                with suppress(TransportError):
                    await eve.send(frame)
                    await eve.records.wire.stream.send_eof()
                assert await eve.is_cut_off()
