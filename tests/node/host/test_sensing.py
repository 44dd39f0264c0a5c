# SPDX-License-Identifier: MIT
"""Use of the processors by others: all that is not this process and what is below it."""

import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from node.executor import machine
from node.host import sensing
from node.host.sensing import Sight, Times, on_battery, others_percent, take_times

ME, CHILD, RUNNER = (10, 1), (11, 2), (12, 3)


def times(total_s: float, busy_s: float, **ours: tuple[float, float]) -> Times:
    names = {"me": ME, "child": CHILD, "runner": RUNNER}
    return Times(total_s, busy_s, {names[name]: each for name, each in ours.items()})


def test_what_we_use_is_not_others_use() -> None:
    before = times(100, 50, me=(5, 0), runner=(1, 0))
    now = times(120, 66, me=(7, 0), runner=(7, 0))
    assert others_percent(before, now) == pytest.approx(40)  # 16 busy of 20, 8 of them ours


def test_a_runner_that_ended_leaves_its_time_to_its_parent() -> None:
    before = times(100, 50, me=(5, 0), child=(1, 0), runner=(3, 0))
    now = times(120, 66, me=(5, 0), child=(1, 11))
    assert others_percent(before, now) == pytest.approx(40)  # the runner used 8 more


def test_a_runner_that_came_and_went_between_two_looks_is_ours() -> None:
    before = times(100, 50, me=(5, 0), child=(1, 0))
    now = times(120, 66, me=(5, 0), child=(1, 8))
    assert others_percent(before, now) == pytest.approx(40)


def test_runners_that_were_lost_do_not_make_our_use_negative() -> None:
    """A killed zygote takes along what it and its runners have used in all their time."""
    before = times(100, 50, me=(5, 0), child=(1, 500), runner=(300, 0))
    now = times(120, 66, me=(9, 0))
    assert others_percent(before, now) == pytest.approx(60)  # the four seconds of the survivor


def test_a_process_with_the_number_of_one_that_is_gone_is_another() -> None:
    before = times(100, 50, me=(5, 0), runner=(300, 0))
    now = Times(120, 66, {ME: (5, 300), (RUNNER[0], 99): (4, 0)})
    assert others_percent(before, now) == pytest.approx(60)


@pytest.mark.parametrize(("busy", "ours", "percent"), [(10, 40, 0), (500, 0, 100), (0, 0, 0)])
def test_it_is_a_share_whatever_the_clocks_of_the_kernel_say(
    busy: float, ours: float, percent: float
) -> None:
    assert others_percent(times(100, 0, me=(0, 0)), times(120, busy, me=(ours, 0))) == percent


@pytest.mark.skipif(sys.platform != "linux", reason="reads the kernel's lists of children")
def test_the_tree_is_this_process_and_all_below_it() -> None:
    waits = "import sys; sys.stdin.read()"
    child = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    with (
        subprocess.Popen([sys.executable, "-c", waits], stdin=subprocess.PIPE) as one,
        subprocess.Popen([sys.executable, "-c", child], stdin=subprocess.PIPE) as two,
    ):
        ours = {pid for pid, _ in take_times().ours}
        assert {os.getpid(), one.pid, two.pid} <= ours
        assert os.getppid() not in ours
        for each in (one, two):
            each.kill()
    assert one.pid not in {pid for pid, _ in take_times().ours}


@pytest.mark.slow
def test_what_this_process_computes_is_seen_as_ours(tmp_path: Path) -> None:
    before = take_times()
    until = time.process_time() + 0.3
    while time.process_time() < until:
        pass
    now = take_times()
    mine = (os.getpid(), next(start for pid, start in now.ours if pid == os.getpid()))
    assert now.ours[mine][0] - before.ours[mine][0] >= 0.25
    sight = Sight(tmp_path)
    sight.begin()
    assert 0 <= sight.look(1.8e9).others_percent <= 100


def test_a_look_that_comes_too_soon_repeats_the_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = iter([times(100, 0), times(120, 10), times(120.01, 10.01)])
    monkeypatch.setattr(sensing, "take_times", lambda _root: next(told))
    sight = Sight(tmp_path)
    sight.begin()
    assert [sight.look(1.8e9).others_percent for _ in range(2)] == [50, 50]


@pytest.mark.parametrize(
    ("battery", "told"),
    [
        (None, None),
        (SimpleNamespace(power_plugged=None), None),
        (SimpleNamespace(power_plugged=True), False),
        (SimpleNamespace(power_plugged=False), True),
    ],
)
def test_the_battery_is_told_as_far_as_it_is_known(
    battery: object, told: bool | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psutil, "sensors_battery", lambda: battery)
    assert on_battery() is told


def test_a_system_without_a_word_for_batteries_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(psutil, "sensors_battery")
    assert on_battery() is None


def test_a_limit_of_the_group_counts_where_it_is_lower(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "memory_limits", lambda _root: (None, 7 << 20))
    assert Sight(tmp_path).look(1.8e9).memory_free_mib == 7
