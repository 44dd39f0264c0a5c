# SPDX-License-Identifier: MIT
"""The scripted host does what its script says. Its promises are in tests/node/host/."""

import signal
from dataclasses import replace

import pytest
import trio

from simulations.host import DESKTOP, FREE, House, ScriptedHost
from tests.node.executor.virtual_time import in_virtual_time

BUSY = replace(FREE, others_percent=90.0)


@in_virtual_time
async def test_the_script_counts_from_the_first_look() -> None:
    host = ScriptedHost([(10.0, BUSY), (0.0, FREE), (20.0, OSError("gone"))])
    await trio.sleep(100)
    assert await host.sense() == FREE
    await trio.sleep(10)
    assert await host.sense() == BUSY
    await trio.sleep(10)
    with pytest.raises(OSError, match="gone"):
        await host.sense()
    host.show(FREE)
    assert await host.sense() == FREE


async def test_signals_that_were_sent_are_received() -> None:
    host = ScriptedHost()
    host.send_signal(signal.SIGTERM)
    async with host.signals() as received:
        assert await anext(received) == signal.SIGTERM


async def test_what_would_be_served_is_there_to_be_called() -> None:
    async def app(_scope: object, _receive: object, _send: object) -> None:
        await trio.lowlevel.checkpoint()

    host = ScriptedHost()
    async with host.serve(app, "/run/x.sock"):
        assert host.served == {"/run/x.sock": app}
    assert host.served == {}


async def test_two_houses_do_not_hear_each_other() -> None:
    one, other = ScriptedHost(house=House()), ScriptedHost(house=House())
    async with (
        one.house("net", b"1" * 32, lambda: ("a",)) as seen,
        other.house("net", b"2" * 32, lambda: ("b",)),
    ):
        with trio.move_on_after(0.01) as scope:
            await anext(seen)
        assert scope.cancelled_caught


async def test_it_has_the_hardware_it_was_given() -> None:
    assert await ScriptedHost().hardware() == DESKTOP
    assert DESKTOP.fp32_cu_per_s > 0
