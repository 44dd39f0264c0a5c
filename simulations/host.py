# SPDX-License-Identifier: MIT
"""A scripted host: what the machine does is a list, and nodes of one house find each other.

HTTP is not served: what a node would serve is kept in `served`, for tests to call.
"""

from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import trio

from node.errors import ConfigError
from node.executor.executor import CPU
from node.executor.hardware import Hardware
from node.executor.machine import Machine
from node.executor.measured import Measured
from node.host.host import App, Seen, Sensors

#: A machine with nothing else to do, on a Monday morning.
FREE = Sensors(
    others_percent=3.0,
    memory_free_mib=8192,
    disk_free_mib=100_000,
    idle_s=3600.0,
    on_battery=None,
    weekday=0,
    minute=9 * 60,
)
#: Four cores of a desktop of some years ago.
DESKTOP = Hardware(
    Machine(
        cpu_model="a simulated processor",
        cpu_features=("avx2", "fma"),
        cores_physical=4,
        cores_logical=4,
        cores_usable=4.0,
        cache_kib=8192,
        memory_total_mib=16384,
        memory_mib=16384,
        memory_available_mib=8192,
        disk_total_mib=500_000,
        disk_mib=100_000,
    ),
    Measured(
        fp32_mflops=80_000,
        int8_mops=160_000,
        memory_mbps=12_000,
        weights_mib=256,
        on_core_percent=100,
        providers=(CPU,),
        gpus=(),
        runtime="simulated",
        measured_at_s=1_800_000_000,
    ),
)
#: As local time has it: Monday is 0, and the first of January 1970 was a Thursday.
MINUTE_S, DAY_S, FIRST_WEEKDAY = 60, 86_400, 3

#: As many as the real one keeps in mind.
FOUND_MAX = 64


@dataclass
class House:
    """The nodes that can hear each other by mDNS."""

    nodes: list["_Present"] = field(default_factory=list)


@dataclass(eq=False)
class _Present:
    name: str
    seen: Seen
    into: "trio.MemorySendChannel[Seen]"

    def hear(self, other: "_Present") -> None:
        """Take notice of another one, if it is of the same network and there is room."""
        if other.name == self.name and other.seen.peer != self.seen.peer and other.seen.addresses:
            try:
                self.into.send_nowait(other.seen)
            except trio.WouldBlock:
                return


class ScriptedHost:
    """A machine that does what it is told."""

    def __init__(
        self,
        script: Sequence[tuple[float, Sensors | Exception]] = ((0.0, FREE),),
        *,
        house: House | None = None,
        hardware: Hardware = DESKTOP,
        watchdog_s: float | None = None,
        local_s: Callable[[], float] | None = None,
    ) -> None:
        """`script` says what is seen, or raised, from so many seconds after the first look on.

        `local_s` gives seconds since 1970 as a clock on the wall of this house would; without
        it, day and minute are those of the script.
        """
        self._script = sorted(script, key=lambda each: each[0])
        assert self._script, "a machine without anything to see"
        self._house = house or House()
        self._begun_s: float | None = None
        self._signals, self._signalled = trio.open_memory_channel[int](16)
        self._hardware = hardware
        self._watchdog_s = watchdog_s
        self._local_s = local_s
        self.served: dict[str, App] = {}
        self.notified: list[dict[str, str]] = []
        self.looks = 0

    def show(self, seen: Sensors | Exception) -> None:
        """See this from now on, whatever the script says."""
        self._script = [(0.0, seen)]

    def send_signal(self, number: int) -> None:
        """Send a signal to the node."""
        self._signals.send_nowait(number)

    async def sense(self) -> Sensors:
        """See what the script has for now."""
        await trio.lowlevel.checkpoint()
        self.looks += 1
        if self._begun_s is None:
            self._begun_s = trio.current_time()
        passed_s = trio.current_time() - self._begun_s
        index = bisect_right([at_s for at_s, _ in self._script], passed_s) - 1
        seen = self._script[max(index, 0)][1]
        if isinstance(seen, Exception):
            raise seen
        return seen if self._local_s is None else _at(seen, self._local_s())

    async def hardware(self) -> Hardware:
        """Say what the world was told."""
        await trio.lowlevel.checkpoint()
        return self._hardware

    @asynccontextmanager
    async def signals(self) -> AsyncIterator[AsyncIterator[int]]:
        """Give the signals that were sent."""
        yield self._signalled

    @asynccontextmanager
    async def serve(self, app: App, socket: str) -> AsyncIterator[None]:
        """Keep the app while the block lasts."""
        await trio.lowlevel.checkpoint()
        if socket in self.served:
            raise ConfigError(f"another node is running here: it serves {socket}.")
        self.served[socket] = app
        try:
            yield
        finally:
            del self.served[socket]

    @asynccontextmanager
    async def house(
        self, name: str, peer: bytes, addresses: Callable[[], tuple[str, ...]]
    ) -> AsyncIterator[AsyncIterator[Seen]]:
        """Be there for the others in the house, and they for this one."""
        into, found = trio.open_memory_channel[Seen](FOUND_MAX)
        here = _Present(name, Seen(peer, addresses()), into)
        for each in self._house.nodes:
            each.hear(here)
            here.hear(each)
        self._house.nodes.append(here)
        await trio.lowlevel.checkpoint()
        try:
            yield found
        finally:
            self._house.nodes.remove(here)

    def notify(self, state: Mapping[str, str]) -> None:
        """Keep what was told."""
        self.notified.append(dict(state))

    @property
    def watchdog_s(self) -> float | None:
        """What the world was told."""
        return self._watchdog_s


def _at(seen: Sensors, local_s: float) -> Sensors:
    day, second = divmod(int(local_s), DAY_S)
    return replace(seen, weekday=(day + FIRST_WEEKDAY) % 7, minute=second // MINUTE_S)
