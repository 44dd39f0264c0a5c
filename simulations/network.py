# SPDX-License-Identifier: MIT
"""The links of a made network, and addresses on it. Who talks over them is in `transport.py`.

All that two nodes exchange passes through two objects, one for each direction. So a world that
wants its links slow, narrow or broken has other ways laid (`ways.py`), and changes nothing else.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import inf
from zlib import crc32

from simulations.trace import Trace
from simulations.traffic import Flight, Tally

#: The size of a message that carries no data: the head of a Yamux frame.
WORD_BYTES = 12

WILDCARDS = {"ip4": "0.0.0.0", "ip6": "::"}  # noqa: S104 - nothing is bound here

Arrive = Callable[[], None]

Entry = tuple[float, int, Arrive, str, str, int, str]
"""What waits on a way: when it gets there, its size, what it does there; then its kind, protocol
and stream, and its row in the trace. A tuple, because there are millions of them."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Who sees what passes on a way: the counters of two hosts, and the trace if there is one."""

    who: str = ""
    trace: Trace | None = None
    sent: Tally = field(default_factory=Tally)
    received: Tally = field(default_factory=Tally)


class Way:
    """One direction between two hosts: what is posted arrives in order, at once unless it is held.

    What waits here has a bound: data waits for the window of its stream before it is posted,
    and each stream posts a handful of other words.
    """

    def __init__(self, *, is_held: bool, seen: Seen | None = None) -> None:
        """A held way keeps what is posted until it is released."""
        seen = seen or Seen()
        self.carried_bytes = 0
        self.on_reset: Arrive = _nothing
        self._is_held = is_held
        self._is_passing = False
        self._waiting: deque[Entry] = deque()
        self._who, self._trace = seen.who, seen.trace
        self._sent, self._received = seen.sent, seen.received

    def post(
        self,
        size_bytes: int,
        arrive: Arrive,
        kind: str = "word",
        protocol: str = "",
        number: int = 0,
        content: bytes = b"",
    ) -> None:
        """Send something of this size; `arrive` is called when it is there.

        The others say what it is, to whoever looks.
        """
        self.carried_bytes += size_bytes
        self._sent.messages += 1
        self._sent.bytes += size_bytes
        row = ""
        if self._trace is not None:
            row = f"{protocol} #{number} {kind} {size_bytes} B {crc32(content):08x}"
            self._trace.message("posted", self._who, row)
        self._enter((0.0, size_bytes, arrive, kind, protocol, number, row))

    def hold(self, *, is_held: bool) -> None:
        """Keep what is posted from now on, or let it go."""
        self._is_held = is_held
        self._pass_on()

    def drop(self) -> None:
        """Lose whatever has not arrived yet."""
        self._waiting.clear()

    def flights(self, here: str, there: str) -> Iterator[Flight]:
        """Tell what is under way, the next one first."""
        for at_s, size_bytes, _, kind, protocol, number, _ in self._waiting:
            due_s = inf if self._is_held else at_s
            yield Flight(here, there, kind, protocol, number, size_bytes, due_s)

    def _enter(self, entry: Entry) -> None:
        self._waiting.append(entry)
        self._pass_on()

    def _pass_on(self) -> None:
        if self._is_passing:  # what arrives may post in turn; that comes after it
            return
        self._is_passing = True
        try:
            while self._waiting and not self._is_held:
                self._arrive(self._waiting.popleft())
        finally:
            self._is_passing = False

    def _arrive(self, entry: Entry) -> None:
        received = self._received
        received.messages += 1
        received.bytes += entry[1]
        if self._trace is not None:
            self._trace.message("arrived", self._who, entry[6])
        entry[2]()


def _nothing() -> None:
    """Belong to nobody who could be told."""


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """The two ways between a host and the one that it has dialled."""

    hosts: tuple[str, str]
    there: Way
    back: Way
    ends: list[Arrive] = field(default_factory=list)
    """Whom to tell when it is reset: the ends of its connection, and the dial before that."""

    def __post_init__(self) -> None:
        """Let either way end all of it."""
        self.there.on_reset = self.back.on_reset = self.reset

    def drop(self) -> None:
        """Lose whatever is on its way."""
        self.there.drop()
        self.back.drop()

    def reset(self) -> None:
        """Break: what is on its way is lost, and both ends hear of that."""
        self.drop()
        for each in list(self.ends):
            each()


def family_of(host: str) -> str:
    """Tell the kind of an address of a host."""
    return "ip6" if ":" in host else "ip4"
