# SPDX-License-Identifier: MIT
"""Makes all tasks below a nursery stand still, as those of a machine whose lid was closed.

A task that stands still has not run its next step, however often it was woken; its timers keep
what they had left, as trio's clock does on a machine that sleeps: Linux and macOS count no
suspend for it. Whatever was due comes when the tasks go on, all at once, in the order that the
seed gives. What still moves meanwhile: the clock of the node, which counts suspend, and what
others do by plain calls to its objects, until it would wake one of these tasks.

Beside `determinism` this is the only file that touches names which trio keeps to itself: nothing
public defers a step. A test guards them. One thing differs from a machine: code that asks trio
itself for the time sees how long it stood still.
"""

from collections.abc import Callable, Iterator
from math import inf
from typing import Any, NoReturn

import trio
from trio.lowlevel import Abort, RunVar, Task

#: The step that a task is to do next, and what it is given.
Step = tuple[Callable[[object], object], object]


class Standstill:
    """What stands still from the moment at which it is made until it goes on."""

    def __init__(self, below: trio.Nursery) -> None:
        """Stop all that runs below this nursery, also what others start there later."""
        self.is_over = False
        self._top: Any = below.cancel_scope
        self._begun_at_s = trio.current_time()
        self._steps: dict[Task, Step] = {}
        self._sleepers: dict[Task, Any] = {}
        self._stopped = _stopped()
        self._stopped.add(below, self)
        self._due_s = [
            (scope, scope.deadline) for scope in _scopes_of(below) if scope.deadline != inf
        ]
        for scope, _ in self._due_s:
            scope.deadline = inf

    def go_on(self) -> None:
        """Let them run again, with all that has come for them meanwhile."""
        if self.is_over:
            return
        self.is_over = True
        self._stopped.forget(self)
        for task, (function, given) in self._steps.items():
            trio.lowlevel.reschedule(task)
            private: Any = task
            private._next_send_fn, private._next_send = function, given  # noqa: SLF001 - see the docstring
        for sleeper in self._sleepers.values():
            sleeper.close()
        slept_s = trio.current_time() - self._begun_at_s
        for scope, due_s in self._due_s:
            scope.deadline = due_s + slept_s

    def hold(self, task: Task) -> None:
        """Put a task to sleep in the place of its next step; it is about to be done."""
        if self._is_cancelled():
            self.go_on()
            return
        private: Any = task
        self._steps[task] = (private._next_send_fn, private._next_send)  # noqa: SLF001 - see the docstring
        sleeper = trio.lowlevel.wait_task_rescheduled(self._cancel)  # noqa: ASYNC105 - the task does
        self._sleepers[task] = sleeper
        private._next_send_fn, private._next_send = sleeper.send, None  # noqa: SLF001 - as above

    def _cancel(self, _raise_cancel: Callable[[], NoReturn]) -> Abort:
        """Hear that a task is cancelled: it sees that itself, at its next checkpoint."""
        if self._is_cancelled():
            self.go_on()
        return Abort.FAILED

    def _is_cancelled(self) -> bool:
        """Whether all of it is to end: what stands still could never do that."""
        status = self._top._cancel_status  # noqa: SLF001 - see the docstring
        return status is None or bool(status.effectively_cancelled)


async def end_at_once(below: trio.Nursery, over: trio.Event) -> None:
    """Let nothing below a cancelled nursery hold up its end, until it is over.

    What a program protects from being cancelled is ended all the same by whoever pulls the plug.
    """
    while not over.is_set():
        for scope in list(_scopes_of(below)):
            if scope.shield:
                scope.shield = False
        await trio.lowlevel.checkpoint()


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


def _scopes_of(below: trio.Nursery) -> Iterator[Any]:
    top: Any = below.cancel_scope
    todo = [top._cancel_status] if top._cancel_status else []  # noqa: SLF001 - see the docstring
    while todo:
        status = todo.pop()
        yield status._scope  # noqa: SLF001 - as above
        todo += status._children  # noqa: SLF001 - as above


def _tasks_below(nursery: trio.Nursery) -> Iterator[Task]:
    for task in nursery.child_tasks:
        yield task
        for each in task.child_nurseries:
            yield from _tasks_below(each)
