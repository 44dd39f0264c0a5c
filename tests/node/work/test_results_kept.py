# SPDX-License-Identifier: MIT
"""What a worker keeps of orders on its disk: as much as its owner allows, and not for ever."""

import errno
from collections.abc import Sequence
from pathlib import Path

import pytest
import trio

from node.work import working
from node.work.placed import Declined
from node.work.results import INPUTS, OUTPUTS, Results
from node.work.working import FORGET_S
from protocol.budget import BudgetRules
from protocol.order import State
from protocol.reasons import Reason
from tests.node.executor.virtual_time import in_virtual_time
from tests.node.work.made_model import items
from tests.node.work.pair import a_world
from tests.node.work.test_orders import place


@in_virtual_time
async def test_a_file_that_cannot_be_removed_ends_nothing(tmp_path: Path) -> None:
    """A disk that became read-only: a paid order's outputs stay, and the node does, too."""

    def stuck(_orders: Sequence[bytes]) -> int:
        raise OSError(errno.EROFS, "the disk is read-only")

    async with a_world(tmp_path) as world:
        await world.start()
        world.bob.results._drop = stuck  # type: ignore[assignment, method-assign]  # the fault
        for seed in range(2):
            assert (await place(world, seed=seed)).acked
            await trio.sleep(2 * FORGET_S)
        assert world.bob.is_up


@in_virtual_time
async def test_outputs_that_nobody_pays_for_are_let_go_after_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a gift there is no cheque that says they came; who never pays is the same."""
    monkeypatch.setattr(working, "UNPAID_KEPT_S", 2 * FORGET_S)  # a day has many steps
    async with a_world(tmp_path) as world:
        world.bob.gift = "anyone"
        world.bob.rules = BudgetRules(size_cu=100, refill_cu_per_s=1, stranger_line_cu=10)
        await world.start()
        placed = await place(world)
        assert placed.paid == 0
        assert await world.bob.results.read(placed.order, OUTPUTS), "it could be asked for again"
        await trio.sleep(4 * FORGET_S)
        assert await world.bob.results.read(placed.order, OUTPUTS) is None
        assert world.bob.results.total_bytes == 0
        assert world.bob.database.read("SELECT state FROM orders") == [(State.SETTLED,)]


@in_virtual_time
async def test_no_order_is_taken_whose_outputs_the_disk_has_no_room_for(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await world.start()
        asked: list[int] = []

        def may_keep(size_bytes: int) -> tuple[Reason | None, str]:
            asked.append(size_bytes)
            return Reason.DISK_LOW, "the disk is nearly full"

        world.bob.admission._may_keep = may_keep
        with pytest.raises(Declined) as declined:
            await place(world)
        assert declined.value.reason is Reason.DISK_LOW
        assert asked[0] > 0
        assert world.bob.accounts.books.account(world.ann.public).claims == {}


@in_virtual_time
async def test_files_of_which_no_row_tells_are_dropped_at_the_start(tmp_path: Path) -> None:
    """Inputs are written before the row of their order: a crash may come between the two."""
    async with a_world(tmp_path) as world:
        await world.start()
        placed = await place(world)
        ann = world.ann
        await ann.results.keep(b"x" * 32, INPUTS, items(2), bytes(32))
        ann.crash()
        await ann.down.wait()
        other = tmp_path / "ann" / "results" / "a note of its owner"
        other.write_text("what is no file of an order stays")
        await world.start(ann)
        assert await ann.results.read(b"x" * 32, INPUTS) is None
        assert await ann.results.read(placed.order, INPUTS)
        assert other.exists()
        taken = sum(each.stat().st_size for each in other.parent.iterdir())
        assert ann.results.total_bytes == taken


@in_virtual_time
async def test_a_node_that_leaves_takes_nothing_new(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await world.start()
        await world.bob.working.hand_back(Reason.SHUTTING_DOWN, 1.0)
        with pytest.raises(Declined) as declined:
            await place(world)
        assert declined.value.reason is Reason.PAUSED


@in_virtual_time
async def test_what_results_take_is_known_and_counted_anew_at_a_start(tmp_path: Path) -> None:
    async with a_world(tmp_path):
        folder = tmp_path / "some"
        results = Results(folder)
        for count in (3, 1):  # the second takes the place of the first
            await results.keep(b"1", OUTPUTS, items(count), bytes(32))
        await results.keep(b"2", OUTPUTS, items(2), bytes(32))
        taken = sum(each.stat().st_size for each in folder.iterdir())
        assert results.total_bytes == taken > 0
        assert Results(folder).total_bytes == taken
        await results.drop([b"1", b"2", b"3"])
        assert results.total_bytes == 0
