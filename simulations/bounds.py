# SPDX-License-Identifier: MIT
"""How long a run may be: in virtual time, in things that happen, and on the clock on the wall.

The last one depends on the machine. It ends runs that would never end, and nothing else: a run
that it did not end has never seen it.
"""

import time
from dataclasses import dataclass

import trio

from simulations.wire import Wire

#: The wall is looked at after so many steps of tasks: a look costs as much as a step.
STEPS_A_LOOK = 1000


class TooLongError(Exception):
    """A run came to one of its bounds."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The bounds of one run."""

    virtual_s: float = 86_400.0
    events: int = 20_000_000
    wall_s: float = 300.0


class Watchdog(trio.abc.Instrument):
    """Cancels a run that is over its bounds; `reason` says over which one.

    A run may stand still in virtual time, with tasks that wake each other for ever. So it is the
    steps of tasks that are counted, and not seconds.
    """

    def __init__(self, bounds: Bounds) -> None:
        """Begin to count on the wall now."""
        self.reason = ""
        self._bounds = bounds
        self._wire: Wire | None = None
        self._scope: trio.CancelScope | None = None
        self._steps = 0
        self._due_s = time.monotonic() + bounds.wall_s  # noqa: TID251 - see the docstring above

    def watch(self, wire: Wire, scope: trio.CancelScope) -> None:
        """Cancel this scope when it is too much."""
        self._wire, self._scope = wire, scope

    def before_task_step(self, task: object) -> None:
        """Count; trio swallows what is raised in here, so nothing is."""
        del task
        self._steps += 1
        if self._steps % STEPS_A_LOOK or self.reason or self._scope is None:
            return
        self.reason = self._exceeded()
        if self.reason:
            self._scope.cancel()

    def _exceeded(self) -> str:
        bounds = self._bounds
        now_s = trio.current_time()
        if now_s > bounds.virtual_s:
            return f"it is longer than {bounds.virtual_s:g} s of virtual time"
        if self._wire is not None and self._wire.happened > bounds.events:
            return f"more than {bounds.events:,} things happened until {now_s:.3f} s"
        if time.monotonic() > self._due_s:  # noqa: TID251 - see the docstring above
            return f"it took more than {bounds.wall_s:g} s, until {now_s:.3f} s of virtual time"
        return ""
