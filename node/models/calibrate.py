# SPDX-License-Identifier: MIT
"""How exactly a model can be compared, found out by running it. The rules are in protocol/compare.

Honest machines differ in their last bits. Other machines are not at hand, but other ways to
prepare the same graph are: without optimisation, and without rearranged weights, kernels add
up in another order, as they do on another processor. What that changes is the noise.

The spread is how far the outputs of different inputs lie apart. And a model may be batched when
a row gives the same bits alone and among others.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from node.executor.executor import Executor, Group, Item, Model, Runner, Tuning
from node.executor.joining import is_batchable, join, split
from node.models.samples import RANGES, sample
from protocol.compare import EXACT, UNMEASURED, Deviation, calibrate, measure
from protocol.errors import CommonsError, Refused
from protocol.interface import Interface
from protocol.reasons import Reason

#: Other ways to prepare a graph, each a stand-in for another machine.
SETUPS = (
    Tuning(optimise="ORT_DISABLE_ALL"),
    Tuning(optimise="ORT_ENABLE_BASIC"),
    Tuning(entries=(("session.disable_prepacking", "1"),)),
)
PROBES = 4
#: How many rows are tried together; odd numbers find kernels that treat a rest by itself.
BATCHES = (2, 3, 8)
CALL_S = 60.0


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a manifest says of a model beside its form and price; `why` is for people."""

    comparator: int
    tolerance: int
    spread: int
    batchable: bool
    noise: int
    why: str


async def calibrated(
    executor: Executor, model: Model, group: Group, free: Sequence[int], *, at_best: int
) -> Calibration:
    """Run a model on seeded inputs of these sizes. `at_best` is what its element types allow."""
    interface = model.interface
    if interface is None:
        raise Refused(Reason.NOT_CALIBRATED, "the shapes of this model are not known beforehand")
    async with executor.lease(model, group) as runner:
        items = await _probes(runner, interface, free)
        reference = [await _outputs(runner, item) for item in items]
        batchable = await _rows_stand_alone(runner, interface, items)
    if at_best == EXACT:
        return Calibration(EXACT, 0, 0, batchable, 0, "its outputs are compared byte by byte")
    if any(each is None for each in reference):
        return Calibration(EXACT, 0, 0, batchable, 0, "its outputs are not finite on some inputs")
    noise = 0
    for tuning in SETUPS:
        async with executor.lease(replace(model, tuning=tuning), group) as runner:
            for item, expected in zip(items, reference, strict=True):
                noise = max(noise, _farthest(await _outputs(runner, item), expected))
    spread = min(
        (_nearest(one, other) for one, other in combinations(reference, 2)), default=UNMEASURED
    )
    comparator, tolerance = calibrate(at_best, noise, spread)
    why = f"noise {noise}, spread {spread}, in units of 1e-9"
    return Calibration(comparator, tolerance, spread, batchable, noise, why)


async def _probes(runner: Runner, interface: Interface, free: Sequence[int]) -> list[Item]:
    """Find inputs that the model takes: whole numbers may be indices of a table of any size."""
    refusal: CommonsError | None = None
    for most in RANGES:
        items = [sample(interface, free, seed, most=most) for seed in range(PROBES)]
        try:
            for item in items:
                await runner.run(item, deadline_s=CALL_S)
        except CommonsError as error:
            if error.reason is not Reason.RUN_FAILED:
                raise
            refusal = error
        else:
            return items
    assert refusal
    raise refusal


async def _outputs(runner: Runner, item: Item) -> Item | None:
    """Run once; None when an output is not finite."""
    outputs = await runner.run(item, deadline_s=CALL_S, look=True)
    return outputs.tensors if outputs.finite else None


async def _rows_stand_alone(runner: Runner, interface: Interface, items: Sequence[Item]) -> bool:
    """Try whether a row gives the same bits alone and among others."""
    if not is_batchable(interface):
        return False
    alone = [(await runner.run(each, deadline_s=CALL_S)).tensors for each in items]
    rows = items[0][0].dims[0] if items[0] and items[0][0].dims else 0
    for count in BATCHES:
        chosen = [index % len(items) for index in range(count)]
        together = await runner.run(join([items[at] for at in chosen]), deadline_s=CALL_S)
        for part, at in zip(split(together.tensors, [rows] * count), chosen, strict=True):
            if [bytes(each.data) for each in part] != [bytes(each.data) for each in alone[at]]:
                return False
    return True


def _deviations(got: Item | None, expected: Item | None) -> list[Deviation]:
    if got is None or expected is None:
        return [Deviation(form=True, same=False, finite=False)]
    return [measure(one, other) for one, other in zip(got, expected, strict=True)]


def _farthest(got: Item | None, expected: Item | None) -> int:
    """Measure the noise between two honest runs: the worst output counts."""
    return max((each.rel_l2 for each in _deviations(got, expected) if not each.same), default=0)


def _nearest(one: Item | None, other: Item | None) -> int:
    """Measure how far two different answers lie apart: the output that moves least counts."""
    measured = [each for each in _deviations(one, other) if not each.tokens]
    return min((each.rel_l2 for each in measured), default=UNMEASURED)
