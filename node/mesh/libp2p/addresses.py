# SPDX-License-Identifier: MIT
"""Addresses of sockets, and which of this machine's are real. How one is read is in `mesh/`."""

import ipaddress
from collections.abc import Iterator

import psutil

from node.mesh.address import Address


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
