# SPDX-License-Identifier: MIT
"""Runs a scenario with a seed, and gives the record of what happened; for scripts and commands.

::

    record = simulate(flash_crowd, seed=7, nodes=100)
    assert record.is_well, record.error
"""

import inspect
import platform
import shlex
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version

import trio

from node import __version__
from node.leaves import the_only
from simulations.bounds import Bounds, TooLongError, Watchdog
from simulations.checks import CheckFailedError
from simulations.determinism import run_in_virtual_time
from simulations.record import Record, Sample
from simulations.sim import Sim, made_sim
from simulations.trace import Sink, Trace

Scenario = Callable[..., Awaitable[None]]
"""Takes the world, and by name whatever else can be chosen: `nodes` is what most take."""

Option = str | int | float | bool

Watch = Callable[[Sample], None]
"""Is shown each sample as it is taken."""


@dataclass(frozen=True, slots=True)
class Run:
    """What is to be run, and how."""

    scenario: Scenario
    seed: int
    options: Mapping[str, Option]
    bounds: Bounds
    keep_messages: bool = False
    sink: Sink | None = None
    watch: Watch | None = None

    @property
    def name(self) -> str:
        """The name of the scenario, as commands have it."""
        return self.scenario.__name__.replace("_", "-")


def simulate(
    scenario: Scenario,
    *,
    seed: int = 0,
    bounds: Bounds | None = None,
    keep_messages: bool = False,
    sink: Sink | None = None,
    watch: Watch | None = None,
    options: Mapping[str, Option] | None = None,
    **more: Option,
) -> Record:
    """Run a scenario; what goes wrong in it is in the record, and is not raised.

    `options`, and whatever else is given by name, is what the scenario takes by name.
    `keep_messages` keeps each message in the trace; `sink` is given each row as it happens, and
    `watch` each sample.
    """
    chosen = {**defaults_of(scenario), **(options or {}), **more}
    run = Run(scenario, seed, chosen, bounds or Bounds(), keep_messages, sink, watch)
    return _Running(run).record()


def defaults_of(scenario: Scenario) -> dict[str, Option]:
    """Give what can be chosen of a scenario, and what it is when nobody chooses."""
    _, *rest = inspect.signature(scenario).parameters.values()
    return {each.name: each.default for each in rest}


def versions() -> dict[str, str]:
    """Say what a run depends on beside its seed."""
    return {
        "commons": __version__,
        "python": platform.python_version(),
        "trio": version("trio"),
    }


class _Running:
    """One run, while it lasts."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._record: Record | None = None
        self._watchdog = Watchdog(run.bounds)
        self._begin_s = time.monotonic()  # noqa: TID251 - what the machine took is told, not used

    def record(self) -> Record:
        """Let it run, and tell how it was."""
        error = ""
        try:
            run_in_virtual_time(str(self._run.seed), self._main, instruments=[self._watchdog])
        except Exception as raised:  # noqa: BLE001 - whatever it is, the record says so
            error = _told(the_only(raised))
        if self._watchdog.reason:
            error = _told(TooLongError(self._watchdog.reason))
        record = self._record or _nothing_of(self._run)
        wall_s = time.monotonic() - self._begin_s  # noqa: TID251 - as above
        return replace(record, error=error, wall_s=wall_s)

    async def _main(self) -> None:
        run = self._run
        trace = Trace(keep_messages=run.keep_messages, sink=run.sink)
        with trio.CancelScope() as scope:
            async with made_sim(run.seed, trace=trace) as sim:
                self._watchdog.watch(sim.wire, scope)
                sim.watching.watch = run.watch
                try:
                    await run.scenario(sim, **run.options)
                    sim.check()
                finally:
                    sim.watching.look()
                    self._record = self._recorded(sim)

    def _recorded(self, sim: Sim) -> Record:
        run, trace, watching = self._run, sim.trace, sim.watching
        return replace(
            _nothing_of(run),
            nodes=len(sim.nodes),
            digest=trace.digest(),
            virtual_s=sim.now_s,
            events=trace.count,
            messages=sim.net.messages,
            bytes=sim.net.bytes,
            samples=tuple(watching.samples),
            lanes=watching.lanes(),
            troubles=watching.all_troubles(),
            verdicts=tuple(watching.verdicts.values()),
            figures=dict(sim.figures),
            rows=tuple(trace.rows),
        )


def _nothing_of(run: Run) -> Record:
    """Give the record of a run that has not begun."""
    words = [
        f"--nodes {value}" if name == "nodes" else f"--set {shlex.quote(f'{name}={value}')}"
        for name, value in run.options.items()
    ]
    return Record(
        scenario=run.name,
        about=(inspect.getdoc(run.scenario) or "").partition("\n\n")[0],
        seed=run.seed,
        nodes=0,
        digest="",
        virtual_s=0.0,
        wall_s=0.0,
        events=0,
        messages=0,
        bytes=0,
        options=dict(run.options),
        replay=" ".join(["commons sim run", run.name, f"--seed {run.seed}", *words]),
        versions=versions(),
    )


def _told(error: BaseException) -> str:
    return str(error) if isinstance(error, CheckFailedError) else f"{type(error).__name__}: {error}"
