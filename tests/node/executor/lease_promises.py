# SPDX-License-Identifier: MIT
"""What every executor promises of leases: who gets which runner, what stays, what is freed."""

from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace

import trio
from trio.testing import wait_all_tasks_blocked

from node.executor.executor import Adapter, Group, Model, Runner
from node.executor.leases import PoolLimits
from node.executor.sandbox.confine import holds_strangers
from protocol.errors import CommonsError
from protocol.reasons import Reason
from protocol.tensors import ElementType, Tensor
from tests.node.executor.promise_scenes import GROUP, LIMITS, RUNNER_MEMORY_BYTES, Scene, Tried
from tests.node.executor.promises import (
    LONG_S,
    SHORT_S,
    Promise,
    ask,
    data_of,
    floats,
    refuses,
    until,
    works,
)

OTHER = Group("bob", trusted=True)
STRANGER = Group("ann")


def room_for(count: int, runners: int = 1) -> PoolLimits:
    """Leave memory for so many runners."""
    return replace(LIMITS, runners=runners, memory_bytes=count * RUNNER_MEMORY_BYTES)


# --- who shares -----------------------------------------------------------------------------------


async def a_runner_serves_one_group(scene: Scene) -> None:
    """Whoever else wants the model gets another runner, and those who are trusted another one."""
    async with scene.open() as executor, AsyncExitStack() as stack:
        seen: list[int] = []
        for group in (GROUP, OTHER, STRANGER):
            await stack.enter_async_context(executor.lease(scene.models.plain, group))
            (new,) = set(scene.runners(executor)) - set(seen)
            seen.append(new)
        await stack.aclose()
        for group in (STRANGER, OTHER, GROUP):
            await works(executor, scene.models.plain, group)
        assert sorted(scene.runners(executor)) == sorted(seen)


async def a_runner_is_warm_the_second_time(scene: Scene) -> None:
    """For its group, with the same model."""
    async with scene.open() as executor:
        await works(executor, scene.models.plain)
        before, memory_bytes = scene.runners(executor), executor.memory_bytes
        for _ in range(3):
            await works(executor, scene.models.plain)
        assert scene.runners(executor) == before
        assert executor.memory_bytes == memory_bytes == RUNNER_MEMORY_BYTES


async def a_runner_that_nobody_needed_for_a_while_is_freed(scene: Scene) -> None:
    """But not one that somebody has leased, however long he does nothing with it."""
    async with scene.open(replace(LIMITS, warm_s=0.2)) as executor:
        async with executor.lease(scene.models.plain, GROUP) as runner:
            await works(executor, scene.models.plain, OTHER)
            mine = scene.runners(executor)[:1]
            await until(lambda: scene.runners(executor) == mine)
            await ask(runner, floats(1.0))
        await until(lambda: executor.memory_bytes == 0)


async def leases_of_one_group_share_what_the_limit_allows(scene: Scene) -> None:
    """A second lease gets a second runner while there may be one; then they take turns."""
    async with scene.open(room_for(4, runners=2)) as executor, AsyncExitStack() as stack:
        for expected in (1, 2, 2, 2):
            await stack.enter_async_context(executor.lease(scene.models.plain, GROUP))
            assert len(scene.runners(executor)) == expected


async def callers_who_come_at_once_stay_within_the_limits(scene: Scene) -> None:
    """Nobody takes the memory that somebody else is loading into."""
    async with scene.open(room_for(2)) as executor:
        most = 0
        served: list[Group] = []

        async def come(group: Group) -> None:
            nonlocal most
            try:
                async with executor.lease(scene.models.plain, group) as runner:
                    most = max(most, executor.memory_bytes)
                    await ask(runner, floats(1.0))
                    await everybody_came.wait()
                    served.append(group)
            except Exception as error:  # noqa: BLE001 - looked at below
                refusals.append(error)

        refusals: list[Exception] = []
        everybody_came = trio.Event()
        async with trio.open_nursery() as nursery:
            for at in range(8):
                nursery.start_soon(come, Group(f"{at % 4}", trusted=True))
            await until(lambda: len(refusals) == 4)
            everybody_came.set()
        assert most == 2 * RUNNER_MEMORY_BYTES
        assert len(served) == 4
        assert len(set(served)) == 2
        with refuses(Reason.BUSY):
            raise refusals[0]


# --- memory ---------------------------------------------------------------------------------------


async def memory_is_freed_from_whoever_needed_it_longest_ago(scene: Scene) -> None:
    """And the others stay warm."""
    async with scene.open(room_for(2)) as executor:
        groups = [Group(name, trusted=True) for name in "abc"]
        for group in groups[:2]:
            await works(executor, scene.models.plain, group)
        first, second = scene.runners(executor)
        await works(executor, scene.models.plain, groups[0])
        await works(executor, scene.models.plain, groups[2])
        kept = scene.runners(executor)
        assert first in kept
        assert second not in kept
        assert executor.memory_bytes == 2 * RUNNER_MEMORY_BYTES


async def memory_is_never_freed_from_whoever_has_leased_it(scene: Scene) -> None:
    """Who comes too late is told that there is none."""
    async with scene.open(room_for(2)) as executor, AsyncExitStack() as stack:
        runners: list[Runner] = [
            await stack.enter_async_context(executor.lease(scene.models.plain, group))
            for group in (GROUP, OTHER)
        ]
        before = scene.runners(executor)
        for _ in range(2):
            with refuses(Reason.BUSY):
                await works(executor, scene.models.plain, Group("c", trusted=True))
        for runner in runners:
            await ask(runner, floats(1.0))
        assert scene.runners(executor) == before


async def whoever_needs_much_frees_as_many_as_it_takes(scene: Scene) -> None:
    """Whoever comes back at that moment, and whatever he gets: nobody takes more than there is."""
    large = replace(scene.models.typed, memory_bytes=3 * RUNNER_MEMORY_BYTES)
    groups = [Group(name, trusted=True) for name in "abc"]
    async with scene.open(room_for(3)) as executor:

        async def come(model: Model, group: Group) -> None:
            try:
                async with executor.lease(model, group):
                    assert executor.memory_bytes <= 3 * RUNNER_MEMORY_BYTES
                    await wait_all_tasks_blocked()
            except CommonsError as error:
                assert error.reason is Reason.BUSY

        for moments in range(8):
            for group in groups:
                await works(executor, scene.models.plain, group)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(come, large, GROUP)
                for _ in range(moments):
                    await trio.lowlevel.checkpoint()
                for group in groups:
                    nursery.start_soon(come, scene.models.plain, group)


async def a_model_larger_than_all_memory_is_refused(scene: Scene) -> None:
    """Nothing is freed for it."""
    async with scene.open(room_for(1)) as executor:
        await works(executor, scene.models.plain)
        before = scene.runners(executor)
        with refuses(Reason.OVER_MEMORY):
            await works(executor, replace(scene.models.plain, memory_bytes=RUNNER_MEMORY_BYTES + 1))
        assert scene.runners(executor) == before


# --- trust ----------------------------------------------------------------------------------------


async def strangers_get_no_provider_that_cannot_be_confined(scene: Scene) -> None:
    """Whatever this machine offers; nothing is loaded."""
    async with scene.open() as executor:
        with refuses(Reason.NOT_CONTAINED):
            async with executor.lease(
                replace(scene.models.plain, provider="CUDAExecutionProvider"), STRANGER
            ):
                raise AssertionError("it may not be there")
        assert executor.memory_bytes == 0


async def strangers_are_served_where_the_layers_hold(scene: Scene) -> None:
    """And refused where they do not."""
    async with scene.open() as executor:
        layers = await executor.layers()
        assert all(each.name for each in layers)
        if holds_strangers(layers):
            await works(executor, scene.models.plain, STRANGER)
        else:
            with refuses(Reason.NOT_CONTAINED):
                await works(executor, scene.models.plain, STRANGER)


# --- adapters -------------------------------------------------------------------------------------


def adapter(name: bytes, *tensors: tuple[str, Tensor]) -> Adapter:
    """Make one; the name stands for its digest."""
    return Adapter(name, tensors)


def low_rank(value: float, rank: int = 1) -> tuple[tuple[str, Tensor], ...]:
    """Make the two tensors that the model has a place for."""
    return (
        ("a", floats(*[value] * 2 * rank, dims=(2, rank))),
        ("b", floats(*[value] * 2 * rank, dims=(rank, 2))),
    )


async def an_adapter_changes_what_comes_out(scene: Scene) -> None:
    """Each in its own runner, next to the model without any."""
    model = scene.models.open_to_adapters
    async with scene.open() as executor:
        got = []
        for made in (None, adapter(b"1", *low_rank(1.0)), adapter(b"2", *low_rank(2.0, rank=3))):
            async with executor.lease(replace(model, adapter=made), GROUP) as runner:
                got.append(data_of(await ask(runner, floats(1.0, 2.0, dims=(1, 2)))))
        assert got[0] != got[1] != got[2] != got[0]
        assert len(scene.runners(executor)) == 3


async def an_adapter_that_the_model_has_no_place_for_is_refused(scene: Scene) -> None:
    """Before anything is loaded, or where its tensors meet those of a call."""
    a, b = low_rank(1.0)
    whole = Tensor(ElementType.INT64, (2, 1), bytes(16))
    cut = Tensor(ElementType.FLOAT, (2, 1), bytes(4))
    wrong = (
        (("x", a[1]), b),
        (("c", a[1]), b),
        (("a", whole), b),
        (("a", cut), b),
        (("a", floats(1.0, 2.0)), b),
        (("a", floats(1.0, dims=(1, 1))), b),
        (a, a),
    )
    async with scene.open() as executor:
        for tensors in wrong:
            model = replace(scene.models.open_to_adapters, adapter=adapter(b"wrong", *tensors))
            with refuses(Reason.MODEL_REFUSED):
                async with executor.lease(model, GROUP):
                    raise AssertionError("it may not be there")
        assert executor.memory_bytes == 0
        apart = adapter(b"apart", a, low_rank(1.0, rank=2)[1])
        model = replace(scene.models.open_to_adapters, adapter=apart)
        async with executor.lease(model, GROUP) as runner:
            with refuses(Reason.INPUT_DEVIATES):
                await ask(runner, floats(1.0, 2.0, dims=(1, 2)))


# --- pausing --------------------------------------------------------------------------------------


async def a_paused_executor_takes_nothing_and_holds_nothing(scene: Scene) -> None:
    """Until it is resumed."""
    async with scene.open() as executor:
        await works(executor, scene.models.plain)
        await executor.pause(LONG_S)
        assert executor.memory_bytes == 0
        assert scene.runners(executor) == []
        for group in (GROUP, STRANGER):
            with refuses(Reason.PAUSED):
                await works(executor, scene.models.plain, group)
        await executor.pause(LONG_S)
        executor.resume()
        await works(executor, scene.models.plain)


@contextmanager
def _told() -> Iterator[None]:
    with refuses(Reason.PAUSED):
        yield


async def a_pause_lets_calls_end_within_its_grace(scene: Scene) -> None:
    """And refuses whoever comes meanwhile."""
    async with scene.open() as executor, trio.open_nursery() as nursery:
        async with executor.lease(scene.models.plain, GROUP) as runner:
            nursery.start_soon(executor.pause, LONG_S)
            nursery.start_soon(executor.pause, LONG_S)
            await wait_all_tasks_blocked()
            with refuses(Reason.PAUSED):
                await works(executor, scene.models.plain)
            assert (await ask(runner, floats(1.0))).tensors[0].dims == (1,)
        before_s = trio.current_time()
    assert trio.current_time() - before_s < LONG_S  # both were told at once
    assert scene.runners(executor) == []


async def a_pause_ends_calls_after_its_grace(scene: Scene) -> None:
    """Their callers hear why; so do those who wait for their turn, and those who ask later."""
    async with scene.open() as executor:
        async with trio.open_nursery() as nursery:
            begun = trio.Event()

            async def compute() -> None:
                async with executor.lease(scene.models.endless, GROUP) as runner:
                    nursery.start_soon(wait_for_it, runner)
                    begun.set()
                    with _told():
                        await ask(runner, floats(1.0))
                    with _told():
                        await ask(runner, floats(1.0))

            async def wait_for_it(runner: Runner) -> None:
                with _told():
                    await ask(runner, floats(1.0))

            nursery.start_soon(compute)
            await begun.wait()
            await wait_all_tasks_blocked()
            await executor.pause(SHORT_S)
            assert executor.memory_bytes == 0
            assert scene.runners(executor) == []
        executor.resume()
        await works(executor, scene.models.plain)


async def a_pause_catches_what_is_being_loaded(scene: Scene) -> None:
    """At whatever moment it comes: no runner survives it, and nobody blames the model."""
    async with scene.open() as executor:
        for moments in range(12):
            async with trio.open_nursery() as nursery:

                async def load() -> None:
                    with _told():
                        async with executor.lease(scene.models.plain, GROUP) as runner:
                            await ask(runner, floats(1.0))
                            await ask_until_told(runner)

                nursery.start_soon(load)
                for _ in range(moments):
                    await trio.lowlevel.checkpoint()
                await executor.pause(0.0)
            assert executor.memory_bytes == 0
            assert scene.runners(executor) == []
            executor.resume()


async def ask_until_told(runner: Runner) -> None:
    """Go on until somebody minds."""
    while True:
        await ask(runner, floats(1.0))
        await trio.lowlevel.checkpoint()


async def a_pause_that_was_called_off_ends_nothing(scene: Scene) -> None:
    """Whoever computes goes on, and whoever comes is served."""
    async with scene.open() as executor:
        async with executor.lease(scene.models.plain, GROUP) as runner:
            before = scene.runners(executor)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(executor.pause, LONG_S)
                await wait_all_tasks_blocked()
                executor.resume()
            await ask(runner, floats(1.0))
        await works(executor, scene.models.plain)
        assert scene.runners(executor) == before


async def an_executor_that_is_closed_says_so(scene: Scene) -> None:
    """To whoever still has a runner, and to whoever wants one."""
    async with trio.open_nursery() as nursery:
        left = trio.Event()

        async def stay(executor: Tried) -> None:
            async with executor.lease(scene.models.plain, GROUP) as runner:
                leased.set()
                await left.wait()
                with refuses(Reason.SHUTTING_DOWN):
                    await ask(runner, floats(1.0))

        leased = trio.Event()
        async with scene.open() as executor:
            nursery.start_soon(stay, executor)
            await leased.wait()
        left.set()
        with refuses(Reason.SHUTTING_DOWN):
            await works(executor, scene.models.plain)


PROMISES: tuple[Promise, ...] = (
    a_runner_serves_one_group,
    a_runner_is_warm_the_second_time,
    a_runner_that_nobody_needed_for_a_while_is_freed,
    leases_of_one_group_share_what_the_limit_allows,
    callers_who_come_at_once_stay_within_the_limits,
    memory_is_freed_from_whoever_needed_it_longest_ago,
    memory_is_never_freed_from_whoever_has_leased_it,
    whoever_needs_much_frees_as_many_as_it_takes,
    a_model_larger_than_all_memory_is_refused,
    strangers_get_no_provider_that_cannot_be_confined,
    strangers_are_served_where_the_layers_hold,
    an_adapter_changes_what_comes_out,
    an_adapter_that_the_model_has_no_place_for_is_refused,
    a_paused_executor_takes_nothing_and_holds_nothing,
    a_pause_lets_calls_end_within_its_grace,
    a_pause_ends_calls_after_its_grace,
    a_pause_catches_what_is_being_loaded,
    a_pause_that_was_called_off_ends_nothing,
    an_executor_that_is_closed_says_so,
)
