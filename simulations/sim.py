# SPDX-License-Identifier: MIT
"""A whole mesh in one process and in virtual time: the front door for tests, scenarios and scripts.

::

    async def test_a_cut_mesh_heals(sim: Sim) -> None:
        nodes = await sim.spawn(8)
        with sim.partition(nodes[:4]):
            await sim.sleep(120)
        sim.crash(nodes[7])
        await sim.restart(nodes[7])
        await sim.settle()

It is the real node that runs, :func:`node.main.run_node`, in a world that follows from a seed:
the same seed gives the same run, message by message, in any process on any day.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from inspect import isawaitable
from pathlib import Path
from random import Random

import trio

from node.work.beside import beside
from simulations.checks import EVENTUALLY, SAFE, Check, CheckFailedError, Trouble, failing
from simulations.links import LinkTraits
from simulations.node import MadeNode, MadeNodes, made_nodes
from simulations.population import Population
from simulations.record import Verdict
from simulations.signatures import remembered_signatures
from simulations.trace import Trace
from simulations.transport import Net
from simulations.watching import Watching
from simulations.wire import Wire

#: How long `settle` waits for the mesh, in virtual time, when nobody says otherwise.
SETTLE_S = 600.0

#: How often it looks.
LOOK_S = 1.0


class Sim(Population):
    """One made world. Make it with :func:`made_sim`, or take the `sim` fixture."""

    def __init__(
        self, seed: int, nodes: MadeNodes, wire: Wire, trace: Trace, tasks: trio.Nursery
    ) -> None:
        """Begin with nobody."""
        super().__init__(seed, nodes, trace, tasks)
        self.wire = wire
        self.figures: dict[str, float] = {}
        """Whatever a scenario measures, by name with its unit at the end; the report shows it."""
        self.watching = Watching(self)
        self.has_failed = False
        """A check of safety did not hold: this was told, and is not told again."""

    # --- the network ------------------------------------------------------------------------------

    def link(
        self, ones: Iterable[MadeNode], others: Iterable[MadeNode], traits: LinkTraits
    ) -> None:
        """Give the links between these and those these traits, both ways."""
        there = list(others)
        for one in ones:
            for other in there:
                if one is not other:
                    self.net.set_link(one.address, other.address, traits)

    @contextmanager
    def partition(
        self,
        these: Iterable[MadeNode],
        those: Iterable[MadeNode] | None = None,
        *,
        one_way: bool = False,
        name: str = "partition",
    ) -> Iterator[None]:
        """Cut these nodes off inside the block: from those, or from everybody else.

        With `one_way` nothing leaves them, and what is said to them arrives.
        """
        inside = [each.address for each in these]
        outside = None if those is None else [each.address for each in those]
        with self.watching.trouble(name):
            cut = self.net.partition(inside, outside, one_way=one_way)
            try:
                yield
            finally:
                cut.lift()

    # --- time -------------------------------------------------------------------------------------

    @property
    def now_s(self) -> float:
        """The virtual time since the beginning."""
        return trio.current_time()

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        await trio.sleep(seconds)

    def at(self, at_s: float, do: Callable[[], Awaitable[object] | object]) -> None:
        """Do something at this time of the world; what is awaitable runs beside all else."""

        def happen() -> None:
            given = do()
            if isawaitable(given):
                self._tasks.start_soon(_awaited, given)

        self.wire.at(at_s, happen)

    # --- checks -----------------------------------------------------------------------------------

    def check(self, *checks: Check) -> None:
        """Insist that all of these hold now; without any, those of safety."""
        troubles = self._failing(checks or (*SAFE, *self.watching.always))
        if troubles:
            self.has_failed = True
            self.trace.note("check_failed", "", str(troubles[0]))
            raise CheckFailedError(*troubles)

    async def settle(self, *checks: Check, within_s: float = SETTLE_S) -> float:
        """End all trouble, and wait until these checks hold; give the seconds that it took.

        Without any, the mesh is to be whole: everybody who is up knows everybody. Attackers are
        honest from now on, cuts and holds are lifted, disks are well, clocks are right, and who
        sleeps wakes up. Who is down stays down.
        """
        begin_s = self.now_s
        self.trace.note("settle")
        self.end_trouble()
        wanted = checks or EVENTUALLY
        while troubles := self._failing(wanted):
            left_s = begin_s + within_s - self.now_s
            if left_s <= 0:
                self.trace.note("not_settled", "", str(troubles[0]))
                raise CheckFailedError(*troubles, after_s=within_s)
            await trio.sleep(min(LOOK_S, left_s))
        self.check()
        took_s = self.now_s - begin_s
        self.trace.note("settled", "", f"{took_s:.0f} s")
        return took_s

    def end_trouble(self) -> None:
        """Let the world be kind from now on."""
        self.net.end_trouble()
        for each in self.nodes:
            for attack in each.attacks:
                attack.is_on = False
            each.end_trouble()

    def _failing(self, checks: Sequence[Check]) -> list[Trouble]:
        troubles = failing(self, checks)
        told = {each.check: each.what for each in troubles}
        for check in checks:
            name = check.__name__
            self.watching.verdicts[name] = Verdict(name, told.get(name, ""), self.now_s)
        return troubles


@asynccontextmanager
async def made_sim(
    seed: int, folder: Path | None = None, *, trace: Trace | None = None
) -> AsyncIterator[Sim]:
    """Have a world inside the block; at its end all checks of safety are made once more.

    Plain files of its nodes are in this folder; without one, in one that is gone with them.
    """
    wire, trace = Wire(), trace or Trace()
    net = Net(wire=wire, dice=lambda purpose: Random(f"{seed} {purpose}"), trace=trace)
    with remembered_signatures():
        async with made_nodes(net, folder) as nodes, beside() as tasks:
            sim = Sim(seed, nodes, wire, trace, tasks)
            tasks.start_soon(wire.run)
            tasks.start_soon(sim.watching.run)
            yield sim
            sim.watching.look()
            if not sim.has_failed:
                sim.check()


async def _awaited(given: Awaitable[object]) -> None:
    await given
