# SPDX-License-Identifier: MIT
"""Verified adverts, ready to be looked things up in. Which of them are kept is in `directory`."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from weakref import WeakValueDictionary

from protocol.advert import Advert
from protocol.canon import Flag, Key, Row, Uint, row
from protocol.limits import CLOCK_SKEW_S_MAX
from protocol.reasons import Reason
from protocol.sealed import unseal


@row
class Held(Row):
    """An advert that the teller has; `met` when it has dialled and proved the node itself."""

    node: Key
    issued_at_s: Uint
    sequence: Uint
    met: Flag


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Known:
    """A verified advert with its bytes as received; make it with :func:`known_from`.

    `version` orders the adverts of one node: time of issue first, as a restarted node counts
    its sequence anew. `digests` are the rows of a summary that stand for it, not met and met.
    """

    wire: bytes
    advert: Advert
    node: bytes
    version: tuple[int, int]
    models: frozenset[bytes]
    range: str
    digests: tuple[Held, Held]


Verify = Callable[[bytes], Known]

# What somebody in this process holds, by network and bytes: the same bytes come from many
# neighbours, and are the same advert each time. Nothing is kept alive by standing here.
_HELD: WeakValueDictionary[tuple[bytes, bytes], Known] = WeakValueDictionary()


def read_advert(wire: bytes, network: bytes) -> Known:
    """Verify a sealed advert of one network; RemoteProtocolError says what is wrong with it.

    Bytes that were verified, and whose advert is still held, are not verified again.
    """
    known = _HELD.get((network, wire))
    if known is None:
        known = known_from(wire, unseal(wire, network, Advert).value)
        _HELD[network, wire] = known
    return known


def known_from(wire: bytes, advert: Advert) -> Known:
    """Prepare an advert whose signature was checked."""
    version = (advert.issued_at_s, advert.sequence)
    return Known(
        wire,
        advert,
        advert.node,
        version,
        frozenset(entry.model for entry in advert.models),
        range_of(advert.addresses),
        (Held(advert.node, *version, 0), Held(advert.node, *version, 1)),
    )


def verifier(network: bytes) -> Verify:
    """Give the real verification; whoever runs many nodes in one process may cache it."""
    return partial(read_advert, network=network)


def trouble_with(known: Known, now_s: float) -> Reason | None:
    """Tell whether the advert is over, or dated further ahead than a clock may be wrong."""
    if now_s >= known.advert.expires_at_s():
        return Reason.EXPIRED
    if known.advert.issued_at_s > now_s + CLOCK_SKEW_S_MAX:
        return Reason.CLOCK_SKEW
    return None


def range_of(addresses: tuple[str, ...]) -> str:
    """Name the /24 or /48 of the first public direct address; empty when there is none.

    The address behind a relay is the relay's, which honest nodes share, so it does not count.
    """
    for text in addresses:
        parts = text.split("/")
        if len(parts) < 3 or "p2p-circuit" in parts:
            continue
        try:
            name = _RANGES[parts[1]](parts[2])
        except (KeyError, ValueError):
            continue
        if name:
            return name
    return ""


def _range_v4(text: str) -> str:
    a, b, c, d = (int(part) for part in text.split("."))
    if not all(0 <= part <= 255 for part in (a, b, c, d)):
        raise ValueError(f"{text!r} is no address")
    private = (
        a in {0, 10, 127}
        or a >= 224
        or (a == 172 and 16 <= b < 32)
        or (a, b) in {(192, 168), (169, 254)}
        or (a == 100 and 64 <= b < 128)
    )
    return "" if private else f"{a}.{b}.{c}"


def _range_v6(text: str) -> str:
    left, _, right = text.partition("::")
    head = [int(part, 16) for part in left.split(":")] if left else []
    tail = right.count(":") + 1 if right else 0
    head += [0] * (8 - len(head) - tail)
    # All public addresses are in 2000::/3 today; what is outside is local, mapped or reserved.
    return f"{head[0]:x}:{head[1]:x}:{head[2]:x}" if 0x2000 <= head[0] < 0x4000 else ""


_RANGES = {"ip4": _range_v4, "ip6": _range_v6}
