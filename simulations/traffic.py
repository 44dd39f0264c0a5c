# SPDX-License-Identifier: MIT
"""What passes through a made network, counted: by host and by protocol, and what is under way."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Tally:
    """How many messages, and how many bytes they had."""

    messages: int = 0
    bytes: int = 0


@dataclass(slots=True)
class Spoken:
    """What was said in one protocol; only its own bytes count, not the words that carry them.

    `sends` are the calls of `send`, which real transports can count in the same way; a message
    is what left at once, and a long send leaves in several.
    """

    sends: int = 0
    messages: int = 0
    bytes: int = 0


@dataclass(slots=True)
class Traffic:
    """What a host has sent and received since the world began, of whatever kind."""

    sent: Tally = field(default_factory=Tally)
    received: Tally = field(default_factory=Tally)
    spoken: dict[str, Spoken] = field(default_factory=dict)
    """What it has sent, by protocol."""
    in_vain: Counter[str] = field(default_factory=Counter)
    """How often it has dialled a host and got no connection."""

    def of(self, protocol: str) -> Spoken:
        """Give the counters of a protocol."""
        if protocol not in self.spoken:
            self.spoken[protocol] = Spoken()
        return self.spoken[protocol]


def spoken_by_all(hosts: Iterable[Traffic]) -> dict[str, Spoken]:
    """Add up what all hosts have said, by protocol in the order of the alphabet."""
    total: dict[str, Spoken] = {}
    for host in hosts:
        for protocol, said in host.spoken.items():
            sum_ = total.setdefault(protocol, Spoken())
            sum_.sends += said.sends
            sum_.messages += said.messages
            sum_.bytes += said.bytes
    return dict(sorted(total.items()))


@dataclass(frozen=True, slots=True)
class Flight:
    """A message that is under way, as somebody sees it who may look at all wires."""

    here: str
    there: str
    kind: str
    """What is said: `data`, `open`, `taken`, `finish`, `reset`, `knock`, and so on."""
    protocol: str
    number: int
    """Of the stream; those of whoever has dialled are odd, and 0 is the connection itself."""
    size_bytes: int
    due_s: float
    """When it arrives if nothing happens to it; infinite while it is held."""
