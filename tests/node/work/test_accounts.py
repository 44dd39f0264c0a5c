# SPDX-License-Identifier: MIT
"""The accounts: what binds is durable before it is sent; a full disk loses and sends nothing."""

import errno
from pathlib import Path

import pytest
import trio
import trio.lowlevel

from node.work import accounts
from node.work.accounts import EXPIRE_S, RETRY_S, budget_rules
from node.work.placed import Placed
from node.work.wires import WORK
from protocol.errors import LocalProtocolError, Refused
from protocol.reasons import Reason
from tests.node.executor.virtual_time import in_virtual_time
from tests.node.work.made_model import items
from tests.node.work.pair import Node, World, a_world
from tests.node.work.rogues import RogueRequester


def full(world: World, whom: Node) -> None:
    """From here on the disk of a node takes nothing."""

    def on_step(node: Node, what: str) -> None:
        if node is whom and what == "disk":
            raise OSError(errno.ENOSPC, "the disk is full")

    world.on_step = on_step


async def order(world: World, seed: int = 0) -> Placed | Exception | None:
    ann, bob = world.ann, world.bob
    return await ann.does(
        lambda: ann.requester.place(bob.public, ann.model(), items(2, seed=seed), ttl_s=60)
    )


@in_virtual_time
async def test_a_requester_with_a_full_disk_signs_nothing_that_is_sent(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await world.start()
        ann, bob = world.ann, world.bob
        placed = await order(world)
        assert isinstance(placed, Placed)
        full(world, ann)
        error = await order(world, 1)
        assert isinstance(error, Refused)
        assert error.reason is Reason.PAUSED
        assert "disk is full" in error.detail
        assert "disk is full" in ann.accounts.stopped
        assert bob.accounts.books.account(ann.public).held_total == placed.price
        # Everything is refused, with the reason, as long as it lasts.
        with pytest.raises(Refused, match="disk is full"):
            await ann.accounts.pay(bob.public, [])
        world.on_step = None
        await trio.sleep(2 * RETRY_S)
        assert not ann.accounts.stopped
        again = await order(world, 2)
        assert isinstance(again, Placed)
        assert await world.agree() == (2 * placed.price, 0)
    events = [event for event, _ in ann.posts]
    assert events.index("accounts_stopped") < events.index("accounts_rebuilt")


@in_virtual_time
async def test_a_disk_that_fails_at_the_cheque_leaves_no_cheque(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await world.start()
        ann, bob = world.ann, world.bob
        pay = ann.accounts.books.pay

        def then_full(*args: object, **more: object) -> object:
            full(world, ann)
            return pay(*args, **more)  # type: ignore[arg-type]  # passed on as it came

        ann.accounts.books.pay = then_full  # type: ignore[method-assign,assignment]  # spied upon
        error = await order(world)
        assert isinstance(error, Refused)
        assert bob.accounts.books.account(ann.public).held_total == 0
        world.on_step = None
        await trio.sleep(2 * RETRY_S)
        assert ann.accounts.books.account(bob.public).signed_total == 0
        # The outputs are on the disk: when the two meet again they are checked and paid.
        world.part()
        world.meet()
        await trio.sleep(10)
        total, _ = await world.agree()
        assert total > 0


@in_virtual_time
async def test_a_worker_with_a_full_disk_gives_no_ack_and_loses_no_cheque(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await world.start()
        ann, bob = world.ann, world.bob
        take = bob.accounts.books.take

        def then_full(*args: object) -> object:
            full(world, bob)
            return take(*args)  # type: ignore[arg-type]  # passed on as it came

        bob.accounts.books.take = then_full  # type: ignore[method-assign,assignment]  # spied upon
        placed = await order(world)
        assert isinstance(placed, Placed)
        assert not placed.acked
        # Shown again, it is refused again; that is no reason to take the cheque back.
        world.part()
        world.meet()
        await trio.sleep(1)
        assert ann.accounts.books.account(bob.public).signed_total == placed.price
        world.on_step = None
        await trio.sleep(2 * RETRY_S)
        assert bob.accounts.books.account(ann.public).held_total == 0
        world.part()
        world.meet()
        await trio.sleep(10)
        assert await world.agree() == (placed.price, 0)


@in_virtual_time
async def test_what_was_accepted_before_the_disk_failed_is_handed_back(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await world.start()
        ann, bob = world.ann, world.bob
        rogue = RogueRequester(ann, bob, items(2))
        async with ann.wire(bob.public, WORK) as wire:
            signed = await rogue.order()
            full(world, bob)
            await rogue.say(wire, signed)
            await trio.lowlevel.checkpoint()
            world.on_step = None
            await trio.sleep(2 * RETRY_S)
            assert not bob.accounts.stopped
            assert bob.accounts.books.account(ann.public).claims == {}
            await rogue.inputs(wire, signed)
            frame = await wire.receive()
            assert getattr(frame, "reason", "") == Reason.HANDED_BACK


@in_virtual_time
async def test_nothing_is_signed_before_the_totals_were_compared(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await world.start()
        rogue = RogueRequester(world.ann, world.bob, items(1))
        async with world.ann.wire(world.bob.public, WORK) as wire:
            signed = await rogue.order()
            await rogue.say(wire, signed)
            await rogue.inputs(wire, signed)
            result = await rogue.outputs(wire)
        world.ann.accounts.left(world.bob.public)
        with pytest.raises(LocalProtocolError, match="hello"):
            await world.ann.accounts.pay(world.bob.public, [result])


@in_virtual_time
async def test_a_node_that_lost_its_books_is_shown_its_own_cheques(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await world.start()
        backup = world.ann.store.backup("network")
        placed = await order(world)
        assert isinstance(placed, Placed)
        world.ann.crash()
        await world.ann.down.wait()
        world.ann.store.restore("network", backup)
        await world.start(world.ann)
        assert world.ann.accounts.totals(world.bob.public) == (0, 0)
        world.meet()
        await trio.sleep(1)
        assert await world.agree() == (placed.price, 0)
        again = await order(world, 1)
        assert isinstance(again, Placed)
        assert await world.agree() == (2 * placed.price, 0)


@in_virtual_time
async def test_a_worker_that_lost_its_books_is_shown_what_it_acknowledged(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await world.start()
        backup = world.bob.store.backup("network")
        placed = await order(world)
        assert isinstance(placed, Placed)
        world.bob.crash()
        await world.bob.down.wait()
        world.bob.store.restore("network", backup)
        await world.start(world.bob)
        world.meet()
        await trio.sleep(1)
        assert await world.agree() == (placed.price, 0)


@in_virtual_time
async def test_a_cheque_that_is_refused_with_its_proofs_is_taken_back(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await world.start()
        ann, bob = world.ann, world.bob
        placed = await order(world)
        assert isinstance(placed, Placed)
        # bob refuses whatever he is shown, as if his books were older than his word
        bob.accounts.books.take = _refuses  # type: ignore[method-assign,assignment]  # made to refuse
        again = await order(world, 1)
        assert isinstance(again, Placed)
        assert not again.acked
        account = ann.accounts.books.account(bob.public)
        assert account.signed_total == account.acked_total == placed.price


def _refuses(*_: object) -> object:
    """What honest books say when one of them lost its memory."""
    raise Refused(Reason.NOT_ORDERED, "these books know nothing of it")


@in_virtual_time
async def test_time_ends_what_nobody_begins(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await world.start()
        ann, bob = world.ann, world.bob
        rogue = RogueRequester(ann, bob, items(1))
        signed = await rogue.order()
        bob.accounts.accept(signed)
        books = bob.accounts.books
        assert books.bucket.tokens < books.bucket.rules.size_cu
        await trio.sleep(60 + EXPIRE_S + 1)
        assert books.account(ann.public).claims == {}
        assert books.bucket.tokens == books.bucket.rules.size_cu


@in_virtual_time
async def test_a_start_is_a_new_incarnation_that_is_on_the_disk(tmp_path: Path) -> None:
    async with a_world(tmp_path) as world:
        await world.start()
        first = world.ann.accounts.books.incarnation
        assert world.replayed(world.ann).incarnation == first
        world.ann.crash()
        await world.ann.down.wait()
        await world.start(world.ann)
        assert world.ann.accounts.books.incarnation != first


def test_the_budget_is_the_owners_word_or_that_of_the_machine() -> None:
    assert budget_rules(0, 1000).size_cu == 1000 * 86_400 // 4
    assert budget_rules(21_600_000, 5).size_cu == 21_600_000
    assert budget_rules(21_600_000, 5).refill_cu_per_s == 10
    assert budget_rules(1, 0).refill_cu_per_s == 1


@in_virtual_time
async def test_while_the_books_are_made_anew_the_node_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A journal of a year takes minutes: pings that nobody answers would cost every peer."""
    monkeypatch.setattr(accounts, "EVENTS_IN_ONE_GO", 1)
    async with a_world(tmp_path) as world:
        await world.start()
        for seed in range(5):
            assert isinstance(await order(world, seed), Placed)
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(count)
            await world.bob.accounts._begin()
            nursery.cancel_scope.cancel()
        assert turns > 20
        assert isinstance(await order(world, 6), Placed)
