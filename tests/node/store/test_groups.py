# SPDX-License-Identifier: MIT
"""Who shares a commit, who hears of a failure, and what is too much."""

import errno
from collections.abc import Sequence
from pathlib import Path

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from node.store.groups import GROUP_WRITES_MAX, WAITING_WRITES_MAX, Groups, Write
from node.store.trouble import Trouble

PATH = Path("one.db")
FULL = Trouble(PATH, "the disk is full", errno.ENOSPC)


class Disk:
    """Commits when it is told to; notes who was in which group."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self.turn = trio.Event()
        self.trouble: Trouble | None = None

    async def commit(self, writes: Sequence[Write]) -> Trouble | None:
        self.groups.append([sql for write in writes for sql, _ in write.statements])
        await self.turn.wait()
        trouble, self.trouble = self.trouble, None
        return trouble


async def test_those_who_wait_for_the_same_commit_share_the_next_one() -> None:
    disk = Disk()
    groups = Groups(PATH, disk.commit)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(groups.run)
        for name in "abcde":
            nursery.start_soon(groups.write, [(name, ())])
            await wait_all_tasks_blocked()
        disk.turn.set()
        groups.close()
    assert disk.groups == [["a"], ["b", "c", "d", "e"]]


async def test_a_group_has_a_bound() -> None:
    disk = Disk()
    disk.turn.set()
    groups = Groups(PATH, disk.commit)
    async with trio.open_nursery() as nursery:
        for number in range(2 * GROUP_WRITES_MAX + 1):
            nursery.start_soon(groups.write, [(f"{number}", ())])
        await wait_all_tasks_blocked()
        nursery.start_soon(groups.run)
        groups.close()
    assert [len(group) for group in disk.groups] == [GROUP_WRITES_MAX, GROUP_WRITES_MAX, 1]


async def test_what_waits_behind_a_failure_is_not_done_and_what_comes_later_is() -> None:
    """What waited was called by somebody who took what failed for done."""
    disk = Disk()
    disk.trouble = FULL
    groups = Groups(PATH, disk.commit)
    told: list[tuple[str, int | None]] = []

    async def write(name: str) -> None:
        try:
            await groups.write([(name, ())])
        except OSError as error:
            told.append((name, error.errno))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(groups.run)
        for name in "abc":
            nursery.start_soon(write, name)
            await wait_all_tasks_blocked()
        disk.turn.set()
        await wait_all_tasks_blocked()
        nursery.start_soon(write, "d")
        await wait_all_tasks_blocked()
        groups.close()
    assert sorted(told) == [(name, errno.ENOSPC) for name in "abc"]
    assert disk.groups == [["a"], ["d"]]


async def test_a_disk_that_does_not_answer_is_not_waited_for_by_more_and_more() -> None:
    groups = Groups(PATH, Disk().commit)
    for _ in range(WAITING_WRITES_MAX):
        groups._add(Write(()))
    with pytest.raises(OSError, match="10000 writes wait for the disk") as raised:
        await groups.write([])
    assert raised.value.errno == errno.EBUSY


async def test_a_commit_is_not_cancelled_and_what_waits_is_done_before_the_end() -> None:
    disk = Disk()
    groups = Groups(PATH, disk.commit)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(groups.run)
        for name in "ab":
            nursery.start_soon(groups.write, [(name, ())])
            await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
        groups.close()
        disk.turn.set()
    assert disk.groups == [["a"], ["b"]]


async def test_after_a_loss_nobody_is_told_anything() -> None:
    """As after kill -9: neither who waited, nor who comes."""
    disk = Disk()
    groups = Groups(PATH, disk.commit)
    async with trio.open_nursery() as waiting, trio.open_nursery() as nursery:
        nursery.start_soon(groups.run)
        for name in "ab":
            waiting.start_soon(groups.write, [(name, ())])
            await wait_all_tasks_blocked()
        groups.lose()
        waiting.start_soon(groups.write, [("c", ())])
        disk.turn.set()
        await wait_all_tasks_blocked()
        assert len(waiting.child_tasks) == 3
        waiting.cancel_scope.cancel()
    assert disk.groups == [["a"]]
