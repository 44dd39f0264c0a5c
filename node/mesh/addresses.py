# SPDX-License-Identifier: MIT
"""Which addresses a node tells others, and whether it knows that they work. Pure functions mostly.

An address that nobody can dial costs everybody a dial, so only those are told that somebody
could: no wildcards, nothing that is good on one wire only (link-local), and this machine's own
loopback only where nothing else is there, which is how nodes on one machine meet.
"""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from protocol.advert import REACH_DIRECT, REACH_OUTBOUND, REACH_UNKNOWN
from protocol.keys import peer_id
from protocol.limits import ADDRESS_BYTES_MAX, ADDRESSES_MAX

#: How far an address reaches: nowhere, this machine, this house, everywhere.
NOWHERE, MACHINE, HOUSE, WORLD = range(4)


def scope_of(address: str) -> int:
    """Tell how far a multiaddr reaches."""
    parts = address.split("/")
    if len(parts) < 3 or parts[0] or len(address.encode()) > ADDRESS_BYTES_MAX:
        return NOWHERE
    if parts[1] in {"dns", "dns4", "dns6"}:
        return MACHINE if parts[2] == "localhost" else WORLD
    try:
        host = ip_address(parts[2])
    except ValueError:
        return NOWHERE
    if host.version != (4 if parts[1] == "ip4" else 6):
        return NOWHERE
    if isinstance(host, IPv6Address) and host.ipv4_mapped is not None:
        host = host.ipv4_mapped
    return _scope_of_host(host)


def _scope_of_host(host: IPv4Address | IPv6Address) -> int:
    if host.is_loopback:
        return MACHINE
    if host.is_unspecified or host.is_link_local or host.is_multicast:
        return NOWHERE
    # What is neither private nor global (100.64.0.0/10) is behind a provider's translation.
    return WORLD if host.is_global else HOUSE


def announced(listening: Sequence[str], chosen: Sequence[str] = ()) -> tuple[str, ...]:
    """Give the addresses to tell others, best first: the owner's choice, then what reaches far.

    `listening` are the real ones of the endpoint; `chosen` is `mesh.announce`.
    """
    found = [_bare(address) for address in listening]
    own = sorted((each for each in found if scope_of(each) >= HOUSE), key=scope_of, reverse=True)
    chosen = [_bare(address) for address in chosen if scope_of(address) != NOWHERE]
    told = (*chosen, *own) or [each for each in found if scope_of(each) == MACHINE]
    return tuple(dict.fromkeys(told))[:ADDRESSES_MAX]


def with_peer(addresses: Iterable[str], key: bytes) -> tuple[str, ...]:
    """Write addresses so that they also say whom they lead to, as in an invite."""
    return tuple(f"{_bare(address)}/p2p/{peer_id(key)}" for address in addresses)


class Reach:
    """Whether others can dial this node, as far as it has seen one of them do so."""

    def __init__(self) -> None:
        """Begin without knowing."""
        self._widest = NOWHERE

    def on_dialled(self, remote: str) -> bool:
        """Note that a node has dialled us from there; tell whether that says more than before."""
        scope = scope_of(remote)
        is_news = scope > self._widest
        self._widest = max(self._widest, scope)
        return is_news

    def of(self, addresses: Sequence[str]) -> int:
        """Tell the reach that an advert with these addresses may claim.

        A caller from this house proves nothing about an address that is for the world.
        """
        if not addresses:
            return REACH_OUTBOUND
        return REACH_DIRECT if self._widest >= max(map(scope_of, addresses)) else REACH_UNKNOWN


def _bare(address: str) -> str:
    return address.partition("/p2p/")[0]
