# SPDX-License-Identifier: MIT
"""What links are like: how long, how wide, how steady. Profiles have a reason for each number.

Between two hosts there are up to three **legs**: the access of the one (its way up), the distance
between them, and the access of the other (its way down). What they are together is what
:func:`joined` says; who has which is in `routes.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf, prod


@dataclass(frozen=True, slots=True)
class LinkTraits:
    """One leg in one direction."""

    latency_s: float = 0.0
    jitter_s: float = 0.0
    """What comes on top of the latency, on average: mostly less, and now and then much more."""
    bytes_per_s: float = inf
    stall_probability: float = 0.0
    """That a message makes its way stand still: what it was lost in was sent once more."""
    stall_s: float = 0.0
    reset_probability: float = 0.0
    """That a message is the last one of its connection, and does not arrive."""

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        assert min(self.latency_s, self.jitter_s, self.stall_s) >= 0, "time does not go back"
        assert self.bytes_per_s > 0, "nothing would ever arrive: cut it instead"
        assert 0 <= self.stall_probability <= 1, "a probability is between 0 and 1"
        assert 0 <= self.reset_probability <= 1, "a probability is between 0 and 1"


@dataclass(frozen=True, slots=True)
class Access:
    """What a host has between itself and everybody else. All its connections share the rates."""

    name: str
    up: LinkTraits = field(default_factory=LinkTraits)
    down: LinkTraits = field(default_factory=LinkTraits)


def joined(legs: Sequence[LinkTraits]) -> LinkTraits:
    """Say what legs are like one after the other.

    Latencies and jitters add up, and the narrowest leg says how much passes. Each leg may stall or
    reset by its own chance; a stall is as long as those of the legs are on average.
    """
    chances = [each.stall_probability for each in legs]
    weight = sum(chances)
    stall_s = sum(each.stall_probability * each.stall_s for each in legs)
    return LinkTraits(
        latency_s=sum(each.latency_s for each in legs),
        jitter_s=sum(each.jitter_s for each in legs),
        bytes_per_s=min((each.bytes_per_s for each in legs), default=inf),
        stall_probability=1 - prod(1 - each for each in chances),
        stall_s=stall_s / weight if weight else 0.0,
        reset_probability=1 - prod(1 - each.reset_probability for each in legs),
    )


# --- between two hosts ----------------------------------------------------------------------------

#: One house, one switch: gigabit less its headers; a ping takes half a millisecond.
LAN = LinkTraits(latency_s=0.00025, jitter_s=0.00005, bytes_per_s=117e6)

#: Two towns of one country: some 1,500 km of glass and a dozen routers. Glass is never the narrow
#: part. What nobody has said otherwise of is this far apart.
COUNTRY = LinkTraits(latency_s=0.012, jitter_s=0.001)

#: Europe and the west of America: 160 ms for a ping. So long a way loses a packet now and then,
#: which stands for a round trip and a half, and one TCP connection gets no more than this.
INTERCONTINENTAL = LinkTraits(
    latency_s=0.08, jitter_s=0.004, bytes_per_s=6e6, stall_probability=0.0005, stall_s=0.25
)

# --- of one host ----------------------------------------------------------------------------------

#: A rented server: a gigabit each way, next to an exchange.
DATACENTRE = Access(
    "datacentre",
    up=LinkTraits(latency_s=0.0003, jitter_s=0.0001, bytes_per_s=117e6),
    down=LinkTraits(latency_s=0.0003, jitter_s=0.0001, bytes_per_s=117e6),
)

#: Glass to the home as it is sold most: 300 Mbit/s down and 100 up. Its tree passes on the upward
#: slots in turn, which takes a millisecond or two.
FIBRE = Access(
    "fibre",
    up=LinkTraits(latency_s=0.002, jitter_s=0.0005, bytes_per_s=12e6),
    down=LinkTraits(latency_s=0.001, jitter_s=0.0002, bytes_per_s=36e6),
)

#: VDSL on old copper: 50 Mbit/s down, 10 up, and 8 ms each way because bits are interleaved
#: against noise. A line that finds its pace again stands for a second, once in 20,000 messages.
DSL = Access(
    "dsl",
    up=LinkTraits(0.008, 0.001, 1.15e6, stall_probability=0.00005, stall_s=1.0),
    down=LinkTraits(0.008, 0.001, 5.8e6, stall_probability=0.00005, stall_s=1.0),
)

#: A phone on LTE in a town: 30 Mbit/s down, 10 up; it waits for its turn to send. A handover
#: stands for most of a second, and an operator's NAT forgets a connection at times.
MOBILE = Access(
    "mobile",
    up=LinkTraits(0.025, 0.01, 1.15e6, 0.001, 0.8, reset_probability=0.00001),
    down=LinkTraits(0.02, 0.006, 3.5e6, 0.001, 0.8, reset_probability=0.00001),
)

#: A geostationary satellite: 36,000 km up and down again is 240 ms, and it waits for its slot.
#: 25 Mbit/s down, 3 up; rain stands for half a second.
SATELLITE = Access(
    "satellite",
    up=LinkTraits(0.28, 0.02, 0.35e6, stall_probability=0.001, stall_s=0.5),
    down=LinkTraits(0.25, 0.01, 2.9e6, stall_probability=0.001, stall_s=0.5),
)

#: Nothing at all: for hosts that nobody has said anything of.
NONE = Access("none")

ACCESSES = {each.name: each for each in (DATACENTRE, FIBRE, DSL, MOBILE, SATELLITE, NONE)}
DISTANCES = {"lan": LAN, "country": COUNTRY, "intercontinental": INTERCONTINENTAL}
