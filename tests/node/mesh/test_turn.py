# SPDX-License-Identifier: MIT
"""Tests of `node.mesh.turn`: one at a time, in order, and nothing is lost by who gives up."""

import pytest
import trio
import trio.testing

from node.mesh.turn import Turn


async def test_who_finds_it_free_goes_on_without_letting_others_run() -> None:
    turn, ran = Turn(), []

    async def other() -> None:
        ran.append("other")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        async with turn:
            assert turn.locked()
            assert not ran
        assert not turn.locked()


async def test_it_is_handed_on_in_the_order_of_asking() -> None:
    turn, order = Turn(), []

    async def ask(number: int) -> None:
        async with turn:
            order.append(number)
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery, turn:
        for number in range(5):
            nursery.start_soon(ask, number)
            await trio.testing.wait_all_tasks_blocked()
        assert not order
    assert order == list(range(5))
    assert not turn.locked()


async def test_nobody_comes_between_the_one_that_lets_go_and_the_one_that_waits() -> None:
    turn, order = Turn(), []

    async def wait() -> None:
        async with turn:
            order.append("who waited")

    async with trio.open_nursery() as nursery:
        async with turn:
            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
        async with turn:
            order.append("who came late")
    assert order == ["who waited", "who came late"]


async def test_one_that_is_cancelled_while_it_waits_holds_nothing_up() -> None:
    turn = Turn()
    async with turn:
        with trio.move_on_after(0) as given_up:
            async with turn:
                raise AssertionError("it is held")
        assert given_up.cancelled_caught
    assert not turn.locked()


async def test_what_fails_inside_lets_go() -> None:
    turn = Turn()
    with pytest.raises(ValueError, match="inside"):
        async with turn:
            raise ValueError("inside")
    assert not turn.locked()
