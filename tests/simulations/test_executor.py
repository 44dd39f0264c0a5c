# SPDX-License-Identifier: MIT
"""The executor of a made world: what it costs, what comes out, and what may go wrong.

That it keeps the promises of the seam is in tests/node/executor/test_promises.py.
"""

import subprocess
import sys
from array import array
from collections.abc import Sequence
from dataclasses import replace
from math import isfinite, sqrt
from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from node.executor.executor import Group, Item, Layer, Model
from node.executor.joining import join, split
from node.executor.leases import PoolLimits
from node.models.calibrate import calibrated
from protocol.compare import F32, FLOORS, judge_item, measure
from protocol.interface import Interface, PortShape
from protocol.price import constant, facts_of, price_v1, symbol
from protocol.reasons import Reason
from protocol.tensors import ElementType, Tensor
from simulations.executor import CONTAINED, SimulatedExecutor
from simulations.faults import (
    CRASHES,
    FAILS,
    LOST,
    NEVER_ANSWERS,
    Called,
    Fault,
    Faults,
    late,
    not_finite,
    truncated,
    wrong_shape,
    wrong_values,
)
from simulations.link import Speed, Traits
from simulations.made import Noise, make_outputs, remade
from tests.node.executor.promises import refuses
from tests.node.executor.virtual_time import in_virtual_time
from tests.simulations.executor_machine import EVENTS, Event, live_through, rolled
from tests.tree import ROOT

FLOAT = ElementType.FLOAT
GROUP = Group("ann", trusted=True)
LONG_S = 100.0


def form(*outputs: ElementType, inputs: Sequence[ElementType] = (FLOAT,)) -> Interface:
    """Make an interface whose only axis is the batch."""
    ports_in = [PortShape(f"x{at}", each, False, ((1, 0),)) for at, each in enumerate(inputs)]
    ports_out = [PortShape(f"y{at}", each, False, ((1, 0),)) for at, each in enumerate(outputs)]
    return Interface(tuple(ports_in), tuple(ports_out), (), 1, ())


def model(interface: Interface | None = None) -> Model:
    return Model(b"m", Path(), interface or form(FLOAT))


def rows(*values: float) -> Tensor:
    return Tensor(FLOAT, (len(values),), array("f", values).tobytes())


async def run_once(
    inputs: Tensor,
    *,
    traits: Traits | None = None,
    speed: Speed | None = None,
    faults: Faults | None = None,
) -> Item:
    """Give what one call gives."""
    made = SimulatedExecutor(PoolLimits(), {b"m": traits or Traits()}, speed, faults=faults)
    async with made.open():
        return (await made.run(model(), GROUP, [inputs], deadline_s=LONG_S)).tensors


# --- time -----------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_call_takes_its_price_times_the_speed_of_the_machine() -> None:
    facts = facts_of([(symbol(0) * 3_000_000, constant(0))])
    speed = Speed(us_per_cu=7.0, call_s=0.25)
    made = SimulatedExecutor(PoolLimits(), {b"m": Traits(facts=facts)}, speed)
    async with made.open(), made.lease(model(), GROUP) as runner:
        for count in (1, 10):
            price = price_v1(facts, [count], 8 * count)
            begin_s = trio.current_time()
            outputs = await runner.run([rows(*[1.0] * count)], deadline_s=LONG_S)
            expected_s = 0.25 + price * 7e-6
            assert trio.current_time() - begin_s == pytest.approx(expected_s)
            assert outputs.busy_s == pytest.approx(expected_s)


@in_virtual_time
async def test_loading_takes_time_by_weights_and_a_warm_runner_none() -> None:
    speed = Speed(start_s=0.5, load_bytes_per_s=1000.0)
    made = SimulatedExecutor(PoolLimits(), {b"m": Traits(weights_bytes=3000)}, speed)
    async with made.open():
        for expected_s in (3.5, 0.0):
            begin_s = trio.current_time()
            async with made.lease(model(), GROUP):
                assert trio.current_time() - begin_s == pytest.approx(expected_s)


@in_virtual_time
async def test_no_more_calls_compute_at_once_than_the_owner_allows() -> None:
    traits = {name: Traits(price=lambda *_: 200_000) for name in (b"0", b"1", b"2", b"3")}
    made = SimulatedExecutor(PoolLimits(runners=2), traits)
    async with made.open(), trio.open_nursery() as nursery:
        for name in traits:
            each = replace(model(), digest=name)
            nursery.start_soon(lambda each=each: made.run(each, GROUP, [rows(1.0)], deadline_s=9.0))
        await trio.sleep(0.5)
        assert sum(link.is_computing for link in made.links) == 2
        await trio.sleep(1.0)
        assert sum(link.is_computing for link in made.links) == 2
        await trio.sleep(1.0)
        assert not any(link.is_computing for link in made.links)


@pytest.mark.parametrize(
    ("traits", "reason"),
    [
        (Traits(broken="no graph"), Reason.MODEL_REFUSED),
        (Traits(weights_bytes=10**12), Reason.MODEL_REFUSED),
        (Traits(weights_bytes=PoolLimits().runner_memory_bytes + 1), Reason.OVER_MEMORY),
    ],
)
@in_virtual_time
async def test_what_does_not_load_is_refused(traits: Traits, reason: Reason) -> None:
    """It is broken, it would take for ever, or it is too large."""
    made = SimulatedExecutor(PoolLimits(), {b"m": traits})
    async with made.open():
        with refuses(reason):
            await made.run(model(), GROUP, [rows(1.0)], deadline_s=LONG_S)


@in_virtual_time
async def test_a_model_without_an_interface_cannot_be_simulated() -> None:
    made = SimulatedExecutor(PoolLimits(), {b"m": Traits()})
    async with made.open():
        with refuses(Reason.MODEL_REFUSED):
            await made.run(Model(b"m", Path()), GROUP, [rows(1.0)], deadline_s=LONG_S)


@in_virtual_time
async def test_strangers_are_refused_where_a_layer_is_off() -> None:
    off = [replace(each, on=each.name != "seccomp_load") for each in CONTAINED]
    made = SimulatedExecutor(PoolLimits(), {b"m": Traits()}, layers=[*off, Layer("x", True, "")])
    async with made.open():
        with refuses(Reason.NOT_CONTAINED):
            await made.run(model(), Group("eve"), [rows(1.0)], deadline_s=LONG_S)
        await made.run(model(), GROUP, [rows(1.0)], deadline_s=LONG_S)


# --- what comes out -------------------------------------------------------------------------------


@pytest.mark.parametrize("element", ElementType)
@pytest.mark.parametrize("noise", [Noise(), Noise("old", 1e-3)])
def test_outputs_of_every_type_are_what_their_type_allows(
    element: ElementType, noise: Noise
) -> None:
    for count in (0, 1, 3, 50):
        (made,) = make_outputs(b"m", form(element), (rows(*range(count)),), [count], noise)
        assert (made.element, made.dims, made.broken_rule()) == (element, (count,), "")
        again = remade(made)
        assert (again.element, again.dims, again.broken_rule()) == (element, (count,), "")
        assert count in (0, 1) or again.data != made.data


def test_floats_are_finite_and_spread_like_real_ones() -> None:
    interface = replace(form(FLOAT), inputs=(PortShape("x", FLOAT, False, ((0, 1),)),))
    interface = replace(interface, outputs=(PortShape("y", FLOAT, False, ((0, 10_000),)),))
    (made,) = make_outputs(b"m", interface, (rows(1.0),), [0], Noise())
    values = array("f", bytes(made.data))
    mean = sum(values) / len(values)
    deviation = sqrt(sum((each - mean) ** 2 for each in values) / len(values))
    assert all(map(isfinite, values))
    assert abs(mean) < 0.05
    assert 0.5 < deviation < 1.5
    assert len(set(values)) > 9_900


@given(st.lists(st.lists(st.floats(width=32), min_size=1, max_size=4), min_size=1, max_size=5))
def test_rows_do_not_depend_on_their_neighbours(items: list[list[float]]) -> None:
    interface = form(FLOAT, ElementType.INT64, ElementType.BOOL)

    def outputs(item: Item) -> Item:
        return make_outputs(b"m", interface, item, [item[0].dims[0]], Noise("old", 1e-6))

    given_items = [(rows(*item),) for item in items]
    together = split(outputs(join(given_items)), [len(item) for item in items])
    assert together == [outputs(item) for item in given_items]


@given(st.data())
def test_whatever_goes_in_changes_what_comes_out(data: st.DataObject) -> None:
    """Every byte of every input, its form, the model and its adapter."""
    dims = data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=3))
    ports = [PortShape(f"x{at}", FLOAT, False, ((0, size),)) for at, size in enumerate(dims)]
    shape = PortShape("y", FLOAT, False, ((0, 4),))
    interface = Interface(tuple(ports), (shape,), (), 0, ())
    inputs = tuple(Tensor(FLOAT, (size,), bytes(4 * size)) for size in dims)
    seen = [make_outputs(b"m", interface, inputs, [], Noise())]
    seen.append(make_outputs(b"n", interface, inputs, [], Noise()))
    for at, each in enumerate(inputs):
        longer = Tensor(FLOAT, (each.dims[0] + 1,), bytes(4 * each.dims[0] + 4))
        seen.append(
            make_outputs(b"m", interface, (*inputs[:at], longer, *inputs[at + 1 :]), [], Noise())
        )
        if each.data:
            place = data.draw(st.integers(0, len(each.data) - 1))
            changed = bytes(place) + b"\1" + bytes(len(each.data) - place - 1)
            other = replace(each, data=changed)
            seen.append(
                make_outputs(b"m", interface, (*inputs[:at], other, *inputs[at + 1 :]), [], Noise())
            )
    assert len({bytes(outputs[0].data) for outputs in seen}) == len(seen)


@in_virtual_time
async def test_honest_machines_agree_and_their_kind_shows_in_the_last_bits() -> None:
    """The comparator tells noise from a cheat, as it does with real machines."""
    x = rows(*range(200))
    truth, again = await run_once(x), await run_once(x)
    assert truth == again
    noisy = [await run_once(x, speed=Speed(noise=Noise(kind, 1e-6))) for kind in ("avx2", "sse")]
    assert truth != noisy[0] != noisy[1] != truth
    assert noisy[0] == await run_once(x, speed=Speed(noise=Noise("avx2", 1e-6)))
    for outputs in noisy:
        assert judge_item(F32, FLOORS[F32], outputs, truth) is None
        assert 0 < measure(outputs[0], truth[0]).rel_l2 < 1000
    wild = await run_once(x, speed=Speed(noise=Noise("broken", 1e-3)))
    assert judge_item(F32, FLOORS[F32], wild, truth) is Reason.RESULT_WRONG


@in_virtual_time
async def test_a_simulated_model_can_be_calibrated() -> None:
    made = SimulatedExecutor(PoolLimits(), {b"m": Traits()})
    async with made.open():
        found = await calibrated(made, model(), GROUP, [4], at_best=F32)
    assert found.batchable
    assert (found.comparator, found.tolerance) == (F32, FLOORS[F32])


# --- faults ---------------------------------------------------------------------------------------


def first(fault: Fault) -> Faults:
    """Strike the first call, and no other."""
    return lambda called: None if called.number else fault


@pytest.mark.parametrize(
    ("fault", "reason", "is_lost"),
    [
        (wrong_shape(), Reason.WRONG_FORM, False),
        (FAILS, Reason.RUN_FAILED, False),
        (truncated(), Reason.RUN_FAILED, True),
        (CRASHES, Reason.RUN_FAILED, True),
        (LOST, Reason.HANDED_BACK, True),
        (NEVER_ANSWERS, Reason.DEADLINE, True),
        (late(LONG_S), Reason.DEADLINE, True),
    ],
)
@in_virtual_time
async def test_a_fault_has_its_reason(fault: Fault, reason: Reason, is_lost: bool) -> None:
    """And the next call is an honest one, on this runner or on another."""
    made = SimulatedExecutor(PoolLimits(), {b"m": Traits()}, faults=first(fault))
    async with made.open():
        async with made.lease(model(), GROUP) as runner:
            before = made.links
            with refuses(reason):
                await runner.run([rows(1.0)], deadline_s=LONG_S)
        got = await made.run(model(), GROUP, [rows(1.0)], deadline_s=LONG_S)
        assert got.tensors == await run_once(rows(1.0))
        assert (made.links != before) == is_lost


@in_virtual_time
async def test_a_late_answer_is_right() -> None:
    begin_s = trio.current_time()
    assert await run_once(rows(1.0), faults=first(late(50.0))) == await run_once(rows(1.0))
    assert trio.current_time() - begin_s > 50.0


@in_virtual_time
async def test_wrong_values_look_right_and_are_found_by_whoever_compares() -> None:
    """In all rows, or in those that the cheat chose."""
    x = rows(*range(100))
    truth = await run_once(x)
    faked = await run_once(x, faults=first(wrong_values()))
    partly = await run_once(x, faults=first(wrong_values([3, 7, 1000])))
    for outputs in (faked, partly):
        assert [each.broken_rule() for each in outputs] == [""]
        assert judge_item(F32, FLOORS[F32], outputs, truth) is Reason.RESULT_WRONG
    pairs = zip(array("f", bytes(partly[0].data)), array("f", bytes(truth[0].data)), strict=True)
    assert [at for at, (one, other) in enumerate(pairs) if one != other] == [3, 7]


@in_virtual_time
async def test_a_cheat_may_save_itself_the_work() -> None:
    traits = Traits(price=lambda *_: 200_000)
    begin_s = trio.current_time()
    await run_once(rows(1.0), traits=traits, faults=first(wrong_values(times=0.1)))
    assert trio.current_time() - begin_s == pytest.approx(0.1, abs=0.05)


@pytest.mark.parametrize(
    "element", [FLOAT, ElementType.DOUBLE, ElementType.FLOAT16, ElementType.BFLOAT16]
)
@in_virtual_time
async def test_whoever_looks_finds_a_nan(element: ElementType) -> None:
    made = SimulatedExecutor(PoolLimits(), {b"m": Traits()}, faults=first(not_finite()))
    async with made.open(), made.lease(model(form(element)), GROUP) as runner:
        for finite in (False, True):
            outputs = await runner.run([rows(1.0)], deadline_s=LONG_S, look=True)
            assert outputs.finite == finite


@in_virtual_time
async def test_faults_are_told_what_they_may_strike() -> None:
    seen: list[Called] = []

    def note(called: Called) -> None:
        seen.append(called)

    made = SimulatedExecutor(PoolLimits(), {b"m": Traits()}, faults=note)
    async with made.open():
        for value in (1.0, 2.0):
            await made.run(model(), GROUP, [rows(value)], deadline_s=LONG_S)
    expected = [Called(at, model(), (rows(value),)) for at, value in enumerate((1.0, 2.0))]
    assert seen == expected


@in_virtual_time
async def test_everybody_is_served_again_after_all_runners_were_lost() -> None:
    """At work, while loading, and while nobody used them."""
    traits = Traits(price=lambda *_: 200_000, weights_bytes=10**9)
    others = {b"m": traits, b"other": traits, b"idle": traits}
    made = SimulatedExecutor(PoolLimits(runners=2), others)
    got: list[Item] = []

    async def ask(each: Model) -> None:
        got.append((await made.run(each, GROUP, [rows(1.0)], deadline_s=LONG_S)).tensors)

    async with made.open():
        await ask(replace(model(), digest=b"idle"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, model())
            await trio.sleep(1.5)
            nursery.start_soon(ask, replace(model(), digest=b"other"))
            await trio.sleep(0.1)
            before = made.links
            assert [link.is_computing for link in before] == [False, True]
            made.lose_all()
            assert all(link.is_gone for link in before)
        await ask(replace(model(), digest=b"idle"))
        assert not set(made.links) & set(before)
    assert len(got) == 4


# --- the same again -------------------------------------------------------------------------------


def test_nothing_heavy_is_imported() -> None:
    """A thousand nodes in one process have no room for it, and it would not be simulated."""
    heavy = {"numpy", "onnx", "onnxruntime", "libp2p"}
    program = f"import sys, simulations.executor; print(*({heavy!r} & sys.modules.keys()))"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.slow
@given(st.lists(EVENTS, min_size=10, max_size=50))
@in_virtual_time
async def test_whatever_happens_memory_groups_and_slots_are_kept(events: list[Event]) -> None:
    await live_through(events)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
@in_virtual_time
async def test_a_long_life_keeps_them_too(seed: int) -> None:
    assert await live_through(rolled(seed, 300)) > 20


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(1000, 1300))
@in_virtual_time
async def test_many_long_lives_keep_them_too(seed: int) -> None:
    await live_through(rolled(seed, 1000))
