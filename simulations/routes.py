# SPDX-License-Identifier: MIT
"""Who has which link: accesses, groups with distances, pairs of their own; and when what arrives.

1. Two hosts whose link was set are wired to each other: nothing else is between them.
2. All others have the access of the one up, the distance of their groups, and the access of the
   other down. Between groups without a distance, and hosts without a group, lies the default.
"""

from collections.abc import Callable, Iterable
from math import log
from random import Random

from simulations.links import COUNTRY, NONE, Access, LinkTraits, joined

Dice = Callable[[str], Random]


class Die:
    """A die that weighs nothing: a linear congruence of 64 bits, of which the high ones are used.

    Each pair of hosts that ever met has two, and a `Random` takes 2.5 kB. It begins where the
    dice of the world say.
    """

    __slots__ = ("_state",)

    def __init__(self, begin: Random) -> None:
        """Begin."""
        self._state = begin.getrandbits(64)

    def roll(self) -> float:
        """Draw evenly from 0 up to 1."""
        state = self._state = (
            self._state * 6364136223846793005 + 1442695040888963407 & (1 << 64) - 1
        )
        return (state >> 11) * 2.0**-53


class Pipe:
    """Something narrow that several may share: what one sends, the next one waits for."""

    __slots__ = ("free_at_s", "s_per_byte")

    def __init__(self) -> None:
        """Be infinitely wide."""
        self.s_per_byte = 0.0
        self.free_at_s = 0.0

    def widen(self, bytes_per_s: float) -> None:
        """Be so wide from now on."""
        self.s_per_byte = 1 / bytes_per_s  # nothing for what is infinitely wide


class Route:
    """One direction between two hosts, which all their connections share."""

    __slots__ = (
        "_between",
        "_between_more",
        "_die",
        "_jitter_s",
        "_latency_s",
        "_reset",
        "_stall",
        "_stall_s",
        "_up",
        "down",
        "down_more",
    )

    def __init__(self, die: Die) -> None:
        """Be nothing yet: :meth:`lay` comes before all else."""
        self._die = die
        self._between = Pipe()

    def lay(self, legs: tuple[LinkTraits, ...], up: Pipe | None, down: Pipe | None) -> None:
        """Have these legs. The pipes are those of the hosts, where they are between them."""
        whole = joined(legs)
        self._latency_s, self._jitter_s = whole.latency_s, whole.jitter_s
        self._stall, self._stall_s = whole.stall_probability, whole.stall_s
        self._reset = whole.reset_probability
        middle = legs[1] if up else legs[0]
        self._between.widen(middle.bytes_per_s)
        self._up = up if up and up.s_per_byte else None
        self.down = down if down and down.s_per_byte else None
        # Bits stream: a leg adds only what it is slower than those before it.
        up_s, between_s = (up.s_per_byte if up else 0.0), self._between.s_per_byte
        self._between_more = max(0.0, between_s - up_s)
        self.down_more = max(0.0, (down.s_per_byte if down else 0.0) - max(up_s, between_s))

    def at_s(self, now_s: float, size_bytes: int) -> float:
        """Say when something of this size is at the door of the other host, if it leaves now."""
        at_s = now_s
        if up := self._up:
            at_s = max(now_s, up.free_at_s) + size_bytes * up.s_per_byte
            up.free_at_s = at_s
        between = self._between
        if between.s_per_byte:
            at_s = max(
                at_s + size_bytes * self._between_more,
                between.free_at_s + size_bytes * between.s_per_byte,
            )
            between.free_at_s = at_s
        at_s += self._latency_s
        if self._jitter_s:  # queues of others: mostly short, now and then long
            at_s -= log(1.0 - self._die.roll()) * self._jitter_s
        if self._stall and self._die.roll() < self._stall:
            at_s += self._stall_s
        return at_s

    def breaks(self) -> bool:
        """Draw whether this message is the last one of its connection."""
        return self._reset > 0.0 and self._die.roll() < self._reset


class Routes:
    """All of a network, as somebody has laid it out."""

    def __init__(self, dice: Dice, default: LinkTraits = COUNTRY) -> None:
        """Begin with hosts of which nobody has said anything."""
        self._dice = dice
        self._default = default
        self._accesses: dict[str, Access] = {}
        self._pipes: dict[str, tuple[Pipe, Pipe]] = {}
        self._groups: dict[str, str] = {}
        self._distances: dict[tuple[str, str], LinkTraits] = {}
        self._pairs: dict[tuple[str, str], LinkTraits] = {}
        self._routes: dict[tuple[str, str], Route] = {}

    def set_access(self, host: str, access: Access) -> None:
        """Give a host its access; it may move to another one at any time."""
        self._accesses[host] = access
        up, down = self._pipes_of(host)
        up.widen(access.up.bytes_per_s)
        down.widen(access.down.bytes_per_s)
        self._lay_again()

    def set_group(self, name: str, hosts: Iterable[str]) -> None:
        """Let hosts be in a group; each is in one at most."""
        self._groups.update(dict.fromkeys(hosts, name))
        self._lay_again()

    def set_distance(
        self, one: str, other: str, traits: LinkTraits, back: LinkTraits | None = None
    ) -> None:
        """Say what lies between two groups, or inside of one; the same both ways unless said."""
        self._distances[other, one] = back or traits
        self._distances[one, other] = traits
        self._lay_again()

    def set_link(
        self, one: str, other: str, traits: LinkTraits, back: LinkTraits | None = None
    ) -> None:
        """Wire two hosts to each other; the same both ways unless said."""
        self._pairs[other, one] = back or traits
        self._pairs[one, other] = traits
        for pair in ((one, other), (other, one)):
            if pair in self._routes:
                self._lay(*pair)

    def traits(self, here: str, there: str) -> LinkTraits:
        """Say what one direction is like."""
        return joined(self._legs(here, there))

    def route(self, here: str, there: str) -> Route:
        """Give one direction between two hosts, the same one each time."""
        if (here, there) not in self._routes:
            # Dice of their own: who else is in the world changes nothing for these two.
            self._routes[here, there] = Route(Die(self._dice(f"link {here}>{there}")))
            self._lay(here, there)
        return self._routes[here, there]

    def _lay_again(self) -> None:
        for pair in self._routes:
            self._lay(*pair)

    def _lay(self, here: str, there: str) -> None:
        legs, route = self._legs(here, there), self._routes[here, there]
        if len(legs) == 1:
            route.lay(legs, None, None)
        else:
            route.lay(legs, self._pipes_of(here)[0], self._pipes_of(there)[1])

    def _legs(self, here: str, there: str) -> tuple[LinkTraits, ...]:
        if own := self._pairs.get((here, there)):
            return (own,)
        groups = self._groups.get(here, ""), self._groups.get(there, "")
        up = self._accesses.get(here, NONE).up
        return up, self._distances.get(groups, self._default), self._accesses.get(there, NONE).down

    def _pipes_of(self, host: str) -> tuple[Pipe, Pipe]:
        if host not in self._pipes:
            self._pipes[host] = (Pipe(), Pipe())
        return self._pipes[host]
