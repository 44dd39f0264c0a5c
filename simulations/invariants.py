# SPDX-License-Identifier: MIT
"""What holds for honest nodes at any moment, whatever the others do.

Each function looks at made nodes, changes nothing, and gives a sentence about the first thing
that is wrong, or nothing. Nodes that are not up have nothing to look at, and are skipped; what
a node had to contain is remembered when it is down.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from node.membership import Membership
from node.mesh.line import WAITING_BYTES_MAX, WAITING_FRAMES_MAX
from protocol.directory import GONE, MET
from protocol.errors import RemoteProtocolError
from protocol.known import Known, read_advert
from protocol.limits import (
    ADVERTS_PER_EXCHANGE_MAX,
    CLOCK_SKEW_S_MAX,
    EXCHANGE_INTERVAL_S_MAX,
    GUESTS_MAX,
    INBOUND_NEIGHBOURS_MAX,
    KEYS_REMEMBERED_MAX,
    MET_SHARE,
    NEIGHBOURS_MAX,
    OUTBOUND_NEIGHBOURS_SOUGHT,
    RANGE_ADVERTS_MAX,
    RANGELESS_ADVERTS_MAX,
    REDRAW_S,
    SEARCHES_MAX,
    SUMMARY_ROWS_MAX,
)
from simulations.node import MadeNode

Nodes = Sequence[MadeNode]


def no_forged_adverts(honest: Nodes, every: Nodes) -> str:
    """Nobody honest believes an advert that its node has not sealed for this network.

    Of one version of an honest node's advert there is only one, which the node itself has.
    """
    own = {each.key: _own(member) for each, member in _up(every) if each in honest}
    for node, member in _up(honest):
        for known in _held(member):
            if trouble := _forged(known, member.network.id):
                return f"{node.name} believes {known.node.hex()[:8]}: {trouble}"
            true = own.get(known.node)
            if true and true.version == known.version and true.wire != known.wire:
                return f"{node.name} believes another advert of {known.node.hex()[:8]} than it made"
    return ""


def adverts_expire(honest: Nodes) -> str:
    """Nobody honest keeps an advert that is over for longer than until its next look at them."""
    for node, member in _up(honest):
        is_talking = bool(member.viewing.view.exchange.talks)
        slack_s = 2 * (EXCHANGE_INTERVAL_S_MAX if is_talking else REDRAW_S)
        now_s = node.clock.now().wall_s
        for known in _held(member):
            over_s = now_s - known.advert.expires_at_s()
            if over_s > slack_s:
                return f"{node.name} keeps {known.node.hex()[:8]}, over for {over_s:.0f} s"
    return ""


def adverts_have_begun(honest: Nodes) -> str:
    """Nobody honest keeps an advert of tomorrow. Clocks that are set back may break this."""
    for node, member in _up(honest):
        now_s = node.clock.now().wall_s
        for known in _held(member):
            ahead_s = known.advert.issued_at_s - now_s
            if ahead_s > CLOCK_SKEW_S_MAX:
                return f"{node.name} keeps {known.node.hex()[:8]} of {ahead_s:.0f} s from now"
    return ""


def directories_bounded(honest: Nodes) -> str:
    """No directory is over its room, and no source, range or talk over its share of it."""
    return _first(honest, _directory_trouble)


def places_bounded(honest: Nodes) -> str:
    """Nobody honest has more neighbours, guests, connections or waiting words than it may."""
    return _first(honest, _places_trouble)


def nobody_crashed(nodes: Nodes) -> str:
    """Every life went on until somebody ended it, and so did its long-lived tasks."""
    for node in nodes:
        if node.error is not None:
            return f"{node.name} ended with {node.error!r}"
    for node, _ in _up(nodes):
        for health in node.desk.ground.supervised.healths.values():
            if health.crashes:
                return f"{node.name}: the task {health.name} crashed with {health.last}"
    return ""


def nothing_failed(nodes: Nodes) -> str:
    """No node had to contain anything that nobody foresaw."""
    for node in nodes:
        if node.failures:
            more = len(node.failures) - 1
            return f"{node.name}: {node.failures[0]}" + (f", and {more} more" if more else "")
    return ""


def nobody_honest_is_blamed(honest: Nodes) -> str:
    """No honest node holds another one for a cheat: none is banned by anybody."""
    names = {each.key: each.name for each, _ in _up(honest)}
    for node, member in _up(honest):
        for key, name in names.items():
            record = member.mesh.behaviour.of(key)
            if record is not None and record.bans:
                return f"{node.name} has banned {name}"
    return ""


def keeps_honest_company(honest: Nodes, share: float) -> str:
    """Each honest node has at least this share of the neighbours that it seeks among honest ones.

    Whoever dialled: a node that all came in by has chosen nobody, for they are there already.
    """
    names = {each.key: each.name for each, _ in _up(honest)}
    sought = min(OUTBOUND_NEIGHBOURS_SOUGHT, len(names) - 1)
    for node, member in _up(honest):
        good = len(member.viewing.neighbours & names.keys())
        if good < share * sought:
            return f"{node.name} has {good} honest neighbours, and seeks {sought}"
    return ""


# --- inside -------------------------------------------------------------------------------------


def _up(nodes: Nodes) -> Iterator[tuple[MadeNode, Membership]]:
    """Go through those that run and are in a network."""
    return ((each, each.member) for each in nodes if each.is_up)


def _first(honest: Nodes, trouble_of: Callable[[Membership], str]) -> str:
    for node, member in _up(honest):
        if trouble := trouble_of(member):
            return f"{node.name} has {trouble}"
    return ""


def _held(member: Membership) -> list[Known]:
    """Give what is in the directory; `adverts()` would let go of what is over."""
    return [entry.known for entry in member.viewing.view.directory]


def _own(member: Membership) -> Known | None:
    return member.viewing.view.exchange.own


def _forged(known: Known, network: bytes) -> str:
    try:
        again = read_advert(known.wire, network)
    except RemoteProtocolError as error:
        return f"{error.reason} ({error.detail})"
    return "" if again == known else "what it believes is not what was sealed"


def _directory_trouble(member: Membership) -> str:
    view = member.viewing.view
    directory = view.directory
    sources = Counter(entry.source for entry in directory)
    ranges = Counter(entry.known.range for entry in directory if entry.known.range)
    rangeless = Counter(entry.source for entry in directory if not entry.known.range)
    met = sum(entry.met > 0 for entry in directory)
    shares = max((n for source, n in sources.items() if source not in (GONE, MET)), default=0)
    own_places = max((n for source, n in rangeless.items() if source not in (GONE, MET)), default=0)
    talks = view.exchange.talks.values()
    return _over(
        (len(directory), directory.room, "adverts"),
        (shares, directory.share, "adverts of one source"),
        (max(ranges.values(), default=0), RANGE_ADVERTS_MAX, "adverts of one range"),
        (own_places, RANGELESS_ADVERTS_MAX, "adverts of one source without a range"),
        (met, directory.room // MET_SHARE, "adverts of nodes that it has met"),
        (len(talks), NEIGHBOURS_MAX + GUESTS_MAX, "talks"),
        (_most(len(each.wanted) for each in talks), ADVERTS_PER_EXCHANGE_MAX, "wishes in one talk"),
        (_most(len(each.offered) for each in talks), 2 * SUMMARY_ROWS_MAX, "offers in one talk"),
        (_most(len(each.lacked) for each in talks), 2 * SUMMARY_ROWS_MAX, "wishes to come"),
        (_most(len(each.heard) for each in talks), 2 * SUMMARY_ROWS_MAX, "rows heard in one talk"),
        (len(view.searches), SEARCHES_MAX, "searches"),
        (len(view.neighbours.memory), KEYS_REMEMBERED_MAX, "keys in mind"),
    )


def _places_trouble(member: Membership) -> str:
    around, mesh = member.viewing.view.neighbours, member.mesh
    most = member.ground.config.mesh.connections
    lines = member.viewing._lines.values()  # noqa: SLF001 - the bound of what is inside is looked at
    open_now = mesh.defence._open  # noqa: SLF001 - as above
    return _over(
        (len(around.inbound()), INBOUND_NEIGHBOURS_MAX, "neighbours that came"),
        (len(around.outbound()), OUTBOUND_NEIGHBOURS_SOUGHT + 1, "neighbours that it has chosen"),
        (len(around.guests), GUESTS_MAX, "guests"),
        (sum(each.inbound for each in open_now), most, "connections of those who came"),
        (len(mesh.peers), 2 * most, "peers"),
        (len(lines), 2 * most, "lines"),
        (_most(len(each._waiting) for each in lines), WAITING_FRAMES_MAX, "frames waiting"),  # noqa: SLF001 - as above
        (_most(each._waiting_bytes for each in lines), WAITING_BYTES_MAX, "bytes waiting"),  # noqa: SLF001 - as above
    )


def _most(counts: Iterator[int]) -> int:
    return max(counts, default=0)


def _over(*counts: tuple[int, int, str]) -> str:
    """Name the first count that is over its bound."""
    for count, most, what in counts:
        if count > most:
            return f"{count} {what}, and may have {most}"
    return ""
