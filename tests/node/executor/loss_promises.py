# SPDX-License-Identifier: MIT
"""What every executor promises when callers leave, models misbehave, and runners die."""

import trio
from trio.testing import wait_all_tasks_blocked

from node.executor.executor import Group
from protocol.reasons import Reason
from tests.node.executor.promise_scenes import GROUP, RUNNER_MEMORY_BYTES, Scene
from tests.node.executor.promises import (
    LONG_S,
    Promise,
    ask,
    floats,
    refuses,
    works,
)
from tests.node.leaving import leave_after

# --- leaving --------------------------------------------------------------------------------------


async def a_caller_may_leave_at_any_moment(scene: Scene) -> None:
    """Before, while it loads, while it waits, while it computes: the next one is served."""
    async with scene.open() as executor:

        async def load_and_run() -> None:
            async with executor.lease(scene.models.plain, GROUP) as runner:
                await ask(runner, floats(1.0))

        steps = 1
        while not await leave_after(steps, load_and_run):
            await works(executor, scene.models.plain, Group("bob", trusted=True))
            await scene.kill(executor)  # so that it is loaded again
            steps += 1
        assert steps > 2
        await works(executor, scene.models.plain)


async def whoever_has_left_before_asking_takes_no_runner_along(scene: Scene) -> None:
    """Not a byte was sent."""
    async with scene.open() as executor, executor.lease(scene.models.plain, GROUP) as runner:
        before = scene.runners(executor)
        with trio.CancelScope() as scope:
            scope.cancel()
            await ask(runner, floats(1.0))
        await ask(runner, floats(1.0))
        assert scene.runners(executor) == before


async def a_caller_that_leaves_while_it_computes_takes_its_runner_along(scene: Scene) -> None:
    """Nothing computes for nobody, and whoever leases next has a runner that is free."""
    async with scene.open() as executor:
        async with trio.open_nursery() as nursery:
            begun = trio.Event()

            async def compute() -> None:
                async with executor.lease(scene.models.endless, GROUP) as runner:
                    begun.set()
                    await ask(runner, floats(1.0))

            nursery.start_soon(compute)
            await begun.wait()
            await wait_all_tasks_blocked()
            before = scene.runners(executor)
            nursery.cancel_scope.cancel()
        async with executor.lease(scene.models.endless, GROUP):
            assert not set(before) & set(scene.runners(executor))


async def a_caller_that_leaves_while_it_waits_disturbs_nobody(scene: Scene) -> None:
    """Neither the one before it nor the one after it."""
    async with scene.open() as executor, executor.lease(scene.models.plain, GROUP) as runner:
        before = scene.runners(executor)
        here = [floats(1.0).header]
        async with trio.open_nursery() as nursery, runner.call(here) as call:
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as leaving:
                    leaving.start_soon(ask, runner, floats(2.0))
                    await wait_all_tasks_blocked()
                    nursery.start_soon(ask, runner, floats(3.0))
                    await wait_all_tasks_blocked()
                    scope.cancel()
            await call.run(deadline_s=LONG_S)
        assert scene.runners(executor) == before


# --- what goes wrong ------------------------------------------------------------------------------


async def a_call_that_wants_more_memory_than_the_cap_is_refused(scene: Scene) -> None:
    """And so is a model that reserves more than there is for all."""
    side = 2 * int((RUNNER_MEMORY_BYTES / 4) ** 0.5)
    async with scene.open() as executor, executor.lease(scene.models.hungry, GROUP) as runner:
        with refuses(Reason.OVER_MEMORY):
            await ask(runner, floats(*[0.5] * side))
        assert (await ask(runner, floats(0.5))).tensors[0].dims == ()


async def a_model_that_does_not_load_is_refused(scene: Scene) -> None:
    """Each time that it is asked for; it takes no memory, and others are served."""
    async with scene.open() as executor:
        for model in (scene.models.broken, scene.models.unknown) * 2:
            with refuses(Reason.MODEL_REFUSED):
                async with executor.lease(model, GROUP):
                    raise AssertionError("it cannot be there")
            assert executor.memory_bytes == 0
        await works(executor, scene.models.plain)


async def a_runner_that_dies_at_work_takes_nobody_else_along(scene: Scene) -> None:
    """The caller hears of it; the next lease gets another one."""
    async with scene.open() as executor:
        async with trio.open_nursery() as nursery:
            begun = trio.Event()

            async def compute() -> None:
                async with executor.lease(scene.models.endless, GROUP) as runner:
                    begun.set()
                    with refuses(Reason.RUN_FAILED):
                        await ask(runner, floats(1.0))
                    with refuses(Reason.IDLE):
                        await ask(runner, floats(1.0))

            nursery.start_soon(compute)
            await begun.wait()
            await wait_all_tasks_blocked()
            await scene.kill(executor)
        await works(executor, scene.models.plain)


async def a_runner_that_died_while_nobody_used_it_is_not_handed_out(scene: Scene) -> None:
    """Its death was nobody's fault, so nobody gets to feel it."""
    async with scene.open() as executor:
        await works(executor, scene.models.plain)
        before = scene.runners(executor)
        await scene.kill(executor)
        for _ in range(2):
            await works(executor, scene.models.plain)
        assert not set(before) & set(scene.runners(executor))


async def a_runner_that_died_between_two_calls_is_nobodys_fault(scene: Scene) -> None:
    """Whoever asks it next may ask another one."""
    async with scene.open() as executor, executor.lease(scene.models.plain, GROUP) as runner:
        await ask(runner, floats(1.0))
        await scene.kill(executor)
        with refuses(Reason.HANDED_BACK):
            await ask(runner, floats(1.0))
        with refuses(Reason.IDLE):
            await ask(runner, floats(1.0))
        await works(executor, scene.models.plain)


async def whoever_waits_for_a_runner_that_is_lost_may_ask_for_another(scene: Scene) -> None:
    """He has done nothing: another caller took it down."""
    async with scene.open() as executor, executor.lease(scene.models.endless, GROUP) as runner:

        async def wait_for_it() -> None:
            with refuses(Reason.HANDED_BACK):
                await ask(runner, floats(2.0))

        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as computing:
                    computing.start_soon(ask, runner, floats(1.0))
                    await wait_all_tasks_blocked()
                    nursery.start_soon(wait_for_it)
                    await wait_all_tasks_blocked()
                    scope.cancel()


PROMISES: tuple[Promise, ...] = (
    a_caller_may_leave_at_any_moment,
    whoever_has_left_before_asking_takes_no_runner_along,
    a_caller_that_leaves_while_it_computes_takes_its_runner_along,
    a_caller_that_leaves_while_it_waits_disturbs_nobody,
    a_call_that_wants_more_memory_than_the_cap_is_refused,
    a_model_that_does_not_load_is_refused,
    a_runner_that_dies_at_work_takes_nobody_else_along,
    a_runner_that_died_while_nobody_used_it_is_not_handed_out,
    a_runner_that_died_between_two_calls_is_nobodys_fault,
    whoever_waits_for_a_runner_that_is_lost_may_ask_for_another,
)
