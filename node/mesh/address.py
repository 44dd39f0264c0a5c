# SPDX-License-Identifier: MIT
"""A multiaddr as a place to dial or to listen at. Which ones are told to others: `addresses`."""

import ipaddress
from dataclasses import dataclass

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
