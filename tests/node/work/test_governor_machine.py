# SPDX-License-Identifier: MIT
"""What holds of the governor in every story that Hypothesis can think of."""

from dataclasses import dataclass
from itertools import pairwise
from math import inf

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from node.host.host import Sensors
from node.work.governor import GAP_S, STALE_S, Change, State
from protocol.reasons import Reason
from tests.node.work.governed import Governed

RECOVER_S = 30.0
DRAIN_S = 20.0
# about limits, and far from them
OTHERS = st.sampled_from([0.0, 59.9, 60.0, 60.1, 100.0])
MEMORY = st.sampled_from([0, 511, 512, 9000])
IDLE = st.sampled_from([None, 0.0, 299.0, 300.0, 9000.0])
MINUTES = st.sampled_from([0, 8 * 60 - 1, 8 * 60, 20 * 60 - 1, 20 * 60])
HEALTHY = Sensors(0.0, 9000, 9000, inf, None, 0, 12 * 60)
SEEN = st.one_of(
    st.just(HEALTHY),
    st.just(HEALTHY),
    st.builds(
        Sensors,
        others_percent=OTHERS,
        memory_free_mib=MEMORY,
        disk_free_mib=st.just(9000),
        idle_s=IDLE,
        on_battery=st.sampled_from([None, False, True]),
        weekday=st.integers(0, 6),
        minute=MINUTES,
    ),
)
STEPS = st.sampled_from([0.5, 1.0, 1.0, 5.0, 5.0, 15.0, 16.0, 40.0, 3600.0])


@dataclass
class Look:
    """One look, as a plain observer notes it."""

    at_s: float
    seen: Sensors | None


def condition(seen: Sensors) -> Reason | None:
    """The conditions, said once more and in other words."""
    if seen.on_battery is True:
        return Reason.ON_BATTERY
    if seen.idle_s is None or not seen.idle_s >= 300:
        return Reason.IN_USE
    if seen.memory_free_mib <= 511:
        return Reason.MEMORY_LOW
    return Reason.PROCESSORS_BUSY if seen.others_percent >= 60.1 else None


class GovernorStories(RuleBasedStateMachine):
    """An observer keeps all looks and words, and judges from them alone."""

    def __init__(self) -> None:
        super().__init__()
        self.governed = Governed(
            recover_s=RECOVER_S, drain_s=DRAIN_S, only_idle=True, hours=("08:00-20:00",)
        )
        self.history: list[Look] = []
        self.paused_until_s = -inf
        self.fell: list[tuple[float, Reason | None]] = []

    # --- what happens -------------------------------------------------------------------------

    @rule(seen=SEEN, after_s=STEPS)
    def looks(self, seen: Sensors, after_s: float) -> None:
        self.take(seen, after_s)

    @rule(after_s=st.sampled_from([1.0, 5.0]))
    def is_free_for_long(self, after_s: float) -> None:
        for _ in range(8 if after_s == 5.0 else 32):
            self.take(HEALTHY, after_s)

    @rule(after_s=STEPS)
    def fails_to_look(self, after_s: float) -> None:
        self.take(None, after_s)

    @rule(for_s=st.sampled_from([None, 1.0, 60.0, 7200.0]))
    def is_paused(self, for_s: float | None) -> None:
        self.paused_until_s = self.governed.mono_s + (inf if for_s is None else for_s)
        self.judge(self.governed.governor.pause(self.governed.now, for_s))

    @precondition(lambda self: self.paused_until_s > -inf)
    @rule()
    def is_resumed(self) -> None:
        self.paused_until_s = -inf
        self.judge(self.governed.governor.resume(self.governed.now))

    @rule(by_s=st.sampled_from([-1e6, -3600.0, 3600.0, 1e6]))
    def wall_clock_is_set(self, by_s: float) -> None:
        self.governed.wall_s += by_s

    def take(self, seen: Sensors | None, after_s: float) -> None:
        self.history.append(Look(self.governed.mono_s + after_s, seen))
        self.judge(self.governed.look(seen, after_s))

    # --- what must hold -----------------------------------------------------------------------

    def judge(self, changes: tuple[Change, ...]) -> None:
        now_s = self.governed.mono_s
        for each in changes:
            assert each.sentence
            assert (each.reason is None) == (each.after is State.ACTIVE)
            if each.before is State.ACTIVE:
                self.fell.append((now_s, each.reason))
            if each.after is State.ACTIVE:
                assert self.has_been_well(), "it rose without having been well for long enough"

    def has_been_well(self) -> bool:
        looks = self.history
        if all(each.seen and not condition(each.seen) for each in looks) and self.no_gap(looks):
            return True
        run: list[Look] = []
        for each in reversed(looks):
            if each.seen is None or condition(each.seen):
                break
            if run and run[-1].at_s - each.at_s > GAP_S:
                break
            run.append(each)
        return len(run) >= 3 and self.governed.mono_s - run[-1].at_s >= RECOVER_S

    def no_gap(self, looks: list[Look]) -> bool:
        pairs = pairwise(looks)
        return all(after.at_s - before.at_s <= GAP_S for before, after in pairs)

    @property
    def expected(self) -> Reason | None:
        """The first rule that fails; None also while it recovers."""
        if self.paused_until_s > self.governed.mono_s:
            return Reason.OWNER_PAUSED
        seen = [each.seen for each in self.history]
        if seen[-2:] == [None, None] or (seen and not any(seen)):
            return Reason.SENSORS_SILENT
        last = next((each for each in reversed(seen) if each), None)
        if last is None:
            return None
        return Reason.OUTSIDE_HOURS if not 480 <= last.minute < 1200 else condition(last)

    @invariant()
    def the_reason_is_the_first_rule_that_fails(self) -> None:
        governor = self.governed.governor
        told = governor.may_work(self.governed.now)[0]
        if self.expected:
            assert told == self.expected
            assert governor.state in {State.PRESSURE, State.PAUSED}
        else:
            assert governor.state in {State.ACTIVE, State.RECOVERY}
            assert told in {None, Reason.RECOVERING}
            assert (told is None) == (governor.state is State.ACTIVE)

    @invariant()
    def what_it_says_is_one_sentence(self) -> None:
        sentence = self.governed.sentence
        assert sentence.endswith(".")
        assert sentence[0].isupper()
        assert "\n" not in sentence

    @invariant()
    def memory_is_held_only_when_it_does_not_work_and_always_after_the_drain(self) -> None:
        governor, now_s = self.governed.governor, self.governed.mono_s
        if governor.state is State.ACTIVE:
            assert not governor.holds
        elif self.expected and self.fell and now_s - self.fell[-1][0] >= DRAIN_S:
            assert governor.holds
        assert governor.state is not State.PRESSURE or not governor.holds

    @invariant()
    def the_pause_that_is_kept_is_the_pause_that_holds(self) -> None:
        until_s = self.governed.governor.paused_until_s(self.governed.now)
        left_s = self.paused_until_s - self.governed.mono_s
        if left_s > 0:
            assert until_s is not None
            assert until_s == inf or abs(until_s - self.governed.wall_s - left_s) < 0.001
        else:
            assert until_s is None

    @invariant()
    def the_next_look_comes_soon(self) -> None:
        assert 0 < self.governed.governor.next_look_s(self.governed.now) <= STALE_S / 6


TestGovernorStories = pytest.mark.slow(GovernorStories.TestCase)
TestGovernorStories.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
