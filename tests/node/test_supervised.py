# SPDX-License-Identifier: MIT
"""Tests of `node.supervised`: a task that crashes begins again, and the owner is told."""

from itertools import pairwise
from pathlib import Path

import pytest
import trio

from node.mesh.viewing import Viewing
from node.supervised import HEALTHY_S
from tests.node.executor.virtual_time import in_virtual_time
from tests.node.whole_nodes import friends, order, said, some_nodes


@in_virtual_time
async def test_a_task_that_crashes_begins_again_and_the_status_says_so_until_it_has_recovered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug ends the view of a whole node twice; the node stays, and works with its friend."""
    runs: list[float] = []
    view = Viewing.run

    async def crashing(viewing: Viewing) -> None:
        runs.append(trio.current_time())
        if len(runs) < 3:
            raise ZeroDivisionError("a bug that was planted")
        await view(viewing)

    async with some_nodes(tmp_path) as nodes:
        monkeypatch.setattr(Viewing, "run", crashing)
        ann = await nodes.start("ann")
        await trio.sleep(10)
        assert [round(later - first) for first, later in pairwise(runs)] == [1, 2]
        (note,) = (await said(ann, "GET", "status"))["notes"]
        assert "`view`" in note
        assert "2 times" in note
        assert "ZeroDivisionError: a bug that was planted" in note
        monkeypatch.setattr(Viewing, "run", view)
        await trio.sleep(HEALTHY_S)
        assert (await said(ann, "GET", "status"))["notes"] == []


@in_virtual_time
async def test_a_node_whose_task_has_crashed_still_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crashed: list[str] = []
    view = Viewing.run

    async def crashing(viewing: Viewing) -> None:
        if not crashed:
            crashed.append("once")
            raise ZeroDivisionError("a bug that was planted")
        await view(viewing)

    async with some_nodes(tmp_path) as nodes:
        monkeypatch.setattr(Viewing, "run", crashing)
        ann, bob = await friends(nodes, "ann", "bob")
        assert (await order(ann, bob)).acked
