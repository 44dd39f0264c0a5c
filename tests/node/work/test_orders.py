# SPDX-License-Identifier: MIT
"""Whole orders between two honest nodes."""

from pathlib import Path

import pytest
import trio

from node.work.left_open import LATER_S
from node.work.placed import Declined, Ordered, Phase, Placed
from node.work.results import INPUTS, OUTPUTS
from protocol.budget import BudgetRules
from protocol.errors import Refused
from protocol.order import State
from protocol.reasons import Reason
from tests.node.executor.virtual_time import in_virtual_time
from tests.node.work.made_model import DIGEST, items
from tests.node.work.pair import World, a_world


async def place(world: World, count: int = 2, seed: int = 0) -> Placed:
    ann = world.ann
    return await ann.requester.place(world.bob.public, ann.model(), items(count, seed=seed))


@in_virtual_time
async def test_an_order_is_computed_checked_and_paid(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await world.start()
        ann, bob = world.ann, world.bob
        phases: list[Phase] = []
        placed = await ann.requester.place(
            bob.public, ann.model(), items(3), progress=phases.append
        )
        assert phases == list(Phase)
        assert (placed.wrong, placed.checked, placed.acked) == (None, 3, True)
        assert placed.paid == placed.price > 0
        assert len(placed.outputs) == 3
        assert await world.agree() == (placed.price, 0)
        for node, role in ((ann, "requester"), (bob, "worker")):
            rows = node.database.read("SELECT role, state, items, price FROM orders")
            assert rows == [(role, State.SETTLED, 3, placed.price)]


@in_virtual_time
async def test_outputs_are_kept_by_who_paid_and_dropped_by_who_was_paid(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await world.start()
        placed = await place(world)
        kept = await world.ann.results.read(placed.order, OUTPUTS)
        assert kept
        assert kept[1] == placed.outputs
        assert (await world.ann.results.read(placed.order, INPUTS) or [None, None])[1] == items(2)
        await trio.sleep(1)
        assert await world.bob.results.read(placed.order, OUTPUTS) is None


@in_virtual_time
async def test_both_may_work_for_each_other_and_what_is_owed_is_redeemed(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await world.start()
        ann, bob = world.ann, world.bob
        placed = await place(world)
        back = await bob.requester.place(ann.public, bob.model(), items(2, seed=1))
        assert await world.agree() == (placed.price, back.price)
        assert ann.accounts.books.account(bob.public).net == 0


@in_virtual_time
async def test_four_orders_at_once_all_come_right(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await world.start()
        done: list[Placed] = []

        async def one(seed: int) -> None:
            done.append(await place(world, seed=seed))

        async with trio.open_nursery() as nursery:
            for seed in range(4):
                nursery.start_soon(one, seed)
        assert all(each.acked and each.wrong is None for each in done)
        assert await world.agree() == (sum(each.price for each in done), 0)
        assert world.bob.admission.is_idle


@in_virtual_time
async def test_a_checked_history_lets_a_worker_be_checked_less(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await world.start()
        checked = [(await place(world, 1, seed)).checked for seed in range(40)]
        assert checked[0] == 1
        assert 3 < sum(checked) < 30
        total, _ = await world.agree()
        assert world.ann.accounts.history(world.bob.public) == total


@in_virtual_time
async def test_who_has_no_credit_gets_idle_time_if_the_owner_gives_it(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        world.bob.rules = BudgetRules(size_cu=100, refill_cu_per_s=1, stranger_line_cu=10)
        await world.start()
        try:
            await place(world)
        except Declined as declined:
            assert declined.reason in (Reason.CREDIT_LINE, Reason.BUDGET_EXHAUSTED)
            assert declined.retry_s == 600
        else:
            raise AssertionError("nobody lends so much")
        world.bob.admission._gift = 1
        placed = await place(world)
        assert (placed.paid, placed.acked, placed.wrong) == (0, True, None)
        assert await world.agree() == (0, 0)
        states = {str(row[0]) for row in world.ann.database.read("SELECT state FROM orders")}
        assert states == {State.SETTLED, State.CANCELLED}


@in_virtual_time
async def test_a_model_that_the_worker_lacks_is_fetched_from_who_orders_it(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        world.bob.knows = False
        await world.start()
        try:
            await place(world)
        except Declined as declined:
            assert declined.reason is Reason.MODEL_UNKNOWN
            await trio.sleep(declined.retry_s)
        assert world.bob.library.find(DIGEST)
        assert (await place(world)).acked


@in_virtual_time
async def test_a_model_that_may_not_be_fetched_is_refused_with_that_reason(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        world.bob.knows = False

        async def spent(*_: object) -> tuple[Reason, str]:
            await trio.lowlevel.checkpoint()
            return Reason.QUOTA_SPENT, "enough for today"

        world.bob.may_fetch = spent
        await world.start()
        reasons = []
        for _ in range(2):
            try:
                await place(world)
            except Declined as declined:
                reasons.append(declined.reason)
            await trio.sleep(2)
        assert reasons == [Reason.MODEL_UNKNOWN, Reason.QUOTA_SPENT]


@in_virtual_time
async def test_a_caller_that_leaves_calls_its_order_off(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await world.start()
        with trio.move_on_after(1):
            await place(world, 50)
        await trio.sleep(1)
        assert len(world.bob.working) == 0
        assert "order_cancelled" in [event for event, _ in world.bob.posts]
        # What was begun stays its debt, and blocks nothing.
        (claim,) = world.bob.accounts.books.account(world.ann.public).claims.values()
        assert 0 < claim.held < 50 * 50_002
        assert (await place(world)).acked


@in_virtual_time
async def test_a_result_is_asked_for_again_while_it_is_still_computed(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await world.start()
        done: list[Placed] = []

        async def one() -> None:
            done.append(await place(world, 40))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(one)
            for _ in range(3):
                await trio.sleep(1.7)
                assert len(world.bob.working) == 1
                world.part()
        (placed,) = done
        assert (placed.wrong, placed.checked, placed.acked) == (None, 40, True)
        assert await world.agree() == (placed.price, 0)
        delivered = [event for event, _ in world.bob.posts if event == "order_delivered"]
        assert len(delivered) == 1


@in_virtual_time
async def test_a_worker_that_crashed_holds_nothing_against_anybody(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await world.start()
        ann, bob = world.ann, world.bob
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ann.does, lambda: place(world, 40))
            await trio.sleep(1)
            assert bob.accounts.books.account(ann.public).claims
            bob.crash()
            await bob.down.wait()
            await world.start(bob)
            assert bob.accounts.books.account(ann.public).claims == {}
            await bob.accounts.write(()).wait()
            assert bob.database.read("SELECT state FROM orders") == [(State.CANCELLED,)]
        assert (await place(world)).acked


@in_virtual_time
async def test_what_could_not_be_checked_at_once_is_paid_while_both_stay_connected(
    tmp_path: Path,
) -> None:
    """Else its worker, who did nothing wrong, would wait for the next loss of the connection."""
    async with a_world(tmp_path) as world:
        await world.start()
        checking = world.ann.requester._pursuing._checking
        check = checking.check

        async def paused(_ordered: Ordered) -> bool:
            raise Refused(Reason.PAUSED, "the owner plays a game")

        checking.check = paused  # type: ignore[assignment, method-assign]  # the fault
        with pytest.raises(Refused, match="plays a game"):
            await place(world)
        await trio.sleep(2 * LATER_S)
        checking.check = check  # type: ignore[method-assign]  # it is over
        await trio.sleep(2 * LATER_S)
        total, _ = await world.agree()
        assert total > 0
        assert world.ann.database.read("SELECT state FROM orders") == [(State.SETTLED,)]
