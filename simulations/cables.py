# SPDX-License-Identifier: MIT
"""All links of a made network, and what the world does to them. Who is on it is in `transport.py`.

Without a wire whatever is said arrives at once. With one it takes its time, dials take their
rounds, and a host that does not exist gives no answer.
"""

from collections.abc import Iterable
from random import Random

from simulations.links import COUNTRY, Access, LinkTraits
from simulations.network import Link, Seen, Way
from simulations.partitions import Barriers, Partition
from simulations.routes import Dice, Routes
from simulations.trace import Trace
from simulations.traffic import Flight, Spoken, Traffic, spoken_by_all
from simulations.ways import TICK_S, TimedWay
from simulations.wire import Wire


class Cables:
    """The links between hosts, which are addresses here."""

    def __init__(
        self,
        *,
        wire: Wire | None = None,
        dice: Dice = Random,
        trace: Trace | None = None,
        default: LinkTraits = COUNTRY,
        tick_s: float = TICK_S,
    ) -> None:
        """Begin with nobody; whoever gives a `wire` runs it.

        `default` lies between hosts of which nobody has said anything. What arrives within one
        tick arrives together; 0 is the exact time, at some cost.
        """
        self.wire = wire
        self.names: dict[str, str] = {}
        """What the trace calls a host that has a nicer name than its address."""
        self.barriers = Barriers()
        self._dice = dice
        self._trace = trace
        self._tick_s = tick_s
        self._routes = Routes(dice, default)
        self._links: dict[Link, None] = {}
        self._traffic: dict[str, Traffic] = {}

    # --- what links are like -------------------------------------------------------------------

    def set_link(
        self, one: str, other: str, traits: LinkTraits, back: LinkTraits | None = None
    ) -> None:
        """Wire two hosts to each other, past all else; the same both ways unless said."""
        self._routes.set_link(one, other, traits, back)

    def set_access(self, host: str, access: Access) -> None:
        """Give a host its access, which all its links share but for those that were set."""
        self._routes.set_access(host, access)

    def set_group(self, name: str, hosts: Iterable[str]) -> None:
        """Let hosts be in a group; each is in one at most."""
        self._routes.set_group(name, hosts)

    def set_distance(
        self, one: str, other: str, traits: LinkTraits, back: LinkTraits | None = None
    ) -> None:
        """Say what lies between two groups, or inside of one; the same both ways unless said."""
        self._routes.set_distance(one, other, traits, back)

    def traits(self, here: str, there: str) -> LinkTraits:
        """Say what the link is like in this direction, all its legs together."""
        return self._routes.traits(here, there)

    # --- what the world does -------------------------------------------------------------------

    def cut(self, one: str, other: str) -> None:
        """Let nothing pass between two hosts; what is sent waits, and dials fail in time."""
        self.barriers.cuts.add(frozenset((one, other)))
        self._changed("cut", f"{self.name_of(one)}|{self.name_of(other)}")

    def heal(self, one: str, other: str) -> None:
        """Let everything pass between two hosts again."""
        self.barriers.cuts.discard(frozenset((one, other)))
        self._changed("healed", f"{self.name_of(one)}|{self.name_of(other)}")

    def partition(
        self,
        these: Iterable[str],
        those: Iterable[str] | None = None,
        *,
        one_way: bool = False,
        hard: bool = False,
    ) -> Partition:
        """Put a wall between these hosts and those, or all others; `lift` it to take it away.

        With `one_way` nothing leaves these, and what those say arrives. What is under way waits,
        and goes on if the wall is lifted in time; if it is `hard`, connections across it end.
        """
        partition = Partition(these, those, self._lift, one_way=one_way)
        if hard:
            self._reset(partition)
        self.barriers.partitions[partition] = None
        self._changed("parted", "", self._told(partition))
        return partition

    def hold(self, here: str, there: str) -> None:
        """Keep what one host says to another, until it is released."""
        self.barriers.holds.add((here, there))
        self._changed("held", f"{self.name_of(here)}>{self.name_of(there)}")

    def release(self, here: str, there: str) -> None:
        """Let it go."""
        self.barriers.holds.discard((here, there))
        self._changed("released", f"{self.name_of(here)}>{self.name_of(there)}")

    def reset(self, one: str, other: str) -> None:
        """Break every connection between two hosts; they may dial again."""
        self.note("reset", f"{self.name_of(one)}|{self.name_of(other)}")
        for link in list(self._links):
            if link.hosts in {(one, other), (other, one)}:
                link.reset()

    def freeze(self, host: str) -> None:
        """Stop what runs on a host: nothing leaves it and nothing gets there."""
        self.barriers.frozen.add(host)
        self._changed("frozen", self.name_of(host))

    def thaw(self, host: str) -> None:
        """Let it go on."""
        if host in self.barriers.frozen:
            self.barriers.frozen.discard(host)
            self._changed("thawed", self.name_of(host))

    def close_door(self, host: str, but_for: Iterable[str] = ()) -> None:
        """Let nobody dial a host any more, as behind a NAT; but for those of the same house."""
        self.barriers.doors[host] = frozenset(but_for)
        self.note("door_closed", self.name_of(host))

    def open_door(self, host: str) -> None:
        """Let everybody dial it again."""
        self.barriers.doors.pop(host, None)
        self.note("door_opened", self.name_of(host))

    def end_trouble(self) -> None:
        """Lift all cuts, partitions and holds."""
        self.barriers.clear()
        self._changed("trouble_ended", "")

    # --- what can be seen ----------------------------------------------------------------------

    def in_flight(self) -> list[Flight]:
        """Tell all that is under way: by link, the oldest first, in the order of arrival."""
        flights: list[Flight] = []
        for link in self._links:
            here, there = link.hosts
            flights += link.there.flights(here, there)
            flights += link.back.flights(there, here)
        return flights

    def traffic(self, host: str) -> Traffic:
        """Give the counters of a host."""
        if host not in self._traffic:
            self._traffic[host] = Traffic()
        return self._traffic[host]

    @property
    def messages(self) -> int:
        """How many messages were sent, by all hosts."""
        return sum(each.sent.messages for each in self._traffic.values())

    @property
    def bytes(self) -> int:
        """How many bytes these had."""
        return sum(each.sent.bytes for each in self._traffic.values())

    def messages_of(self, host: str) -> int:
        """How many messages a host has sent."""
        return self.traffic(host).sent.messages

    def bytes_of(self, host: str) -> int:
        """How many bytes these had."""
        return self.traffic(host).sent.bytes

    @property
    def spoken(self) -> dict[str, Spoken]:
        """What was said in each protocol, by all hosts."""
        return spoken_by_all(self._traffic.values())

    def note(self, kind: str, who: str, what: str = "") -> None:
        """Put something in the trace, if there is one."""
        if self._trace is not None:
            self._trace.note(kind, who, what)

    def name_of(self, host: str) -> str:
        """Say what the trace calls a host."""
        return self.names.get(host, host)

    def between(self, here: str, there: str) -> str:
        """Say who talks to whom, as the trace has it."""
        return f"{self.name_of(here)}>{self.name_of(there)}"

    # --- what endpoints do ---------------------------------------------------------------------

    def link(self, here: str, there: str) -> Link:
        """Lay a link between two hosts."""
        link = Link((here, there), self._way(here, there), self._way(there, here))
        self._links[link] = None
        return link

    def unlink(self, link: Link) -> None:
        """Remove a link; what is on its way is lost."""
        self._links.pop(link, None)
        link.drop()

    def _way(self, here: str, there: str) -> Way:
        seen = Seen(
            self.between(here, there),
            self._trace,
            self.traffic(here).sent,
            self.traffic(there).received,
        )
        is_held = self.barriers.is_held(here, there)
        if self.wire is None:
            return Way(is_held=is_held, seen=seen)
        route = self._routes.route(here, there)
        return TimedWay(route, self.wire, self._tick_s, is_held=is_held, seen=seen)

    def _lift(self, partition: Partition) -> None:
        if partition in self.barriers.partitions:
            del self.barriers.partitions[partition]
            self._changed("lifted", "", self._told(partition))

    def _reset(self, partition: Partition) -> None:
        for link in list(self._links):
            here, there = link.hosts
            if partition.is_between(here, there) or partition.is_between(there, here):
                link.reset()

    def _changed(self, kind: str, who: str, what: str = "") -> None:
        self.note(kind, who, what)
        for link in list(self._links):
            here, there = link.hosts
            link.there.hold(is_held=self.barriers.is_held(here, there))
            link.back.hold(is_held=self.barriers.is_held(there, here))

    def _told(self, partition: Partition) -> str:
        if self._trace is None:
            return ""
        these = " ".join(sorted(map(self.name_of, partition.these)))
        those = (
            "all"
            if partition.those is None
            else " ".join(map(self.name_of, sorted(partition.those)))
        )
        return f"{these} {'>' if partition.is_one_way else '|'} {those}"
