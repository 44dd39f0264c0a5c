# SPDX-License-Identifier: MIT
"""Checks of what may be so for a moment, and not for long: they look again and again.

What they have seen is kept in `sim.watching`. Their bounds are generous: several times what a
mesh without a bug ever needs, so that no seed is accused that is merely unlucky.
"""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from node.mesh.control import PING_S, PONG_S
from node.mesh.viewing import PROTOCOL as VIEW
from simulations.node import MadeNode

if TYPE_CHECKING:
    from simulations.sim import Sim

#: How long a node may believe in one that is gone. It pings every 15 s and waits 10 s; the rest
#: is for what is heard late.
BELIEF_S = 60.0
assert PING_S + PONG_S < BELIEF_S / 2

#: How long two connections of one pair may live side by side.
TWO_LINKS_S = 60.0

#: Dials of one node to one host that come to nothing, in such a time. With a wait that doubles
#: it is ten. Who is alone has no patience: 20, and as many more each time that it is alone again.
IN_VAIN_MAX, ALONE_IN_VAIN_MAX, IN_VAIN_S = 30, 90, 600.0

#: Traffic is only measured when nothing has happened for a while, and for so long.
CALM_S, QUIET_S = 120.0, 300.0

#: What a node may tell each neighbour in a quiet minute, and so much more for each node that it
#: knows: a walk along the directory, and adverts that are renewed.
QUIET_BYTES, QUIET_BYTES_PER_KNOWN = 400, 60


class Since:
    """Since when things are so, as often as one looks."""

    def __init__(self) -> None:
        """Begin with nothing seen."""
        self._seen: dict[Hashable, float] = {}

    def longest(self, now_s: float, things: Iterable[Hashable]) -> tuple[float, Hashable]:
        """Take note of all things that are so now; give the one that is so for longest."""
        self._seen = {each: self._seen.get(each, now_s) for each in things}
        if not self._seen:
            return 0.0, None
        begin_s = min(self._seen.values())
        first = next(each for each, since_s in self._seen.items() if since_s == begin_s)
        return now_s - begin_s, first


@dataclass
class Lasting:
    """What the checks here have seen of one world."""

    names: dict[bytes, dict[str, None]] = field(default_factory=dict)
    """Who was ever up under which key; those who are down have none to look at."""
    beliefs: Since = field(default_factory=Since)
    pairs: Since = field(default_factory=Since)
    dials_s: float = 0.0
    alone: set[str] = field(default_factory=set)
    """Who was alone since then."""
    dials: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    """For each node and host: in which life of the node, and how many in vain by then."""
    calm: object = None
    """All that is none of the business of a quiet mesh; it has not changed since `calm_s`."""
    calm_s: float = 0.0
    begin_s: float | None = None
    told: dict[str, int] = field(default_factory=dict)


def nobody_believes_in_the_gone(sim: "Sim") -> str:
    """Nobody honest holds a peer for long that is down, asleep, cut off, or holds it not."""
    names = sim.watching.lasting.names
    up = {each.name: each for each in sim.honest if each.is_up}
    for name, each in up.items():
        names.setdefault(each.key, {})[name] = None
    beliefs: list[Hashable] = []
    for name, each in up.items():
        for key, peer in each.member.mesh.peers.items():
            if key in names and not any(_talk(sim, each, up.get(one)) for one in names[key]):
                beliefs.append((name, next(iter(names[key])), each.starts, peer.since_s))
    took_s, first = sim.watching.lasting.beliefs.longest(sim.now_s, beliefs)
    if took_s <= BELIEF_S or not isinstance(first, tuple):
        return ""
    name, other = first[:2]
    return f"{name} has held {other} for a peer for {took_s:.0f} s, though {_why(sim, name, other)}"


def one_link_each(sim: "Sim") -> str:
    """Of two connections of one pair, as when both dial at once, one soon ends."""
    names = sim.watching.lasting.names
    pairs: list[Hashable] = [
        (each.name, next(iter(names.get(key, {key.hex()[:8]: None}))), each.starts, peer.since_s)
        for each in sim.honest
        if each.is_up
        for key, peer in each.member.mesh.peers.items()
        if len(peer.links) > 1
    ]
    took_s, first = sim.watching.lasting.pairs.longest(sim.now_s, pairs)
    if took_s <= TWO_LINKS_S or not isinstance(first, tuple):
        return ""
    return f"{first[0]} has several connections with {first[1]} for {took_s:.0f} s"


def dials_back_off(sim: "Sim") -> str:
    """Nobody honest dials one host in vain again and again: each wait is longer than the last."""
    seen = sim.watching.lasting
    seen.alone |= {each.name for each in sim.honest if each.is_up and each.member.viewing.is_alone}
    now = {
        (each.name, host): (each.starts, count)
        for each in sim.honest
        for host, count in sim.net.traffic(each.address).in_vain.items()
    }
    trouble = ""
    for (name, host), (life, count) in now.items():
        then, before = seen.dials.setdefault((name, host), (life, 0))
        if then != life:  # it has forgotten whom it could not reach
            before = count
            seen.dials[name, host] = life, count
        in_vain = count - before
        if in_vain > (ALONE_IN_VAIN_MAX if name in seen.alone else IN_VAIN_MAX):
            took_s = sim.now_s - seen.dials_s
            who = sim.net.name_of(host)
            trouble = f"{name} has dialled {who} {in_vain} times in vain in {took_s:.0f} s"
            break
    if sim.now_s - seen.dials_s >= IN_VAIN_S:
        seen.dials, seen.dials_s, seen.alone = now, sim.now_s, set()
    return trouble


def quiet_is_quiet(sim: "Sim") -> str:
    """Where nothing happens, little is said: what is known is not told or asked for anew."""
    seen, now_s = sim.watching.lasting, sim.now_s
    calm = _all_that_happens(sim)
    if calm != seen.calm or calm is None:
        seen.calm, seen.calm_s, seen.begin_s = calm, now_s, None
        return ""
    if seen.begin_s is None and now_s - seen.calm_s >= CALM_S:
        seen.begin_s, seen.told = now_s, {each.name: _told_bytes(sim, each) for each in sim.up}
    if seen.begin_s is None or now_s - seen.begin_s < QUIET_S:
        return ""
    begin_s, told, seen.begin_s = seen.begin_s, seen.told, None
    for each in sim.up:
        peers = each.member.mesh.peers.values()
        if any(peer.since_s > begin_s for peer in peers):
            continue  # whoever is new is told all
        view = each.member.viewing.view
        most = QUIET_BYTES + QUIET_BYTES_PER_KNOWN * len(view.directory)
        talks = len(view.exchange.talks) * (now_s - begin_s) / 60
        said = _told_bytes(sim, each) - told.get(each.name, 0)
        if said > most * max(1.0, talks):
            return (
                f"{each.name} tells each neighbour {said / max(1.0, talks):.0f} bytes a minute "
                f"while nothing happens; {most} would be much"
            )
    return ""


def _all_that_happens(sim: "Sim") -> object:
    """Sum up what would explain traffic; None while there is trouble."""
    if sim.watching.has_trouble or any(each.attacks for each in sim.nodes):
        return None
    return (
        [(each.starts, each.suspends, each.state) for each in sim.nodes],
        len(sim.watching.troubles),
        sum(each.member.viewing.view._searched for each in sim.up),  # noqa: SLF001 - a search is talk, too
    )


def _told_bytes(sim: "Sim", node: MadeNode) -> int:
    return sim.net.traffic(node.address).of(VIEW).bytes


def _talk(sim: "Sim", one: MadeNode, other: MadeNode | None) -> bool:
    """Whether two nodes hold each other for peers, and words pass between them both ways."""
    if other is None or one.key not in other.member.mesh.peers:
        return False
    is_held, here, there = sim.net.barriers.is_held, one.address, other.address
    return not (is_held(here, there) or is_held(there, here))


def _why(sim: "Sim", name: str, other: str) -> str:
    nodes = {each.name: each for each in sim.honest}
    if not nodes[other].is_up:
        return f"that one is {nodes[other].state}"
    if nodes[name].key not in nodes[other].member.mesh.peers:
        return "that one does not know of it"
    return "nothing passes between them"
