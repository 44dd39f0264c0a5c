# SPDX-License-Identifier: MIT
"""What only the real transport promises: addresses, ports, dials, the two protocols of libp2p."""

import errno
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psutil
import pytest
import trio
from libp2p.identity.identify.pb.identify_pb2 import Identify
from multiaddr import Multiaddr  # type: ignore[import-untyped] # ships no types
from trio.testing import MockClock, wait_all_tasks_blocked

from node.mesh.address import Address, parse_address
from node.mesh.libp2p import Libp2p, dialling, listening
from node.mesh.libp2p.asked import IDENTIFY, PING
from node.mesh.libp2p.bytes_in import Source
from node.mesh.libp2p.choosing import line
from node.mesh.libp2p.limits import ADDRESSES_MAX
from node.mesh.libp2p.listening import Handshakes, range_of
from node.mesh.transport import Endpoint, Service, Unreachable
from protocol.keys import Keypair, peer_id
from tests.node.mesh.libp2p_scene import Libp2pScene
from tests.node.mesh.scene import (
    OpenGate,
    connected,
    echoed,
    joined,
    key_of,
    read,
    read_some,
    seed_of,
)

LOOPBACK = "/ip4/127.0.0.1/tcp/0"


@asynccontextmanager
async def at(*listen: str, who: str = "alice") -> AsyncIterator[Endpoint]:
    """Be on the network without a relay before the node."""

    async def meet(_: object) -> None:
        pass

    service = Service(meet, {}, OpenGate())
    async with Libp2p().open(Keypair(seed_of(who)), seed_of(who), listen, service) as endpoint:
        yield endpoint


# --- listening ----------------------------------------------------------------------------------


async def test_ipv4_and_ipv6_are_listened_on_side_by_side() -> None:
    """On the same port too: a socket for IPv6 leaves IPv4 alone."""
    async with at(LOOPBACK) as endpoint:
        (text,) = endpoint.addresses
        port = parse_address(text)[0].port
        async with at(f"/ip6/::1/tcp/{port}", LOOPBACK, who="bob") as bob:
            assert bob.addresses[0] == f"/ip6/::1/tcp/{port}"
            connection = await endpoint.dial(key_of("bob"), bob.addresses[:1])
            assert connection.remote == bob.addresses[0]


async def test_a_wildcard_for_ipv6_leaves_ipv4_alone() -> None:
    """Or it would take the port of IPv4 too, and spell its callers' addresses another way."""
    with listening._socket_for(Address("ip6", "::", 0)) as sock:
        assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1


@pytest.mark.parametrize("listen", ["/dns4/localhost/tcp/0", "/ip4/127.0.0.1/udp/0", "x"])
async def test_only_an_address_can_be_listened_on(listen: str) -> None:
    with pytest.raises(ValueError, match=r"is no address|give an address"):
        async with at(listen):
            pytest.fail("it listens somewhere")


async def test_of_several_addresses_all_or_none_is_listened_on() -> None:
    """The library says nothing of a port in use, and shares it with others of its kind."""
    async with at(LOOPBACK) as endpoint:
        before = psutil.Process().num_fds()
        with pytest.raises(OSError, match=endpoint.addresses[0]) as caught:
            async with at(LOOPBACK, endpoint.addresses[0], who="bob"):
                pytest.fail("two listen on one port")
        assert caught.value.errno == errno.EADDRINUSE
        assert psutil.Process().num_fds() == before


async def test_a_seed_that_is_not_the_keys_is_refused() -> None:
    with pytest.raises(ValueError, match="seed"):
        Libp2p().open(Keypair(seed_of("alice")), seed_of("bob"), (), None)  # type: ignore[arg-type] # not reached


# --- life -----------------------------------------------------------------------------------------


async def test_nothing_is_left_when_the_block_is_left() -> None:
    """No task, no socket; and it takes no time to speak of."""
    await echo_once()
    descriptors = psutil.Process().num_fds()
    tasks = trio.lowlevel.current_statistics().tasks_living
    for _ in range(3):
        await echo_once()
    assert psutil.Process().num_fds() == descriptors
    assert trio.lowlevel.current_statistics().tasks_living == tasks


async def echo_once() -> None:
    async with connected(Libp2pScene()) as pair:
        assert await echoed(pair.here, b"x" * 100_000) == b"x" * 100_000


async def test_who_has_left_dials_nobody() -> None:
    async with joined(Libp2pScene(), "bob") as bob:
        async with at() as endpoint:
            pass
        with pytest.raises(Unreachable, match="has left"):
            await endpoint.dial(bob.key, bob.addresses)
        for each in bob.met:
            await each.wait_closed()


# --- dialling -------------------------------------------------------------------------------------


async def test_a_dial_says_of_each_address_why_it_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """And each has a deadline of its own."""
    monkeypatch.setattr(dialling, "DIAL_S", 0.05)

    async def say_nothing(stream: trio.SocketStream) -> None:
        await stream.receive_some(1)
        await trio.sleep_forever()

    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    mute = f"/ip4/127.0.0.1/tcp/{listener.socket.getsockname()[1]}"
    elsewhere = f"{mute}/p2p/{peer_id(key_of('mallory'))}"
    async with trio.open_nursery() as nursery, at() as endpoint:
        nursery.start_soon(trio.serve_listeners, say_nothing, [listener])
        with pytest.raises(Unreachable) as caught:
            await endpoint.dial(key_of("bob"), [mute, Libp2pScene.dead, "rubbish", elsewhere])
        said = str(caught.value)
        assert peer_id(key_of("bob")) in said
        for reason in (
            f"{mute}: no answer",
            "refused",
            "'rubbish' is no address",
            "it names another peer",
        ):
            assert reason in said
        nursery.cancel_scope.cancel()


async def test_a_dead_address_does_not_hide_a_live_one_nor_a_failure_the_next_try() -> None:
    """Fact 5: the library tries one address of a kind, and then none for a minute."""
    scene = Libp2pScene()
    async with joined(scene, "alice") as alice:
        with pytest.raises(Unreachable):
            await alice.endpoint.dial(key_of("bob"), [scene.dead])
        async with joined(scene, "bob") as bob:
            addresses = [scene.dead, scene.dead, *bob.addresses]
            connection = await alice.endpoint.dial(bob.key, addresses)
            assert await echoed(connection, b"x") == b"x"


async def test_a_dial_to_our_own_key_says_what_that_means() -> None:
    async with at(LOOPBACK) as endpoint:
        with pytest.raises(Unreachable, match="one identity was copied to both"):
            await endpoint.dial(key_of("alice"), endpoint.addresses)


async def test_a_peer_with_endless_addresses_is_given_up() -> None:
    async with at() as endpoint:
        with pytest.raises(Unreachable) as caught:
            await endpoint.dial(key_of("bob"), ["x"] * 10_000)
        assert str(caught.value).count("is no address") == ADDRESSES_MAX
        with pytest.raises(Unreachable, match="no address"):
            await endpoint.dial(key_of("bob"), [])


# --- the door -------------------------------------------------------------------------------------


async def test_the_oldest_of_the_busiest_range_gives_way(
    autojump_clock: MockClock,  # noqa: ARG001 - time is virtual
) -> None:
    """Whoever is alone in his range is never the one."""
    handshakes = Handshakes(most=3)
    left: list[str] = []

    async def wait(name: str, host: str) -> None:
        await handshakes.attend(Address("ip4", host, 1), trio.sleep_forever)
        left.append(name)

    async with trio.open_nursery() as nursery:
        for name, host in (("lone", "192.0.2.1"), ("a", "192.0.2.9"), ("b", "192.0.2.9")):
            nursery.start_soon(wait, name, host)
            await wait_all_tasks_blocked()
        for name, host, gone in (("c", "192.0.2.9", "a"), ("d", "192.0.2.3", "b")):
            nursery.start_soon(wait, name, host)
            await wait_all_tasks_blocked()
            assert left[-1] == gone
            assert len(handshakes) == 3
        await trio.sleep(11)
        assert sorted(left) == ["a", "b", "c", "d", "lone"], "the rest came too late"
        assert len(handshakes) == 0


def test_a_person_with_ipv6_has_one_range() -> None:
    assert range_of(Address("ip6", "2001:db8::1", 1)) == range_of(Address("ip6", "2001:db8::2", 9))
    assert range_of(Address("ip4", "192.0.2.1", 1)) != range_of(Address("ip4", "192.0.2.2", 1))


# --- the two protocols of libp2p ------------------------------------------------------------------


class Said(Source):
    """Bytes that were said."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self._held += data

    async def more(self) -> bytes:
        raise AssertionError("there is no more")

    async def put(self, data: bytes) -> None:
        raise AssertionError(data)


async def test_identify_tells_real_addresses_and_what_is_spoken() -> None:
    scene = Libp2pScene()
    async with connected(scene) as pair:
        said = await read(await pair.here.open(IDENTIFY))
        length = len(said) - 2
        assert said[:2] == bytes((length & 0x7F | 0x80, length >> 7))
        told = Identify.FromString(said[2:])
        assert [str(Multiaddr(each)) for each in told.listen_addrs] == list(
            pair.bob.endpoint.addresses
        )
        assert str(Multiaddr(told.observed_addr)) == pair.there.remote
        assert told.public_key == bytes.fromhex("08011220") + pair.bob.key
        assert {IDENTIFY, PING, "/test/echo/1"} <= set(told.protocols)
        assert told.agent_version.startswith("compute-commons/")


async def test_ping_sends_back_what_it_got_32_bytes_at_a_time() -> None:
    async with connected(Libp2pScene()) as pair:
        stream = await pair.here.open(PING)
        for size in (31, 1, 64, 40, 24):
            await stream.send(bytes(range(size)))
        expected = b"".join(bytes(range(size)) for size in (31, 1, 64, 40, 24))
        assert await read_some(stream, len(expected)) == expected
        await stream.finish()
        assert await read(stream) == b""


def test_the_name_of_a_protocol_may_be_as_long_as_a_line() -> None:
    assert line("x" * 200) == bytes((201 & 0x7F | 0x80, 201 >> 7)) + b"x" * 200 + b"\n"
    with pytest.raises(ValueError, match="too long"):
        line("x" * 256)
