# SPDX-License-Identifier: MIT
"""What every transport promises of meeting: who is reached, whose key is proven, who may come."""

import errno
from contextlib import suppress

import pytest
import trio

from node.mesh.transport import Connection, Lost, NotSpoken, TransportError, Unreachable
from protocol.keys import peer_id
from tests.node.mesh.scene import (
    ECHO,
    SILENT,
    SOON_S,
    Node,
    OpenGate,
    Scene,
    connected,
    echoed,
    joined,
    key_of,
    until,
)


async def both_sides_meet_each_connection_once(scene: Scene) -> None:
    """They know whose it is, who has dialled, and from where."""
    async with joined(scene, "alice") as alice, joined(scene, "bob") as bob:
        for number in range(1, 4):
            here = await alice.dial(bob)
            await until(lambda: len(alice.met) == len(bob.met) == number)  # noqa: B023 - called at once
            there = bob.met[-1]
            assert alice.met[-1] is here
            assert (here.peer, there.peer) == (bob.key, alice.key)
            assert (here.inbound, there.inbound) == (False, True)
            assert here.remote in [_bare(each) for each in bob.addresses]
            assert there.remote.startswith(("/ip4/", "/ip6/"))
            assert await echoed(here, b"x") == await echoed(there, b"x") == b"x"
        await trio.sleep(0.05)
        assert len(alice.met) == len(bob.met) == 3
        assert len({id(each) for each in alice.met}) == 3


def _bare(address: str) -> str:
    return address.split("/p2p/", maxsplit=1)[0]


async def of_two_connections_either_may_end(scene: Scene) -> None:
    """A dial makes a new one each time, and they share nothing."""
    async with connected(scene) as pair:
        again = await pair.alice.dial(pair.bob)
        assert again is not pair.here
        stream = await again.open(ECHO)
        await pair.here.close()
        await pair.there.wait_closed()
        await stream.send(b"x")
        assert await stream.receive() == b"x"
        assert await echoed(again, b"y") == b"y"


async def two_may_dial_each_other_at_once(scene: Scene) -> None:
    """Both get what they asked for."""
    async with joined(scene, "alice") as alice, joined(scene, "bob") as bob:

        async def dial(one: Node, other: Node) -> None:
            connection = await one.dial(other)
            assert not connection.inbound
            assert await echoed(connection, one.key) == one.key

        async with trio.open_nursery() as nursery:
            nursery.start_soon(dial, alice, bob)
            nursery.start_soon(dial, bob, alice)


async def whoever_does_not_listen_can_be_spoken_to(scene: Scene) -> None:
    """It has no address, dials, and then serves like anybody else."""
    async with joined(scene, "alice", listen=()) as alice, joined(scene, "bob") as bob:
        assert tuple(alice.endpoint.addresses) == ()
        await alice.dial(bob)
        await until(lambda: bob.met)
        assert await echoed(bob.met[0], b"x") == b"x"


async def a_dead_address_is_passed_over(scene: Scene) -> None:
    """So is one that means nothing, or another peer; the order is the caller's."""
    async with joined(scene, "alice") as alice, joined(scene, "bob") as bob:
        for first in (
            scene.dead,
            "/ip4/not-an-address/tcp/1",
            "/memory/7",
            "nonsense",
            "",
            f"{scene.dead}/p2p/{peer_id(key_of('carol'))}",
            f"{_bare(bob.addresses[0])}/p2p/{peer_id(key_of('carol'))}",
        ):
            with trio.fail_after(SOON_S):
                here = await alice.endpoint.dial(bob.key, [first, *bob.addresses])
            assert await echoed(here, b"x") == b"x"
            await here.close()
        named = f"{_bare(bob.addresses[0])}/p2p/{peer_id(bob.key)}"
        assert await echoed(await alice.endpoint.dial(bob.key, [named]), b"x") == b"x"


async def without_a_living_address_a_peer_is_unreachable(scene: Scene) -> None:
    """The words have a reason for each address; and nothing is remembered against the peer."""
    async with joined(scene, "alice") as alice, joined(scene, "bob") as bob:
        wrong = f"{_bare(bob.addresses[0])}/p2p/{peer_id(key_of('carol'))}"
        for tried in ([], [scene.dead], ["nonsense"], [wrong], [scene.dead, wrong, "nonsense"]):
            with trio.fail_after(SOON_S), pytest.raises(Unreachable) as caught:
                await alice.endpoint.dial(bob.key, tried)
            assert all(each in str(caught.value) for each in tried), str(caught.value)
        assert await echoed(await alice.dial(bob), b"x") == b"x"
        await until(lambda: len(alice.met) == len(bob.met) == 1)


async def nobody_passes_for_somebody_else(scene: Scene) -> None:
    """Who answers has to prove the key that was asked for, or nobody was met."""
    async with joined(scene, "alice") as alice, joined(scene, "bob") as bob:
        with pytest.raises(Unreachable):
            await alice.endpoint.dial(key_of("carol"), [_bare(each) for each in bob.addresses])
        assert alice.met == []
        await until(lambda: not bob.connected)
        assert await echoed(await alice.dial(bob), b"x") == b"x"


async def nobody_dials_itself(scene: Scene) -> None:
    """Its own key is no peer's, wherever it is said to be."""
    async with joined(scene, "alice") as alice, joined(scene, "bob") as bob:
        for addresses in (alice.addresses, bob.addresses, [scene.dead]):
            with pytest.raises(Unreachable):
                await alice.endpoint.dial(alice.key, [_bare(each) for each in addresses])
        assert alice.met == []


class _Door(OpenGate):
    """Refuses at one of the three doors while it is shut, and notes what it was asked."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_shut = True
        self.asked: list[object] = []

    def _answer(self, name: str, asked: object) -> bool:
        if name == self.name:
            self.asked.append(asked)
        return name != self.name or not self.is_shut

    def may_come(self, remote: str) -> bool:
        return self._answer("come", remote)

    def may_stay(self, peer: bytes, remote: str) -> bool:
        assert remote.startswith("/ip")
        return self._answer("stay", peer)

    def may_stream(self, connection: Connection, open_now: int) -> bool:
        assert connection.inbound
        return self._answer("stream", open_now)


async def whoever_may_not_come_or_stay_is_met_by_nobody(scene: Scene) -> None:
    """He cannot connect, or sees his connection end at once; those who dialled are not asked."""
    for name in ("come", "stay"):
        door = _Door(name)
        async with joined(scene, "alice") as alice, joined(scene, "bob", gate=door) as bob:
            with trio.fail_after(SOON_S), suppress(Unreachable):
                here = await alice.dial(bob)
                with suppress(TransportError):
                    await echoed(here, b"x")
                    pytest.fail("a stranger was served")
                await here.wait_closed()
            assert len(door.asked) == 1
            assert door.asked[0] == alice.key or str(door.asked[0]).startswith("/ip")
            assert bob.met == []
            assert await echoed(await bob.dial(alice), b"x") == b"x"
            assert len(door.asked) == 1
            door.is_shut = False
            assert await echoed(await alice.dial(bob), b"x") == b"x"


async def the_gate_says_how_many_streams_a_peer_may_have(scene: Scene) -> None:
    """It hears how many are served now; those of the other side do not count."""
    door = _Door("stream")
    door.is_shut = False

    async def ask_in_vain() -> None:
        with pytest.raises((NotSpoken, Lost)):
            await pair.here.open(ECHO)

    async with connected(scene, gate=door) as pair:
        own = await pair.there.open(SILENT)
        streams = [await pair.here.open(ECHO) for _ in range(3)]
        assert door.asked == [0, 1, 2]
        door.is_shut = True
        for _ in range(3):
            await ask_in_vain()
        assert door.asked[3:] == [3, 3, 3]
        await streams.pop().reset()
        with trio.fail_after(SOON_S):
            while door.asked[-1] == 3:
                await trio.sleep(0.01)
                await ask_in_vain()
        door.is_shut = False
        streams.append(await pair.here.open(ECHO))
        assert door.asked[-1] == 2
        for stream in (own, *streams):
            await stream.reset()
        await pair.forgets_all_streams()
        await pair.works()


async def a_taken_port_is_said_so(scene: Scene) -> None:
    """And it is free again when whoever had it has left."""
    async with joined(scene, "alice") as alice:
        taken = [_bare(each) for each in alice.endpoint.addresses]
        with pytest.raises(OSError, match=r".") as caught:
            await _try_to_listen(scene, taken)
        assert caught.value.errno == errno.EADDRINUSE
        async with joined(scene, "bob") as bob:
            assert await echoed(await bob.dial(alice), b"x") == b"x"
    async with joined(scene, "alice", listen=taken) as alice:
        assert [_bare(each) for each in alice.endpoint.addresses] == taken


async def _try_to_listen(scene: Scene, taken: list[str]) -> None:
    """Fail plainly, as a node would that starts."""
    try:
        async with joined(scene, "alice", listen=taken):
            pytest.fail("two nodes listen on one port")
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None


async def addresses_are_where_one_can_be_dialled(scene: Scene) -> None:
    """Ports are known, and there are no wildcards."""
    for listen in filter(None, (scene.listen, scene.wildcard)):
        async with joined(scene, "bob", listen=[listen]) as bob:
            assert bob.endpoint.addresses
            for address in bob.endpoint.addresses:
                assert not address.startswith(("/ip4/0.0.0.0/", "/ip6/::/")), address
                assert not address.endswith("/tcp/0"), address
            async with joined(scene, "alice") as alice:
                here = await alice.endpoint.dial(bob.key, bob.endpoint.addresses)
                assert await echoed(here, b"x") == b"x"


async def what_runs_for_a_connection_may_return_or_fail(scene: Scene) -> None:
    """That ends nothing: it is nobody's fault but ours."""
    met: list[Connection] = []

    async def meet(connection: Connection) -> None:
        met.append(connection)
        if len(met) == 2:
            raise ValueError("x")

    async with joined(scene, "alice") as alice, joined(scene, "bob", meet=meet) as bob:
        for number in (1, 2):
            here = await alice.dial(bob)
            await until(lambda: len(met) == number)  # noqa: B023 - called at once
            await trio.sleep(0.02)
            assert await echoed(here, b"x") == b"x"


PROMISES = (
    both_sides_meet_each_connection_once,
    of_two_connections_either_may_end,
    two_may_dial_each_other_at_once,
    whoever_does_not_listen_can_be_spoken_to,
    a_dead_address_is_passed_over,
    without_a_living_address_a_peer_is_unreachable,
    nobody_passes_for_somebody_else,
    nobody_dials_itself,
    whoever_may_not_come_or_stay_is_met_by_nobody,
    the_gate_says_how_many_streams_a_peer_may_have,
    a_taken_port_is_said_so,
    addresses_are_where_one_can_be_dialled,
    what_runs_for_a_connection_may_return_or_fail,
)
