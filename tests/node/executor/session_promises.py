# SPDX-License-Identifier: MIT
"""What every executor promises of sessions: streams of calls whose state stays where the model is.

The model remembers every row that it was given, and each answer depends on all of them.
"""

from functools import partial

import trio
from trio.testing import wait_all_tasks_blocked

from node.executor.executor import Group, Item, Session
from protocol.errors import CommonsError
from protocol.reasons import Reason
from protocol.tensors import ElementType, Tensor
from tests.node.executor.promise_scenes import GROUP, Scene
from tests.node.executor.promises import (
    FLOAT,
    LONG_S,
    SHORT_S,
    Promise,
    ask,
    data_of,
    floats,
    refuses,
)
from tests.node.leaving import leave_after

NOTHING = floats(dims=(0, 2))
OTHER = Group("bob", trusted=True)


def rows(*values: float) -> Tensor:
    """Make rows of two equal floats."""
    return floats(*[value for value in values for _ in range(2)], dims=(len(values), 2))


async def step(session: Session, *values: float) -> list[bytes]:
    """Go on by some rows."""
    outputs = await session.step([rows(*values)], deadline_s=LONG_S)
    assert [each.dims for each in outputs.tensors] == [(len(values), 2)]
    return data_of(outputs)


def same(one: Item, other: Item) -> bool:
    """Tell whether two states are equal, bit by bit."""
    return [(e.element, e.dims, bytes(e.data)) for e in one] == [
        (e.element, e.dims, bytes(e.data)) for e in other
    ]


async def state_is_carried_from_step_to_step(scene: Scene) -> None:
    """The same input gives another answer the second time; the state grows as it says."""
    async with scene.open() as executor, executor.lease(scene.models.cache, GROUP) as runner:
        session = await runner.open([NOTHING])
        assert await step(session, 1.0) != await step(session, 1.0)
        await step(session, 2.0, 3.0)
        assert [(e.element, e.dims) for e in await session.read_state()] == [(FLOAT, (4, 2))]


async def a_session_may_begin_with_nothing(scene: Scene) -> None:
    """State of no size is a state; a step of no rows is a step."""
    async with scene.open() as executor, executor.lease(scene.models.cache, GROUP) as runner:
        session = await runner.open([NOTHING])
        assert same(await session.read_state(), (NOTHING,))
        assert await step(session) == [b""]
        assert same(await session.read_state(), (NOTHING,))


async def the_same_steps_lead_to_the_same_state(scene: Scene) -> None:
    """On this runner and on another one."""
    async with scene.open() as executor:
        told = []
        for group in (GROUP, OTHER):
            async with executor.lease(scene.models.cache, group) as runner:
                for _ in range(2):
                    session = await runner.open([NOTHING])
                    answers = [await step(session, value) for value in (1.0, 2.0, 3.0)]
                    told.append((answers, await session.read_state()))
        assert all(answers == told[0][0] for answers, _ in told)
        assert all(same(state, told[0][1]) for _, state in told)


async def two_sessions_do_not_mix(scene: Scene) -> None:
    """Each goes on as if it were alone, whatever calls come in between."""
    async with scene.open() as executor, executor.lease(scene.models.cache, GROUP) as runner:
        alone = await runner.open([NOTHING])
        expected = [await step(alone, value) for value in (1.0, 2.0, 3.0)]
        one, other = await runner.open([NOTHING]), await runner.open([rows(9.0)])
        got = []
        for value in (1.0, 2.0, 3.0):
            got.append(await step(one, value))
            assert await step(other, value) != got[-1]
            await ask(runner, rows(5.0), rows(6.0))
        assert got == expected


async def a_session_goes_on_elsewhere_from_what_was_read(scene: Scene) -> None:
    """Another runner, of another group, gives the next step that this one would have given."""
    async with scene.open() as executor:
        async with executor.lease(scene.models.cache, GROUP) as runner:
            session = await runner.open([NOTHING])
            await step(session, 1.0, 2.0)
            state = await session.read_state()
            expected = await step(session, 3.0)
        await executor.pause(0.0)
        executor.resume()
        async with executor.lease(scene.models.cache, OTHER) as runner:
            elsewhere = await runner.open(state)
            assert await step(elsewhere, 3.0) == expected


async def a_step_is_a_call_whose_state_stays(scene: Scene) -> None:
    """Whoever gives the state with the call gets the same answer, and the next state with it."""
    async with scene.open() as executor, executor.lease(scene.models.cache, GROUP) as runner:
        session = await runner.open([rows(1.0)])
        answer, state = data_of(await ask(runner, rows(2.0), rows(1.0)))
        assert await step(session, 2.0) == [answer]
        assert bytes((await session.read_state())[0].data) == state


async def state_of_any_size_can_be_read(scene: Scene) -> None:
    """Also what is too large for a message."""
    many = floats(*[0.5] * 200_000, dims=(100_000, 2))
    async with scene.open() as executor, executor.lease(scene.models.cache, GROUP) as runner:
        session = await runner.open([many])
        assert same(await session.read_state(), (many,))
        await step(session, 1.0)
        (state,) = await session.read_state()
        assert state.dims == (100_001, 2)


async def a_closed_session_is_gone(scene: Scene) -> None:
    """Closing twice is fine; the runner and other sessions go on."""
    async with scene.open() as executor, executor.lease(scene.models.cache, GROUP) as runner:
        session, other = await runner.open([NOTHING]), await runner.open([NOTHING])
        for _ in range(2):
            await session.close()
        with refuses(Reason.IDLE):
            await step(session, 1.0)
        with refuses(Reason.IDLE):
            await session.read_state()
        await step(other, 1.0)


async def a_session_is_lost_with_its_runner(scene: Scene) -> None:
    """Whatever ended the runner; it can be closed all the same."""
    async with scene.open() as executor:
        async with executor.lease(scene.models.cache, GROUP) as runner:
            session = await runner.open([NOTHING])
            await executor.pause(0.0)
            with refuses(Reason.PAUSED):
                await step(session, 1.0)
            executor.resume()
            await session.close()
        async with executor.lease(scene.models.cache, GROUP) as runner:
            session = await runner.open([NOTHING])
            await scene.kill(executor)
            with refuses(Reason.HANDED_BACK):
                await step(session, 1.0)
            with refuses(Reason.IDLE):
                await step(session, 1.0)
            with refuses(Reason.IDLE):
                await session.read_state()
            await session.close()


async def a_step_that_deviates_leaves_the_session_as_it_was(scene: Scene) -> None:
    """Nothing of it was run."""
    async with scene.open() as executor, executor.lease(scene.models.cache, GROUP) as runner:
        session = await runner.open([NOTHING])
        await step(session, 1.0)
        before = await session.read_state()
        whole = Tensor(ElementType.INT64, (1, 2), bytes(16))
        for inputs in (
            (),
            (rows(1.0), rows(1.0)),
            (whole,),
            (floats(1.0),),
            (floats(1.0, dims=(1, 1)),),
        ):
            with refuses(Reason.INPUT_DEVIATES):
                await session.step(inputs, deadline_s=LONG_S)
        assert same(await session.read_state(), before)
        await step(session, 2.0)


async def a_state_that_deviates_opens_no_session(scene: Scene) -> None:
    """And neither does any state where the model keeps none."""
    whole = Tensor(ElementType.INT64, (1, 2), bytes(16))
    async with scene.open() as executor:
        async with executor.lease(scene.models.cache, GROUP) as runner:
            for state in ((), (NOTHING, NOTHING), (whole,), (floats(1.0),), (floats(dims=(0, 3)),)):
                with refuses(Reason.INPUT_DEVIATES):
                    await runner.open(state)
            await step(await runner.open([NOTHING]), 1.0)
        async with executor.lease(scene.models.plain, GROUP) as runner:
            with refuses(Reason.INPUT_DEVIATES):
                await runner.open([])
            await ask(runner, floats(1.0))


async def a_step_that_waited_too_long_was_not_made(scene: Scene) -> None:
    """Nor one whose caller left meanwhile: the session goes on from where it was."""
    async with scene.open() as executor, executor.lease(scene.models.cache, GROUP) as runner:
        session = await runner.open([NOTHING])
        await step(session, 1.0)
        before = await session.read_state()

        async def wait_too_long() -> None:
            with refuses(Reason.DEADLINE):
                await session.step([rows(2.0)], deadline_s=SHORT_S)

        async with runner.call([rows(0.0).header, rows(0.0).header]):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(wait_too_long)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(step, session, 3.0)
                await wait_all_tasks_blocked()
                nursery.cancel_scope.cancel()
        assert same(await session.read_state(), before)


async def a_step_that_is_left_is_made_or_lost_but_never_half(scene: Scene) -> None:
    """At whatever moment its caller leaves: its answer is so large that copying takes a while."""
    many = floats(*[0.5] * 300_000, dims=(150_000, 2))
    async with scene.open() as executor:
        steps, done = 1, False
        while not done:
            async with executor.lease(scene.models.cache, GROUP) as runner:
                session = await runner.open([rows(1.0)])
                done = await leave_after(steps, partial(session.step, [many], deadline_s=LONG_S))
                try:
                    (state,) = await session.read_state()
                except CommonsError as error:
                    assert error.reason is Reason.IDLE
                else:
                    assert state.dims in ((1, 2), (150_001, 2))
                    await step(session, 2.0)
                await session.close()
            steps += 1
        assert steps > 2


async def a_session_that_is_closed_meanwhile_makes_no_more_steps(scene: Scene) -> None:
    """A step that waits for its turn hears of it."""
    async with scene.open() as executor, executor.lease(scene.models.cache, GROUP) as runner:
        session = await runner.open([NOTHING])

        async def wait_for_it() -> None:
            with refuses(Reason.IDLE):
                await step(session, 1.0)

        here = [rows(0.0).header, rows(0.0).header]
        async with trio.open_nursery() as nursery, runner.call(here) as call:
            nursery.start_soon(wait_for_it)
            await wait_all_tasks_blocked()
            await session.close()
            call.inputs[0][:] = call.inputs[1][:] = rows(1.0).data
            await call.run(deadline_s=LONG_S)
        await step(await runner.open([NOTHING]), 1.0)


PROMISES: tuple[Promise, ...] = (
    state_is_carried_from_step_to_step,
    a_session_may_begin_with_nothing,
    the_same_steps_lead_to_the_same_state,
    two_sessions_do_not_mix,
    a_session_goes_on_elsewhere_from_what_was_read,
    a_step_is_a_call_whose_state_stays,
    state_of_any_size_can_be_read,
    a_closed_session_is_gone,
    a_session_is_lost_with_its_runner,
    a_step_that_deviates_leaves_the_session_as_it_was,
    a_state_that_deviates_opens_no_session,
    a_step_that_is_left_is_made_or_lost_but_never_half,
    a_step_that_waited_too_long_was_not_made,
    a_session_that_is_closed_meanwhile_makes_no_more_steps,
)
