# SPDX-License-Identifier: MIT
"""How multiaddrs are read, and which addresses of this machine are told to others."""

import errno
from socket import AF_INET, AF_INET6
from types import SimpleNamespace

import psutil
import pytest
import trio

from node.mesh.address import Address, parse_address
from node.mesh.libp2p import listening
from node.mesh.libp2p.addresses import real
from protocol.keys import peer_id
from tests.node.mesh.scene import key_of


@pytest.mark.parametrize(
    "text",
    [
        "/ip4/192.0.2.1/tcp/4001",
        "/ip6/2001:db8::1/tcp/4001",
        "/dns4/node.example/tcp/1",
        f"/dns/node.example/tcp/1/p2p/{peer_id(key_of('bob'))}",
    ],
)
def test_an_address_is_read_as_it_is_written(text: str) -> None:
    address, key = parse_address(text)
    assert text.startswith(str(address))
    assert key == (key_of("bob") if "p2p" in text else None)


@pytest.mark.parametrize(
    "text",
    [
        *("", "/", "ip4/192.0.2.1/tcp/1", "/ip4/192.0.2.1", "/ip4/192.0.2.1/udp/1"),
        *("/ip4/192.0.2.256/tcp/1", "/ip4/::1/tcp/1", "/ip6/192.0.2.1/tcp/1"),
        *("/ip4/192.0.2.1/tcp/65536", "/ip4/192.0.2.1/tcp/-1", "/ip4/192.0.2.1/tcp/²"),
        *("/ip4/192.0.2.1/tcp/1/p2p/x", "/ip4/192.0.2.1/tcp/1/ws/x", "/ip4/192.0.2.1/tcp/1/p2p"),
        "/ip4/192.0.2.1/tcp/1" * 100,
    ],
)
def test_an_address_that_is_none_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no|does not|ends in|xpected|permitted|ctets"):
        parse_address(text)


def test_a_wildcard_is_told_as_the_addresses_of_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """0.0.0.0, told to others, leads each of them to itself."""
    texts = {
        AF_INET: ("127.0.0.1", "192.0.2.7", "169.254.3.4"),
        AF_INET6: ("::1", "2001:db8::7", "fe80::1%eth0"),
        17: ("00:00:5e:00:53:01",),
    }
    found = [SimpleNamespace(address=each) for some in texts.values() for each in some]
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: {"eth0": found})
    assert list(map(str, real(Address("ip4", "0.0.0.0", 7)))) == ["/ip4/192.0.2.7/tcp/7"]
    assert list(map(str, real(Address("ip6", "::", 7)))) == ["/ip6/2001:db8::7/tcp/7"]
    assert list(map(str, real(Address("ip4", "192.0.2.9", 7)))) == ["/ip4/192.0.2.9/tcp/7"]
    monkeypatch.setattr(psutil, "net_if_addrs", dict)
    assert list(map(str, real(Address("ip4", "0.0.0.0", 7)))) == ["/ip4/127.0.0.1/tcp/7"]
    assert list(map(str, real(Address("ip6", "::", 7)))) == ["/ip6/::1/tcp/7"]


async def test_a_machine_without_ipv6_listens_on_what_it_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The default listens everywhere, and many containers have no IPv6."""
    plain = listening._socket_for

    def refuse(address: Address) -> trio.socket.SocketType:
        if address.kind == "ip6":
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
        return plain(address)

    monkeypatch.setattr(listening, "_socket_for", refuse)
    (only,) = await listening.bind(["/ip4/127.0.0.1/tcp/0", "/ip6/::/tcp/0"])
    only.socket.close()
    for wanted in (["/ip6/::/tcp/0"], ["/ip4/127.0.0.1/tcp/0", "/ip6/::1/tcp/0"]):
        with pytest.raises(OSError, match="cannot listen on /ip6/"):
            await listening.bind(wanted)
