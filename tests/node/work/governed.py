# SPDX-License-Identifier: MIT
"""A governor and the time it lives in, as the tests hold them."""

from dataclasses import replace
from typing import Any

from node.config import GovernorConfig
from node.host.host import Sensors
from node.work.governor import Change, Governor
from protocol.events import Instant
from simulations.host import FREE

BUSY = replace(FREE, others_percent=83.0)
SHORT = replace(FREE, memory_free_mib=300)
BATTERY = replace(FREE, on_battery=True)


class Governed:
    """A governor with a clock that the test moves."""

    def __init__(
        self, paused_until_s: float | None = None, wall_s: float = 1_800_000_000.0, **config: Any
    ) -> None:
        self.mono_s = 1000.0
        self.wall_s = wall_s
        self.config = GovernorConfig(**config)
        self.governor = Governor(self.config, self.now, paused_until_s)

    @property
    def now(self) -> Instant:
        return Instant(mono_s=self.mono_s, wall_s=self.wall_s)

    def look(self, seen: Sensors | None = FREE, after_s: float = 0.0) -> tuple[Change, ...]:
        self.mono_s += after_s
        self.wall_s += after_s
        return self.governor.look(self.now, seen)

    def looks(self, seen: Sensors | None, count: int, every_s: float = 5.0) -> None:
        for _ in range(count):
            self.look(seen, every_s)

    @property
    def state(self) -> str:
        return str(self.governor.state)

    @property
    def sentence(self) -> str:
        return self.governor.sentence(self.now)

    @property
    def reason(self) -> str | None:
        """As a text, which tests compare with codes."""
        reason = self.governor.may_work(self.now)[0]
        return str(reason) if reason else None
