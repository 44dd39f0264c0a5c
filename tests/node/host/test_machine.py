# SPDX-License-Identifier: MIT
"""This machine as a host: what the shared promises do not say."""

import os
import signal
from pathlib import Path

import pytest
import trio

from node.clock import SystemClock
from node.host.machine import MachineHost
from node.paths import Paths


@pytest.fixture
def host(tmp_path: Path) -> MachineHost:
    paths = Paths(*(tmp_path / name for name in ("config", "state", "cache", "runtime")))
    return MachineHost(paths, SystemClock(), environ={"WATCHDOG_USEC": "2000000"})


async def test_signals_come_one_after_the_other_inside_the_block(host: MachineHost) -> None:
    before = signal.getsignal(signal.SIGTERM)
    async with host.signals() as received:
        with trio.fail_after(5):
            os.kill(os.getpid(), signal.SIGTERM)
            assert await anext(received) == signal.SIGTERM
            os.kill(os.getpid(), signal.SIGINT)
            assert await anext(received) == signal.SIGINT
            os.kill(os.getpid(), signal.SIGHUP)  # the terminal was closed
            assert await anext(received) == signal.SIGHUP
    assert signal.getsignal(signal.SIGTERM) is before


async def test_under_nohup_a_terminal_that_closes_ends_nothing(host: MachineHost) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        async with host.signals():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_watchdog_is_read_from_the_environment(host: MachineHost) -> None:
    assert host.watchdog_s == 1.0
