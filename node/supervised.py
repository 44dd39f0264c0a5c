# SPDX-License-Identifier: MIT
"""Keeps long-lived tasks alive: a crash is told with its reason, and the task begins again.

Structured concurrency would end the whole node with the first exception that nobody foresaw.
For a daemon that a stranger's message may have upset that is the wrong end: what crashed is
our bug, all the rest is in order, and its owner is not looking. So a crash is logged with its
traceback, shown in the status, and the task begins anew after a while, longer each time.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import trio

from node.happenings import Happenings
from node.leaves import innermost
from node.log import Log

Task = Callable[[], Awaitable[None]]

#: The first rest; a bug that comes again at once must not eat the processor.
REST_S_MIN = 1.0

#: The longest one: what needs the network or a disk is tried again within a minute.
REST_S_MAX = 60.0

#: A task that ran for so long has recovered: its next crash is the first one again.
HEALTHY_S = 600.0


@dataclass(slots=True)
class Health:
    """How one task fares: how often it crashed in a row, and what with."""

    name: str
    crashes: int = 0
    last: str = ""
    crashed_at_s: float = 0.0


@dataclass(slots=True)
class Supervised:
    """The long-lived tasks of a node, by name."""

    happenings: Happenings
    log: Log = field(default_factory=Log)
    healths: dict[str, Health] = field(default_factory=dict)

    def ailing(self) -> list[Health]:
        """Give the tasks that crashed and have not recovered, for the status and `doctor`."""
        recovered_s = trio.current_time() - HEALTHY_S
        every = self.healths.values()
        return [each for each in every if each.crashes and each.crashed_at_s > recovered_s]

    async def keep(self, name: str, task: Task) -> None:
        """Run a task for ever; one that returns has done what it was for."""
        health = self.healths.setdefault(name, Health(name))
        while True:
            begin_s = trio.current_time()
            try:
                await task()
            except Exception as error:
                if trio.current_time() - begin_s >= HEALTHY_S:
                    health.crashes = 0
                health.crashes += 1
                health.last, health.crashed_at_s = words(error), trio.current_time()
                self.log.exception("task_crashed", task=name, crashes=health.crashes)
                rest_s = min(REST_S_MAX, REST_S_MIN * 2 ** min(health.crashes - 1, 6))
                self.happenings.post(
                    "task_crashed", task=name, error=health.last, again_in_s=rest_s
                )
                await trio.sleep(rest_s)
            else:
                health.crashes = 0
                return


def words(error: BaseException) -> str:
    """Name the innermost error of a group: the rest is structure."""
    inner = innermost(error)
    return f"{type(inner).__name__}: {inner}"
