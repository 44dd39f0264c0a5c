# SPDX-License-Identifier: MIT
"""The governor, story by story; what holds in every story is in test_governor_machine.py."""

from dataclasses import replace
from math import inf

import pytest

from node.config import GovernorConfig
from node.errors import ConfigError
from node.work.governor import Change, State
from protocol.reasons import Reason
from simulations.host import FREE
from tests.node.work.governed import BATTERY, BUSY, SHORT, Governed


def test_a_free_machine_works_after_the_first_look() -> None:
    governed = Governed()
    assert governed.reason == Reason.RECOVERING
    assert governed.sentence.startswith("Starting")
    governed.look()
    assert governed.reason is None
    assert governed.state == "active"
    assert governed.sentence == "Working: nothing stands against it; `commons pause` would end it."


def test_a_pause_that_was_kept_is_the_reason_before_the_first_look() -> None:
    governed = Governed(paused_until_s=Governed().wall_s + 7200)
    assert governed.reason == Reason.OWNER_PAUSED
    assert governed.sentence.startswith("Paused by you ")
    governed.look()
    assert (governed.state, governed.reason) == ("paused", Reason.OWNER_PAUSED)


def test_pressure_ends_new_work_at_once_and_names_the_value_and_the_limit() -> None:
    governed = Governed()
    governed.look()
    changes = governed.look(BUSY, 5)
    sentence = (
        "Standing back: other programs use 83 % of the processors, and 60 % is the limit; "
        "work goes on when they have used less for 30 s."
    )
    assert changes == (Change(State.ACTIVE, State.PRESSURE, Reason.PROCESSORS_BUSY, sentence),)
    assert governed.governor.drain_left_s(governed.now) == 20


def test_running_work_has_its_drain_and_then_the_memory_is_freed() -> None:
    governed = Governed(drain_s=20.0)
    governed.look()
    governed.look(SHORT, 5)
    governed.looks(SHORT, 19, 1)
    assert (governed.state, governed.governor.holds) == ("pressure", False)
    governed.look(SHORT, 1)
    assert (governed.state, governed.governor.holds) == ("paused", True)


def test_what_runs_may_go_on_when_the_pressure_passes_within_the_drain() -> None:
    governed = Governed(drain_s=20.0)
    governed.look()
    governed.looks(SHORT, 5, 1)
    governed.looks(FREE, 40, 1)
    assert (governed.state, governed.governor.holds) == ("active", False)


def test_pressure_that_comes_and_goes_does_not_prolong_the_drain() -> None:
    governed = Governed(drain_s=20.0, recover_s=30.0)
    governed.look()
    for _ in range(4):
        governed.looks(BUSY, 3, 1)
        governed.looks(FREE, 2, 1)
    assert not governed.governor.holds
    governed.looks(BUSY, 3, 1)
    assert (governed.state, governed.governor.holds) == ("paused", True)


def test_recovery_needs_its_time() -> None:
    governed = Governed(recover_s=30.0)
    governed.look()
    governed.look(BUSY, 5)
    governed.look(FREE, 1)
    assert (governed.state, governed.reason) == ("recovery", "recovering")
    governed.looks(FREE, 29, 1)
    assert governed.sentence == (
        "Recovering: all has been well for 29 s; work goes on after 30 s and 3 looks."
    )
    governed.look(FREE, 1)
    assert governed.state == "active"


def test_recovery_needs_three_looks_however_short_its_time_is() -> None:
    governed = Governed(recover_s=1.0)
    governed.look()
    governed.look(BUSY, 5)
    governed.looks(FREE, 2)
    assert governed.state == "recovery"
    governed.look(FREE, 1)
    assert governed.state == "active"


def test_a_relapse_begins_the_time_of_recovery_anew() -> None:
    governed = Governed(recover_s=30.0)
    governed.look()
    governed.look(BUSY, 5)
    governed.looks(FREE, 29, 1)
    governed.look(BUSY, 1)
    governed.looks(FREE, 30, 1)
    assert governed.state == "recovery"
    governed.look(FREE, 1)
    assert governed.state == "active"


def test_the_time_that_a_machine_slept_is_no_time_of_recovery() -> None:
    governed = Governed(recover_s=30.0)
    governed.look()
    governed.look(BUSY, 5)
    governed.looks(FREE, 3, 1)
    governed.look(FREE, 8 * 3600)
    assert governed.state == "recovery"
    governed.looks(FREE, 29, 1)
    assert governed.state == "recovery"
    governed.look(FREE, 1)
    assert governed.state == "active"


def test_nothing_new_is_taken_while_nobody_looks() -> None:
    """After a suspend somebody may ask before the first look."""
    governed = Governed()
    governed.look()
    governed.mono_s += 31
    assert governed.reason == Reason.SENSORS_SILENT
    assert "31 s ago" in governed.sentence
    governed.look()
    assert governed.reason is None


def test_the_owner_pauses_for_a_while() -> None:
    governed = Governed()
    governed.look()
    governed.governor.pause(governed.now, 2 * 3600)
    assert (governed.state, governed.reason) == ("paused", "owner_paused")
    assert governed.sentence == "Paused by you until 11:00; `commons resume` ends it now."
    assert governed.governor.paused_until_s(governed.now) == governed.wall_s + 7200
    governed.looks(FREE, 1439)
    assert governed.reason == Reason.OWNER_PAUSED
    governed.look(FREE, 5)
    assert governed.reason is None


def test_the_owner_pauses_until_further_notice_and_work_begins_at_his_word() -> None:
    governed = Governed()
    governed.look()
    governed.governor.pause(governed.now)
    assert governed.sentence == "Paused by you; `commons resume` ends it now."
    assert governed.governor.paused_until_s(governed.now) == inf
    governed.looks(FREE, 1000)
    governed.governor.resume(governed.now)
    assert governed.state == "active"
    assert governed.governor.paused_until_s(governed.now) is None


def test_a_pause_that_ends_before_the_first_look_leaves_nothing_behind() -> None:
    """It stayed PAUSED without a reason: nothing was looked at that could have ended it."""
    governed = Governed()
    governed.governor.pause(governed.now)
    governed.governor.resume(governed.now)
    assert (governed.state, governed.reason) == ("recovery", "recovering")


def test_a_resume_does_not_overrule_what_the_machine_needs() -> None:
    governed = Governed()
    governed.look()
    governed.governor.pause(governed.now)
    governed.looks(BUSY, 10)
    governed.governor.resume(governed.now)
    assert (governed.state, governed.reason) == ("paused", "processors_busy")


@pytest.mark.parametrize("for_s", [0, -1, 367 * 86400, float("nan")])
def test_a_pause_of_no_or_endless_length_is_refused(for_s: float) -> None:
    governed = Governed()
    with pytest.raises(ValueError, match="pause"):
        governed.governor.pause(governed.now, for_s)


def test_a_pause_survives_a_restart_and_ends_when_it_was_to_end() -> None:
    first = Governed()
    first.look()
    first.governor.pause(first.now, 3600)
    kept = first.governor.paused_until_s(first.now)
    second = Governed(paused_until_s=kept, wall_s=first.wall_s + 600)
    second.look()
    assert second.reason == Reason.OWNER_PAUSED
    second.looks(FREE, 599)
    assert second.reason == Reason.OWNER_PAUSED
    second.look(FREE, 5)
    assert second.reason is None


@pytest.mark.parametrize(("kept", "paused"), [(inf, True), (1_799_999_999.0, False), (None, False)])
def test_what_was_kept_counts_if_it_is_not_over(kept: float | None, paused: bool) -> None:
    governed = Governed(paused_until_s=kept)
    governed.look()
    assert (governed.reason == Reason.OWNER_PAUSED) is paused


def test_a_wall_clock_that_begins_in_1970_makes_no_pause_of_fifty_years() -> None:
    governed = Governed(paused_until_s=1_800_000_000.0, wall_s=0.0)
    assert governed.governor.paused_until_s(governed.now) == 366 * 86400


def test_a_wall_clock_that_is_set_neither_ends_nor_prolongs_a_pause() -> None:
    governed = Governed()
    governed.look()
    governed.governor.pause(governed.now, 60)
    governed.wall_s += 10 * 86400
    governed.looks(FREE, 11)
    assert governed.reason == Reason.OWNER_PAUSED
    governed.wall_s -= 20 * 86400
    governed.look(FREE, 5)
    assert governed.reason is None


def test_outside_the_hours_the_sentence_says_when_they_begin() -> None:
    governed = Governed(hours=("22:00-07:00",))
    governed.look()
    assert (governed.state, governed.reason) == ("paused", "outside_hours")
    assert governed.sentence == (
        "Paused: it is outside the hours in which this machine may work; work goes on at 22:00."
    )
    governed.look(replace(FREE, minute=22 * 60), 5)
    assert governed.state == "active"


def test_on_battery_it_pauses_unless_the_owner_allows_it() -> None:
    governed = Governed()
    governed.look()
    governed.look(BATTERY, 5)
    assert (governed.state, governed.reason) == ("paused", "on_battery")
    governed = Governed(on_battery=True)
    governed.look(BATTERY)
    assert governed.state == "active"


@pytest.mark.parametrize(
    ("idle_s", "words"), [(12.0, "12 s ago"), (None, "does not tell whether"), (300.0, "")]
)
def test_only_idle_takes_an_unknown_person_for_a_present_one(
    idle_s: float | None, words: str
) -> None:
    governed = Governed(only_idle=True)
    governed.look(replace(FREE, idle_s=idle_s))
    assert (governed.reason == Reason.IN_USE) is bool(words)
    assert words in governed.sentence


def test_one_look_that_fails_changes_nothing_and_the_second_stands_back() -> None:
    governed = Governed()
    governed.look()
    governed.look(None, 5)
    assert governed.state == "active"
    governed.look(None, 5)
    assert (governed.state, governed.reason) == ("pressure", "sensors_silent")
    governed.look(FREE, 5)
    assert governed.state == "recovery"


def test_a_look_that_fails_is_no_healthy_one() -> None:
    governed = Governed(recover_s=30.0)
    governed.look()
    governed.look(BUSY, 5)
    governed.looks(FREE, 29, 1)
    governed.look(None, 1)
    governed.looks(FREE, 30, 1)
    assert governed.state == "recovery"


def test_a_machine_that_was_never_seen_does_not_work() -> None:
    governed = Governed()
    governed.look(None)
    assert governed.reason == Reason.SENSORS_SILENT


def test_another_reason_in_the_same_state_is_told() -> None:
    governed = Governed()
    governed.look()
    governed.look(BATTERY, 5)
    still_on_battery = replace(BATTERY, memory_free_mib=1)
    assert governed.look(still_on_battery, 5) == ()
    (change,) = governed.look(SHORT, 5)
    assert change == Change(State.PAUSED, State.PAUSED, Reason.MEMORY_LOW, governed.sentence)


def test_memory_is_freed_as_soon_as_no_work_runs() -> None:
    governed = Governed(drain_s=600.0)
    governed.look()
    governed.governor.drained()
    assert not governed.governor.holds  # it works: there is nothing to free
    governed.look(SHORT, 5)
    governed.governor.drained()
    governed.look(SHORT, 1)
    assert (governed.state, governed.governor.holds) == ("paused", True)


def test_a_use_just_above_the_limit_is_seen_to_be_above() -> None:
    governed = Governed()
    governed.look(replace(FREE, others_percent=60.04))
    assert "use 60.1 % of the processors, and 60 % is" in governed.sentence


def test_other_limits_count_at_once() -> None:
    governed = Governed()
    governed.look(replace(FREE, others_percent=40.0))
    governed.governor.use(governed.now, GovernorConfig(others_percent=30))
    assert (governed.state, governed.reason) == ("pressure", "processors_busy")
    governed.governor.use(governed.now, GovernorConfig(hours=("22:00-23:00",)))
    assert (governed.state, governed.reason) == ("paused", "outside_hours")


def test_hours_that_make_no_sense_change_nothing() -> None:
    governed = Governed()
    governed.look()
    with pytest.raises(ConfigError):
        governed.governor.use(governed.now, GovernorConfig(hours=("08:00-08:00",)))
    governed.look(FREE, 5)
    assert governed.state == "active"
