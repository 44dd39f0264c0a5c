# SPDX-License-Identifier: MIT
"""What every executor promises of single calls, as checks for any implementation.

Each takes a scene and opens the executor that it needs. Sessions are in `session_promises`,
who gets which runner in `lease_promises`, and what goes wrong in `loss_promises`.

Nothing here waits for a while: tasks go on when all others are blocked, a call that is never
done stands for one that takes long, and whoever holds a runner for a call that he does not make
stands for one that computes.
"""

from array import array
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from node.executor.executor import Group, Model, Outputs, Runner
from protocol.errors import CommonsError
from protocol.reasons import Reason
from protocol.tensors import ElementType, Tensor, TensorHeader
from tests.node.executor.promise_scenes import GROUP, Scene, Tried

FLOAT, INT64 = ElementType.FLOAT, ElementType.INT64

#: More than any call needs that ends.
LONG_S = 60.0
#: Less than a call needs that does not.
SHORT_S = 0.05


@contextmanager
def refuses(*reasons: Reason) -> Iterator[pytest.ExceptionInfo[CommonsError]]:
    """Expect a refusal with one of these reasons, and words beside it."""
    with pytest.raises(CommonsError) as caught:
        yield caught
    assert caught.value.reason in reasons, caught.value


def floats(*values: float, dims: tuple[int, ...] | None = None) -> Tensor:
    """Make a tensor of floats."""
    return Tensor(FLOAT, (len(values),) if dims is None else dims, array("f", values).tobytes())


def data_of(outputs: Outputs) -> list[bytes]:
    """Give the bytes of outputs."""
    return [bytes(each.data) for each in outputs.tensors]


async def ask(runner: Runner, *inputs: Tensor, look: bool = False) -> Outputs:
    """Run a call that has all the time it needs."""
    return await runner.run(inputs, deadline_s=LONG_S, look=look)


async def until(check: Callable[[], object]) -> None:
    """Wait for something that the executor does by itself, and tells nobody."""
    while not check():  # noqa: ASYNC110 - there is no event for it
        await trio.sleep(0.02)


async def works(executor: Tried, model: Model, group: Group = GROUP) -> None:
    """See that whoever comes now is served."""
    async with executor.lease(model, group) as runner:
        assert (await ask(runner, floats(1.0))).tensors[0].dims == (1,)


# --- inputs and outputs ---------------------------------------------------------------------------


async def the_same_inputs_give_the_same_outputs(scene: Scene) -> None:
    """Today and tomorrow, on this runner and on another one; other inputs give others."""
    async with scene.open() as executor:
        got = []
        for group in (GROUP, Group("bob", trusted=True)):
            async with executor.lease(scene.models.plain, group) as runner:
                got += [data_of(await ask(runner, floats(1.0, 2.0))) for _ in range(2)]
        assert got == [got[0]] * 4
        async with executor.lease(scene.models.plain, GROUP) as runner:
            assert data_of(await ask(runner, floats(1.0, 3.0))) != got[0]


async def outputs_have_the_types_and_shapes_of_the_interface(scene: Scene) -> None:
    """Whatever the sizes are, zero too."""
    async with scene.open() as executor, executor.lease(scene.models.typed, GROUP) as runner:
        for n in (0, 1, 7):
            whole = Tensor(INT64, (n,), array("q", range(n)).tobytes())
            flags = Tensor(ElementType.BOOL, (n,), b"\1" * n)
            outputs = await ask(runner, floats(*[0.5] * 2 * n, dims=(n, 2)), whole, flags)
            forms = [(each.element, each.dims) for each in outputs.tensors]
            assert forms == [(FLOAT, (n, 2)), (INT64, (n,)), (ElementType.BOOL, (n,))]
            assert [each.broken_rule() for each in outputs.tensors] == ["", "", ""]
            assert outputs.busy_s >= 0


async def strings_go_in_and_out(scene: Scene) -> None:
    """Each of its own length."""
    words = b"".join(len(each).to_bytes(4, "little") + each for each in (b"", b"a", b"\xc3\xa9"))
    async with scene.open() as executor, executor.lease(scene.models.words, GROUP) as runner:
        (got,) = (await ask(runner, Tensor(ElementType.STRING, (3,), words))).tensors
        assert (got.element, got.dims, got.broken_rule()) == (ElementType.STRING, (3,), "")


async def inputs_that_deviate_are_refused_and_the_runner_goes_on(scene: Scene) -> None:
    """Nothing of them was run, so nothing is lost."""
    one, whole = floats(1.0), Tensor(INT64, (1,), bytes(8))
    flags, pair = Tensor(ElementType.BOOL, (1,), b"\0"), floats(1.0, 2.0, dims=(1, 2))
    wrong: Sequence[tuple[Tensor, ...]] = (
        (),
        (pair, whole),
        (pair, whole, flags, flags),
        (whole, pair, flags),
        (one, whole, flags),
        (floats(1.0, 2.0, 3.0, dims=(1, 3)), whole, flags),
        (floats(dims=(0, 2)), whole, flags),
        (pair, Tensor(INT64, (1,), bytes(7)), flags),
        (pair, Tensor(INT64, (1,), bytes(16)), flags),
    )
    async with scene.open() as executor, executor.lease(scene.models.typed, GROUP) as runner:
        before = scene.runners(executor)
        for inputs in wrong:
            with refuses(Reason.INPUT_DEVIATES):
                await ask(runner, *inputs)
            with refuses(Reason.INPUT_DEVIATES):
                async with runner.call([each.header for each in inputs]):
                    raise AssertionError("nobody may write what nobody may run")
        assert (await ask(runner, pair, whole, flags)).tensors[1].dims == (1,)
        assert scene.runners(executor) == before


async def a_model_that_gives_another_shape_than_it_says_is_refused(scene: Scene) -> None:
    """ONNX Runtime does not look; somebody has to."""
    async with scene.open() as executor, executor.lease(scene.models.liar, GROUP) as runner:
        for _ in range(2):
            with refuses(Reason.WRONG_FORM):
                await ask(runner, floats(1.0))
        async with runner.call([floats(1.0).header]) as call:
            with refuses(Reason.WRONG_FORM):
                await call.run(deadline_s=LONG_S)


async def whoever_looks_finds_what_is_not_finite(scene: Scene) -> None:
    """And nobody claims to have looked who did not."""
    async with scene.open() as executor, executor.lease(scene.models.root, GROUP) as runner:
        assert (await ask(runner, floats(4.0), look=True)).finite
        assert not (await ask(runner, floats(-4.0), look=True)).finite
        assert not (await ask(runner, floats(4.0))).finite


async def a_call_in_place_is_like_any_other(scene: Scene) -> None:
    """Small and large; what is written is what is run, and what comes out is lent."""
    async with scene.open() as executor, executor.lease(scene.models.cache, GROUP) as runner:
        for count in (0, 3, 100_000):
            inputs = [floats(*[0.25] * 2 * rows, dims=(rows, 2)) for rows in (count, 2)]
            expected = data_of(await ask(runner, *inputs))
            async with runner.call([each.header for each in inputs]) as call:
                assert [len(each) for each in call.inputs] == [8 * count, 16]
                for view, each in zip(call.inputs, inputs, strict=True):
                    view[:] = each.data
                assert data_of(await call.run(deadline_s=LONG_S)) == expected
                lent = await call.run(deadline_s=LONG_S)
                assert data_of(lent) == expected
            for kept in (*call.inputs, *(each.data for each in lent.tensors)):
                with pytest.raises(ValueError, match="released"):
                    bytes(kept)


async def a_call_that_is_never_made_leaves_the_runner_as_it_was(scene: Scene) -> None:
    """The next one gets it."""
    async with scene.open() as executor, executor.lease(scene.models.plain, GROUP) as runner:
        before = scene.runners(executor)
        with trio.CancelScope() as scope:
            async with runner.call([TensorHeader(FLOAT, (1,), 4)]):
                scope.cancel()
                await trio.sleep_forever()
        await ask(runner, floats(1.0))
        assert scene.runners(executor) == before


# --- time -----------------------------------------------------------------------------------------


async def a_call_that_takes_too_long_ends_at_its_deadline(scene: Scene) -> None:
    """Its runner ends with it, and the next lease gets another one."""
    async with scene.open() as executor:
        async with executor.lease(scene.models.endless, GROUP) as runner:
            before = scene.runners(executor)
            with refuses(Reason.DEADLINE):
                await runner.run([floats(1.0)], deadline_s=SHORT_S)
            with refuses(Reason.IDLE):
                await ask(runner, floats(1.0))
        async with executor.lease(scene.models.endless, GROUP) as runner:
            assert not set(before) & set(scene.runners(executor))
            async with runner.call([floats(1.0).header]) as call:
                with refuses(Reason.DEADLINE):
                    await call.run(deadline_s=SHORT_S)
        await works(executor, scene.models.plain)


async def a_call_without_any_time_is_not_begun(scene: Scene) -> None:
    """So it costs no runner."""
    async with scene.open() as executor, executor.lease(scene.models.plain, GROUP) as runner:
        before = scene.runners(executor)
        for deadline_s in (0.0, -1.0):
            with refuses(Reason.DEADLINE):
                await runner.run([floats(1.0)], deadline_s=deadline_s)
        await ask(runner, floats(1.0))
        assert scene.runners(executor) == before


async def whoever_waits_too_long_for_his_turn_disturbs_nobody(scene: Scene) -> None:
    """The deadline counts from the moment of asking; the one who computes goes on."""

    async def wait_too_long(runner: Runner) -> None:
        with refuses(Reason.DEADLINE):
            await runner.run([floats(2.0)], deadline_s=SHORT_S)

    async with scene.open() as executor, executor.lease(scene.models.plain, GROUP) as runner:
        async with runner.call([floats(1.0).header]) as call:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(wait_too_long, runner)
            await call.run(deadline_s=LONG_S)
        await ask(runner, floats(1.0))


async def calls_are_answered_in_the_order_they_came(scene: Scene) -> None:
    """Nobody overtakes, however little he wants."""
    order: list[int] = []
    async with scene.open() as executor, executor.lease(scene.models.plain, GROUP) as runner:

        async def queue_up(place: int) -> None:
            await ask(runner, floats(*[float(place)] * 1000 * (6 - place)))
            order.append(place)

        here = [floats(1.0).header]
        async with trio.open_nursery() as nursery, runner.call(here) as call:
            for place in range(6):
                nursery.start_soon(queue_up, place)
                await wait_all_tasks_blocked()
            await call.run(deadline_s=LONG_S)
            assert order == []
    assert order == list(range(6))


Promise = Callable[[Scene], Awaitable[None]]

PROMISES: tuple[Promise, ...] = (
    the_same_inputs_give_the_same_outputs,
    outputs_have_the_types_and_shapes_of_the_interface,
    strings_go_in_and_out,
    inputs_that_deviate_are_refused_and_the_runner_goes_on,
    a_model_that_gives_another_shape_than_it_says_is_refused,
    whoever_looks_finds_what_is_not_finite,
    a_call_in_place_is_like_any_other,
    a_call_that_is_never_made_leaves_the_runner_as_it_was,
    a_call_that_takes_too_long_ends_at_its_deadline,
    a_call_without_any_time_is_not_begun,
    whoever_waits_too_long_for_his_turn_disturbs_nobody,
    calls_are_answered_in_the_order_they_came,
)
