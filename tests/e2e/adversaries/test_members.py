# SPDX-License-Identifier: MIT
"""Members of the network that lie, flood and break rules against a real node: it goes on."""

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from random import Random

import pytest
import trio

from node.mesh.framed import Framed
from node.mesh.hello import HELLO
from node.mesh.transport import NotSpoken
from node.mesh.viewing import PROTOCOL as VIEW
from node.models.serve import BLOB
from node.network import Network
from node.work.wires import BOOKS, WORK
from protocol.canon import encode
from protocol.errors import Refused
from protocol.exchange import Summary, Wanted
from protocol.frames import BlobWant, DocumentFrame, Frame, Ping, StatementFrame
from protocol.frames import encode as frame_bytes
from protocol.keys import Keypair, peer_id
from protocol.known import Held
from protocol.query import Query
from protocol.sealed import seal
from tests.e2e.adversaries.callers import (
    ENDS,
    Attack,
    Introducing,
    Member,
    Target,
    fresh,
    member,
    place,
    proven,
    relentless,
)
from tests.e2e.adversaries.victim import Victim
from tests.e2e.nodes import PATIENCE_S
from tests.protocol.mesh import an_advert

pytestmark = pytest.mark.slow

PROTOCOLS = (HELLO, VIEW, WORK, BOOKS, BLOB)
ATTACK_S = 1.0


@pytest.mark.parametrize(
    "many", [pytest.param(1), pytest.param(20, marks=pytest.mark.soak)], ids=["brief", "long"]
)
class TestMembers:
    """One pair of honest nodes; all attacks on it, one after another."""

    def test_garbage_and_oversized_frames_on_every_protocol(
        self, besieged: Victim, many: int
    ) -> None:
        with besieged.attacked("garbage and oversized frames, as members"):
            trio.run(garbage, besieged.target, besieged.network, many)

    def test_a_flood_of_streams_by_a_member(self, besieged: Victim, many: int) -> None:
        with besieged.attacked("stream flood by members"):
            met = trio.run(stream_flood, besieged.target, besieged.network, ATTACK_S * many)
            sys.stdout.write(f"\n{met} were let in")
        assert met

    def test_a_flood_of_messages_of_the_view(self, besieged: Victim, many: int) -> None:
        with besieged.attacked("exchange flood by members"):
            met = trio.run(exchange_flood, besieged.target, besieged.network, ATTACK_S * many)
            sys.stdout.write(f"\n{met} were let in")
        assert met

    def test_a_flood_of_pings_and_wants(self, besieged: Victim, many: int) -> None:
        with besieged.attacked("pings and wants whose answers nobody reads"):
            met = trio.run(deaf_flood, besieged.target, besieged.network, ATTACK_S * many)
            sys.stdout.write(f"\n{met} were let in")
        assert met

    def test_forged_and_foreign_adverts(self, besieged: Victim, many: int) -> None:
        with besieged.attacked("forged, foreign and future adverts"):
            forged = trio.run(forgeries, besieged.target, besieged.network, many)
        assert len(forged) == 10 * many
        assert not besieged.known() & forged
        assert besieged.other.peer in besieged.known()
        blamed = [line["reason"] for line in besieged.happened("peer_blamed")]
        assert blamed.count("bad_signature") >= 3 * many

    def test_hellos_of_other_networks_and_of_nobody(self, besieged: Victim, many: int) -> None:
        with besieged.attacked("hello of another network, hello that never ends, hello twice"):
            trio.run(bad_hellos, besieged.target, besieged.network, many)


async def each_once(*tasks: object) -> None:
    """Run attackers beside each other; what ends one is what it deserves."""
    async with trio.open_nursery() as nursery:
        for task in tasks:
            nursery.start_soon(_quietly, task)


async def _quietly(task: object) -> None:
    try:
        await task  # type: ignore[misc]  # a coroutine
    except* ENDS:
        pass


async def garbage(target: Target, network: Network, many: int) -> None:
    """Each from a key and a place of its own: a ban must not end the attack."""
    dice = Random(11)
    said = [
        b"\xff" * 64,
        *(bytes((kind, 0xFF, 0xFF, 0xFF)) for kind in range(14)),
        *(bytes((kind, 0, 0xFD, 0xE8)) + bytes(65_000) for kind in range(14)),
        *(dice.randbytes(2000) for _ in range(10)),
    ]

    async def one(number: int, protocol: str, data: bytes) -> None:
        async with member(target, network, here=place(20 + number % 200)) as eve:
            await eve.meets()
            async with eve.wire(protocol) as wire:
                await wire.stream.send(data)
                await is_over(wire)

    limit = trio.CapacityLimiter(12)

    async def limited(number: int, protocol: str, data: bytes) -> None:
        async with limit:
            with trio.move_on_after(5):
                await _quietly(one(number, protocol, data))

    async with trio.open_nursery() as nursery:
        for number, data in enumerate(said * many):
            protocol = PROTOCOLS[number % len(PROTOCOLS)]
            nursery.start_soon(limited, number, protocol, data)


async def is_over(wire: Framed) -> bool:
    """Read to the end of a stream."""
    with trio.move_on_after(PATIENCE_S):
        while isinstance(await wire.receive(), Frame):
            pass
        return True
    return False


async def stream_flood(target: Target, network: Network, for_s: float) -> int:
    """Open and reset, or open and keep, as many as it takes."""

    async def reset(eve: Member) -> None:
        connection = eve.mesh.peers[target.key].link.connection
        while True:
            stream = await connection.open(WORK)
            await stream.reset()

    async def keep(eve: Member) -> None:
        connection = eve.mesh.peers[target.key].link.connection
        while True:
            with suppress(NotSpoken):
                await connection.open(BLOB)

    return await relentless(target, network, for_s, reset, keep, at_once=2)


async def exchange_flood(target: Target, network: Network, for_s: float) -> int:
    """Summaries of nodes that nobody runs, wishes, and queries, without a pause."""
    dice = Random(3)

    def summary() -> bytes:
        rows = (Held(dice.randbytes(32), 1_800_000_000, 1, 1) for _ in range(48))
        return encode(Summary(tuple(rows)))

    def wanted() -> bytes:
        return encode(Wanted((dice.randbytes(32),)))

    def query() -> bytes:
        return encode(Query(dice.randbytes(16), b"", "", 0, 0, 0, 16))

    def flood(said: Callable[[], bytes]) -> Attack:
        async def attack(eve: Member) -> None:
            async with eve.wire(VIEW) as wire:
                while True:
                    await wire.send(DocumentFrame(said()))

        return attack

    attacks = map(flood, (summary, wanted, query))
    return await relentless(target, network, for_s, *attacks, at_once=2)


async def deaf_flood(target: Target, network: Network, for_s: float) -> int:
    """Ask, and do not listen."""
    ping = b"".join(bytes(each) for each in frame_bytes(Ping(1)))
    want = b"".join(bytes(each) for each in frame_bytes(BlobWant(bytes(32), 0, 1 << 20)))

    def flood(protocol: str, data: bytes) -> Attack:
        async def attack(eve: Member) -> None:
            connection = eve.mesh.peers[target.key].link.connection
            stream = await connection.open(protocol)
            while True:
                await stream.send(data * 100)

        return attack

    attacks = (
        flood(VIEW, ping),
        flood(BLOB, ping),
        flood(BLOB, want),
        flood("/ipfs/ping/1.0.0", bytes(64)),
    )
    return await relentless(target, network, for_s, *attacks)


async def forgeries(target: Target, network: Network, many: int) -> set[str]:
    """Offer adverts that are signed by others, for other networks, or for tomorrow; give whose."""
    forged = set()
    for round_ in range(many):
        now_s = int(time.time())
        for number in range(5):
            victim_keys, thief = Keypair(fresh()), Keypair(fresh())
            plain = an_advert(
                victim_keys.public,
                issued_at_s=now_s + (7200 if number == 3 else 0),
                addresses=(f"/ip4/9.{number}.{round_}.1/tcp/4001",),
            )
            sealed = seal(victim_keys, network.id, plain).wire
            wires = (
                seal(thief, network.id, replace(plain, node=thief.public)).wire[:64]
                + encode(plain),
                seal(victim_keys, bytes(16), plain).wire,
                sealed[:10] + bytes((sealed[10] ^ 1,)) + sealed[11:],
                sealed,
                sealed[:-1],
            )
            async with member(target, network, here=place(30 + number)) as eve:
                forged |= {peer_id(victim_keys.public), peer_id(thief.public)}
                own = an_advert(eve.keypair.public, issued_at_s=now_s, addresses=(), reach=2)
                eve.introducing.sealed = seal(eve.keypair, network.id, own).wire
                await _quietly(offer(eve, Held(plain.node, plain.issued_at_s, 1, 1), wires[number]))
    return forged


async def offer(eve: Member, row: Held, wire_: bytes) -> None:
    await eve.meets()
    async with eve.wire(VIEW) as wire:
        await wire.send(DocumentFrame(encode(Summary((row,)))))
        while not isinstance(frame := await wire.receive(), DocumentFrame) or (
            b"wanted" not in frame.body
        ):
            pass
        await wire.send(StatementFrame(wire_))
        if row.issued_at_s < time.time() + 3600:  # one for tomorrow is no breach, and ends nothing
            await is_over(wire)
        await trio.sleep(0.1)


async def bad_hellos(target: Target, network: Network, many: int) -> None:
    other = Network("another", network.salt)

    async def foreign(number: int) -> None:
        async with member(target, other, here=place(40 + number)) as eve:
            with pytest.raises(Refused, match="other_network"):
                await eve.meets()

    async def lent_advert(number: int) -> None:
        lender = Keypair(fresh())
        said = Introducing(sealed=seal(lender, network.id, an_advert(lender.public)).wire)
        async with member(target, network, here=place(50 + number), introducing=said) as eve:
            await eve.meets()
            async with eve.wire(VIEW) as wire:
                await wire.send(DocumentFrame(encode(Summary(()))))
                assert await is_over(wire)

    async def twice(number: int) -> None:
        async with member(target, network, here=place(60 + number)) as eve:
            await eve.meets()
            connection = eve.mesh.peers[target.key].link.connection
            stream = await connection.open(HELLO)
            with trio.fail_after(PATIENCE_S):
                assert await stream.receive() == b""

    async def silent(number: int) -> None:
        async with proven(target, fresh(), place(70 + number)) as eve:
            with trio.move_on_after(1):
                await eve.is_cut_off()

    for number in range(many):
        await each_once(
            foreign(number), _quietly(lent_advert(number)), twice(number), silent(number)
        )
