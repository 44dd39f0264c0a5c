# SPDX-License-Identifier: MIT
"""Leaves in the middle of something, after so many steps: a cancel anywhere must lose nothing."""

from collections.abc import Awaitable, Callable

import trio


class _Leaving(trio.abc.Instrument):
    """Cancels a scope when a task has come so many times to a point at which it waits."""

    def __init__(self, task: trio.lowlevel.Task, scope: trio.CancelScope, after: int) -> None:
        self._task, self._scope, self._left = task, scope, after

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self._task:
            self._left -= 1
            if self._left == 0:
                self._scope.cancel()


async def leave_after(steps: int, work: Callable[[], Awaitable[object]]) -> bool:
    """Tell whether the work was done before its caller left."""
    with trio.CancelScope() as scope:
        leaving = _Leaving(trio.lowlevel.current_task(), scope, steps)
        trio.lowlevel.add_instrument(leaving)
        try:
            await work()
        finally:
            trio.lowlevel.remove_instrument(leaving)
    return not scope.cancelled_caught
