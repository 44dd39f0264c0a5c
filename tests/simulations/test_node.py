# SPDX-License-Identifier: MIT
"""A made node: what is told of it, how it dies, and what it leaves behind."""

from pathlib import Path
from random import Random

import pytest
import trio

from node.desk import Desk
from node.log import Log
from node.mesh.viewing import Viewing
from node.supervised import Supervised
from protocol.frames import Frame
from simulations.folder import made_folder
from simulations.hearing import LINES_MAX
from simulations.machines import LAPTOP, RASPBERRY_PI, SERVER
from simulations.node import made_nodes
from simulations.store import SimulatedStore
from simulations.transport import Net
from tests.node.executor.virtual_time import in_virtual_time
from tests.node.whole_nodes import (
    began,
    friends,
    is_joined,
    knows_all,
    order,
    said,
    some_nodes,
    until,
)

# --- how it dies ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_nodes_that_crash_while_they_start_leave_no_error(tmp_path: Path, seed: int) -> None:
    """Their tasks find the disk gone while they end: this ended the whole world."""
    dice = Random(seed)

    @in_virtual_time
    async def run() -> None:
        async with some_nodes(tmp_path) as nodes:
            made = [nodes.make(f"n{number}") for number in range(4)]
            async with trio.open_nursery() as starting:
                for each in made:
                    starting.start_soon(nodes.start, each.name)
                await trio.sleep(dice.choice([0, 0, 0.001, 0.004, 0.02, 0.5]))
                for _ in range(dice.randrange(20)):
                    await trio.lowlevel.checkpoint()
                for each in made:
                    each.crash()
        assert [each.error for each in made] == [None] * 4
        assert [each.failures for each in made] == [[]] * 4
        assert [each.crashes for each in made] == [1] * 4

    run()


@in_virtual_time
async def test_what_ends_a_life_that_did_not_crash_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def breaks(_self: Desk) -> None:
        await trio.sleep(5)
        raise ZeroDivisionError("a bug that nobody foresaw")

    async with some_nodes(tmp_path) as nodes:
        with monkeypatch.context() as patch:
            patch.setattr(SimulatedStore, "open", lambda *_: breaks)
            with pytest.raises((TypeError, AttributeError)) as failed:
                await nodes.start("ann")
        ann = nodes.by_name["ann"]
        assert ann.error is failed.value
        assert ann.state == "down"
        await nodes.start("ann")
        assert ann.error is None


@in_virtual_time
async def test_a_node_that_does_not_live_can_neither_crash_nor_sleep(tmp_path: Path) -> None:
    async with some_nodes(tmp_path) as nodes:
        ann = nodes.make("ann")
        ann.crash()
        ann.suspend()
        ann.resume()
        await ann.stop()
        assert (ann.crashes, ann.suspends, ann.starts, ann.state) == (0, 0, 0, "down")
        await nodes.start("ann")
        await nodes.restart("ann")
        assert (ann.starts, ann.state, ann.is_up) == (2, "up", True)


@in_virtual_time
async def test_a_crash_that_nobody_hears_of_is_noticed_in_time(tmp_path: Path) -> None:
    async with some_nodes(tmp_path) as nodes:
        ann, bob = await friends(nodes, "ann", "bob")
        bob.crash(is_silent=True)
        await trio.sleep(5)
        assert (bob.state, bob.key in ann.member.mesh.peers) == ("down", True)
        await until(lambda: bob.key not in ann.member.mesh.peers, 60)
        await nodes.start("bob")
        await until(lambda: knows_all(bob, [ann, bob]) and bob.key in ann.member.mesh.peers)
        bob.crash()
        await until(lambda: bob.key not in ann.member.mesh.peers, 2)


# --- what is told of it ---------------------------------------------------------------------------


@in_virtual_time
async def test_what_a_node_contains_is_told_with_its_time_and_counted_as_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Viewing._hear
    trouble: dict[bytes, str] = {}

    def hear(self: Viewing, key: bytes, frame: Frame) -> None:
        if key in trouble:
            raise ZeroDivisionError(trouble[key])
        real(self, key, frame)

    monkeypatch.setattr(Viewing, "_hear", hear)
    async with some_nodes(tmp_path) as nodes:
        ann, bob = await friends(nodes, "ann", "bob")
        trouble[bob.key] = f"in {ann.folder}/x"
        begin_s = trio.current_time()
        await trio.sleep(120)
        assert ann.failures
        assert bob.failures == []
        at_s, unit, what = ann.failures[0].split(" ", 2)
        assert begin_s < float(at_s) < begin_s + 120
        assert unit == "s"
        assert what.startswith("view_message_failed peer=")
        assert what.endswith("ZeroDivisionError('in ~/x')")


@in_virtual_time
async def test_a_task_that_is_supervised_and_one_that_sits_at_the_desk_are_heard(
    tmp_path: Path,
) -> None:
    async with some_nodes(tmp_path) as nodes:
        ann = await began(nodes, "ann")
        bob = await began(nodes, "bob")

        async def breaks() -> None:
            raise ZeroDivisionError("a bug")

        supervised: Supervised = bob.desk.ground.supervised
        done = await bob.does(lambda: _a_while(supervised, breaks))
        assert done is None
        assert len(bob.failures) == 4
        assert all("task_crashed" in each for each in bob.failures)
        assert bob.said.failures_count == 4
        Log().warning("said_by_the_world", number=1)
        assert [each.event for each in nodes.hearing.others.lines] == ["said_by_the_world"]
        assert nodes.hearing.others.failures == []
        assert (ann.failures, list(ann.said.lines)) == ([], [])
        assert isinstance(await bob.does(breaks), ZeroDivisionError)


async def _a_while(supervised: Supervised, breaks: object) -> None:
    with trio.move_on_after(10):
        await supervised.keep("a task", breaks)  # type: ignore[arg-type]  # it is one


@in_virtual_time
async def test_what_is_kept_of_a_node_that_says_much_has_a_bound(tmp_path: Path) -> None:
    async with some_nodes(tmp_path) as nodes:
        ann = await began(nodes, "ann")

        async def says_much() -> None:
            for number in range(2 * LINES_MAX):
                Log().warning("handler_failed", number=number)

        await ann.does(says_much)
        assert len(ann.said.lines) == len(ann.failures) == LINES_MAX
        assert ann.said.failures_count == 2 * LINES_MAX


# --- its machine ----------------------------------------------------------------------------------


@in_virtual_time
async def test_a_laptop_computes_slower_than_a_server(tmp_path: Path) -> None:
    took_s = {}
    async with some_nodes(tmp_path) as nodes:
        ann = await began(nodes, "ann")
        for machine in (RASPBERRY_PI, LAPTOP, SERVER):
            bob = await began(nodes, machine.name, machine=machine)
            await said(bob, "POST", "found", {"name": machine.name, "private": True})
            await until(lambda: len(bob.readies) == 2)  # noqa: B023 - awaited in this round
            invited = await said(bob, "POST", "invite", {})
            await said(ann, "POST", "join", {"text": invited["text"]})
            await until(
                lambda: is_joined(ann) and is_joined(bob) and knows_all(ann, [ann, bob])  # noqa: B023 - as above
            )
            (info,) = await ann.desk.adverts()
            assert info.cores == 2 * machine.executor.threads
            assert info.fp32_mflops == machine.hardware.fp32_mflops
            begin_s = trio.current_time()
            assert (await order(ann, bob, 40)).acked
            took_s[machine.name] = trio.current_time() - begin_s
    assert took_s["raspberry-pi"] > 1.5 * took_s["laptop"] > 2 * took_s["server"]


# --- its disk -------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_backup_brings_back_all_that_was_there_also_the_networks(tmp_path: Path) -> None:
    async with some_nodes(tmp_path) as nodes:
        ann = await began(nodes, "ann")
        key = ann.key
        await said(ann, "POST", "found", {"name": "friends", "private": True})
        await until(lambda: len(ann.readies) == 2)
        backup = ann.backup()
        await said(ann, "POST", "found", {"name": "others", "private": True})
        await until(lambda: len(ann.readies) == 3)
        await ann.stop()
        ann.restore(backup)
        await nodes.start("ann")
        assert (ann.key, ann.readies[0].network) == (key, "friends")
        assert {each.name for each in await ann.desk.networks()} == {"commons", "friends"}
        await ann.stop()
        ann.lose_disk()
        ann.restore(backup)
        await nodes.start("ann")
        assert (ann.key, ann.readies[0].network) == (key, "friends")
        assert ann.failures == []


@pytest.mark.parametrize("keeps_key", [True, False])
def test_a_node_on_a_new_disk_begins_anew_with_its_key_or_another(
    tmp_path: Path, keeps_key: bool
) -> None:
    @in_virtual_time
    async def run() -> None:
        async with some_nodes(tmp_path) as nodes:
            ann, bob = await friends(nodes, "ann", "bob")
            key = bob.key
            bob.crash()
            await bob.over.wait()
            bob.lose_disk(keeps_key=keeps_key)
            await nodes.start("bob")
            assert (bob.key == key) is keeps_key
            assert bob.readies[0].network == "commons"
            invited = await said(ann, "POST", "invite", {})
            await said(bob, "POST", "join", {"text": invited["text"]})
            await until(lambda: knows_all(ann, [ann, bob]) and knows_all(bob, [ann, bob]))
            assert ann.failures == bob.failures == []

    run()


# --- where its files are --------------------------------------------------------------------------


def test_a_folder_in_memory_is_taken_where_there_is_one(tmp_path: Path) -> None:
    with made_folder(tmp_path) as folder:
        assert folder.parent == tmp_path
        (folder / "file").touch()
    assert list(tmp_path.iterdir()) == []
    with made_folder(tmp_path / "not there") as folder:
        assert folder.is_dir()
        assert tmp_path not in folder.parents


@in_virtual_time
async def test_nodes_without_a_folder_have_one_while_they_are_there() -> None:
    async with made_nodes(Net()) as nodes:
        ann = await nodes.start("ann")
        assert ann.paths.state.is_dir()
    assert not ann.folder.exists()
