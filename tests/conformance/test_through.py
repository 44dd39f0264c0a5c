# SPDX-License-Identifier: MIT
"""The way through an executor changes nothing; shown on one that does nothing but run."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import numpy as np
import pytest
from onnx import TensorProto, helper

from node.executor.executor import Group, Model, Outputs
from protocol.tensors import Tensor
from tests.conformance.baseline import Judged
from tests.conformance.convert import tensor_of
from tests.conformance.fake import InProcess, InProcessRunner
from tests.conformance.slice import traits
from tests.conformance.suite import Case
from tests.conformance.through import regressions, run_case


def reciprocals(*numbers: float) -> Case:
    """A case of the one operator that makes infinity out of a number."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Reciprocal", ["x"], ["y"])], "g", [x], [y])
    opset = [helper.make_opsetid("", 21)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=10)
    given, want = np.array(numbers, np.float32), np.array([1 / n for n in numbers], np.float32)
    return Case("reciprocals", "node", model, (((given,), (want,)),), 1e-3, 1e-7)


class Tampering(InProcess):
    """Runs the model, and gives another output."""

    def __init__(self, other: Tensor, *, finite: bool = True) -> None:
        self._other, self._finite = other, finite

    @asynccontextmanager
    async def lease(self, model: Model, group: Group) -> AsyncIterator[InProcessRunner]:
        async with super().lease(model, group) as runner:
            yield _TamperingRunner(runner, self._other, finite=self._finite)


class _TamperingRunner(InProcessRunner):
    def __init__(self, inner: InProcessRunner, other: Tensor, *, finite: bool) -> None:
        self._inner, self._other, self._finite = inner, other, finite

    async def run(
        self, inputs: Sequence[Tensor], *, deadline_s: float, look: bool = False
    ) -> Outputs:
        outputs = await self._inner.run(inputs, deadline_s=deadline_s, look=look)
        return replace(outputs, tensors=(self._other,), finite=self._finite)


def one(number: float) -> Tensor:
    return tensor_of(np.array([number], np.float32))


@pytest.mark.slow
@pytest.mark.parametrize("by_call", [False, True])
async def test_the_slice_passes_through_an_executor_that_only_runs(
    slice_baseline: tuple[Judged, ...], slice_cases: tuple[Case, ...], by_call: bool
) -> None:
    through = [await run_case(InProcess(), case, by_call=by_call) for case in slice_cases]
    assert regressions(slice_baseline, through) == {}
    refused = {judged.name for judged in through if judged.verdict == "refused"}
    assert refused == {case.name for case in slice_cases if not case.tensors_only}


@pytest.mark.slow
def test_the_slice_shows_every_kind_of_value(slice_cases: tuple[Case, ...]) -> None:
    shown = set().union(*(traits(case) for case in slice_cases))
    assert len(slice_cases) > 100
    # All types that ONNX Runtime knows in a tensor on a processor; no complex numbers.
    types = {*range(1, 14), *range(16, 23), 25, 26}
    for direction in ("in", "out"):
        assert {f"{direction} tensor of {number}" for number in types} - shown == set()
        assert f"{direction}: 0 dimensions" in shown
        assert f"{direction}: no elements, 1 dimensions" in shown
    wanted = {":If", ":Loop", ":Scan", ":MatMul", ":Attention", ":StringSplit"}
    assert {f"operator {name}" for name in wanted} - shown == set()
    assert {"2 out", "3 out"} - shown == set()


async def test_a_right_answer_passes() -> None:
    assert await run_case(InProcess(), reciprocals(2)) == Judged(
        "reciprocals", "node", True, "pass"
    )


async def test_an_answer_that_was_changed_is_seen() -> None:
    judged = await run_case(Tampering(one(0.6)), reciprocals(2))
    assert judged.verdict == "fail"
    assert judged.cause.startswith("output 0: 1 of 1 differ, first at (0,)")


async def test_an_answer_with_bytes_missing_is_seen() -> None:
    judged = await run_case(Tampering(replace(one(0.5), data=b"\0")), reciprocals(2))
    assert judged.cause == "output 0: 1 bytes do not hold 1 of FLOAT"


@pytest.mark.parametrize(("number", "finite"), [(0.5, False), (float("inf"), True)])
async def test_a_wrong_word_about_infinity_is_seen(number: float, finite: bool) -> None:
    judged = await run_case(Tampering(one(number), finite=finite), reciprocals(2))
    assert judged.cause == f"finite is said to be {finite}, and is {not finite}"


async def test_a_model_that_does_not_load_is_refused() -> None:
    case = reciprocals(2)
    case.model.graph.node[0].op_type = "NoSuchOperator"
    judged = await run_case(InProcess(), case)
    assert judged.verdict == "refused"
    assert judged.cause.startswith("model_refused: ")


def judged(name: str, verdict: str, *, tensors_only: bool = True) -> Judged:
    return Judged(name, "node", tensors_only, verdict, "why")  # type: ignore[arg-type]  # a literal


def test_only_what_passed_before_can_get_worse() -> None:
    before = [judged(name, "pass") for name in "abc"] + [judged("d", "fail"), judged("e", "skip")]
    after = [judged("a", "pass"), judged("b", "refused"), judged("d", "error")]
    assert regressions(before, after) == {"b": "refused: why", "c": "not run"}


def test_a_refusal_is_fine_where_something_is_no_tensor() -> None:
    before = [judged("a", "pass", tensors_only=False), judged("b", "pass", tensors_only=False)]
    after = [judged("a", "refused", tensors_only=False), judged("b", "fail", tensors_only=False)]
    assert regressions(before, after) == {"b": "fail: why"}
