# SPDX-License-Identifier: MIT
"""What can be seen of a made network: what is under way, the counters, the trace."""

from math import inf

import pytest
import trio

from node.mesh.transport import Unreachable
from simulations.trace import Trace
from simulations.traffic import Flight, Spoken
from tests.node.executor.virtual_time import in_virtual_time
from tests.node.mesh.scene import ECHO, SINK
from tests.simulations.made_nets import ALICE, BOB, CAROL, sunk_s, two, wired


@in_virtual_time
async def test_whoever_looks_sees_what_is_under_way() -> None:
    async with wired() as net, two(net) as (_, _, here):
        stream = await here.open(ECHO)
        assert net.in_flight() == []
        now_s = trio.current_time()
        await stream.send(b"123")
        (flight,) = net.in_flight()
        assert flight == Flight(ALICE, BOB, "data", ECHO, 1, 15, flight.due_s)
        assert flight.due_s == pytest.approx(now_s + 0.1)
        net.hold(BOB, ALICE)
        await trio.sleep(0.15)
        assert net.in_flight() == [Flight(BOB, ALICE, "data", ECHO, 1, 15, inf)]
        net.release(BOB, ALICE)
        await trio.sleep(0.2)
        assert net.in_flight() == []


@in_virtual_time
async def test_messages_are_counted_by_host_and_by_protocol() -> None:
    async with wired() as net, two(net) as (_, _, here):
        took = net.traffic(ALICE), net.traffic(BOB)
        before = [each.sent.bytes for each in took]
        assert await sunk_s(here, 200_000)
        await trio.sleep(1)
        assert net.traffic(ALICE).spoken == {SINK: Spoken(1, 4, 200_000)}
        assert net.traffic(BOB).spoken == {SINK: Spoken(1, 1, 8)}
        assert net.spoken == {SINK: Spoken(2, 5, 200_008)}
        sent = [each.sent.bytes - was for each, was in zip(took, before, strict=True)]
        assert 200_000 < sent[0] < 200_200
        assert 8 < sent[1] < 200
        for one, other in (took, took[::-1]):
            assert one.sent == other.received
        assert net.messages == sum(map(net.messages_of, (ALICE, BOB)))
        assert net.bytes == sum(map(net.bytes_of, (ALICE, BOB)))


@in_virtual_time
async def test_every_message_is_in_the_trace_when_it_is_posted_and_when_it_arrives() -> None:
    trace = Trace(keep_messages=True)
    async with wired(trace=trace) as net:
        net.names = {ALICE: "ann", BOB: "bob"}
        async with two(net) as (_, _, here):
            stream = await here.open(ECHO)
            begin = len(trace.rows)
            await stream.send(b"abc")
            await stream.receive()
            rows = [(each.kind, each.who, each.what) for each in trace.rows[begin:]]
            what = f"{ECHO} #1 data 15 B 352441c2"
            assert rows == [
                ("posted", "ann>bob", what),
                ("arrived", "ann>bob", what),
                ("posted", "bob>ann", what),
                ("arrived", "bob>ann", what),
            ]


@in_virtual_time
async def test_what_happens_to_links_is_in_the_trace() -> None:
    trace = Trace()
    async with wired(trace=trace) as net, two(net) as (alice, bob, here):
        net.names = {ALICE: "ann", BOB: "bob"}
        net.partition([ALICE, CAROL], one_way=True).lift()
        net.hold(ALICE, BOB)
        net.release(ALICE, BOB)
        net.cut(ALICE, BOB)
        net.heal(ALICE, BOB)
        net.freeze(ALICE)
        net.thaw(ALICE)
        with pytest.raises(Unreachable):
            await alice.dial(bob.key, [f"/ip4/{BOB}/tcp/9"])
        await here.close()
        rows = [f"{each.kind} {each.who} {each.what}".strip() for each in trace.rows]
        assert rows == [
            f"met {BOB} {here.far.remote}",
            f"met {ALICE} {here.remote}",
            f"parted  {CAROL} ann > all",
            f"lifted  {CAROL} ann > all",
            "held ann>bob",
            "released ann>bob",
            "cut ann|bob",
            "healed ann|bob",
            "frozen ann",
            "thawed ann",
            "refused ann>bob nobody listens there",
            f"ended {ALICE}>{BOB}",
        ]
