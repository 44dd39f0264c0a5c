# SPDX-License-Identifier: MIT
"""Coming in, and coming back: alone, cut off, started anew, or with a bootstrap that is dead."""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
import trio

from node.host.host import Host, Seen
from node.mesh.discovery import HOUSE_MAX, bootstrap_of
from node.network import Network
from node.store.store import Cell, Statement
from node.store.tables import NETWORK
from protocol.keys import Keypair, peer_id
from simulations.store import SimulatedStore
from tests.node.executor.virtual_time import in_virtual_time
from tests.node.mesh.made_mesh import OPEN, MadeMesh, MadeNode, made_mesh


class Shelf:
    """The table of adverts of one node, as a database of one table would keep it."""

    def __init__(self) -> None:
        self.rows: dict[bytes, tuple[Cell, ...]] = {}
        self.writes: list[list[Statement]] = []

    async def write(self, statements: Iterable[Statement]) -> None:
        await trio.lowlevel.checkpoint()
        mine = [each for each in statements if " adverts " in each[0]]
        if mine:
            self.writes.append(mine)
        for sql, cells in mine:
            node = cells[0]
            assert isinstance(node, bytes)
            if sql.startswith("DELETE"):
                del self.rows[node]
            else:
                self.rows[node] = tuple(cells)

    def read(self, sql: str, _parameters: Sequence[Cell] = ()) -> list[tuple[Cell, ...]]:
        if "adverts" not in sql:
            return []
        return sorted((row[1:] for row in self.rows.values()), key=lambda row: (-row[1], row[2]))  # type: ignore[operator]  # integers, as written


class House:
    """A host of which only mDNS is used: it tells whatever it is given."""

    def __init__(self) -> None:
        self.tell, self._told = trio.open_memory_channel[Seen](100)
        self.names: list[str] = []
        self.addresses: Callable[[], tuple[str, ...]] = tuple

    @asynccontextmanager
    async def house(
        self, name: str, _peer: bytes, addresses: Callable[[], tuple[str, ...]]
    ) -> AsyncIterator[AsyncIterator[Seen]]:
        self.names.append(name)
        self.addresses = addresses
        yield self._told


def as_host(house: House) -> Host:
    return cast("Any", house)  # type: ignore[no-any-return]  # the rest of a host is not used


@pytest.mark.slow
@in_virtual_time
async def test_a_node_that_is_alone_goes_on_trying_for_ever() -> None:
    async with made_mesh() as world:
        first = await world.start("first")
        await world.kill(first)
        second = await world.start("second", first)
        await trio.sleep(4 * 3600)
        assert second.viewing.is_alone
        # Once a minute, more or less: neither a flood of dials nor a node that has given up.
        assert 4 * 60 * 0.7 <= second.discovery.tries <= 4 * 60 * 1.5
        await world.start("first")
        assert await world.until(world.all_know_all, 120) < 90


@in_virtual_time
async def test_at_first_it_tries_soon() -> None:
    async with made_mesh() as world:
        first = await world.start("first")
        await world.kill(first)
        await world.start("second", first)
        await trio.sleep(3)
        await world.start("first")
        assert await world.until(world.all_know_all, 30) < 12


@in_virtual_time
async def test_a_node_without_any_address_waits_until_somebody_finds_it() -> None:
    async with made_mesh() as world:
        first = await world.start("first")
        await trio.sleep(3600)
        assert first.discovery.tries == 0
        await world.start("second", first)
        await world.until(world.all_know_all, 30)


async def two_halves(world: MadeMesh) -> tuple[list[MadeNode], list[MadeNode]]:
    first = await world.start("first")
    nodes = [first, *await world.start_many(3, first)]
    await world.until(world.all_know_all, 60)
    await trio.sleep(120)
    return nodes[:2], nodes[2:]


@pytest.mark.slow
@in_virtual_time
async def test_two_halves_that_were_apart_for_twenty_minutes_come_together() -> None:
    async with made_mesh() as world:
        one, other = await two_halves(world)
        world.cut(one, other)
        await trio.sleep(20 * 60)
        assert not world.is_one_mesh()
        world.heal(one, other)
        await world.until(lambda: world.is_one_mesh() and world.all_know_all(), 1800)


@pytest.mark.slow
@in_virtual_time
async def test_two_halves_that_have_forgotten_each_other_come_together() -> None:
    """After an hour no advert of the other half is in force: what is left is the cache."""
    async with made_mesh() as world:
        one, other = await two_halves(world)
        world.cut(one, other)
        await trio.sleep(3900)
        assert all(not {each.key for each in other} & node.known for node in one)
        world.heal(one, other)
        await world.until(lambda: world.is_one_mesh() and world.all_know_all(), 3600)


@in_virtual_time
async def test_newcomers_come_in_when_the_bootstrap_is_dead_for_ever() -> None:
    async with made_mesh() as world:
        first = await world.start("first")
        others = await world.start_many(3, first)
        await world.until(world.all_know_all)
        await world.kill(first)
        # What an invite of another member has: its own address, and that of the dead one.
        newcomer = await world.start("newcomer", first, others[0])
        await world.until(lambda: {each.key for each in others} <= newcomer.known, 90)


@in_virtual_time
async def test_a_node_that_starts_again_needs_no_bootstrap() -> None:
    async with made_mesh() as world:
        first = await world.start("first")
        others = await world.start_many(2, first)
        shelf = Shelf()
        node = await world.start("node", first, database=shelf)
        await world.until(world.all_know_all)
        await node.stop()
        assert len(shelf.rows) == 3
        await world.kill(first)
        again = await world.start("node", database=shelf)
        assert again.known == {first.key, *(each.key for each in others)}
        await world.until(lambda: not again.viewing.is_alone, 60)


@in_virtual_time
async def test_a_node_that_was_off_for_a_week_comes_back_by_its_old_adverts() -> None:
    async with made_mesh() as world:
        first = await world.start("first")
        shelf = Shelf()
        node = await world.start("node", first, database=shelf)
        await world.until(world.all_know_all)
        await node.stop()
        await first.stop()
        await trio.sleep(7 * 86_400)
        await world.start("first")
        again = await world.start("node", database=shelf)
        assert again.known == set()
        await world.until(world.all_know_all, 60)


@pytest.mark.slow
@in_virtual_time
async def test_the_cache_is_written_when_it_changed_and_only_what_changed() -> None:
    async with made_mesh() as world:
        first = await world.start("first")
        shelf = Shelf()
        node = await world.start("node", first, database=shelf)
        await world.until(world.all_know_all)
        await trio.sleep(3600)
        assert 1 <= len(shelf.writes) <= 5
        assert all(len(each) == 1 for each in shelf.writes)
        await node.stop()


@in_virtual_time
async def test_the_cache_is_kept_by_the_store() -> None:
    async with made_mesh() as world:
        first = await world.start("first")
        others = await world.start_many(2, first)
        store = SimulatedStore(Path("/nowhere"))
        async with store.open("made", NETWORK) as database:
            node = await world.start("node", first, database=database)
            await world.until(world.all_know_all)
            await trio.sleep(120)
            await node.stop()
        store.crash()
        async with store.open("made", NETWORK) as database:
            again = await world.start("node", database=database)
            assert again.known == {first.key, *(each.key for each in others)}
            met = [entry.known.node for entry in again.viewing.view.directory if entry.met]
            assert first.key in met
            await again.stop()


@in_virtual_time
async def test_broken_rows_of_the_cache_are_left_out() -> None:
    async with made_mesh() as world:
        first = await world.start("first")
        shelf = Shelf()
        node = await world.start("node", first, database=shelf)
        await world.until(world.all_know_all)
        await node.stop()
        good = shelf.rows[first.key]
        for number, wire in enumerate((b"", b"x" * 200, None, "text")):
            shelf.rows[bytes([number]) * 32] = (bytes([number]) * 32, wire, 1, 0)
        again = await world.start("node", database=shelf)
        assert again.known == {first.key}
        assert shelf.rows[first.key] == good


@in_virtual_time
async def test_nodes_of_one_house_find_each_other() -> None:
    async with made_mesh() as world:
        first = await world.start("first")
        house = House()
        second = await world.start("second", host=as_host(house))
        await trio.sleep(1)
        assert house.names == [OPEN.id.hex()]
        assert house.addresses() == (f"/ip4/{second.host}/tcp/4001",)
        await house.tell.send(Seen(first.key, (f"/ip4/{first.host}/tcp/4001",)))
        await world.until(world.all_know_all, 30)


@in_virtual_time
async def test_a_house_full_of_liars_is_remembered_in_bounds_and_harms_nobody() -> None:
    async with made_mesh() as world:
        first = await world.start("first")
        house = House()
        second = await world.start("second", first, host=as_host(house))
        for number in range(3 * HOUSE_MAX):
            key = number.to_bytes(32, "big")
            await house.tell.send(Seen(key, ("/ip4/10.9.9.9/tcp/1", "nonsense")))
        await house.tell.send(Seen(second.key, (f"/ip4/{second.host}/tcp/4001",)))
        await world.until(lambda: len(second.discovery.house) == HOUSE_MAX, 3600)
        await trio.sleep(60)
        assert second.viewing.neighbours == {first.key}


@in_virtual_time
async def test_a_full_disk_costs_the_cache_and_no_company() -> None:
    class Full(Shelf):
        async def write(self, statements: Iterable[Statement]) -> None:  # noqa: ARG002 - as its base
            await trio.lowlevel.checkpoint()
            raise OSError(28, "No space left on device")

    async with made_mesh() as world:
        first = await world.start("first")
        node = await world.start("node", first, database=Full())
        await trio.sleep(700)
        assert node.viewing.neighbours == {first.key}
        await node.stop()


@in_virtual_time
async def test_a_failing_disk_does_not_hold_the_end_of_the_node_up() -> None:
    class Full(Shelf):
        async def write(self, statements: Iterable[Statement]) -> None:  # noqa: ARG002 - as its base
            await trio.sleep_forever()

    async with made_mesh() as world:
        first = await world.start("first")
        node = await world.start("node", first, database=Full())
        await world.until(world.all_know_all)
        begin_s = trio.current_time()
        await node.stop()
        assert trio.current_time() - begin_s <= 10


def test_the_owners_bootstrap_comes_before_that_of_invites() -> None:
    one, other = (peer_id(Keypair(bytes([number]) * 32).public) for number in (1, 2))
    network = Network(
        "n", bytes(16), {}, (f"/ip4/192.0.2.1/tcp/1/p2p/{one}", f"/ip4/192.0.2.2/tcp/1/p2p/{one}")
    )
    dials = bootstrap_of(network, (f"/ip4/192.0.2.3/tcp/1/p2p/{other}", "/ip4/192.0.2.3/tcp/1"))
    assert [len(dial.addresses) for dial in dials] == [1, 2]
    assert dials[0].key == Keypair(b"\x02" * 32).public


@in_virtual_time
async def test_in_a_private_network_an_invite_leads_to_members_that_came_by_themselves() -> None:
    """Whom all came in by has chosen nobody, and its invites must not die with it."""
    async with made_mesh(Network("school", bytes(16), {1: b"1" * 32})) as world:
        first = await world.start("first")
        second = await world.start("second", first)
        await trio.sleep(90)
        assert first.discovery.references() == (second.address,)
    async with made_mesh() as world:
        first = await world.start("first")
        await world.start("second", first)
        await trio.sleep(90)
        assert first.discovery.references() == ()


@in_virtual_time
async def test_an_invite_leads_to_neighbours_that_have_stayed() -> None:
    async with made_mesh() as world:
        first = await world.start("first")
        second = await world.start("second", first)
        await trio.sleep(30)
        assert second.discovery.references() == ()
        await trio.sleep(60)
        assert second.discovery.references() == (first.address,)
        newcomer = await world.start("newcomer", *second.discovery.references())
        await world.until(lambda: first.key in newcomer.known)
