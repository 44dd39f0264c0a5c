# SPDX-License-Identifier: MIT
"""Calls that wait for a runner go together, and nobody can tell from what he gets.

The runners here pass virtual time: a call takes a second, however many rows it has.
"""

from array import array
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import wait_all_tasks_blocked

from node.executor.executor import Item
from node.executor.joining import ROWS_MAX
from node.executor.leases import PoolLimits
from node.executor.pool import Pool
from node.executor.rooms import is_supported
from protocol.errors import CommonsError
from protocol.price import symbol
from protocol.reasons import Reason
from protocol.tensors import ElementType, Tensor
from tests.node.executor.batch_bench import (
    CALL_S,
    DEADLY,
    FAULTY,
    FLOAT,
    GROUP,
    LONG_S,
    MODEL,
    STRANGE,
    TRAITS,
    Bench,
    all_at_once,
    alone,
    bench,
    row,
)
from tests.node.executor.folders import add_one
from tests.node.executor.virtual_time import in_virtual_time

# --- together -------------------------------------------------------------------------------------


@in_virtual_time
async def test_calls_that_wait_go_together_and_each_gets_its_own_rows() -> None:
    async with bench() as made:
        begin_s = trio.current_time()
        items = {n: row(*[n + part / 8 for part in range(n)]) for n in range(1, 8)}
        await all_at_once(made, *[lambda n=n: made.ask(n, items[n]) for n in items])
        assert [len(rows) for rows in made.calls] == [1, sum(items)]
        assert trio.current_time() - begin_s == pytest.approx(2 * CALL_S, abs=0.01)
        for n, item in items.items():
            assert made.got[n] == await alone(item)


@in_virtual_time
async def test_a_call_that_finds_the_runner_free_waits_for_nobody() -> None:
    async with bench() as made:
        for name in range(3):
            begin_s = trio.current_time()
            await made.ask(name, row(1.0))
            assert trio.current_time() - begin_s == pytest.approx(CALL_S, abs=0.01)
        assert made.calls == [[1.0]] * 3


@in_virtual_time
async def test_calls_go_in_the_order_in_which_they_came() -> None:
    """Those of another form go later, but they do go: each round takes whoever waits longest."""
    async with bench() as made:
        await all_at_once(
            made,
            lambda: made.ask("a", row(1.0)),
            lambda: made.ask("b", row(2.0, width=2)),
            lambda: made.ask("c", row(3.0)),
            lambda: made.ask("d", row(4.0), look=True),
            lambda: made.ask("e", row(5.0, width=2)),
            lambda: made.ask("f", row(6.0)),
        )
        assert made.calls == [[0.0], [1.0, 3.0, 6.0], [2.0, 5.0], [4.0]]
        assert set(made.order[1:4]) == set("acf")
        assert set(made.order[4:6]) == set("be")


@in_virtual_time
async def test_no_more_go_together_than_gains_anything() -> None:
    async with bench() as made:
        many = row(*[7.0] * (ROWS_MAX - 1))
        await all_at_once(
            made,
            lambda: made.ask("a", row(1.0)),
            lambda: made.ask("b", row(2.0)),
            lambda: made.ask("c", many),
            lambda: made.ask("d", row(3.0)),
        )
        assert [len(rows) for rows in made.calls] == [1, 2, ROWS_MAX]
        assert made.calls[2][-1] == 3.0


@in_virtual_time
async def test_a_call_that_is_large_by_itself_is_not_joined(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("node.executor.batches.JOINED_BYTES_MAX", 1024)
    wide = Tensor(FLOAT, (1, 256), bytes(1024))
    async with bench() as made:
        await all_at_once(
            made,
            lambda: made.ask("many", row(*[7.0] * ROWS_MAX)),
            lambda: made.ask("wide", wide),
            lambda: made.ask("wide too", wide),
            lambda: made.ask("none", row()),
        )
        assert sorted(len(rows) for rows in made.calls) == [0, 1, 1, 1, ROWS_MAX]
        assert not any(isinstance(got, Reason) for got in made.got.values())


@in_virtual_time
async def test_what_is_written_in_place_is_not_joined() -> None:
    async with bench() as made:
        expected = await alone(row(1.0))
        async with made.runner.call([row(1.0).header]) as call:
            call.inputs[0][:] = row(1.0).data
            outputs = await call.run(deadline_s=LONG_S)
            assert [bytes(each.data) for each in outputs.tensors] == [expected[0].data]
        assert made.calls == [[1.0]]


@in_virtual_time
async def test_a_model_that_is_not_calibrated_for_it_is_not_joined() -> None:
    async with bench(model=replace(MODEL, batchable=False)) as made:
        await all_at_once(made, *[lambda n=n: made.ask(n, row(n)) for n in (1.0, 2.0, 3.0)])
        assert made.calls == [[0.0], [1.0], [2.0], [3.0]]


@in_virtual_time
async def test_one_runner_serves_those_who_join_and_those_who_do_not() -> None:
    async with bench() as made:
        async with made.executor.lease(replace(MODEL, batchable=False), GROUP) as plain:
            outputs = await plain.run([row(1.0)], deadline_s=LONG_S)
        assert outputs.tensors == await alone(row(1.0))
        assert len(made.executor.links) == 1


# --- nobody spoils another ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "reason"), [(FAULTY, Reason.RUN_FAILED), (STRANGE, Reason.NOT_FINITE)]
)
@in_virtual_time
async def test_one_bad_item_spoils_no_other(bad: float, reason: Reason) -> None:
    async with bench() as made:
        asks = {"a": 1.0, "bad": bad, "b": 2.0}
        await all_at_once(
            made, *[lambda k=k, v=v: made.ask(k, row(v), look=True) for k, v in asks.items()]
        )
        assert made.got["bad"] is reason
        for name in "ab":
            assert made.got[name] == await alone(row(asks[name]))


@in_virtual_time
async def test_an_item_that_deviates_spoils_no_other() -> None:
    whole = Tensor(ElementType.INT32, (1, 1), bytes(4))
    async with bench() as made:
        await all_at_once(
            made,
            lambda: made.ask("a", row(1.0)),
            lambda: made.ask("bad", whole),
            lambda: made.ask("worse", whole),
            lambda: made.ask("b", row(2.0)),
        )
        assert made.got["bad"] is made.got["worse"] is Reason.INPUT_DEVIATES
        assert made.calls == [[0.0], [1.0, 2.0]]


@in_virtual_time
async def test_items_that_are_too_much_together_are_run_alone() -> None:
    hungry = replace(TRAITS, work_bytes=symbol(0) * (PoolLimits().runner_memory_bytes // 3))
    async with bench(hungry) as made:
        await all_at_once(made, *[lambda n=n: made.ask(n, row(n)) for n in (1.0, 2.0, 3.0, 4.0)])
        assert made.calls == [[0.0], [1.0], [2.0], [3.0], [4.0]]
        assert not any(isinstance(got, Reason) for got in made.got.values())


@in_virtual_time
async def test_an_item_that_takes_the_runner_down_leaves_the_others_to_ask_again() -> None:
    """Nobody knows which of them it was, so nobody is blamed."""
    async with bench() as made:
        await all_at_once(
            made,
            lambda: made.ask("a", row(1.0)),
            lambda: made.ask("bad", row(DEADLY)),
            lambda: made.ask("behind", row(2.0, width=2)),
        )
        assert made.got["a"] is made.got["bad"] is made.got["behind"] is Reason.HANDED_BACK


@in_virtual_time
async def test_whoever_asks_again_is_served_and_the_culprit_is_found() -> None:
    async with bench() as made:
        outcomes: dict[float, object] = {}

        async def insist(value: float) -> None:
            try:
                outputs = await made.executor.run(MODEL, GROUP, [row(value)], deadline_s=LONG_S)
                outcomes[value] = outputs.tensors
            except CommonsError as error:
                outcomes[value] = error.reason

        values = (1.0, 2.0, DEADLY, 3.0, 4.0)
        await all_at_once(made, *[lambda value=value: insist(value) for value in values])
        assert outcomes.pop(DEADLY) is Reason.RUN_FAILED
        for value, outputs in outcomes.items():
            assert outputs == await alone(row(value))


@in_virtual_time
async def test_a_caller_that_leaves_spoils_no_other() -> None:
    """Neither while it waits nor while its call is computed with others."""
    async with bench() as made:

        async def leave(name: str, value: float, after_s: float) -> None:
            with trio.move_on_after(after_s):
                await made.ask(name, row(value))

        await all_at_once(
            made,
            lambda: made.ask("a", row(1.0)),
            lambda: leave("early", 9.0, CALL_S / 2),
            lambda: leave("late", 8.0, CALL_S * 3 / 2),
            lambda: made.ask("b", row(2.0)),
        )
        assert made.calls == [[0.0], [1.0, 8.0, 2.0]]
        assert made.got["a"] == await alone(row(1.0))
        assert made.got["b"] == await alone(row(2.0))
        assert not made.got.keys() & {"early", "late"}


@in_virtual_time
async def test_what_nobody_waits_for_any_more_is_not_computed() -> None:
    """Whoever leaves last takes the runner along, and the next lease gets a free one."""
    async with bench() as made:
        with trio.move_on_after(CALL_S * 3 / 2):
            await all_at_once(
                made, lambda: made.ask("a", row(1.0)), lambda: made.ask("b", row(2.0))
            )
        left_s = trio.current_time()
        assert made.executor.links == [] or made.executor.links[0].is_gone
        async with made.executor.lease(MODEL, GROUP) as runner:
            await runner.run([row(3.0)], deadline_s=LONG_S)
        assert trio.current_time() - left_s < 2 * CALL_S
        assert made.calls == [[0.0], [1.0, 2.0], [3.0]]


@in_virtual_time
async def test_the_deadline_of_each_is_kept() -> None:
    """An impatient caller gets no answer, and the others get theirs."""
    async with bench() as made:
        begin_s = trio.current_time()
        ended_s: dict[str, float] = {}

        async def ask(name: str, value: float, deadline_s: float) -> None:
            await made.ask(name, row(value), deadline_s=deadline_s)
            ended_s[name] = trio.current_time() - begin_s

        await all_at_once(
            made,
            lambda: ask("waits", 1.0, CALL_S / 2),
            lambda: ask("computes", 2.0, CALL_S * 3 / 2),
            lambda: ask("patient", 3.0, CALL_S * 3),
            lambda: ask("has none", 4.0, 0.0),
        )
        assert made.got["waits"] is made.got["computes"] is Reason.DEADLINE
        assert made.got["has none"] is Reason.DEADLINE
        assert made.got["patient"] == await alone(row(3.0))
        assert ended_s["has none"] == 0
        assert ended_s["waits"] == pytest.approx(CALL_S / 2, abs=0.01)
        assert ended_s["computes"] == pytest.approx(CALL_S * 3 / 2, abs=0.01)
        assert made.calls == [[0.0], [2.0, 3.0]]


@in_virtual_time
async def test_a_deadline_in_the_middle_of_a_joined_call_ends_all_of_it() -> None:
    async with bench(replace(TRAITS, price=lambda *_: 10**9)) as made:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: made.ask("first", row(0.0), deadline_s=CALL_S))
            await wait_all_tasks_blocked()
            for name in "ab":
                nursery.start_soon(
                    lambda name=name: made.ask(name, row(1.0), deadline_s=2 * CALL_S)
                )
        assert made.got["first"] is Reason.DEADLINE
        assert made.got["a"] is made.got["b"] is Reason.HANDED_BACK
        async with (
            made.executor.lease(MODEL, GROUP) as made.runner,
            trio.open_nursery() as nursery,
            made.runner.call([row(0.0).header]),
        ):
            for name in "cde":
                nursery.start_soon(
                    lambda name=name: made.ask(name, row(1.0), deadline_s=2 * CALL_S)
                )
            await wait_all_tasks_blocked()
        assert [made.got[name] for name in "cde"] == [Reason.DEADLINE] * 3


@in_virtual_time
async def test_an_executor_that_closes_leaves_nobody_waiting() -> None:
    begin_s = trio.current_time()
    async with trio.open_nursery() as nursery:
        async with bench() as made:
            for at in range(5):
                nursery.start_soon(made.ask, at, row(float(at)))
            await wait_all_tasks_blocked()
        await wait_all_tasks_blocked()
    assert trio.current_time() - begin_s < CALL_S
    assert set(made.got.values()) == {Reason.SHUTTING_DOWN}


@pytest.mark.slow
@given(
    st.lists(
        st.tuples(
            st.floats(0, 4),  # when it comes
            st.integers(1, 5),  # its rows
            st.integers(1, 2),  # their width
            st.sampled_from([LONG_S, 1.5, 0.25]),  # its deadline
            st.sampled_from([1.0, 1.0, 1.0, FAULTY, STRANGE]),
            st.one_of(st.none(), st.floats(0, 3)),  # when its caller leaves
        ),
        max_size=12,
    )
)
@in_virtual_time
async def test_whatever_comes_together_everybody_gets_what_is_his(
    arrivals: Sequence[tuple[float, int, int, float, float, float | None]],
) -> None:
    async def come(made: Bench, name: int) -> None:
        at_s, rows, width, deadline_s, value, leaves_s = arrivals[name]
        await trio.sleep(at_s)
        with trio.move_on_after(LONG_S if leaves_s is None else leaves_s):
            inputs = row(*[value * (name + 1)] * (rows - 1), value, width=width)
            await made.ask(name, inputs, deadline_s=deadline_s, look=True)

    async with bench() as made:
        async with trio.open_nursery() as nursery:
            for name in range(len(arrivals)):
                nursery.start_soon(come, made, name)
        for name, (_, rows, width, deadline_s, value, _) in enumerate(arrivals):
            got = made.got.get(name)
            if isinstance(got, tuple):
                inputs = row(*[value * (name + 1)] * (rows - 1), value, width=width)
                assert got == await alone(inputs)
            elif got is not None:
                possible = {Reason.IDLE, Reason.HANDED_BACK}
                possible |= {Reason.DEADLINE} if deadline_s < LONG_S else set()
                possible |= {Reason.RUN_FAILED} if value == FAULTY else set()
                possible |= {Reason.NOT_FINITE} if value == STRANGE else set()
                assert got in possible
        assert sum(map(len, made.calls)) <= 2 * sum(rows for _, rows, *_ in arrivals)


# --- in earnest -----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(not is_supported(), reason="this system has no sealed memory")
async def test_joined_calls_give_the_bits_of_single_ones(tmp_path: Path) -> None:
    model = replace(add_one(tmp_path), batchable=True)
    items = [
        Tensor(FLOAT, (n,), array("f", [n + part / 7 for part in range(n)]).tobytes())
        for n in range(1, 20)
    ]
    got: dict[int, Item] = {}
    limits = PoolLimits(runner_memory_bytes=512 << 20)
    pool = Pool(limits)
    async with pool.open(), pool.lease(model, GROUP) as runner:

        async def ask(place: int) -> None:
            outputs = await runner.run([items[place]], deadline_s=LONG_S)
            got[place] = outputs.tensors

        async with trio.open_nursery() as nursery:
            for place in range(len(items)):
                nursery.start_soon(ask, place)
        for place, item in enumerate(items):
            async with pool.lease(replace(model, batchable=False), GROUP) as single:
                outputs = await single.run([item], deadline_s=LONG_S)
            assert got[place] == outputs.tensors
