# SPDX-License-Identifier: MIT
"""A lying worker gets nothing: what is wrong is not paid, and it is told which it was."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from node.mesh.framed import Framed
from node.work.placed import Placed
from node.work.tensors import FRAME_S_MAX
from node.work.wires import Who
from protocol.errors import Refused, RemoteProtocolError
from protocol.frames import CancelFrame, DocumentFrame, Paused
from protocol.order import State
from protocol.reasons import Reason
from protocol.tensors import ElementType, Tensor
from simulations.faults import wrong_values
from tests.node.executor.virtual_time import in_virtual_time
from tests.node.work.made_model import WIDTH, items
from tests.node.work.pair import Seen, World, a_world
from tests.node.work.rogues import RogueWorker


def lied_to(test: Callable[[World], Any], folder: Path) -> None:
    @in_virtual_time
    async def run() -> None:
        async with a_world(folder) as world:
            await world.start()
            await test(world)

    run()


async def place(world: World, count: int = 2, ttl_s: int = 300) -> Placed:
    ann = world.ann
    return await ann.requester.place(world.bob.public, ann.model(), items(count), ttl_s=ttl_s)


def states(world: World) -> list[str]:
    return [str(row[0]) for row in world.ann.database.read("SELECT state FROM orders")]


@in_virtual_time
async def test_wrong_outputs_are_found_disputed_and_not_paid(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        world.bob.faults = lambda called: wrong_values() if called.number == 1 else None
        await world.start()
        placed = await place(world, 3)
        assert placed.wrong is Reason.RESULT_WRONG
        assert placed.wrong_item == 1
        assert placed.paid == 0
        assert not placed.acked
        assert await world.agree() == (0, 0)
        assert states(world) == [State.FORFEIT]
        assert [blamed[1] for blamed in world.ann.blamed] == [Reason.RESULT_WRONG]
        await trio.sleep(1)
        assert "order_disputed" in [event for event, _ in world.bob.posts]
        with pytest.raises(Refused) as refused:
            await world.ann.accounts.pay(world.bob.public, [])
        assert refused.value.reason is Reason.PAIR_FROZEN


OTHER = (Tensor(ElementType.FLOAT, (1, WIDTH), bytes(4 * WIDTH)),)
HUGE = (Tensor(ElementType.FLOAT, (1 << 16, WIDTH), bytes(4 * WIDTH << 16)),)
DOUBLE = (Tensor(ElementType.DOUBLE, (1, WIDTH), bytes(8 * WIDTH)),)


@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        ({"accept": {"price": 7}}, Reason.WRONG_AMOUNT),
        ({"accept": {"items": 1}}, Reason.WRONG_AMOUNT),
        ({"accept": {"order": b"x" * 32}}, Reason.WRONG_PARTY),
        ({"accept": {"requester": b"x" * 32}}, Reason.WRONG_PARTY),
        ({"result": {"due": 100_005}}, Reason.WRONG_AMOUNT),
        ({"result": {"due": 1}}, Reason.WRONG_AMOUNT),
        ({"result": {"through": 1}}, Reason.WRONG_AMOUNT),
        ({"result": {"last": 0}}, Reason.WRONG_AMOUNT),
        ({"result": {"order": b"x" * 32}}, Reason.WRONG_PARTY),
        ({"result": {"requester": b"x" * 32}}, Reason.WRONG_PARTY),
        ({"result": {"output_root": b"x" * 32}}, Reason.BAD_PROOF),
        ({"outputs": [OTHER]}, Reason.UNEXPECTED),
        ({"outputs": [OTHER, HUGE]}, Reason.WRONG_FORM),
        ({"outputs": [DOUBLE, OTHER]}, Reason.WRONG_FORM),
        ({"outputs": [(), OTHER]}, Reason.WRONG_FORM),
        ({"outputs": [OTHER, OTHER, OTHER]}, Reason.UNEXPECTED),
    ],
)
def test_a_broken_rule_is_blamed_and_nothing_is_paid(
    tmp_path: Path, lie: dict[str, Any], reason: Reason
) -> None:
    async def test(world: World) -> None:
        world.bob.rogue = RogueWorker(world.bob, **lie).serve
        with pytest.raises(RemoteProtocolError) as error:
            await place(world)
        assert error.value.reason is reason, error.value
        assert [blamed[1] for blamed in world.ann.blamed] == [reason]
        assert await world.agree() == (0, 0)
        assert states(world) == [State.CANCELLED]

    lied_to(test, tmp_path)


def test_a_worker_without_a_result_is_waited_for_only_as_long_as_the_order_lives(
    tmp_path: Path,
) -> None:
    async def test(world: World) -> None:
        world.bob.rogue = RogueWorker(world.bob, says_no_result=True).serve
        begin_s = trio.current_time()
        with pytest.raises(Refused) as error:
            await place(world, ttl_s=60)
        assert error.value.reason in (Reason.DEADLINE, Reason.REPLAYED)
        assert trio.current_time() - begin_s < 60 + 2 * FRAME_S_MAX
        assert await world.agree() == (0, 0)

    lied_to(test, tmp_path)


def test_a_worker_that_gives_no_ack_is_shown_the_same_cheque_at_once(tmp_path: Path) -> None:
    """On a stream of its own: perhaps only that of the order was lost."""

    async def test(world: World) -> None:
        world.bob.rogue = RogueWorker(world.bob, never_acks=True).serve
        placed = await place(world)
        assert placed.paid == placed.price
        assert placed.acked
        assert await world.agree() == (placed.price, 0)
        assert states(world) == [State.SETTLED]

    lied_to(test, tmp_path)


def test_a_cheque_that_is_taken_nowhere_is_shown_again_after_the_next_meeting(
    tmp_path: Path,
) -> None:
    async def takes_none(_peer: Who, wire: Framed) -> None:
        await wire.take_document()
        await wire.send(CancelFrame(Reason.BUSY.value))

    async def test(world: World) -> None:
        receipts = world.bob.receipts
        serve, receipts.serve = receipts.serve, takes_none  # type: ignore[assignment, method-assign]  # it lies
        world.bob.rogue = RogueWorker(world.bob, never_acks=True).serve
        placed = await place(world)
        assert placed.paid == placed.price
        assert not placed.acked
        assert world.bob.accounts.books.account(world.ann.public).held_total == 0
        receipts.serve = serve  # type: ignore[method-assign]  # it is honest again
        world.bob.rogue = None
        world.part()
        world.meet()
        await trio.sleep(1)
        assert await world.agree() == (placed.price, 0)
        assert states(world) == [State.SETTLED]

    lied_to(test, tmp_path)


def test_a_lie_that_is_told_after_a_restart_is_blamed_once(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        world.bob.rogue = RogueWorker(world.bob, says_no_result=True).serve
        ann = world.ann
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ann.does, lambda: place(world))
            await trio.sleep(0.7)
            ann.crash()
        await ann.down.wait()
        await world.start(ann)

        async def lies(_peer: Seen, wire: Framed) -> None:
            await wire.take_statement()
            await wire.send(Paused(1, Reason.BUSY.value), DocumentFrame(b"no"))

        world.bob.rogue = lies
        for _ in range(3):
            world.part()
            world.meet()
            await trio.sleep(1)
        assert [blamed[1] for blamed in ann.blamed] == [Reason.UNEXPECTED]
        assert states(world) == [State.CANCELLED]

    lied_to(test, tmp_path)
