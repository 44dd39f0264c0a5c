# SPDX-License-Identifier: MIT
"""A node draws its port once and keeps it, and says so when there is none to be had."""

import errno
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from node.errors import ConfigError
from node.ports import DRAWS_MAX, PORT_MAX, PORT_MIN, listening
from node.store.settings import PORT, get
from node.store.store import Database
from node.store.tables import NODE
from simulations.clock import VirtualClock
from simulations.store import SimulatedStore
from tests.node.executor.virtual_time import in_virtual_time

ANY = ("/ip4/0.0.0.0/tcp/0", "/ip6/::/tcp/0")


class Ports:
    """The ports of a machine, some of which are taken."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.taken: set[int] = set()
        self.all_taken = False
        self.error = errno.EADDRINUSE

    @asynccontextmanager
    async def on(self, listen: Sequence[str]) -> AsyncIterator[None]:
        await trio.lowlevel.checkpoint()
        self.asked.append(list(listen))
        if self.all_taken or self.port in self.taken:
            raise OSError(self.error, "as the test wants it")
        yield

    @property
    def port(self) -> int:
        return int(self.asked[-1][0].rpartition("/")[2])


async def listens(
    ports: Ports, database: Database, listen: Sequence[str] = ANY, seed: str = "a"
) -> int:
    async with listening(database, VirtualClock(seed), listen, ports.on):
        return ports.port


@asynccontextmanager
async def a_database(folder: Path) -> AsyncIterator[Database]:
    async with SimulatedStore(folder).open("node", NODE) as database:
        yield database


@in_virtual_time
async def test_a_port_is_drawn_once_and_then_kept(tmp_path: Path) -> None:
    async with a_database(tmp_path) as database:
        ports = Ports()
        drawn = await listens(ports, database)
        assert PORT_MIN <= drawn <= PORT_MAX
        assert ports.asked == [[f"/ip4/0.0.0.0/tcp/{drawn}", f"/ip6/::/tcp/{drawn}"]]
        assert await listens(ports, database, seed="another life") == drawn


@in_virtual_time
async def test_when_somebody_took_it_another_one_is_kept(tmp_path: Path) -> None:
    async with a_database(tmp_path) as database:
        ports = Ports()
        first = await listens(ports, database)
        ports.taken.add(first)
        second = await listens(ports, database)
        assert second != first
        ports.taken.clear()
        assert await listens(ports, database) == second


@in_virtual_time
async def test_the_port_of_the_owner_is_used_and_not_kept(tmp_path: Path) -> None:
    async with a_database(tmp_path) as database:
        ports = Ports()
        assert await listens(ports, database, ["/ip4/0.0.0.0/tcp/4001"]) == 4001
        assert get(database, PORT) is None


@in_virtual_time
async def test_the_port_of_the_owner_that_is_taken_is_an_error(tmp_path: Path) -> None:
    async with a_database(tmp_path) as database:
        ports = Ports()
        ports.taken.add(4001)
        with pytest.raises(OSError, match="change mesh") as raised:
            await listens(ports, database, ["/ip4/0.0.0.0/tcp/4001"])
        assert raised.value.errno == errno.EADDRINUSE
        assert len(ports.asked) == 1


@in_virtual_time
async def test_a_machine_without_free_ports_is_told_what_to_do(tmp_path: Path) -> None:
    async with a_database(tmp_path) as database:
        ports = Ports()
        ports.all_taken = True
        with pytest.raises(ConfigError, match="choose a free one yourself"):
            await listens(ports, database)
        assert len(ports.asked) == DRAWS_MAX
        assert get(database, PORT) is None


@in_virtual_time
async def test_whatever_else_is_wrong_is_not_tried_on_other_ports(tmp_path: Path) -> None:
    async with a_database(tmp_path) as database:
        ports = Ports()
        ports.all_taken, ports.error = True, errno.EACCES
        with pytest.raises(OSError, match="as the test wants it"):
            await listens(ports, database)
        assert len(ports.asked) == 1


@in_virtual_time
async def test_an_address_that_this_machine_has_not_is_the_owners_to_mend(tmp_path: Path) -> None:
    async with a_database(tmp_path) as database:
        ports = Ports()
        ports.all_taken, ports.error = True, errno.EADDRNOTAVAIL
        with pytest.raises(ConfigError, match="choose another one"):
            await listens(ports, database)
