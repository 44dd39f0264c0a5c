# SPDX-License-Identifier: MIT
"""Looks at the machine: processors, memory, disk, power, people. Judges nothing.

A look blocks for some milliseconds, so it is done aside. Use of processors is measured from
one look to the next.

**Others** are all programs but this process and all below it: the zygote, its runners, what
they started. A child that ended leaves its time to the parent that waited for it, so the time
of a whole tree only grows; a part that is lost (runners whose zygote was killed) makes it
fall, and then only those that are still there are compared.
"""

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from node.executor import machine
from node.host.host import Sensors
from node.host.idle import Idle

MIB = 1 << 20
#: A tree of ours that is larger was not made by this node.
PROCESSES_MAX = 4096
#: The kernel counts in hundredths of a second: less is no measure.
WINDOW_S_MIN = 0.1


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of all processors since they were started, and of each process of our tree.

    A process is known by its number and its start. Of each: its own seconds, and those of its
    children that have ended.
    """

    total_s: float
    busy_s: float
    ours: dict[tuple[int, int], tuple[float, float]]


class Sight:
    """Remembers the last look, to say what happened since."""

    def __init__(self, models: Path, root: Path = machine.SLASH) -> None:
        """`models` is where blobs are kept; `root` is where /proc, /sys and /dev are."""
        self._models = models
        self._root = root
        self._idle = Idle(root)
        self._before: Times | None = None
        self._others_percent = 0.0

    def begin(self) -> None:
        """Take the measure against which the first look is held."""
        self._before = take_times(self._root)

    def look(self, wall_s: float) -> Sensors:
        """Read it all."""
        now = take_times(self._root)
        before = self._before or now
        if now.total_s - before.total_s >= WINDOW_S_MIN:
            self._others_percent = others_percent(before, now)
            self._before = now
        _, headroom = machine.memory_limits(self._root)
        available = psutil.virtual_memory().available
        local = time.localtime(wall_s)
        return Sensors(
            others_percent=self._others_percent,
            memory_free_mib=(available if headroom is None else min(available, headroom)) // MIB,
            disk_free_mib=machine.disk_space(self._models)[1] // MIB,
            idle_s=self._idle.look(wall_s),
            on_battery=on_battery(),
            weekday=local.tm_wday,
            minute=local.tm_hour * 60 + local.tm_min,
        )


def others_percent(before: Times, now: Times) -> float:
    """Say how much of all processors others used between two looks."""
    total = now.total_s - before.total_s
    busy = now.busy_s - before.busy_s
    tree = _sum(now) - _sum(before)
    # what those that are still there did themselves is certain, whatever became of the rest
    survivors = sum(
        own - before.ours[each][0] for each, (own, _) in now.ours.items() if each in before.ours
    )
    ours = max(tree, survivors, 0.0)
    return min(max((busy - ours) / total, 0.0), 1.0) * 100


def take_times(root: Path = machine.SLASH) -> Times:
    """Read the times of the machine and of our processes."""
    times = psutil.cpu_times()
    # what guests use is counted in `user` and `nice` already
    counted = {
        name: value for name, value in times._asdict().items() if not name.startswith("guest")
    }
    total = sum(counted.values())
    idle = counted["idle"] + counted.get("iowait", 0.0)
    ours = dict(_linux_tree(root) if sys.platform == "linux" else _other_tree())
    return Times(total, total - idle, ours)


def on_battery() -> bool | None:
    """Tell whether the machine runs on a battery; None when it does not say, or has none."""
    try:
        battery = psutil.sensors_battery()
    except (AttributeError, OSError, ValueError):  # not every system can be asked
        return None
    return None if battery is None or battery.power_plugged is None else not battery.power_plugged


def _sum(times: Times) -> float:
    return sum(own + ended for own, ended in times.ours.values())


def _linux_tree(root: Path) -> Iterator[tuple[tuple[int, int], tuple[float, float]]]:
    """Walk from this process down. The kernel keeps lists of children; psutil would read all."""
    ticks = os.sysconf("SC_CLK_TCK")
    waiting = [os.getpid()]
    for _ in range(PROCESSES_MAX):
        if not waiting:
            return
        pid = waiting.pop()
        folder = root / "proc" / str(pid)
        try:
            # the name of a program may hold spaces and brackets: what counts is behind the last
            fields = (folder / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
            user, system, children_user, children_system = map(int, fields[11:15])
            start = int(fields[19])
            for task in os.listdir(folder / "task"):  # noqa: PTH208 - names alone are wanted
                waiting += map(int, (folder / "task" / task / "children").read_text().split())
        except (OSError, ValueError, IndexError):  # it has just gone
            continue
        own, ended = user + system, children_user + children_system
        yield (pid, start), (own / ticks, ended / ticks)


def _other_tree() -> Iterator[tuple[tuple[int, int], tuple[float, float]]]:
    here = psutil.Process()
    for each in [here, *here.children(recursive=True)][:PROCESSES_MAX]:
        try:
            times, start = each.cpu_times(), int(each.create_time() * 100)
        except psutil.Error:
            continue
        ended = getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
        yield (each.pid, start), (times.user + times.system, ended)
