# SPDX-License-Identifier: MIT
"""Makes all tasks below a nursery stand still, as those of a machine whose lid was closed.

A task that stands still has not run its next step, however often it was woken; its timers keep
what they had left, as trio's clock does on a machine that sleeps: Linux and macOS count no
suspend for it. Whatever was due comes when the tasks go on, all at once, in the order that the
seed gives. What still moves meanwhile: the clock of the node, which counts suspend, and what
others do by plain calls to its objects, until it would wake one of these tasks.

Nothing public of trio's defers a step; see `inside_trio`. One thing differs from a machine: code
that asks trio itself for the time sees how long it stood still.
"""

from collections.abc import Callable, Iterator
from math import inf
from typing import Any, NoReturn

import trio
from trio.lowlevel import Abort, RunVar, Task

from simulations.inside_trio import Step, is_ending, next_step, scopes_below, set_next_step


class Standstill:
    """What stands still from the moment at which it is made until it goes on."""

    def __init__(self, below: trio.Nursery) -> None:
        """Stop all that runs below this nursery, also what others start there later."""
        self.is_over = False
        self._below = below
        self._begun_at_s = trio.current_time()
        self._steps: dict[Task, Step] = {}
        self._sleepers: dict[Task, Any] = {}
        self._stopped = _stopped()
        self._stopped.add(below, self)
        self._due_s = [
            (each, each.deadline) for each in scopes_below(below) if each.deadline != inf
        ]
        for scope, _ in self._due_s:
            scope.deadline = inf

    def go_on(self) -> None:
        """Let them run again, with all that has come for them meanwhile."""
        if self.is_over:
            return
        self.is_over = True
        self._stopped.forget(self)
        for task, step in self._steps.items():
            trio.lowlevel.reschedule(task)
            set_next_step(task, step)
        for sleeper in self._sleepers.values():
            sleeper.close()
        slept_s = trio.current_time() - self._begun_at_s
        for scope, due_s in self._due_s:
            scope.deadline = due_s + slept_s

    def hold(self, task: Task) -> None:
        """Put a task to sleep in the place of its next step; it is about to be done."""
        if is_ending(self._below):
            self.go_on()
            return
        self._steps[task] = next_step(task)
        sleeper = trio.lowlevel.wait_task_rescheduled(self._cancel)  # noqa: ASYNC105 - the task does
        self._sleepers[task] = sleeper
        set_next_step(task, (sleeper.send, None))

    def _cancel(self, _raise_cancel: Callable[[], NoReturn]) -> Abort:
        """Hear that a task is cancelled: it sees that itself, at its next checkpoint."""
        if is_ending(self._below):
            self.go_on()
        return Abort.FAILED


class _Stopped(trio.abc.Instrument):
    """Looks at each step while anything stands still: one look serves all of them."""

    def __init__(self) -> None:
        self._of: dict[Task | trio.Nursery, Standstill] = {}

    def add(self, below: trio.Nursery, standstill: Standstill) -> None:
        if not self._of:
            trio.lowlevel.add_instrument(self)
        self._of[below] = standstill
        for each in _tasks_below(below):
            self._of[each] = standstill

    def forget(self, standstill: Standstill) -> None:
        self._of = {task: each for task, each in self._of.items() if each is not standstill}
        if not self._of:
            trio.lowlevel.remove_instrument(self)

    def before_task_step(self, task: Task) -> None:
        if standstill := self._of.get(task):
            standstill.hold(task)

    def task_spawned(self, task: Task) -> None:
        nursery = task.parent_nursery
        if nursery is None:
            return
        if standstill := self._of.get(nursery) or self._of.get(nursery.parent_task):
            self._of[task] = standstill


_of_this_run: RunVar[_Stopped] = RunVar("stopped tasks")


def _stopped() -> _Stopped:
    try:
        return _of_this_run.get()
    except LookupError:
        stopped = _Stopped()
        _of_this_run.set(stopped)
        return stopped


def _tasks_below(nursery: trio.Nursery) -> Iterator[Task]:
    for task in nursery.child_tasks:
        yield task
        for each in task.child_nurseries:
            yield from _tasks_below(each)
