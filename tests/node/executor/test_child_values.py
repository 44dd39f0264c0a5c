# SPDX-License-Identifier: MIT
"""Every kind of value goes through a real runner and comes out as it went in, bit by bit."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from math import inf, nan, prod
from pathlib import Path

import numpy as np
import pytest
import trio

from node.executor.child.values import all_finite, array_at, data_of
from node.executor.executor import Group, Model, Outputs, Runner
from node.executor.wire import INLINE_BYTES_MAX
from protocol.errors import CommonsError, Refused
from protocol.limits import STRING_BYTES_MAX
from protocol.reasons import Reason
from protocol.tensors import ElementType, Tensor
from tests.node.executor.folders import (
    FLOAT,
    INT64,
    STRING,
    X,
    Y,
    accumulate,
    add_one,
    array,
    chosen,
    constant,
    delayed,
    divided,
    doubled,
    filled,
    handed_through,
    helper,
    identity,
    product,
    root,
    strings,
    tensor,
    write,
)
from tests.node.executor.pools import a_pool

pytestmark = pytest.mark.slow

LONG_S = 60.0

# What ONNX Runtime has no tensors of, and what it can hold but not copy.
UNKNOWN = {
    *(ElementType.COMPLEX64, ElementType.COMPLEX128),
    *(ElementType.FLOAT6E2M3, ElementType.FLOAT6E3M2),
}
ONLY_HELD = {
    *(ElementType.UINT4, ElementType.INT4, ElementType.FLOAT4E2M1, ElementType.FLOAT8E8M0),
    *(ElementType.UINT2, ElementType.INT2),
}
CARRIED = [each for each in ElementType if each not in UNKNOWN]
COMPUTED = [each for each in CARRIED if each not in ONLY_HELD]

# None; a few, which do not fill their last byte where they are small; more than a message takes.
COUNTS = (0, 1, 3, 8 * INLINE_BYTES_MAX + 1)
ONE = tensor([1])


@asynccontextmanager
async def a_runner(model: Model) -> AsyncIterator[Runner]:
    async with a_pool(model.folder) as pool, pool.lease(model, Group("a")) as runner:
        yield runner


async def ask(runner: Runner, *inputs: Tensor, look: bool = False) -> Outputs:
    return await runner.run(inputs, deadline_s=LONG_S, look=look)


async def refusal(runner: Runner, *inputs: Tensor) -> CommonsError:
    with pytest.raises(CommonsError) as caught:
        await ask(runner, *inputs)
    return caught.value


def some(element: ElementType, count: int, dims: tuple[int, ...] | None = None) -> Tensor:
    """Make a tensor whose bytes are all different, as far as its type allows."""
    if element is STRING:
        texts = ("", "a", "ünï", "\u4f60\u597d", "a\0b", "\U0001f600")
        return strings(*(texts[at % len(texts)] for at in range(min(count, 50_000))), dims=dims)
    bits = count * element.bits
    data = bytearray((bytes(range(1, 252)) * (bits // 2000 + 1))[: (bits + 7) // 8])
    if element is ElementType.BOOL:
        data = bytearray(byte % 2 for byte in data)
    if bits % 8:
        data[-1] &= (1 << bits % 8) - 1
    made = Tensor(element, (count,) if dims is None else dims, bytes(data))
    assert not made.broken_rule()
    return made


# --- every type, both ways, small and big ---------------------------------------------------------


async def test_values_of_each_type_come_back(tmp_path: Path) -> None:
    async with a_pool(tmp_path) as pool:
        for element in COMPUTED:
            async with pool.lease(identity(tmp_path, element), Group("a")) as runner:
                for count in COUNTS:
                    given = some(element, count)
                    assert (await ask(runner, given)).tensors == (given,), element.name


@pytest.mark.parametrize("bound", [True, False], ids=["bound", "unbound"])
async def test_what_is_handed_through_comes_back(tmp_path: Path, bound: bool) -> None:
    """Nothing computes it, so ONNX Runtime does not write it where it was told to."""
    async with a_pool(tmp_path) as pool:
        for element in CARRIED:
            model = handed_through(tmp_path, element, bound=bound)
            async with pool.lease(model, Group("a")) as runner:
                for count in COUNTS:
                    given = some(element, count)
                    through, computed = (await ask(runner, given, ONE)).tensors
                    assert through == given, element.name
                    assert array(computed).tolist() == [-1]


async def test_dimensions_may_be_none_or_zero(tmp_path: Path) -> None:
    cases: dict[tuple[int | str, ...], tuple[tuple[int, ...], ...]] = {
        (): ((),),
        ("a", 3, "b"): ((0, 3, 0), (0, 3, 5), (1 << 18, 3, 0), (1, 3, 2)),
    }
    async with a_pool(tmp_path) as pool:
        for element in (FLOAT, ElementType.BFLOAT16, STRING, ElementType.INT4):
            for declared, all_dims in cases.items():
                model = handed_through(tmp_path, element, declared)
                async with pool.lease(model, Group("a")) as runner:
                    for dims in all_dims:
                        given = some(element, prod(dims), dims)
                        assert (await ask(runner, given, ONE)).tensors[0] == given


async def test_a_type_that_the_library_does_not_have_is_refused(tmp_path: Path) -> None:
    async with a_pool(tmp_path) as pool:
        for element in UNKNOWN:
            with pytest.raises(Refused) as caught:
                async with pool.lease(handed_through(tmp_path, element), Group("a")):
                    pass
            assert caught.value.reason is Reason.MODEL_REFUSED


@pytest.mark.parametrize("bound", [True, False], ids=["bound", "unbound"])
async def test_a_constant_that_is_an_output_comes_out(tmp_path: Path, bound: bool) -> None:
    async with a_runner(constant(tmp_path, bound=bound)) as runner:
        for _ in range(2):
            weight, negative = (await ask(runner, ONE)).tensors
            assert np.array_equal(array(weight), np.arange(100_000, dtype=np.float32))
            assert array(negative).tolist() == [-1]


async def test_small_and_big_calls_may_follow_one_another(tmp_path: Path) -> None:
    """Shared memory grows and stays; each call finds its own data in it."""
    async with a_runner(add_one(tmp_path)) as runner:
        for count in (3, 100_000, 5, 1_000_000, 70_000, 65_536, 65_537, 0, 2_000_000, 1):
            values = np.arange(count, dtype=np.float32)
            (outputs,) = (await ask(runner, tensor(values))).tensors
            assert np.array_equal(array(outputs), values + 1)


async def test_a_call_in_place_gives_the_same(tmp_path: Path) -> None:
    async with a_runner(add_one(tmp_path)) as runner:
        for count in (0, 3, 1_000_000):
            given = tensor(np.arange(count, dtype=np.float32))
            async with runner.call([given.header]) as call:
                call.inputs[0][:] = given.data
                (lent,) = (await call.run(deadline_s=LONG_S)).tensors
                assert np.array_equal(array(lent), np.arange(1, count + 1, dtype=np.float32))
            del call, lent


# --- strings --------------------------------------------------------------------------------------


async def test_the_longest_string_comes_back(tmp_path: Path) -> None:
    async with a_runner(identity(tmp_path, STRING)) as runner:
        given = strings("x" * STRING_BYTES_MAX, "", "y" * STRING_BYTES_MAX)
        assert (await ask(runner, given)).tensors == (given,)


async def test_what_is_no_text_is_the_callers_mistake(tmp_path: Path) -> None:
    async with a_runner(identity(tmp_path, STRING)) as runner:
        for text in (b"\xff", b"\xc3", b"\xed\xa0\x80", b"ok\x80"):
            refused = await refusal(runner, strings("fine", text))
            assert refused.reason is Reason.INPUT_DEVIATES
            assert "string 1" in refused.detail
            assert (await ask(runner, strings("fine"))).tensors == (strings("fine"),)


async def test_while_many_strings_are_looked_at_others_have_their_turn(tmp_path: Path) -> None:
    many = strings(*["a"] * 100_000)
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with a_runner(identity(tmp_path, STRING)) as runner:
        # what happens after the last word of the runner is what the daemon does alone
        answer, given = await ask(runner, many), many
        assert answer.tensors == (given,)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(count_turns)
            before = turns
            await _looked_at(many)
            assert turns - before > len(many.data) // (1 << 16)
            nursery.cancel_scope.cancel()


async def _looked_at(given: Tensor) -> None:
    from node.executor import link, runners

    await runners._owned(link.Answer((given,), finite=False, busy_s=0.0), None)


# --- what comes out in its own way ----------------------------------------------------------------


async def test_how_much_comes_out_may_depend_on_the_data(tmp_path: Path) -> None:
    async with a_runner(chosen(tmp_path)) as runner:
        for count in (0, 1, 50_000, 7, 300_000):
            values = np.zeros(400_000, np.float32)
            values[:count] = 1
            (places,) = (await ask(runner, tensor(values))).tensors
            assert places.dims == (1, count)
            assert np.array_equal(array(places, np.int64)[0], np.arange(count))


@pytest.mark.parametrize("count", [1, 200_000])
async def test_another_shape_than_the_interface_says_is_refused(tmp_path: Path, count: int) -> None:
    async with a_runner(doubled(tmp_path)) as runner:
        for _ in range(2):
            refused = await refusal(runner, tensor(np.ones(count)))
            assert refused.reason is Reason.WRONG_FORM


@pytest.mark.parametrize("count", [3, 1_000_000])
async def test_whoever_looks_finds_what_is_not_finite(tmp_path: Path, count: int) -> None:
    values = np.ones(count, np.float32)
    async with a_runner(root(tmp_path)) as runner:
        assert (await ask(runner, tensor(values), look=True)).finite
        assert not (await ask(runner, tensor(values))).finite
        for at, odd in ((0, -1.0), (count - 1, nan), (count // 2, inf)):
            values[at] = odd
            assert not (await ask(runner, tensor(values), look=True)).finite
            values[at] = 1


ODD_BITS = {
    ElementType.BFLOAT16: (0x7F80, 0xFF80, 0x7FC0, 0x7F81),
    ElementType.FLOAT16: (0x7C00, 0xFC00, 0x7E00),
    ElementType.FLOAT8E5M2: (0x7C, 0xFC, 0x7D, 0xFF),
    ElementType.FLOAT8E4M3FN: (0x7F, 0xFF),
    ElementType.FLOAT8E4M3FNUZ: (0x80,),
    ElementType.FLOAT8E5M2FNUZ: (0x80,),
    ElementType.FLOAT8E8M0: (0xFF,),
}


@pytest.mark.parametrize("element", ODD_BITS, ids=lambda each: each.name)
def test_each_kind_of_float_has_its_own_ways_not_to_be_finite(element: ElementType) -> None:
    size = element.bits // 8
    plain = b"".join((0x31 if size == 1 else 0x3131).to_bytes(size, "little") for _ in range(5))
    assert all_finite(element, memoryview(plain))
    assert all_finite(element, memoryview(b""))
    for odd in ODD_BITS[element]:
        data = plain + odd.to_bytes(size, "little") + plain
        assert not all_finite(element, memoryview(data))


async def test_the_trap_of_the_processor_ends_the_runner_and_nothing_else(tmp_path: Path) -> None:
    lowest, minus_one = tensor([-(2**63)], np.int64), tensor([-1], np.int64)
    async with a_runner(divided(tmp_path)) as runner:
        (quotient,) = (await ask(runner, tensor([6], np.int64), minus_one)).tensors
        assert array(quotient, np.int64).tolist() == [-6]
        refused = await refusal(runner, lowest, minus_one)
        assert refused.reason is Reason.RUN_FAILED
        assert "SIGFPE" in refused.detail


# --- memory ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("sides", [(30_000, 30_000), (1 << 31, 1 << 31), (1 << 62, 1 << 62)])
async def test_an_output_over_the_cap_is_refused_and_the_runner_goes_on(
    tmp_path: Path, sides: tuple[int, int]
) -> None:
    model = filled(tmp_path, memory_bytes=300 << 20)
    async with a_runner(model) as runner:
        refused = await refusal(runner, tensor(sides, np.int64))
        assert refused.reason in {Reason.OVER_MEMORY, Reason.RUN_FAILED}
        (outputs,) = (await ask(runner, tensor([300, 300], np.int64))).tensors
        assert outputs == tensor(np.zeros((300, 300)))


async def test_a_kernel_over_the_cap_is_refused(tmp_path: Path) -> None:
    model = replace(product(tmp_path), memory_bytes=200 << 20)
    async with a_runner(model) as runner:
        refused = await refusal(runner, tensor([8000, 8000], np.int64))
        assert refused.reason is Reason.OVER_MEMORY
        assert (await ask(runner, tensor([10, 10], np.int64))).tensors == (tensor(0.0),)


async def test_a_kernel_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    async with a_runner(product(tmp_path)) as runner:
        with pytest.raises(Refused) as caught:
            await runner.run((tensor([8000, 8000], np.int64),), deadline_s=0.1)
        assert caught.value.reason is Reason.DEADLINE


async def test_many_outputs_of_which_each_is_small_are_too_much_together(tmp_path: Path) -> None:
    """Each passes the cap of one tensor; the room for all of them would be many times the cap."""
    names = [f"y{number}" for number in range(40)]
    nodes = [helper.make_node("ConstantOfShape", ["s"], [name]) for name in names]
    outputs = [(name, FLOAT, (4096, 4096)) for name in names]
    model = write(tmp_path, nodes, [("s", INT64, (2,))], outputs, memory_bytes=300 << 20)
    async with a_runner(model) as runner:
        refused = await refusal(runner, tensor([4096, 4096], np.int64))
        assert refused.reason is Reason.OVER_MEMORY


# --- state ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 200_000])
async def test_state_stays_in_the_runner(tmp_path: Path, count: int) -> None:
    async with a_runner(accumulate(tmp_path)) as runner:
        session = await runner.open((tensor(np.zeros(count)),))
        for step in range(1, 5):
            values = np.full(count, step, np.float32)
            (total,) = (await session.step((tensor(values),), deadline_s=LONG_S)).tensors
            assert np.array_equal(array(total), np.full(count, step * (step + 1) / 2, np.float32))
            # what others ask for meanwhile changes nothing of it
            await ask(runner, tensor(values), tensor(values))
        assert await session.read_state() == (tensor(np.full(count, 10)),)
        await session.close()


@pytest.mark.parametrize("count", [2, 200_000])
async def test_state_that_was_only_handed_through_is_not_the_next_input(
    tmp_path: Path, count: int
) -> None:
    """It came in memory that the next call writes into."""
    async with a_runner(delayed(tmp_path)) as runner:
        session = await runner.open((tensor(np.zeros(count)),))
        for step in range(1, 5):
            given = tensor(np.full(count, step))
            (before,) = (await session.step((given,), deadline_s=LONG_S)).tensors
            assert before == tensor(np.full(count, step - 1))
        assert await session.read_state() == (tensor(np.full(count, 4)),)


async def test_state_that_never_changes_stays(tmp_path: Path) -> None:
    """It is handed from step to step; the memory of the step before is not there any more."""
    count = 200_000
    nodes = [helper.make_node("Add", ["x", "past"], ["y"])]
    past = ("past", FLOAT, ("n",))
    model = write(tmp_path, nodes, [X, past], [Y, past], states=((1, 1),))
    async with a_runner(model) as runner:
        session = await runner.open((tensor(np.full(count, 5)),))
        for step in range(1, 6):
            (total,) = (
                await session.step((tensor(np.full(count, step)),), deadline_s=LONG_S)
            ).tensors
            assert np.array_equal(array(total), np.full(count, 5 + step, np.float32))
        assert await session.read_state() == (tensor(np.full(count, 5)),)


# --- arrays ---------------------------------------------------------------------------------------


def test_arrays_of_any_layout_become_rows() -> None:
    grid = np.arange(12, dtype=np.float32).reshape(3, 4)
    for each in (grid, grid.T, grid[::2, ::-1], grid[:, 1], np.float32(7), grid[:0]):
        data = data_of(np.asarray(each), FLOAT)
        assert bytes(data) == np.asarray(each).tobytes()


def test_strings_of_any_shape_become_objects_and_back() -> None:
    given = strings("a", "", "ünï\0\u4f60", "b", dims=(2, 2))
    objects = array_at(given.header, memoryview(given.data))
    assert objects.tolist() == [["a", ""], ["ünï\0\u4f60", "b"]]
    assert data_of(objects, STRING) == given.data
