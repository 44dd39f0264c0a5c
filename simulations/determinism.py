# SPDX-License-Identifier: MIT
"""Why the same seed gives the same run: trio's order of tasks follows from it, and no thread runs.

Everything else that could differ between two runs comes to a node through its seams.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from random import Random
from typing import TypeVar, TypeVarTuple

import trio
from trio.testing import MockClock

from simulations.inside_trio import order_of_tasks, threads_at_work
from simulations.tidying import tidied_seldom

Given = TypeVarTuple("Given")
Result = TypeVar("Result")


class HiddenThreadError(Exception):
    """Something in a made world ran in a thread: when it ends is nobody's choice."""


@contextmanager
def seeded(seed: str) -> Iterator[None]:
    """Let trio choose the order of tasks by this seed, in all runs that begin inside the block."""
    with order_of_tasks(Random(f"{seed} order of tasks")):
        yield


class NoThreads(trio.abc.Instrument):
    """Ends a run in which a thread is at work: virtual time would leap while it works.

    `trio.Path` and name lookups use threads without saying so, and replacing the function that
    starts them catches neither.
    """

    def __init__(self) -> None:
        """Have seen none."""
        self.found_at_s: float | None = None

    def before_io_wait(self, timeout: float) -> None:
        """Look, before the clock may leap."""
        del timeout
        if self.found_at_s is None and threads_at_work():
            self.found_at_s = trio.current_time()  # trio would swallow what is raised in here

    def check(self, cause: Exception | None = None) -> None:
        """Raise HiddenThreadError if there was one; whatever else went wrong may come of it."""
        if self.found_at_s is not None:
            raise HiddenThreadError(
                f"a thread was at work at {self.found_at_s:.3f} s of virtual time: do its work in "
                "`node.executor.aside`, which does it at once in a made world."
            ) from cause


def run_in_virtual_time(
    seed: str,
    main: Callable[[*Given], Awaitable[Result]],
    *arguments: *Given,
    instruments: Sequence[trio.abc.Instrument] = (),
) -> Result:
    """Run a world from its beginning to its end, as the seed has it."""
    threads = NoThreads()
    try:
        with seeded(seed), tidied_seldom():
            result: Result = trio.run(
                main,
                *arguments,
                clock=MockClock(autojump_threshold=0),
                instruments=[threads, *instruments],
            )
    except Exception as error:
        threads.check(error)
        raise
    threads.check()
    return result
