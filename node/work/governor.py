# SPDX-License-Identifier: MIT
"""The governor: may this machine work now, and if not, why? A pure machine of four states.

It is told what was seen, what time it is and what the owner says. It does nothing itself:
`governing` looks at the machine, asks the governor and holds the executor.

Theory of operation
-------------------

==========  ==============================================  ========  ==========================
state       means                                           new work  running work
==========  ==============================================  ========  ==========================
ACTIVE      all rules hold                                  yes       goes on
PRESSURE    the machine is short of something               no        may end within `drain_s`
PAUSED      the owner decided, or the pressure stayed       no        may end within `drain_s`,
                                                                      then its memory is freed
RECOVERY    all rules hold again, not yet for long enough   no        goes on, if it was not
                                                                      ended before
==========  ==============================================  ========  ==========================

==========  ==================================================================  ==========
from        when                                                                to
==========  ==================================================================  ==========
ACTIVE      a rule fails that presses (memory, processors, silent sensors)      PRESSURE
ACTIVE      another rule fails (the owner, hours, battery, in use)              PAUSED
PRESSURE    `drain_s` is over since ACTIVE was left, or another rule fails      PAUSED
PRESSURE    all rules hold                                                      RECOVERY
PAUSED      all rules hold                                                      RECOVERY
RECOVERY    a rule fails                                                        PRESSURE, or
                                                                                PAUSED as above
RECOVERY    the conditions have been well long enough                           ACTIVE
==========  ==================================================================  ==========

**Down at once, up slowly.** A rule that fails in one look ends new work with that look. Up it
goes when every condition was well in each look of the last `recover_s`, at least three looks
long. So nothing that wavers around its limit makes this machine load and drop models more than
once in `recover_s`. Decisions do not waver: after `commons resume`, or when the hours begin,
work begins at once if the conditions were well meanwhile. A node that has just begun has seen
nothing fail, so its first good look lets it work.

**Silence is not health.** A look that failed changes nothing the first time, except that it
breaks the time of recovery; the second in a row is a rule that fails. A gap between two looks
that is longer than three of them (a suspended machine, a process that was stopped) breaks the
time of recovery too, and while nobody looks nothing new is taken on.

**Time.** What lasts is measured on the clock that never goes back and counts suspend. So a
wall clock that is set neither ends nor prolongs a pause; only across a restart does the pause
have to rely on it.
"""

from dataclasses import dataclass
from enum import StrEnum
from math import inf

from node.config import GovernorConfig
from node.host.host import Sensors
from node.work import rules
from node.work.hours import Hours
from node.work.rules import Finding
from protocol.events import Instant
from protocol.reasons import Reason

#: How often the machine is looked at, and how often when something may soon change.
LOOK_S = 5.0
QUICK_LOOK_S = 1.0
#: The two clocks of a machine differ by a little; what is due may be just not due.
LOOK_S_MIN = 0.05
#: Two looks that are further apart than this say nothing of the time between them.
GAP_S = 3 * LOOK_S
#: What was seen is believed for this long.
STALE_S = 6 * LOOK_S
WELL_LOOKS = 3
BLIND_LOOKS = 2
PAUSE_S_MAX = 366 * 86400.0


class State(StrEnum):
    """What the governor is doing; see the table above."""

    ACTIVE = "active"
    PRESSURE = "pressure"
    PAUSED = "paused"
    RECOVERY = "recovery"


FOLLOWS: dict[State, frozenset[State]] = {
    State.ACTIVE: frozenset({State.PRESSURE, State.PAUSED}),
    State.PRESSURE: frozenset({State.PAUSED, State.RECOVERY}),
    State.PAUSED: frozenset({State.RECOVERY}),
    State.RECOVERY: frozenset({State.ACTIVE, State.PRESSURE, State.PAUSED}),
}


@dataclass(frozen=True, slots=True)
class Change:
    """A transition, or another reason in the same state. There is no reason against ACTIVE."""

    before: State
    after: State
    reason: Reason | None
    sentence: str


class Governor:
    """The four states. Every method takes the present; none waits or looks anything up."""

    def __init__(
        self, config: GovernorConfig, now: Instant, paused_until_s: float | None = None
    ) -> None:
        """`paused_until_s` is what :meth:`paused_until_s` gave before the node was restarted."""
        self._config = config
        self._hours = Hours(config.hours)
        self._pause_end_s: float | None = None
        self._seen: Sensors | None = None
        self._looked_s = -inf
        self._blind_looks = 0
        self._well_since_s: float | None = None
        self._well_looks = 0
        self._nothing_failed_yet = True
        self._finding: Finding | None = None
        self._left_active_s = now.mono_s
        self.state = State.RECOVERY
        self.holds = False
        if paused_until_s is not None and paused_until_s > now.wall_s:
            left_s = paused_until_s - now.wall_s
            # a wall clock that was set back must not make an hour a year
            self._pause_end_s = now.mono_s + (left_s if left_s == inf else min(left_s, PAUSE_S_MAX))
            self._finding = self._first_failing(now)  # it counts before the first look

    # --- what it is told ----------------------------------------------------------------------

    def look(self, now: Instant, seen: Sensors | None) -> tuple[Change, ...]:
        """Take what was seen now; None: looking failed."""
        gap = now.mono_s - self._looked_s > GAP_S and self._looked_s > -inf
        self._looked_s = now.mono_s
        self._seen = seen or self._seen
        self._blind_looks = 0 if seen else self._blind_looks + 1
        well = seen is not None and not any(
            each.is_condition for each in rules.failing(self._config, self._hours, seen)
        )
        if gap or not well:
            self._well_since_s, self._well_looks = None, 0
            self._nothing_failed_yet = False
        if well:
            self._well_looks += 1
            if self._well_since_s is None:
                self._well_since_s = now.mono_s
        return self._decide(now)

    def pause(self, now: Instant, for_s: float | None = None) -> tuple[Change, ...]:
        """Obey the owner who wants no work for a while, or, without a time, until resume."""
        if for_s is not None and not 0 < for_s <= PAUSE_S_MAX:
            raise ValueError(f"a pause of {for_s} s: give more than 0 s and at most 366 days")
        self._pause_end_s = now.mono_s + (inf if for_s is None else for_s)
        return self._decide(now)

    def resume(self, now: Instant) -> tuple[Change, ...]:
        """Obey the owner who ends the pause; other rules still count."""
        self._pause_end_s = None
        return self._decide(now)

    def use(self, now: Instant, config: GovernorConfig) -> tuple[Change, ...]:
        """Obey other limits from now on; ConfigError, and no change, when the hours are wrong."""
        self._hours = Hours(config.hours)
        self._config = config
        return self._decide(now)

    def drained(self) -> None:
        """Hear that no work is running: nothing is waited for before the memory is freed."""
        self.holds = self.holds or self._finding is not None

    # --- what it says -------------------------------------------------------------------------

    def may_work(self, now: Instant) -> tuple[Reason | None, str]:
        """Tell whether new work may be taken: None, or the reason why not; and the sentence.

        The reason is for the owner. A peer is told `paused`, which betrays nothing about him.
        """
        return self.reason(now), self.sentence(now)

    def reason(self, now: Instant) -> Reason | None:
        """Give the first rule that fails, if this machine may not work."""
        if self._finding:
            return self._finding.reason
        if self.state is State.ACTIVE:
            return Reason.SENSORS_SILENT if self._is_stale(now) else None
        return Reason.RECOVERING

    def sentence(self, now: Instant) -> str:
        """Say in one sentence why this machine works or not, and what will end that."""
        if self._finding:
            first = "Standing back: " if self.state is State.PRESSURE else "Paused: "
            if self._finding.reason is Reason.OWNER_PAUSED:
                finding = rules.owner_paused(self._pause_left_s(now), self._seen)
                return f"{finding.matter[0].upper()}{finding.matter[1:]}; {finding.end}."
            return f"{first}{self._finding.matter}; {self._finding.end}."
        if self._looked_s == -inf:
            return "Starting: the machine is looked at first; work begins when it is free."
        if self._is_stale(now):
            ago = now.mono_s - self._looked_s
            return (
                f"Waiting: the machine was last looked at {ago:.0f} s ago; "
                f"work goes on after the next look."
            )
        if self.state is State.ACTIVE:
            return "Working: nothing stands against it; `commons pause` would end it."
        well_s = now.mono_s - self._well_since_s if self._well_since_s is not None else 0.0
        return (
            f"Recovering: all has been well for {well_s:.0f} s; "
            f"work goes on after {self._config.recover_s:g} s and {WELL_LOOKS} looks."
        )

    def paused_until_s(self, now: Instant) -> float | None:
        """Say until when on the wall clock the owner paused; infinity: until he resumes.

        This is what outlives a restart, if somebody keeps it and gives it to the next governor.
        """
        left_s = self._pause_left_s(now)
        return now.wall_s + left_s if left_s > 0 else None

    @property
    def seen(self) -> Sensors | None:
        """What was seen last."""
        return self._seen

    def drain_left_s(self, now: Instant) -> float:
        """Say how long running work may still take to end; infinity while nothing ends it."""
        if not self._finding:
            return inf
        return max(self._left_active_s + self._config.drain_s - now.mono_s, 0.0)

    def next_look_s(self, now: Instant) -> float:
        """Say how long the next look may wait."""
        quick = self.state in {State.PRESSURE, State.RECOVERY}
        waits = [QUICK_LOOK_S if quick else LOOK_S]
        if not self.holds:
            waits.append(self.drain_left_s(now))
        if self._pause_end_s is not None:
            waits.append(self._pause_left_s(now))
        return max(min(waits), LOOK_S_MIN)

    # --- how it decides -----------------------------------------------------------------------

    def _decide(self, now: Instant) -> tuple[Change, ...]:
        if self._pause_end_s is not None and now.mono_s >= self._pause_end_s:
            self._pause_end_s = None
        was, self._finding = self._finding, self._first_failing(now)
        changes: list[Change] = []
        if self._finding:
            if self.state is State.ACTIVE:
                self._left_active_s = now.mono_s
            self.holds = self.holds or self.drain_left_s(now) <= 0
            presses = self._finding.presses and not self.holds and self.state is not State.PAUSED
            after = State.PRESSURE if presses else State.PAUSED
            if after is not self.state or was is None or was.reason is not self._finding.reason:
                changes.append(self._go(now, after))
        elif self.state is not State.ACTIVE:
            if self.state is not State.RECOVERY:
                changes.append(self._go(now, State.RECOVERY))
            if self._is_well_enough(now):
                self.holds = False
                changes.append(self._go(now, State.ACTIVE))
        return tuple(changes)

    def _first_failing(self, now: Instant) -> Finding | None:
        if self._pause_end_s is not None:
            return rules.owner_paused(self._pause_left_s(now), self._seen)
        if self._blind_looks >= BLIND_LOOKS or (self._blind_looks and self._seen is None):
            return rules.silent()
        if self._seen is None:
            return None
        return next(rules.failing(self._config, self._hours, self._seen), None)

    def _is_well_enough(self, now: Instant) -> bool:
        """Look at the conditions alone: they may have been well during a pause."""
        if self._well_since_s is None or now.mono_s - self._looked_s > GAP_S:
            return False
        long_enough = now.mono_s - self._well_since_s >= self._config.recover_s
        return self._nothing_failed_yet or (long_enough and self._well_looks >= WELL_LOOKS)

    def _go(self, now: Instant, after: State) -> Change:
        before, self.state = self.state, after
        assert before is after or after in FOLLOWS[before], f"{before} is not followed by {after}"
        return Change(before, after, self.reason(now), self.sentence(now))

    def _is_stale(self, now: Instant) -> bool:
        return now.mono_s - self._looked_s > STALE_S

    def _pause_left_s(self, now: Instant) -> float:
        return 0.0 if self._pause_end_s is None else self._pause_end_s - now.mono_s
