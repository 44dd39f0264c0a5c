# SPDX-License-Identifier: MIT
"""This machine, and a scripted one, keep the same promises."""

from pathlib import Path

import pytest

from node.clock import SystemClock
from node.host.host import App, Host
from node.host.machine import MachineHost
from node.paths import Paths
from simulations.host import House, ScriptedHost
from tests.node.host.promises import PROMISES, HostWorld, Promise


def machine(folder: Path) -> HostWorld:
    paths = Paths(*(folder / name for name in ("config", "state", "cache", "runtime")))

    def make() -> Host:
        return MachineHost(paths, SystemClock(), environ={}, interfaces=["127.0.0.1"])

    return HostWorld(make, folder)


def scripted(folder: Path) -> HostWorld:
    house = House()
    served: dict[str, App] = {}

    def make() -> Host:
        host = ScriptedHost(house=house)
        host.served = served
        return host

    return HostWorld(make, folder)


@pytest.mark.parametrize("promise", PROMISES, ids=lambda each: each.__name__)
@pytest.mark.parametrize("make", [machine, scripted], ids=lambda each: each.__name__)
@pytest.mark.slow
async def test_host(make: object, promise: Promise, tmp_path: Path) -> None:
    assert callable(make)
    await promise(make(tmp_path))
