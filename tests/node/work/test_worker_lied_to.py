# SPDX-License-Identifier: MIT
"""A lying requester gets no work for nothing, and takes neither memory nor books along."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trio

from node.mesh.framed import Framed
from node.mesh.transport import Lost
from node.work.placed import Placed
from node.work.wires import WORK
from protocol.account import ClaimState
from protocol.canon import encode
from protocol.channel import NoFrame
from protocol.cheque import Cheque, Payment, Receipt
from protocol.errors import RemoteProtocolError
from protocol.frames import (
    BlobWant,
    CancelFrame,
    DocumentFrame,
    TensorData,
    TensorStart,
)
from protocol.reasons import Reason
from protocol.sealed import Sealed, unseal
from protocol.shapes import Salt
from protocol.statements import Accept, Cancel, Order, Refuse, Result
from protocol.tensors import ElementType, Tensor
from tests.node.executor.virtual_time import in_virtual_time
from tests.node.work.made_model import BODY, WIDTH, items
from tests.node.work.pair import NETWORK_ID, World, a_world
from tests.node.work.rogues import SECRET, RogueRequester

Lie = Callable[[World, RogueRequester, Framed], Awaitable[None]]


def told(folder: Path, lie: Lie, **bob: Any) -> None:
    """Let ann say something to bob; bob lets go of everything, and works for her afterwards."""

    @in_virtual_time
    async def run() -> None:
        async with a_world(folder) as world:
            for name, value in bob.items():
                setattr(world.bob, name, value)
            await world.start()
            rogue = RogueRequester(world.ann, world.bob, items(2))
            try:
                async with world.ann.wire(world.bob.public, WORK) as wire:
                    await lie(world, rogue, wire)
            except (Lost, RemoteProtocolError):
                world.part()
            await trio.sleep(120)
            assert len(world.bob.working) == 0
            assert world.bob.admission._room_bytes == world.bob.room_bytes

    run()


def claims(world: World) -> list[ClaimState]:
    account = world.bob.accounts.books.account(world.ann.public)
    return [each.state for each in account.claims.values()]


def blames(world: World) -> list[Reason]:
    return [reason for _, reason, _ in world.bob.blamed]


async def hear(wire: Framed) -> tuple[str, bytes]:
    """Give the code of the cancel that ends the order, and the signed word behind it."""
    while not isinstance(frame := await wire.receive(), NoFrame):
        if isinstance(frame, CancelFrame):
            statement = await wire.take_statement()
            await trio.sleep(1)
            return frame.reason, statement
    raise AssertionError("the stream ended without a cancel")


async def accepted(rogue: RogueRequester, wire: Framed, **changes: Any) -> Sealed[Order]:
    order = await rogue.order(**changes)
    answer = await rogue.say(wire, order)
    assert isinstance(answer, Accept), answer
    return order


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model": b"m" * 32}, Reason.MODEL_UNKNOWN),
        ({"price_version": 2}, Reason.PRICE_VERSION),
        ({"stage": 1}, Reason.MODEL_REFUSED),
        ({"adapter": b"a" * 32}, Reason.MODEL_REFUSED),
        ({"tolerance": 10**8}, Reason.NOT_CALIBRATED),
        ({"comparator": 0, "tolerance": 0}, Reason.NOT_CALIBRATED),
        ({"placed_at_s": 1}, Reason.REPLAYED),
    ],
)
def test_an_order_that_is_not_taken_says_why(
    tmp_path: Path, changes: dict[str, Any], reason: Reason
) -> None:
    async def lie(_world: World, rogue: RogueRequester, wire: Framed) -> None:
        answer = await rogue.say(wire, await rogue.order(**changes))
        assert isinstance(answer, Refuse)
        assert answer.reason == reason
        # The stream is as good as before.
        await accepted(rogue, wire)

    told(tmp_path, lie)


def test_a_price_below_that_of_the_graph_is_refused(tmp_path: Path) -> None:
    async def lie(_world: World, rogue: RogueRequester, wire: Framed) -> None:
        table = rogue.table(cheaper_cu=1)
        answer = await rogue.say(wire, await rogue.order(table), table.shapes)
        assert isinstance(answer, Refuse)
        assert answer.reason == Reason.PRICE_DIFFERS

    told(tmp_path, lie)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"shape_root": b"r" * 32}, Reason.BAD_PROOF),
        ({"price": 1}, Reason.PRICE_DIFFERS),
        ({"items": 1}, Reason.OUT_OF_RANGE),
        ({"worker": b"w" * 32}, Reason.WRONG_PARTY),
    ],
)
def test_an_order_that_contradicts_itself_is_blamed(
    tmp_path: Path, changes: dict[str, Any], reason: Reason
) -> None:
    async def lie(world: World, rogue: RogueRequester, wire: Framed) -> None:
        with pytest.raises(Lost):
            await rogue.say(wire, await rogue.order(**changes))
        assert blames(world) == [reason]
        assert claims(world) == []

    told(tmp_path, lie)


def test_inputs_of_another_root_are_not_computed(tmp_path: Path) -> None:
    async def lie(world: World, rogue: RogueRequester, wire: Framed) -> None:
        order = await accepted(rogue, wire)
        await rogue.inputs(wire, order, items(2, seed=9))
        code, statement = await hear(wire)
        assert code == Reason.BAD_PROOF
        assert unseal(statement, NETWORK_ID, Cancel).value.delivered == 0
        assert claims(world) == []
        assert blames(world) == [Reason.BAD_PROOF]

    told(tmp_path, lie)


WIDE = (Tensor(ElementType.FLOAT, (1, WIDTH + 1), bytes(4 * WIDTH + 4)),)
LONG = (Tensor(ElementType.FLOAT, (1 << 20, WIDTH), b""),)
INT = (Tensor(ElementType.INT32, (1, WIDTH), bytes(4 * WIDTH)),)


@pytest.mark.parametrize("item", [WIDE, INT], ids=["wide", "int"])
def test_an_input_that_deviates_ends_the_order(tmp_path: Path, item: tuple[Tensor, ...]) -> None:
    async def lie(world: World, rogue: RogueRequester, wire: Framed) -> None:
        order = await accepted(rogue, wire)
        await rogue.inputs(wire, order, [item])
        code, _ = await hear(wire)
        assert code == Reason.INPUT_DEVIATES
        assert claims(world) == []
        assert blames(world) == [Reason.INPUT_DEVIATES]

    told(tmp_path, lie)


def test_more_bytes_than_were_said_are_refused_before_they_come(tmp_path: Path) -> None:
    async def lie(world: World, rogue: RogueRequester, wire: Framed) -> None:
        order = await accepted(rogue, wire)
        await wire.send(DocumentFrame(encode(Salt(order.id, SECRET))))
        header = Tensor(ElementType.FLOAT, (1 << 20, WIDTH), bytes(4 * WIDTH << 20)).header
        await wire.send(TensorStart(0, 0, header))
        code, _ = await hear(wire)
        assert code == Reason.INPUT_DEVIATES
        assert blames(world) == [Reason.INPUT_DEVIATES]

    told(tmp_path, lie)


@pytest.mark.parametrize("what", ["salt", "nothing", "cancel", "want", "item"])
def test_what_is_not_due_after_an_accept_ends_the_order(tmp_path: Path, what: str) -> None:
    async def lie(world: World, rogue: RogueRequester, wire: Framed) -> None:
        order = await accepted(rogue, wire)
        match what:
            case "salt":
                await wire.send(DocumentFrame(encode(Salt(b"x" * 32, SECRET))))
            case "nothing":
                await trio.sleep(200)
            case "cancel":
                await wire.send(CancelFrame(Reason.REQUESTER_CANCELLED.value))
            case "want":
                await wire.send(BlobWant(b"x" * 32, 0, 1))
            case _:
                await wire.send(DocumentFrame(encode(Salt(order.id, SECRET))))
                await wire.send_tensor(1, 0, rogue.items[1][0])
        await trio.sleep(100)
        assert claims(world) == []
        blamed = {
            "salt": [Reason.BAD_PROOF],
            "want": [Reason.UNEXPECTED],
            "item": [Reason.INPUT_DEVIATES],
        }
        assert blames(world) == blamed.get(what, [])

    told(tmp_path, lie)


def test_a_slow_sender_of_inputs_is_not_waited_for(tmp_path: Path) -> None:
    async def lie(world: World, rogue: RogueRequester, wire: Framed) -> None:
        order = await accepted(rogue, wire, ttl_s=7 * 86_400)
        await wire.send(DocumentFrame(encode(Salt(order.id, SECRET))))
        tensor = rogue.items[0][0]
        await wire.send(TensorStart(0, 0, tensor.header))
        with suppress(Lost):
            for at in range(len(tensor.data)):
                await wire.send(TensorData(tensor.data[at : at + 1]))
                await trio.sleep(20)
        assert trio.current_time() < 100
        assert claims(world) == []

    told(tmp_path, lie)


def test_who_cancels_what_was_begun_owes_it_and_is_not_blocked(tmp_path: Path) -> None:
    async def lie(world: World, rogue: RogueRequester, wire: Framed) -> None:
        order = await accepted(rogue, wire)
        await rogue.inputs(wire, order)
        await trio.sleep(0.1)
        assert len(world.bob.working) == 1
        await wire.send(CancelFrame(Reason.REQUESTER_CANCELLED.value))
        await trio.sleep(1)
        assert claims(world) == [ClaimState.ENDED]
        (claim,) = world.bob.accounts.books.account(world.ann.public).claims.values()
        assert claim.held == rogue.table().due(1)

    told(tmp_path, lie)


async def delivered(rogue: RogueRequester, wire: Framed) -> Sealed[Result]:
    order = await accepted(rogue, wire)
    await rogue.inputs(wire, order)
    return await rogue.outputs(wire)


def cheque(world: World, total: int, *lines: tuple[bytes, int, int]) -> bytes:
    """Sign any cheque."""
    ann = world.ann.accounts
    payments = tuple(Payment(*line) for line in lines)
    value = Cheque(ann.me, world.bob.public, ann.books.incarnation, total, payments)
    return encode(Receipt(ann.sign(value).wire, b"", ()))


@pytest.mark.parametrize(
    ("less", "reason"), [(1, Reason.WRONG_AMOUNT), (-1, Reason.WRONG_AMOUNT)], ids=["less", "more"]
)
def test_a_cheque_of_another_amount_is_refused_and_nothing_is_released(
    tmp_path: Path, less: int, reason: Reason
) -> None:
    async def lie(world: World, rogue: RogueRequester, wire: Framed) -> None:
        result = (await delivered(rogue, wire)).value
        due = result.due - less
        await wire.send(DocumentFrame(cheque(world, due, (result.order, 2, due))))
        with pytest.raises(Lost):
            await wire.take_statement()
        assert blames(world) == [reason]
        assert claims(world) == [ClaimState.BILLED]
        assert world.bob.accounts.books.account(world.ann.public).held_total == 0

    told(tmp_path, lie)


def test_a_cheque_that_comes_twice_is_acknowledged_twice_and_counts_once(tmp_path: Path) -> None:
    async def lie(world: World, rogue: RogueRequester, wire: Framed) -> None:
        result = (await delivered(rogue, wire)).value
        document = cheque(world, result.due, (result.order, 2, result.due))
        acks = []
        for _ in range(3):
            await wire.send(DocumentFrame(document))
            acks.append(await wire.take_statement())
        assert len(set(acks)) == 1
        assert world.bob.accounts.books.account(world.ann.public).held_total == result.due
        assert claims(world) == []

    told(tmp_path, lie)


def test_a_cheque_for_what_was_never_ordered_is_asked_for_its_proof(tmp_path: Path) -> None:
    async def lie(world: World, _rogue: RogueRequester, wire: Framed) -> None:
        await wire.send(DocumentFrame(cheque(world, 5, (b"o" * 32, 1, 5))))
        frame = await wire.receive()
        assert frame == CancelFrame(Reason.NOT_ORDERED.value)
        assert world.bob.accounts.books.account(world.ann.public).held_total == 0

    told(tmp_path, lie)


def test_who_does_not_pay_gets_nothing_more_until_it_pays(tmp_path: Path) -> None:
    async def lie(world: World, rogue: RogueRequester, wire: Framed) -> None:
        result = (await delivered(rogue, wire)).value
        await trio.sleep(70)  # the order's time is over
        assert claims(world) == [ClaimState.OVERDUE]
        answer = await rogue.say(wire, await rogue.order())
        assert isinstance(answer, Refuse)
        assert answer.reason == Reason.UNPAID
        document = cheque(world, result.due, (result.order, 2, result.due))
        await wire.send(DocumentFrame(document))
        await wire.take_statement()
        await accepted(rogue, wire)

    told(tmp_path, lie)


def test_a_stranger_has_one_order_at_a_time(tmp_path: Path) -> None:
    async def lie(_world: World, rogue: RogueRequester, wire: Framed) -> None:
        await delivered(rogue, wire)
        answer = await rogue.say(wire, await rogue.order())
        assert isinstance(answer, Refuse)
        assert (answer.reason, answer.retry_s) == (Reason.WINDOW_FULL, 5)

    @in_virtual_time
    async def run() -> None:
        async with a_world(tmp_path) as world:
            world.ann.member = False
            await world.start()
            await world.bob.library.add(BODY, origin="", ours=True, served=True)
            rogue = RogueRequester(world.ann, world.bob, items(2))
            async with world.ann.wire(world.bob.public, WORK) as wire:
                await lie(world, rogue, wire)

    run()


def test_an_order_larger_than_the_room_is_refused(tmp_path: Path) -> None:
    async def lie(_world: World, rogue: RogueRequester, wire: Framed) -> None:
        answer = await rogue.say(wire, await rogue.order())
        assert isinstance(answer, Refuse)
        assert answer.reason == Reason.BUSY

    told(tmp_path, lie, room_bytes=100)


def test_a_machine_that_may_not_work_says_paused_and_no_more(tmp_path: Path) -> None:
    async def lie(_world: World, rogue: RogueRequester, wire: Framed) -> None:
        answer = await rogue.say(wire, await rogue.order())
        assert isinstance(answer, Refuse)
        assert answer.reason == Reason.PAUSED

    told(tmp_path, lie, may_work=lambda: (Reason.OUTSIDE_HOURS, "only at night"))


@in_virtual_time
async def test_work_that_is_handed_back_costs_nothing(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await world.start()
        ann, bob = world.ann, world.bob
        heard: list[Placed | Exception | None] = []

        async def place() -> None:
            work = ann.requester.place
            heard.append(await ann.does(lambda: work(bob.public, ann.model(), items(20))))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(place)
            await trio.sleep(1)
            assert len(bob.working) == 1
            await bob.working.hand_back(Reason.PAUSED, 0.5)
        (error,) = heard
        assert getattr(error, "reason", None) is Reason.PAUSED
        assert await world.agree() == (0, 0)
        assert claims(world) == []
