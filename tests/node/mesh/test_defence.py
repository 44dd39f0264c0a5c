# SPDX-License-Identifier: MIT
"""Tests of `node.mesh.defence`: caps, lists, and who is let go for whom."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
import trio

from node.config import MeshConfig
from node.mesh.behaviour import Behaviour
from node.mesh.defence import (
    CALLERS_BURST,
    CONNECTIONS_PER_KEY_MAX,
    HANDSHAKE_S_MAX,
    HANDSHAKES_MAX,
    HANDSHAKES_PER_PLACE_MAX,
    IDLE_S,
    STREAMS_BEFORE_HELLO_MAX,
    Defence,
    place_of,
)
from node.mesh.peer import Peer
from node.mesh.transport import Connection, Stream, Unreachable
from protocol.errors import Refused
from protocol.keys import Keypair, peer_id
from protocol.reasons import Reason
from simulations.transport import Net
from tests.node.executor.virtual_time import in_virtual_time
from tests.node.mesh.grounds import ECHO, VirtualClock, make, on, raw, seed_of, settled

ME = Keypair(seed_of(1)).public


def key(number: int) -> bytes:
    return Keypair(number.to_bytes(32, "big")).public


@dataclass(eq=False)
class Line:
    """A connection that only counts."""

    peer: bytes
    remote: str
    inbound: bool = True

    async def open(self, protocol: str) -> Stream:
        raise NotImplementedError(protocol)

    async def close(self) -> None: ...

    async def wait_closed(self) -> None: ...


@dataclass
class Gate:
    """A defence with made peers."""

    config: MeshConfig = field(default_factory=MeshConfig)
    peers: dict[bytes, Peer] = field(default_factory=dict)
    gone: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.behaviour = Behaviour(VirtualClock())
        self.defence = Defence(self.config, ME, self.behaviour)
        self.defence.everybody = self.peers.values
        self.defence.let_go = lambda peer: self.gone.append(peer.key)
        self.defence.hang_up = lambda connection: self.gone.append(connection.peer)
        self.defence.peer_of = lambda connection: self.peers.get(connection.peer)

    def comes(self, number: int, remote: str) -> bool:
        """Let a node knock, prove its key, and have a connection and a link."""
        if not self.defence.may_come(remote):
            return False
        if not self.defence.may_stay(key(number), remote):
            return False
        self.takes(Line(key(number), remote))
        return True

    def takes(self, line: Line) -> Peer:
        self.defence.add(line)
        return self.greets(line)

    def greets(self, line: Line) -> Peer:
        peer = Peer(line.peer, ME, member=False, trusted=False)
        peer.add(_link(line))
        self.peers[line.peer] = peer
        return peer


def _link(line: Connection) -> Any:
    """A link as far as the defence looks at it."""
    return SimpleNamespace(
        connection=line,
        inbound=line.inbound,
        is_leaving=False,
        answered_s=0.0,
        stamp=(0, b""),
    )


def public(number: int) -> str:
    """An address of a range of its own."""
    return f"/ip4/8.{number // 250}.{number % 250}.1/tcp/4001"


@pytest.mark.parametrize(
    ("remote", "place"),
    [
        ("/ip4/8.8.4.4/tcp/1", ("8.8.4", True)),
        ("/ip6/2001:db8:1:2::1/tcp/1", ("2001:db8:1", True)),
        ("/ip4/127.0.0.1/tcp/1", ("ip4/127.0.0.1", False)),
        ("/ip4/192.168.1.9/tcp/7", ("ip4/192.168.1.9", False)),
        ("/ip6/fe80::1/tcp/1", ("ip6/fe80::1", False)),
        ("", ("", False)),
        ("/ip4", ("ip4", False)),
    ],
)
def test_a_place_is_a_range_or_an_address_without_one(remote: str, place: tuple[str, bool]) -> None:
    assert place_of(remote) == place


@in_virtual_time
async def test_twenty_nodes_of_one_machine_come_in_at_once() -> None:
    gate = Gate()
    assert all(gate.comes(number, f"/ip4/127.0.0.1/tcp/{number}") for number in range(2, 22))


@in_virtual_time
async def test_one_address_of_a_house_cannot_take_all_places() -> None:
    gate = Gate(MeshConfig(connections=40, connections_per_range=8))
    came = 0
    for number in range(2, 60):
        await trio.sleep(1)
        came += gate.comes(number, f"/ip4/127.0.0.1/tcp/{number}")
        for peer in gate.peers.values():
            peer.neighbour = True  # so nobody is let go
    assert came == 20
    assert gate.comes(99, "/ip4/192.168.1.7/tcp/1")


@in_virtual_time
async def test_a_range_has_so_many_connections_and_no_more() -> None:
    gate = Gate(MeshConfig(connections_per_range=8))
    came = 0
    for number in range(2, 40):
        await trio.sleep(1)
        came += gate.comes(number, f"/ip4/8.8.8.{number}/tcp/1")
        for peer in gate.peers.values():
            peer.used_s = trio.current_time()
    assert came == 8
    assert gate.comes(50, "/ip4/8.8.9.1/tcp/1")


@in_virtual_time
async def test_handshakes_that_never_end_free_their_places_in_time() -> None:
    gate = Gate()
    from_one = [gate.defence.may_come("/ip4/8.8.8.8/tcp/1") for _ in range(40)]
    assert sum(from_one) == HANDSHAKES_PER_PLACE_MAX
    await trio.sleep(HANDSHAKE_S_MAX)
    assert gate.defence.may_come("/ip4/8.8.8.8/tcp/1")


@in_virtual_time
async def test_callers_of_many_places_who_say_nothing_keep_no_other_place_out() -> None:
    """Once sixty-four silent callers kept every newcomer out for as long as they liked."""
    gate = Gate()
    from_many = [gate.defence.may_come(public(number)) for number in range(300)]
    assert all(from_many)
    assert len(gate.defence._arriving) == HANDSHAKES_MAX
    assert not gate.defence.may_come(public(299))  # it has one already, as all others have
    assert gate.defence.may_come("/ip4/8.8.8.8/tcp/1")
    assert len(gate.defence._arriving) == HANDSHAKES_MAX


@in_virtual_time
async def test_who_has_not_said_hello_gives_way_before_any_peer() -> None:
    """Once strangers pushed idle members out of a private network, without a word of hello."""
    gate = Gate(MeshConfig(connections=8))
    for number in range(2, 7):
        assert gate.comes(number, public(number))
    await trio.sleep(2 * IDLE_S)
    for number in range(100, 140):
        assert gate.defence.may_come(public(number))
        assert gate.defence.may_stay(key(number), public(number))
        gate.defence.add(Line(key(number), public(number)))
    assert gate.gone == [key(number) for number in range(100, 138)]
    assert len(gate.defence._open) == 7


@in_virtual_time
async def test_callers_that_come_again_and_again_have_to_wait() -> None:
    gate = Gate()
    remote = "/ip4/8.8.8.8/tcp/1"
    came = 0
    for _ in range(100):
        came += gate.defence.may_come(remote)
        gate.defence._has_arrived(place_of(remote)[0])
    assert came == CALLERS_BURST


@in_virtual_time
async def test_one_key_has_few_connections() -> None:
    gate = Gate()
    came = [gate.comes(7, public(number)) for number in range(10)]
    assert sum(came) == CONNECTIONS_PER_KEY_MAX


@in_virtual_time
async def test_lists_and_bans_and_our_own_key() -> None:
    friend, foe, other = key(2), key(3), key(4)
    gate = Gate(MeshConfig(deny=(peer_id(foe),)))
    assert gate.defence.may_stay(friend, public(1))
    assert not gate.defence.may_stay(foe, public(1))
    assert not gate.defence.may_stay(ME, public(1))
    gate.behaviour.set_ban(friend, 60, Reason.UNEXPECTED, "")
    assert not gate.defence.may_stay(friend, public(1))
    objection = gate.defence.objection(friend)
    assert objection
    assert objection.detail.endswith("because of unexpected: `commons peers unban` ends that")
    gate.behaviour.set_ban(friend, 60, Reason.BANNED, "rude")
    objection = gate.defence.objection(friend)
    assert objection
    assert "because its owner said so (rude): `commons peers unban`" in objection.detail
    await trio.sleep(61)
    assert gate.defence.may_stay(friend, public(1))
    gate = Gate(MeshConfig(allow=(peer_id(friend),)))
    assert gate.defence.may_stay(friend, public(1))
    assert not gate.defence.may_stay(other, public(1))


@in_virtual_time
async def test_when_all_places_are_taken_an_idle_stranger_is_let_go_and_nobody_else() -> None:
    gate = Gate(MeshConfig(connections=8))
    for number in range(2, 9):  # seven: one place is for those whom we dial
        assert gate.comes(number, public(number))
        await trio.sleep(1)
    await trio.sleep(IDLE_S)
    assert gate.comes(20, public(20))
    assert gate.gone == [key(2)]  # the longest idle
    del gate.peers[key(2)]
    gate.behaviour.blame(key(5), Reason.UNEXPECTED, "")
    assert gate.comes(21, public(21))
    assert gate.gone[1:] == [key(5)]  # the one that behaved worst
    del gate.peers[key(5)]
    three, four, six, *_ = (gate.peers[key(number)] for number in (3, 4, 6))
    three.neighbour = four.trusted = True
    with six.hold():
        gate.peers[key(7)].used_s = gate.peers[key(8)].used_s = trio.current_time()
        assert not gate.comes(22, public(22))
    assert len(gate.gone) == 2


@in_virtual_time
async def test_those_whom_we_chose_are_not_pushed_out_by_those_who_chose_us() -> None:
    gate = Gate(MeshConfig(connections=8))
    for number in range(2, 10):
        gate.takes(Line(key(number), public(number), inbound=False))
    await trio.sleep(2 * IDLE_S)
    assert not gate.comes(20, public(20))
    assert gate.gone == []


@in_virtual_time
async def test_a_trusted_node_always_finds_a_place() -> None:
    gate = Gate(MeshConfig(connections=8, trusted=(peer_id(key(50)),)))
    for number in range(2, 9):
        assert gate.comes(number, public(number))
    assert not gate.defence.may_stay(key(51), public(51))
    assert gate.defence.may_stay(key(50), public(50))


@in_virtual_time
async def test_streams_are_few_before_hello_and_so_many_after() -> None:
    gate = Gate(MeshConfig(streams_per_peer=20))
    line = Line(key(2), public(2))
    assert gate.defence.may_stream(line, STREAMS_BEFORE_HELLO_MAX - 1)
    assert not gate.defence.may_stream(line, STREAMS_BEFORE_HELLO_MAX)
    peer = gate.takes(line)
    gate.defence.peer_of = lambda _: peer
    assert gate.defence.may_stream(line, 20)  # with the control stream
    assert not gate.defence.may_stream(line, 21)
    peer.serving = 20  # on another connection of the same peer
    assert not gate.defence.may_stream(line, 1)


# --- in a mesh --------------------------------------------------------------------------------


@in_virtual_time
async def test_a_flood_of_streams_ends_at_the_cap_and_others_are_served() -> None:
    net = Net()
    a, b, c = make(1, config=MeshConfig(streams_per_peer=10)), make(2), make(3)
    async with on(net, a, b, c):
        peer = await b.meets(a)
        taken = 0
        for _ in range(60):
            try:
                await peer.open(ECHO)
            except Exception:  # noqa: BLE001 - refused in one way or another
                continue
            taken += 1
        await settled()
        assert taken <= 11
        assert a.mesh.peers[b.key].serving == 10
        async with c.mesh.wire(a.key, ECHO, a.addresses) as wire:
            assert await wire.ping(1) >= 0


@in_virtual_time
async def test_a_denied_node_is_neither_met_nor_let_in() -> None:
    b = make(2)
    a = make(1, config=MeshConfig(deny=(peer_id(b.key),)))
    async with on(Net(), a, b):
        with pytest.raises(Refused, match="owner"):
            await a.meets(b)
        with pytest.raises(Unreachable):
            await b.meets(a)


@in_virtual_time
async def test_the_key_of_this_node_on_another_machine_is_not_let_in() -> None:
    net = Net()
    a = make(1)
    async with on(net, a), raw(net, 1, (), host="10.0.0.77") as clone:
        with pytest.raises(Unreachable):
            await clone.dials(a)
        assert a.mesh.peers == {}


@in_virtual_time
async def test_a_full_node_lets_an_idle_one_go_and_the_newcomer_in() -> None:
    net = Net()
    a = make(1, config=MeshConfig(connections=8))
    others = [make(number) for number in range(2, 11)]
    async with on(net, a, *others):
        for other in others[:7]:
            await other.meets(a)
            await trio.sleep(1)
        with pytest.raises(Unreachable):
            await make_busy_and_knock(a, others[7])
        await trio.sleep(IDLE_S)
        await others[7].meets(a)
        await settled(2)
        assert others[7].key in a.mesh.peers
        assert len(a.mesh.peers) == 7
        assert others[0].left == [(a.key, "view_full")]


async def make_busy_and_knock(node: Any, other: Any) -> None:
    for peer in node.mesh.peers.values():
        peer.used_s = trio.current_time()
    await other.meets(node)


@in_virtual_time
async def test_callers_that_prove_a_key_and_then_dawdle_get_no_more_places_than_others() -> None:
    """All of them were told that they may stay before one of them had a connection."""
    gate = Gate(MeshConfig(connections=16))
    told = [gate.defence.may_stay(key(9), public(number)) for number in range(40)]
    assert all(told)
    added = [gate.defence.add(Line(key(9), public(number))) for number in range(40)]
    assert sum(added) == CONNECTIONS_PER_KEY_MAX
    others = [gate.defence.may_stay(key(number), public(number)) for number in range(50, 90)]
    assert all(others)
    for number in range(50, 90):
        line = Line(key(number), public(number))
        if gate.defence.add(line):
            gate.greets(line).neighbour = True
    assert len(gate.defence._open) == 14, "an eighth is kept for those whom we dial"


@in_virtual_time
async def test_nobody_is_let_go_for_a_caller_that_only_proves_a_key() -> None:
    gate = Gate(MeshConfig(connections=8))
    assert all(gate.comes(number, public(number)) for number in range(2, 9))
    await trio.sleep(2 * IDLE_S)
    for number in range(20, 40):
        assert gate.defence.may_stay(key(number), public(number))
    assert gate.gone == []
    assert gate.defence.add(Line(key(20), public(20)))
    assert len(gate.gone) == 1
