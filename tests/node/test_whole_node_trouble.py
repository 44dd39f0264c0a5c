# SPDX-License-Identifier: MIT
"""Whole nodes in trouble: full disks, tasks that crash, other networks. The node stays."""

import errno
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio

from node.config import Config, CreditConfig, GovernorConfig
from node.main import AGAIN_S
from node.mesh.behaviour import Behaviour
from node.mesh.discovery import Discovery
from node.mesh.viewing import Viewing
from node.supervised import words
from node.work.accounts import RETRY_S
from node.work.governing import Governing
from node.work.working import Working
from protocol.errors import Refused
from protocol.reasons import Reason
from simulations.executor import SimulatedExecutor
from simulations.node import MadeNode
from tests.node.executor.virtual_time import in_virtual_time
from tests.node.whole_nodes import (
    PAID,
    agreed,
    began,
    does,
    events,
    friends,
    is_joined,
    knows_all,
    moved,
    order,
    ordering,
    said,
    slow,
    some_nodes,
    totals,
    until,
)
from tests.node.work.made_model import DIGEST


async def notes(node: MadeNode) -> list[str]:
    told = await said(node, "GET", "status")
    return list(told["notes"])


class FullDisk:
    """Refuses to write into some databases while it is full."""

    def __init__(self, node: MadeNode) -> None:
        self.is_full: Callable[[str], bool] = lambda _name: False
        node.watch = self

    def __call__(self, name: str, _sql: str) -> None:
        if self.is_full(name):
            raise OSError(errno.ENOSPC, "the disk is full")


# --- networks ---------------------------------------------------------------------------------


@in_virtual_time
async def test_balances_are_back_with_their_network(tmp_path: Path) -> None:
    async with some_nodes(tmp_path) as nodes:
        ann, bob = await friends(nodes, "ann", "bob")
        placed = await order(ann, bob)
        await moved([ann, bob], "commons")
        for each in (ann, bob):
            status = await said(each, "GET", "status")
            assert status["credit"]["balance_cu"] == 0
            assert status["network"]["name"] == "commons"
        await moved([ann, bob], "friends")
        assert len({ready.addresses for ready in bob.readies}) == 1
        await until(lambda: knows_all(ann, [ann, bob]) and bob.key in ann.member.mesh.peers)
        assert agreed(ann, bob) == (placed.price, 0)
        again = await order(ann, bob, seed=1)
        assert agreed(ann, bob) == (placed.price + again.price, 0)


@in_virtual_time
async def test_work_that_runs_when_the_network_is_changed_is_ended_or_given_back(
    tmp_path: Path,
) -> None:
    async with some_nodes(tmp_path) as nodes:
        ann, bob = await friends(nodes, "ann", "bob", faults=slow("bob", 100.0))
        async with ordering(ann, bob) as told:
            await trio.sleep(5)
            await said(bob, "POST", "use", {"network": "commons"})
            await until(lambda: bob.readies[-1].network == "commons", 60)
        assert isinstance(told[0], Refused)
        assert totals(ann, bob) == (0, 0)


@in_virtual_time
async def test_a_network_that_cannot_be_entered_does_not_end_the_node(tmp_path: Path) -> None:
    async with some_nodes(tmp_path) as nodes:
        node = await began(nodes, "ann")
        disk = FullDisk(node)
        disk.is_full = lambda name: name.startswith("network")
        await said(node, "POST", "found", {"name": "friends"})
        await until(lambda: any("cannot be entered" in each for each in node.desk._notes()))
        await trio.sleep(10 * AGAIN_S)
        (note,) = await notes(node)
        assert "the disk is full" in note
        assert len(events(node, "network_not_entered")) == 1  # it is not told again and again
        status = await said(node, "GET", "status")
        assert status["network"] is None
        with pytest.raises(Refused) as refused:
            await node.desk.peers()
        assert refused.value.reason is Reason.RECOVERING

        disk.is_full = lambda _name: False
        assert await until(lambda: is_joined(node)) <= AGAIN_S + 1
        assert await notes(node) == []
        assert node.readies[-1].network == "friends"


@in_virtual_time
async def test_another_network_is_entered_at_once_where_one_cannot_be(tmp_path: Path) -> None:
    async with some_nodes(tmp_path) as nodes:
        node = await began(nodes, "ann")
        disk = FullDisk(node)
        friends_id = (await said(node, "POST", "found", {"name": "friends"}))["network"]["id"]
        await until(lambda: node.readies[-1].network == "friends")
        await said(node, "POST", "use", {"network": "commons"})
        await until(lambda: node.readies[-1].network == "commons")
        disk.is_full = lambda name: friends_id in name
        await said(node, "POST", "use", {"network": "friends"})
        await until(lambda: bool(node.desk._notes()))
        await said(node, "POST", "use", {"network": "commons"})
        assert await until(lambda: is_joined(node)) < AGAIN_S / 2


@in_virtual_time
async def test_a_node_that_cannot_begin_says_so_and_ends(tmp_path: Path) -> None:
    async with some_nodes(tmp_path) as nodes:
        node = nodes.make("ann", PAID)
        FullDisk(node).is_full = lambda name: name.startswith("network")
        with pytest.raises(Exception) as failed:  # noqa: PT011 - its words are looked at
            await nodes.start("ann")
        assert "the disk is full" in words(failed.value)
        assert node.over.is_set()
        assert node.host.served == {}


# --- disks ------------------------------------------------------------------------------------


@in_virtual_time
async def test_accounts_that_a_full_disk_stopped_are_shown_and_go_on_when_it_has_room(
    tmp_path: Path,
) -> None:
    async with some_nodes(tmp_path) as nodes:
        ann, bob = await friends(nodes, "ann", "bob")
        first = await order(ann, bob)
        disk = FullDisk(bob)
        disk.is_full = lambda name: name.startswith("network")
        refusal = await does(ann, lambda: order(ann, bob, seed=1, ttl_s=60))
        assert isinstance(refusal, Exception)
        assert any("The accounts stand still" in each for each in await notes(bob))
        assert events(bob, "accounts_stopped")
        disk.is_full = lambda _name: False
        await until(lambda: not bob.member.accounts.stopped, 2 * RETRY_S)
        assert await notes(bob) == []
        await trio.sleep(120)
        second = await order(ann, bob, seed=2)
        assert second.acked
        signed, held = agreed(ann, bob)
        assert signed >= first.price + second.price
        assert held == 0


# --- tasks ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "owner", "method"),
    [
        ("view", Viewing, "run"),
        ("discovery", Discovery, "run"),
        ("behaviour", Behaviour, "keep"),
        ("governor", Governing, "run"),
    ],
)
def test_a_task_that_crashes_is_shown_and_begins_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, owner: type, method: str
) -> None:
    real: Callable[[object], Awaitable[None]] = getattr(owner, method)
    crashes = 0

    async def crashes_once(self: object) -> None:
        nonlocal crashes
        crashes += 1
        if crashes > 1:
            await real(self)
        with trio.move_on_after(5):
            await real(self)
        raise ZeroDivisionError("a bug that nobody foresaw")

    @in_virtual_time
    async def run() -> None:
        async with some_nodes(tmp_path) as nodes:
            with monkeypatch.context() as patch:
                patch.setattr(owner, method, crashes_once)
                ann = await began(nodes, "ann")
                await trio.sleep(6)
            (note,) = await notes(ann)
            assert note.startswith(f"The task `{name}` has crashed 1 times")
            assert "a bug that nobody foresaw" in note
            await trio.sleep(2)
            assert crashes == 2
            bob = await began(nodes, "bob")
            await said(ann, "POST", "found", {"name": "friends", "private": True})
            await until(lambda: len(ann.readies) == 2)
            invited = await said(ann, "POST", "invite", {})
            await said(bob, "POST", "join", {"text": invited["text"]})
            await until(lambda: knows_all(ann, [ann, bob]) and knows_all(bob, [ann, bob]))
            await trio.sleep(600)
            assert await notes(ann) == []
            assert (await order(ann, bob)).acked

    run()


def test_a_bug_where_nobody_looks_costs_the_membership_and_not_the_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crashes(_self: object) -> None:
        await trio.sleep(5)
        raise ZeroDivisionError("a bug that nobody foresaw")

    @in_virtual_time
    async def run() -> None:
        async with some_nodes(tmp_path) as nodes:
            with monkeypatch.context() as patch:
                patch.setattr(Working, "_forget_old", crashes)
                node = await began(nodes, "ann")
                await until(lambda: node.desk.member is None, 10)
            assert any("a bug that nobody foresaw" in each for each in await notes(node))
            await until(lambda: is_joined(node), 2 * AGAIN_S)
            assert await notes(node) == []
            assert not node.over.is_set()

    run()


@in_virtual_time
async def test_nodes_with_the_same_models_are_kept_in_mind(tmp_path: Path) -> None:
    """The places for them in the directory follow what is at hand, without another start."""
    async with some_nodes(tmp_path) as nodes:
        ann, _bob = await friends(nodes, "ann", "bob")
        assert ann.member.viewing.view.directory.models == {DIGEST}
        await ann.desk.ground.library.remove(DIGEST)
        assert ann.member.viewing.view.directory.models == set()


# --- the owner's word -------------------------------------------------------------------------


@in_virtual_time
async def test_a_pause_survives_a_restart_and_ends_in_its_time(tmp_path: Path) -> None:
    async with some_nodes(tmp_path) as nodes:
        ann, bob = await friends(nodes, "ann", "bob")
        await said(bob, "POST", "pause", {"for_s": 3600})
        bob.crash()
        await trio.sleep(600)
        await nodes.start("bob")
        standing = (await said(bob, "GET", "status"))["standing"]
        assert (standing["works"], standing["state"]) == (False, "paused")
        assert standing["resumes_in_s"] == pytest.approx(3000, abs=30)
        await until(lambda: bob.key in ann.member.mesh.peers)
        refusal = await does(ann, lambda: order(ann, bob))
        assert isinstance(refusal, Refused)
        assert refusal.reason is Reason.PAUSED
        await trio.sleep(3100)
        assert (await said(bob, "GET", "status"))["standing"]["works"]
        assert (await order(ann, bob)).acked


@in_virtual_time
async def test_memory_is_freed_as_soon_as_the_last_order_has_ended(tmp_path: Path) -> None:
    """Not after the whole time that running work is given."""
    config = Config(governor=GovernorConfig(drain_s=300.0), credit=CreditConfig(gift="none"))
    async with some_nodes(tmp_path) as nodes:
        ann, bob = await friends(nodes, "ann", "bob", config=config, faults=slow("bob", 10.0))
        executor = bob.desk.ground.world.executor
        assert isinstance(executor, SimulatedExecutor)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(does, ann, lambda: order(ann, bob, 1))
            await trio.sleep(5)
            assert len(bob.member.working) == 1
            await said(bob, "POST", "pause", {})
            assert executor.memory_bytes > 0
            took_s = await until(lambda: executor.memory_bytes == 0)
            assert 2 < took_s < 12
        await until(lambda: totals(ann, bob) != (0, 0))
        assert agreed(ann, bob)[0] > 0


@in_virtual_time
async def test_limits_hold_from_the_next_moment_on(tmp_path: Path) -> None:
    async with some_nodes(tmp_path) as nodes:
        ann, bob = await friends(nodes, "ann", "bob")
        before = (await said(ann, "GET", "peers?all=1"))["adverts"][0]["disk_mib"]
        changes = {"governor.disk_mib": 128, "governor.upload_kib_s": 100}
        told = await said(bob, "POST", "limits", {"changes": changes})
        assert told["limits"]["governor.disk_mib"] == 128
        assert bob.desk.ground.up.bytes_per_s == 100 << 10
        await until(
            lambda: [each.advert.disk_mib for each in ann.member.viewing.adverts()] == [128],
            1000,
        )
        assert before != 128
        await said(bob, "POST", "limits", {"changes": {"governor.memory_free_mib": 1 << 20}})
        await trio.sleep(30)
        refusal = await does(ann, lambda: order(ann, bob))
        assert isinstance(refusal, Refused)
        assert refusal.reason is Reason.PAUSED
        standing = (await said(bob, "GET", "status"))["standing"]
        assert (standing["works"], standing["reason"]) == (False, "memory_low")
