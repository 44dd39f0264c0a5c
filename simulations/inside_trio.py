# SPDX-License-Identifier: MIT
"""The names that trio keeps to itself, and that a made world needs: all of them, and only here.

One test guards them (`tests/simulations/test_inside_trio.py`). When it fails with a new trio,
read what it points at, mend this file, and nothing else.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from random import Random
from typing import Any

import trio
from trio import testing
from trio.lowlevel import Task

#: The step that a task is to do next, and what it is given.
Step = tuple[Callable[[object], object], object]

_run: Any = import_module("trio._core._run")

#: How many threads work for trio now. It is public; the stubs do not know it.
threads_at_work: Callable[[], int] = vars(testing)["active_thread_count"]


@contextmanager
def order_of_tasks(dice: Random) -> Iterator[None]:
    """Let these dice choose the order of tasks that are woken together, inside the block."""
    was = _run._ALLOW_DETERMINISTIC_SCHEDULING, _run._r  # noqa: SLF001 - what this file is for
    _run._ALLOW_DETERMINISTIC_SCHEDULING, _run._r = True, dice  # noqa: SLF001 - as above
    try:
        yield
    finally:
        _run._ALLOW_DETERMINISTIC_SCHEDULING, _run._r = was  # noqa: SLF001 - as above


def next_step(task: Task) -> Step:
    """Give the step that a task is to do next."""
    inside: Any = task
    return inside._next_send_fn, inside._next_send  # noqa: SLF001 - what this file is for


def set_next_step(task: Task, step: Step) -> None:
    """Let a task do something else in the place of its next step."""
    inside: Any = task
    inside._next_send_fn, inside._next_send = step  # noqa: SLF001 - what this file is for


def scopes_below(nursery: trio.Nursery) -> Iterator[trio.CancelScope]:
    """Give all scopes that what runs in a nursery is in."""
    top: Any = nursery.cancel_scope
    todo = [top._cancel_status] if top._cancel_status else []  # noqa: SLF001 - what this file is for
    while todo:
        status = todo.pop()
        yield status._scope  # noqa: SLF001 - as above
        todo += status._children  # noqa: SLF001 - as above


def is_ending(nursery: trio.Nursery) -> bool:
    """Whether all that runs in a nursery is to end."""
    top: Any = nursery.cancel_scope
    status = top._cancel_status  # noqa: SLF001 - what this file is for
    return status is None or bool(status.effectively_cancelled)
