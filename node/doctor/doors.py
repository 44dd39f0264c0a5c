# SPDX-License-Identifier: MIT
"""Looks at the network from this machine: can it listen, does it answer, who can be dialled.

Nothing but TCP is tried: whoever accepts is not yet known to be a node.
"""

import errno
import socket
from collections.abc import Mapping, Sequence

import trio

from node.api.documents import Finding
from node.doctor.keeping import remembered
from node.doctor.looks import failure, passed, warning
from node.doctor.scene import Scene
from node.leaves import innermost
from node.networks import parse_bootstrap
from node.store.settings import PORT

#: Who accepts no connection in this time is no good as a first way in.
DIAL_S = 5.0

#: Dials at a time; more would look like a scan to a router.
DIALS_MAX = 8

#: With four names of routers and eight dials at a time, this is enough for all of them.
DIALS_S = 30.0

#: Where mDNS speaks.
MULTICAST = "224.0.0.251"

WITHOUT_IPV6 = '`commons run --set "mesh.listen=/ip4/0.0.0.0/tcp/0"`, or set the key in the config.'


def see_ports(scene: Scene) -> list[Finding]:
    """Take each address that a node would listen on, and let it go at once."""
    if scene.is_running:
        return []
    kept = remembered(scene, PORT)
    found = []
    for address in scene.config.mesh.listen:
        kind, host, port = parts_of(address)
        error = _bound(kind, host, port or kept or 0)
        if error is not None:
            found.append(_port_trouble(address, port or kept or 0, not port, error))
    words = ", ".join(scene.config.mesh.listen) or "nowhere"
    drawn = f" (port {kept} is kept for port 0)" if kept else ""
    return found or [passed("ports", f"It could listen on {words}{drawn}.")]


async def see_listening(scene: Scene) -> list[Finding]:
    """Connect to the addresses that the running node says it listens on."""
    told = (scene.told or {}).get("addresses", ())
    if not isinstance(told, list | tuple) or not told:
        return []
    own = [str(each) for each in told if each not in scene.config.mesh.announce]
    results = await dialled(own)
    dead = {address: why for address, why in results.items() if why}
    if dead:
        words = "; ".join(f"{address} ({why})" for address, why in dead.items())
        step = "A firewall of this machine may drop them; else stop the node and start it anew."
        return [
            warning("listening", f"The node says it listens, and does not accept: {words}.", step)
        ]
    return [passed("listening", f"The node accepts connections on {', '.join(own)}.")]


async def see_bootstrap(scene: Scene) -> list[Finding]:
    """Dial every address of a node that is to be asked first."""
    addresses = ways_in(scene)
    if not addresses and _has_company(scene):
        return [passed("bootstrap", "No first node is needed: others are connected.")]
    if not addresses:
        step = "`commons join INVITE`, or set mesh.bootstrap; in the house mDNS may find others."
        if (scene.paths.state / "networks").is_dir() or scene.is_running:
            sentence = "No address of another node is known, so only mDNS and others' dials help."
            return [warning("bootstrap", sentence, step)]
        return [warning("bootstrap", "No address of another node is known yet.", step)]
    results = await dialled(addresses)
    found = [_reached(address, why) for address, why in results.items()]
    if all(results.values()):
        state = warning if scene.is_running else failure
        sentence = f"None of {len(results)} addresses accepts a connection: a newcomer stays out."
        step = "See whether this machine is online; ask a member for a fresh `commons invite`."
        return [*found, state("bootstrap", sentence, step)]
    return found


def see_house(scene: Scene) -> list[Finding]:
    """Try whether this machine can take part in the multicast that mDNS needs."""
    if not scene.config.mesh.mdns:
        return [passed("mDNS", "It is off (`mesh.mdns`): nobody in the house is looked for.")]
    membership = socket.inet_aton(MULTICAST) + bytes(4)  # on whichever interface
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
            door.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
    except OSError as error:
        sentence = (
            f"This machine has no multicast ({error.strerror}): no node is found in the house."
        )
        return [warning("mDNS", sentence, "It does no harm with an invite; else mesh.mdns=false.")]
    return [passed("mDNS", "Multicast works: nodes in the house can be found.")]


def ways_in(scene: Scene) -> list[str]:
    """Give all addresses of nodes to be asked first: the owner's, then those of the invites."""
    active = scene.active()
    texts = (*scene.config.mesh.bootstrap, *(active.bootstrap if active else ()))
    return [text for text in dict.fromkeys(texts) if parse_bootstrap(text)]


def parts_of(address: str) -> tuple[str, str, int]:
    """Take a multiaddr apart, whose form the config or a network file has checked."""
    _, kind, host, _, port, *_ = address.split("/")
    return kind, host, int(port)


async def dialled(addresses: Sequence[str]) -> Mapping[str, str]:
    """Connect to each by TCP, some at a time; give why not, or nothing where it went well."""
    results = dict.fromkeys(addresses, "not tried")
    places = trio.CapacityLimiter(DIALS_MAX)

    async def dial(address: str) -> None:
        _, host, port = parts_of(address)
        async with places:
            results[address] = await _why_not(host, port)

    async with trio.open_nursery() as nursery:
        for address in results:
            nursery.start_soon(dial, address)
    return results


async def _why_not(host: str, port: int) -> str:
    try:
        with trio.move_on_after(DIAL_S):
            await (await trio.open_tcp_stream(host, port)).aclose()
            return ""
    except OSError as error:
        inner = innermost(error.__cause__ or error)  # trio tries each address of a name
        told = inner if isinstance(inner, OSError) else error
        return told.strerror or str(told) or type(told).__name__
    return f"no answer within {DIAL_S:g} s"


def _has_company(scene: Scene) -> bool:
    peers = (scene.told or {}).get("peers")
    return isinstance(peers, Mapping) and bool(peers.get("connected"))


def _reached(address: str, why: str) -> Finding:
    if not why:
        return passed("bootstrap", f"{address} accepts connections.")
    step = "Its owner may have moved it, or it is off: a fresh invite has new addresses."
    return warning("bootstrap", f"{address} cannot be reached: {why}.", step)


def _bound(kind: str, host: str, port: int) -> OSError | None:
    """Bind as a node would, and let go."""
    family = socket.AF_INET if kind == "ip4" else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_STREAM) as door:
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                door.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            door.bind((host, port))
    except OSError as error:
        return error
    return None


def _port_trouble(address: str, port: int, is_drawn: bool, error: OSError) -> Finding:
    why = error.strerror or str(error)
    sentence = f"A node could not listen on {address} (port {port or 'any'}): {why}."
    if error.errno == errno.EADDRINUSE and is_drawn:
        step = "Nothing needs to be done; peers learn the new port from others."
        return warning("ports", f"{sentence} Another port is drawn at the next start.", step)
    if error.errno == errno.EADDRINUSE:
        step = f"`ss -ltnp 'sport = {port}'` says who has it; else change mesh.listen."
        return failure("ports", sentence, step)
    if address.startswith("/ip6/"):
        return failure("ports", f"{sentence} The node would not start.", WITHOUT_IPV6)
    if error.errno in {errno.EACCES, errno.EPERM}:
        step = "Ports below 1024 are for the administrator: choose a higher one in mesh.listen."
        return failure("ports", sentence, step)
    step = "`ip address` lists the addresses of this machine; change mesh.listen."
    return failure("ports", sentence, step)
