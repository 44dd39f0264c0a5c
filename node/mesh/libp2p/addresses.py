# SPDX-License-Identifier: MIT
"""Multiaddrs as text: where to dial, where we listen, and which addresses of ours are real."""

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass

import psutil

from protocol.errors import RemoteProtocolError
from protocol.keys import parse_peer_id

_NAMES = ("dns", "dns4", "dns6")
_KINDS = ("ip4", "ip6", *_NAMES)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a TCP connection goes to or comes from."""

    kind: str
    host: str
    port: int

    def __str__(self) -> str:
        """Write the multiaddr."""
        return f"/{self.kind}/{self.host}/tcp/{self.port}"


def parse_address(text: str) -> tuple[Address, bytes | None]:
    """Read `/ip4/192.0.2.1/tcp/4001`, perhaps with `/p2p/KEY`; ValueError says what is wrong."""
    empty, *parts = text.rstrip("/").split("/") if len(text) < 512 else [text]
    if empty or len(parts) not in {4, 6} or parts[0] not in _KINDS or parts[2] != "tcp":
        raise ValueError(f"{text[:80]!r} is no address like /ip4/192.0.2.1/tcp/4001")
    kind, host, _, port = parts[:4]
    if not (port.isascii() and port.isdigit() and int(port) < 1 << 16):
        raise ValueError(f"{port[:16]!r} is no port")
    if kind not in _NAMES:
        family = ipaddress.IPv4Address if kind == "ip4" else ipaddress.IPv6Address
        host = str(family(host))
    if len(parts) == 4:
        return Address(kind, host, int(port)), None
    if parts[4] != "p2p":
        raise ValueError(f"{text[:80]!r} ends in something that is no /p2p/KEY")
    try:
        return Address(kind, host, int(port)), parse_peer_id(parts[5])
    except RemoteProtocolError as error:
        raise ValueError(str(error)) from None


def of_socket(name: tuple[object, ...]) -> Address:
    """Write what `getsockname` and `getpeername` give."""
    host, port = str(name[0]).partition("%")[0], int(str(name[1]))
    return Address("ip6" if ":" in host else "ip4", host, port)


def real(listening: Address) -> Iterator[Address]:
    """Give the addresses at which a wildcard is reached; anything else is real already.

    0.0.0.0 told to others leads each of them to itself (fact 2: libp2p advertises it).
    Loopback is told only where there is nothing else; link-local addresses need a zone that
    only their own machine knows.
    """
    if not ipaddress.ip_address(listening.host).is_unspecified:
        yield listening
        return
    loopback = "127.0.0.1" if listening.kind == "ip4" else "::1"
    found = sorted(_of_interfaces(listening.kind)) or [loopback]
    for host in found:
        yield Address(listening.kind, host, listening.port)


def _of_interfaces(kind: str) -> set[str]:
    version = 4 if kind == "ip4" else 6
    found = set()
    for addresses in psutil.net_if_addrs().values():
        for each in addresses:
            try:
                address = ipaddress.ip_address(each.address.partition("%")[0])
            except ValueError:
                continue  # a MAC
            if address.version == version and not (address.is_loopback or address.is_link_local):
                found.add(str(address))
    return found
