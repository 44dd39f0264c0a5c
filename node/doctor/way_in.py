# SPDX-License-Identifier: MIT
"""What a running node sees of the ways to it and from it: addresses, reach, bootstrap, house."""

from typing import TYPE_CHECKING

from node.api.documents import Finding
from node.doctor.looks import passed, warning
from node.mesh.addresses import HOUSE, MACHINE, NOWHERE, WORLD, scope_of
from node.mesh.discovery import bootstrap_of
from protocol.advert import REACH_DIRECT
from protocol.keys import peer_id
from protocol.reasons import Reason

if TYPE_CHECKING:  # it brings in the whole daemon, which a command does not need
    from node.membership import Membership

_REACH = {NOWHERE: "nobody", MACHINE: "this machine", HOUSE: "this house", WORLD: "the world"}

ROUTER = (
    "Let the router pass the port on to this machine, and tell others its address with "
    "`mesh.announce`; without that this node works, and dials the others itself."
)


def see_network(member: "Membership") -> list[Finding]:
    """Name the network, and the versions of the secret that open it."""
    network = member.network
    if not network.is_private:
        return [passed("network", f"It is in the open network `{network.name}`.")]
    versions = ", ".join(str(each) for each in sorted(network.secrets))
    sentence = f"It is in the private network `{network.name}`, secret versions: {versions}."
    if len(network.secrets) > 1:
        step = "`commons network retire VERSION` when all members have the newest."
        return [passed("network", f"{sentence} The old ones open it, too.", step)]
    return [passed("network", sentence)]


def see_addresses(member: "Membership") -> list[Finding]:
    """Say where it listens, what of it is told to others, and how far that reaches."""
    listening, told = member.mesh.addresses, member.addresses
    if not listening:
        step = "Without `mesh.listen` nobody can dial this node: see `commons config show`."
        return [warning("addresses", "This node listens nowhere.", step)]
    widest = max(map(scope_of, told), default=NOWHERE)
    families = {each.split("/")[1] for each in listening if each.count("/") > 1}
    ipv6 = "and IPv6" if "ip6" in families else "and no IPv6"
    sentence = f"Told to others: {', '.join(told) or 'nothing'} {ipv6}; for {_REACH[widest]}."
    if widest == WORLD:
        return [passed("addresses", sentence)]
    if widest == HOUSE:
        return [passed("addresses", f"{sentence} Others out there cannot dial it.", ROUTER)]
    step = "Let it listen beyond loopback: `mesh.listen` in `commons config show`."
    return [warning("addresses", f"{sentence} No other machine can dial it.", step)]


def see_reach(member: "Membership") -> list[Finding]:
    """Say whether somebody has dialled this node, which alone proves that it can be dialled."""
    told = member.addresses
    inbound = sum(each.inbound for each in member.mesh.peers.values())
    if member.reach.of(told) == REACH_DIRECT:
        sentence = f"Others have dialled this node from as far as it can be; {inbound} are here."
        return [passed("dialled", sentence)]
    if not member.mesh.peers:
        return [passed("dialled", "Nobody could have dialled yet: nobody is connected.")]
    if max(map(scope_of, told), default=NOWHERE) < WORLD:
        sentence = "Nobody has dialled this node yet; all connections are its own dials."
        return [passed("dialled", sentence, ROUTER)]
    sentence = "It tells an address for the world, and nobody from there has dialled it yet."
    return [warning("dialled", f"{sentence} A firewall or router may be in the way.", ROUTER)]


def see_bootstrap(member: "Membership") -> list[Finding]:
    """Say of each node that is to be asked first what became of it."""
    dials = bootstrap_of(member.network, member.ground.config.mesh.bootstrap)
    others = [each for each in dials if each.key != member.mesh.me]
    if not others:
        return []
    found = []
    is_company = bool(member.mesh.peers)
    for dial in others:
        name, key = peer_id(dial.key), dial.key
        record, ban = member.mesh.behaviour.of(key), member.mesh.behaviour.ban(key)
        if key in member.mesh.peers:
            found.append(passed("ways in", f"{name} is connected."))
        elif ban is not None:
            step = f"`commons peers unban {name}` lifts the ban."
            why = "you said so" if ban.reason == Reason.BANNED.value else f"of {ban.reason}"
            found.append(warning("ways in", f"{name} is not met, because {why}.", step))
        elif record is not None and record.failed_dials:
            sentence = f"{name} is not connected; {record.failed_dials} dials to it have failed."
            step = "Its owner may have moved it: ask for a fresh invite."
            found.append((passed if is_company else warning)("ways in", sentence, step))
        else:
            found.append(passed("ways in", f"{name} is known, and not needed just now."))
    return found


def see_house(member: "Membership") -> list[Finding]:
    """Say who was found in the house."""
    if not member.ground.config.mesh.mdns:
        return [passed("house", "Nobody in the house is looked for: `mesh.mdns` is off.")]
    count = len(member.discovery.house)
    return [passed("house", f"{count} nodes of this network were found in the house by mDNS.")]
