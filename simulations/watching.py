# SPDX-License-Identifier: MIT
"""Watches a world while it runs: takes samples, makes checks of safety, keeps who was up when."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import trio

from simulations.checks import Check, known_to
from simulations.lasting import Lasting
from simulations.record import Lane, Sample, Span, Verdict

if TYPE_CHECKING:
    from simulations.node import MadeNode
    from simulations.sim import Sim

#: A sample costs a look at each directory; so larger worlds are looked at less often.
SAMPLE_S, LARGE, LARGE_SAMPLE_S = 1.0, 200, 5.0

#: Samples of a whole day are thinned out rather than kept by the second.
SAMPLES_MAX = 2000

#: Checks of safety while a world runs, once in so many virtual seconds.
CHECK_S = 10.0


@dataclass
class _Life:
    """What a host was, and since when."""

    state: str
    since_s: float
    spans: list[Span] = field(default_factory=list)

    def turn(self, state: str, now_s: float) -> None:
        if state != self.state:
            if now_s > self.since_s:
                self.spans.append(Span(self.since_s, now_s, self.state))
            self.state, self.since_s = state, now_s


class Watching:
    """What there is to see of a world, and the checks that it must pass all the time."""

    def __init__(self, sim: "Sim") -> None:
        """Begin with nothing seen."""
        self.samples: list[Sample] = []
        self.troubles: list[Span] = []
        self.always: list[Check] = []
        """Checks that a scenario adds to those of safety."""
        self.verdicts: dict[str, Verdict] = {}
        """What each check said when it was made last."""
        self.watch: Callable[[Sample], None] | None = None
        """Is shown each sample as it is taken."""
        self.lasting = Lasting()
        """What checks have seen that look more than once."""
        self._sim = sim
        self._lives: dict[str, _Life] = {}
        self._ongoing: dict[int, tuple[float, str]] = {}
        self._count = 0
        self._sample_s = SAMPLE_S

    async def run(self) -> None:
        """Look, again and again, until cancelled."""
        check_at_s = CHECK_S
        while True:
            self.look()
            if self._sim.now_s >= check_at_s:
                check_at_s += CHECK_S
                self._sim.check()
            await trio.sleep(self._sample_s)

    def look(self) -> None:
        """Take a sample of this moment."""
        sim = self._sim
        up = sim.up
        self._see(sim.nodes)
        keys = {each.key for each in up}
        pairs = len(keys) * (len(keys) - 1)
        known = sum(len(known_to(each) & keys) - (each.key in known_to(each)) for each in up)
        sample = Sample(
            sim.now_s,
            len(up),
            known / pairs if pairs else 0.0,
            sim.net.messages,
            sim.net.bytes,
        )
        if self.samples and self.samples[-1].at_s == sample.at_s:
            self.samples.pop()
        self.samples.append(sample)
        if self.watch is not None:
            self.watch(sample)
        least_s = LARGE_SAMPLE_S if len(up) > LARGE else SAMPLE_S
        if len(self.samples) > SAMPLES_MAX:
            del self.samples[1:-1:2]
            self._sample_s *= 2
        self._sample_s = max(self._sample_s, least_s)

    @contextmanager
    def trouble(self, what: str) -> Iterator[None]:
        """Keep in mind that the world was unkind inside the block."""
        self._count += 1
        number = self._count
        self._ongoing[number] = (self._sim.now_s, what)
        self._sim.trace.note("trouble", "", what)
        try:
            yield
        finally:
            begin_s, _ = self._ongoing.pop(number)
            self.troubles.append(Span(begin_s, self._sim.now_s, what))
            self._sim.trace.note("trouble_over", "", what)

    @property
    def has_trouble(self) -> bool:
        """Whether the world is unkind now."""
        return bool(self._ongoing)

    def all_troubles(self) -> tuple[Span, ...]:
        """Give all that was, in the order in which it began; what goes on ends now."""
        now_s = self._sim.now_s
        ongoing = [Span(begin_s, now_s, what) for begin_s, what in self._ongoing.values()]
        return tuple(sorted([*self.troubles, *ongoing], key=lambda each: each.begin_s))

    def lanes(self) -> tuple[Lane, ...]:
        """Give the life of each host."""
        sim, now_s = self._sim, self._sim.now_s
        self._see(sim.nodes)
        found = []
        for each in sim.nodes:
            life = self._lives[each.name]
            spans = (*life.spans, Span(life.since_s, now_s, life.state))
            found.append(
                Lane(
                    each.name,
                    each.machine.name,
                    tuple(span for span in spans if span.end_s > span.begin_s),
                    is_byzantine=bool(each.attacks),
                    messages=sim.net.messages_of(each.address),
                    bytes=sim.net.bytes_of(each.address),
                )
            )
        return tuple(found)

    def turned(self, node: "MadeNode", state: str) -> None:
        """Note at once what a host is now; what is not told is seen at the next look."""
        life = self._lives.setdefault(node.name, _Life("down", self._sim.now_s))
        life.turn(state, self._sim.now_s)

    def _see(self, nodes: "list[MadeNode]") -> None:
        for each in nodes:
            self.turned(each, each.state)
