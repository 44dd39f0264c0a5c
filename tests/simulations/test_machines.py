# SPDX-License-Identifier: MIT
"""Machines of made worlds: each is one that the protocol can describe, and as fast as it says."""

import pytest
import trio

from node.config import Config, ExecutorConfig, GovernorConfig
from node.config_reading import check_together
from node.executor.leases import limits_of
from node.work.hours import Hours
from node.work.rules import failing
from simulations.clock import EPOCH_S, VirtualClock
from simulations.host import ScriptedHost
from simulations.link import Speed
from simulations.links import ACCESSES
from simulations.machines import (
    DESKTOP,
    GAMING_PC,
    LAPTOP,
    MACHINES,
    RASPBERRY_PI,
    SERVER,
    Machine,
)
from tests.node.executor.virtual_time import in_virtual_time

EVERY = pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES)


@EVERY
def test_what_it_says_of_itself_hangs_together(machine: Machine) -> None:
    hardware, limits = machine.hardware, limits_of(machine.executor)
    assert hardware.doubts == ()
    assert MACHINES[machine.name] is machine
    check_together(machine.configured(Config()))
    assert machine.us_per_cu * hardware.fp32_cu_per_s * limits.threads == pytest.approx(1e6)
    assert limits.runners * limits.threads <= 2 * hardware.cores
    assert limits.memory_bytes <= hardware.memory_mib << 20
    assert limits.runner_memory_bytes * limits.runners <= limits.memory_bytes
    assert machine.access in ACCESSES
    assert machine.sensors.disk_free_mib == hardware.disk_mib


def test_an_owner_who_has_chosen_gets_what_he_chose() -> None:
    chosen = Config(executor=ExecutorConfig(threads=3))
    assert SERVER.configured(chosen) is chosen
    assert SERVER.configured(Config()).executor == SERVER.executor


@EVERY
def test_it_may_work_as_the_governor_judges_by_default(machine: Machine) -> None:
    assert list(failing(GovernorConfig(), Hours(), machine.sensors)) == []


def test_machines_differ_as_real_ones_do() -> None:
    by_speed = [RASPBERRY_PI, LAPTOP, DESKTOP, GAMING_PC]
    assert sorted(by_speed, key=lambda each: -each.us_per_cu) == by_speed
    assert LAPTOP.us_per_cu > SERVER.us_per_cu
    by_disk = [RASPBERRY_PI, LAPTOP, DESKTOP, GAMING_PC, SERVER]
    assert sorted(by_disk, key=lambda each: -each.commit_s) == by_disk


def test_a_runner_of_a_desktop_is_what_a_simulated_runner_is_without_a_machine() -> None:
    assert pytest.approx(Speed().us_per_cu) == DESKTOP.us_per_cu


def test_only_the_gaming_pc_has_a_gpu() -> None:
    assert [each.name for each in MACHINES.values() if each.hardware.accelerator] == ["gaming-pc"]
    assert GAMING_PC.hardware.accelerator_mib > 0


@in_virtual_time
async def test_a_machine_knows_the_hour_of_its_house() -> None:
    clock = VirtualClock()
    host = ScriptedHost(LAPTOP.script, local_s=lambda: clock.now().wall_s + 2 * 3600)
    seen = await host.sense()
    assert EPOCH_S % 86_400 == 8 * 3600
    assert (seen.weekday, seen.minute) == (4, 10 * 60)  # a Friday
    await trio.sleep(15 * 3600 + 90)
    seen = await host.sense()
    assert (seen.weekday, seen.minute) == (5, 61)
