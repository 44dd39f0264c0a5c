# SPDX-License-Identifier: MIT
"""Many that are one: made-up nodes around a real one, which keeps those that it has chosen."""

import sys
import time

import pytest
import trio

from node.mesh.viewing import PROTOCOL as VIEW
from protocol.canon import encode
from protocol.exchange import Summary
from protocol.frames import DocumentFrame, StatementFrame
from protocol.keys import Keypair
from protocol.known import Held
from protocol.limits import DIRECTORY_MAX, INBOUND_NEIGHBOURS_MAX, SOURCE_SHARE
from protocol.sealed import seal
from tests.e2e.adversaries.callers import Member, fresh, relentless
from tests.e2e.adversaries.victim import Victim
from tests.protocol.mesh import an_advert

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "for_s", [pytest.param(3.0), pytest.param(90.0, marks=pytest.mark.soak)], ids=["brief", "long"]
)
def test_sybils_get_their_half_of_the_places_and_their_share_of_the_directory(
    besieged: Victim, for_s: float
) -> None:
    """Thirty at a time, with signed adverts of nodes that nobody runs, all in other ranges."""
    with besieged.attacked("eclipse: sybils with signed adverts", lost_max=for_s // 20):
        met = trio.run(sybils, besieged, for_s)
    assert met >= 30
    known = besieged.known()
    sys.stdout.write(f"\n{met} sybils were let in; {len(known)} nodes in the directory\n")
    assert besieged.other.peer in known
    assert len(known) <= DIRECTORY_MAX
    most = INBOUND_NEIGHBOURS_MAX * (DIRECTORY_MAX // SOURCE_SHARE)
    assert len(known) <= most + met + 1


async def sybils(besieged: Victim, for_s: float) -> int:
    network = besieged.network.id
    numbers = iter(range(1, 1_000_000))

    async def tell(eve: Member) -> None:
        wires, rows = [], []
        for _ in range(16):
            keypair, number = Keypair(fresh()), next(numbers)
            address = f"/ip4/20.{number // 250 % 240}.{number % 250}.1/tcp/4001"
            advert = an_advert(keypair.public, issued_at_s=int(time.time()), addresses=(address,))
            wires.append(StatementFrame(seal(keypair, network, advert).wire))
            rows.append(Held(keypair.public, advert.issued_at_s, advert.sequence, 1))
            await trio.lowlevel.checkpoint()
        async with eve.wire(VIEW) as wire:
            while True:
                await wire.send(DocumentFrame(encode(Summary(tuple(rows)))))
                with trio.move_on_after(1.5):
                    while True:
                        frame = await wire.take(StatementFrame, DocumentFrame)
                        if isinstance(frame, DocumentFrame) and b"wanted" in frame.body:
                            break
                    await wire.send(*wires)
                await trio.sleep(1)

    return await relentless(besieged.target, besieged.network, for_s, tell, at_once=30, least=30)
