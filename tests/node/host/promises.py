# SPDX-License-Identifier: MIT
"""What every host promises, as checks for any implementation: the machine's, and a scripted one.

A test module has a fixture `world`, and a test that takes `promise` from PROMISES.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trio

from node.errors import ConfigError
from node.host.host import Host, Seen

FIRST, SECOND, THIRD = (bytes([number]) * 32 for number in (1, 2, 3))
ADDRESS = "/ip4/127.0.0.1/tcp/4001"


@dataclass
class HostWorld:
    """Makes hosts that stand in one house, and a folder for their sockets."""

    make: Callable[[], Host]
    folder: Path

    @property
    def socket(self) -> str:
        return str(self.folder / "run" / "control.sock")


async def app(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"here"})


async def a_look_gives_figures_that_make_sense(world: HostWorld) -> None:
    host = world.make()
    for _ in range(2):
        seen = await host.sense()
        assert 0 <= seen.others_percent <= 100
        assert seen.memory_free_mib > 0
        assert seen.disk_free_mib > 0
        assert seen.idle_s is None or seen.idle_s >= 0
        assert seen.on_battery in {None, False, True}
        assert 0 <= seen.weekday < 7
        assert 0 <= seen.minute < 24 * 60


async def a_second_node_in_the_same_place_is_refused(world: HostWorld) -> None:
    async with world.make().serve(app, world.socket):
        with pytest.raises(ConfigError, match="another node is running here"):
            async with world.make().serve(app, world.socket):
                pass


async def a_place_is_free_again_after_its_node(world: HostWorld) -> None:
    for _ in range(2):
        async with world.make().serve(app, world.socket):
            pass


async def nodes_of_one_network_find_each_other(world: HostWorld) -> None:
    async with (
        world.make().house("ours", FIRST, lambda: (ADDRESS,)) as seen_by_first,
        world.make().house("ours", SECOND, lambda: (ADDRESS,)) as seen_by_second,
    ):
        with trio.fail_after(10):
            assert await anext(seen_by_first) == Seen(SECOND, (ADDRESS,))
            assert await anext(seen_by_second) == Seen(FIRST, (ADDRESS,))


async def nodes_of_another_network_are_not_found(world: HostWorld) -> None:
    async with (
        world.make().house("theirs", FIRST, lambda: (ADDRESS,)),
        world.make().house("ours", SECOND, lambda: (ADDRESS,)) as seen,
        world.make().house("ours", THIRD, lambda: (ADDRESS,)),
    ):
        with trio.fail_after(10):
            assert (await anext(seen)).peer == THIRD


async def telling_the_manager_is_always_fine(world: HostWorld) -> None:
    world.make().notify({"READY": "1", "STATUS": "two\nlines"})


Promise = Callable[[HostWorld], Awaitable[None]]

PROMISES: tuple[Promise, ...] = (
    a_look_gives_figures_that_make_sense,
    a_second_node_in_the_same_place_is_refused,
    a_place_is_free_again_after_its_node,
    nodes_of_one_network_find_each_other,
    nodes_of_another_network_are_not_found,
    telling_the_manager_is_always_fine,
)
