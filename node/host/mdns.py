# SPDX-License-Identifier: MIT
"""Finds nodes in the same house by mDNS, through zeroconf. Whom to trust is decided elsewhere.

What is told in the house: that there is a node, its key, its addresses, and eight bytes of a
hash of its network's name. What others tell is believed as far as it has the right form:
anybody in the house can say anything, so whoever is found must still prove who he is.

zeroconf lives in threads of its own. Its callbacks reach the node through trio's token, and
what they bring is bounded on this side.
"""

import hashlib
import ipaddress
import logging
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial

import trio
from zeroconf import (
    InterfaceChoice,
    IPVersion,
    ServiceBrowser,
    ServiceInfo,
    ServiceStateChange,
    Zeroconf,
)

from node.executor.aside import aside
from node.host.host import Seen
from node.log import Log

KIND = "_commons._tcp.local."
VERSION = b"1"
#: A house with more nodes than this meets the rest through them.
KNOWN_MAX = 64
#: Who was heard so lately keeps its place among them, however many others there are.
HEARD_S = 60.0
ADDRESSES_MAX = 8
ADDRESS_CHARACTERS_MAX = 160
#: How long the one who told his name has to tell the rest.
ANSWER_MS = 500
#: How often addresses are looked at again: a laptop may have moved to another network.
RENEW_S = 60.0

_ADDRESS = re.compile(
    r"/(ip4|ip6)/([0-9A-Fa-f.:]{2,45})/tcp/([0-9]{1,5})(?:/p2p/[0-9A-Za-z]{40,64})?"
)
_PEER_BYTES = 32
_log = Log()

Addresses = Callable[[], tuple[str, ...]]


@asynccontextmanager
async def house(
    name: str, peer: bytes, addresses: Addresses, *, interfaces: Sequence[str] = ()
) -> AsyncIterator[AsyncIterator[Seen]]:
    """Be found and find, inside the block."""
    into, found = trio.open_memory_channel[Seen](KNOWN_MAX)
    async with trio.open_nursery() as nursery:
        known = _Known(_network(name), peer, into)
        nursery.start_soon(_speak, known, addresses, tuple(interfaces))
        with into:  # held open: where there is no mDNS one waits, and is not told of an end
            yield found
        nursery.cancel_scope.cancel()


async def _speak(known: "_Known", addresses: Addresses, interfaces: tuple[str, ...]) -> None:
    logging.getLogger("zeroconf").setLevel(logging.CRITICAL)  # one line of ours says it all
    speaker: Zeroconf | None = None
    browser: ServiceBrowser | None = None
    try:
        opened = speaker = await aside(lambda: _open(interfaces))
        token = trio.lowlevel.current_trio_token()

        def tell(**changed: object) -> None:
            seen = _looked_up(opened, changed)
            if seen:
                with suppress(trio.RunFinishedError):  # the node is gone, and this thread not yet
                    token.run_sync_soon(known.hear, *seen)

        browser = await aside(lambda: ServiceBrowser(opened, KIND, handlers=[tell]))
        await _tell(opened, known, addresses)
    except Exception as error:  # noqa: BLE001 - whatever it is, the node finds others without it
        _log.warning("mdns_unavailable", error=error)
    finally:
        with trio.CancelScope(shield=True):  # it says goodbye, which takes a quarter second
            await aside(lambda: _close(browser, speaker))


async def _tell(speaker: Zeroconf, known: "_Known", addresses: Addresses) -> None:
    told: tuple[str, ...] = ()
    while True:
        real = real_addresses(addresses())
        if real != told:
            info = announcement(known.network, known.me, real)
            await aside(partial(_announce, speaker, info, first=not told))
            told = real
        await trio.sleep(RENEW_S)


def _open(interfaces: tuple[str, ...]) -> Zeroconf:
    if interfaces:
        return Zeroconf(interfaces=list(interfaces), use_asyncio=False)
    try:
        every = InterfaceChoice.All
        return Zeroconf(interfaces=every, ip_version=IPVersion.All, use_asyncio=False)
    except OSError:  # no IPv6 here, or not on every interface
        return Zeroconf(ip_version=IPVersion.V4Only, use_asyncio=False)


def _announce(speaker: Zeroconf, info: ServiceInfo, *, first: bool) -> None:
    """Say it, and leave the repeating to zeroconf. A name that is a key needs no probing."""
    import asyncio  # noqa: PLC0415 - zeroconf's own loop is one, and nothing else here

    assert speaker.loop is not None
    if first:
        what = speaker.async_register_service(info, cooperating_responders=True)
    else:
        what = speaker.async_update_service(info)
    asyncio.run_coroutine_threadsafe(what, speaker.loop).result(timeout=5)


def _close(browser: ServiceBrowser | None, speaker: Zeroconf | None) -> None:
    for each in (browser.cancel if browser else None, speaker.close if speaker else None):
        with suppress(Exception):
            if each:
                each()


def _looked_up(speaker: Zeroconf, changed: dict[str, object]) -> tuple[str, ServiceInfo] | None:
    """Ask for the rest of an entry, in the browser's own thread."""
    name, change = str(changed["name"]), changed["state_change"]
    if change is ServiceStateChange.Removed:
        return name, ServiceInfo(KIND, name)
    try:
        info = ServiceInfo(KIND, name)
        if info.load_from_cache(speaker) or info.request(speaker, ANSWER_MS):
            return name, info
    except Exception as error:  # noqa: BLE001 - a stranger's entry must not end the thread
        _log.debug("mdns_entry_broken", error=error)
    return None


class _Known:
    """Who was found, at most so many; in trio's thread alone.

    Who is not heard any more keeps its place only as long as nobody else wants it: names that
    somebody has made up would else keep everybody out for good.
    """

    def __init__(
        self,
        network: bytes,
        me: bytes,
        into: "trio.MemorySendChannel[Seen]",
        now_s: Callable[[], float] = trio.current_time,
    ) -> None:
        self.network = network
        self.me = me
        self._into = into
        self._now_s = now_s
        self._entries: dict[str, Seen] = {}
        self._heard_s: dict[str, float] = {}  # the longest unheard first

    def hear(self, name: str, info: ServiceInfo) -> None:
        """Take an entry; whatever is in it, the loop that calls this goes on."""
        try:
            self.add(name, info)
        except Exception as error:  # noqa: BLE001 - what is raised here would end the whole node
            _log.warning("mdns_entry_broken", error=error)

    def add(self, name: str, info: ServiceInfo) -> None:
        """Take an entry, or what is left of one that is gone: nothing."""
        seen = read_entry(info, self.network)
        if seen is None or seen.peer == self.me:
            self._forget(name)
            return
        if name in self._entries:
            del self._heard_s[name]
            self._heard_s[name] = self._now_s()
        if self._entries.get(name) == seen:
            return
        if name not in self._entries and len(self._entries) >= KNOWN_MAX:
            longest = next(iter(self._heard_s))
            if self._now_s() - self._heard_s[longest] < HEARD_S:
                return
            self._forget(longest)
        # if nobody reads, it is forgotten, and taken when it is told again
        with suppress(trio.WouldBlock, trio.BrokenResourceError, trio.ClosedResourceError):
            self._into.send_nowait(seen)
            self._entries[name] = seen
            self._heard_s[name] = self._now_s()

    def _forget(self, name: str) -> None:
        self._entries.pop(name, None)
        self._heard_s.pop(name, None)


def announcement(network: bytes, me: bytes, addresses: Sequence[str]) -> ServiceInfo:
    """Write what is told of this node."""
    parts = [_ADDRESS.fullmatch(each) for each in addresses]
    texts: dict[bytes, bytes] = {
        b"v": VERSION,
        b"n": network.hex().encode(),
        b"p": me.hex().encode(),
    }
    texts |= {b"a%d" % number: each.encode() for number, each in enumerate(addresses)}
    return ServiceInfo(
        KIND,
        f"{me.hex()[:32]}.{KIND}",
        server=f"{me.hex()[:32]}.local.",  # an update must name it, as the first word did
        port=int(parts[0][3]) if parts and parts[0] else 0,
        parsed_addresses=sorted({each[2] for each in parts if each}),
        properties=texts,
    )


def read_entry(info: ServiceInfo, network: bytes) -> Seen | None:
    """Read what another one tells; None when it is not for us, or not in the right form."""
    texts = info.properties
    if texts.get(b"v") != VERSION or texts.get(b"n") != network.hex().encode():
        return None
    peer = texts.get(b"p") or b""
    if not re.fullmatch(rb"[0-9a-f]{64}", peer):
        return None
    told = (texts.get(b"a%d" % number) for number in range(ADDRESSES_MAX))
    spoken = [each.decode("ascii", "replace") for each in told if each]
    addresses = real_addresses(spoken)
    return Seen(bytes.fromhex(peer.decode()), addresses) if addresses else None


def real_addresses(addresses: Sequence[str]) -> tuple[str, ...]:
    """Give those that another machine can dial, in one spelling; loopback if there is no other."""
    real: list[str] = []
    loopback: list[str] = []
    for each in addresses:
        match = _ADDRESS.fullmatch(each) if len(each) <= ADDRESS_CHARACTERS_MAX else None
        if not match or not 0 < int(match[3]) < 65536:
            continue
        try:
            ip = ipaddress.ip_address(match[2])
        except ValueError:
            continue
        if ip.version != int(match[1][2]) or ip.is_unspecified or ip.is_multicast:
            continue
        if ip.version == 6 and ip.is_link_local:  # means nothing without the name of an interface
            continue
        (loopback if ip.is_loopback else real).append(f"/{match[1]}/{ip}/tcp/{int(match[3])}")
    return tuple(dict.fromkeys(real or loopback))[:ADDRESSES_MAX]


def _network(name: str) -> bytes:
    return hashlib.sha256(b"commons mdns\0" + name.encode()).digest()[:8]
