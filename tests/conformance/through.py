# SPDX-License-Identifier: MIT
"""The suite through an executor. What passes in-process must pass here, or be refused for cause.

The executor carries tensors. A case with a sequence, a map or an optional somewhere is given
to it all the same: it must refuse it, and not fall over.
"""

import tempfile
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

import numpy as np
import trio

from node.executor.executor import Executor, Group, Model, Outputs, Runner
from protocol.errors import Refused
from protocol.tensors import ElementType, Tensor, flat
from tests.conformance.baseline import Judged, Verdict, one_line
from tests.conformance.convert import NotATensor, array_of, tensor_of
from tests.conformance.judge import Value, difference
from tests.conformance.suite import Case

GROUP = Group("conformance", trusted=True)

_DEADLINE_S = 60

# Numbers that cannot be infinite and are never NaN.
_ALWAYS_FINITE = {
    *(ElementType.BOOL, ElementType.STRING),
    *(element for element in ElementType if "INT" in element.name),
}


async def run_case(executor: Executor, case: Case, *, by_call: bool = False) -> Judged:
    """Lease a runner for the case's model, run its data sets there, and judge what comes out.

    `by_call`: the inputs are written where the runner reads them.
    """
    with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
        model = write_model(case, Path(folder))
        try:
            async with executor.lease(model, GROUP) as runner:
                for gone_in, want in case.data_sets:
                    run = _run_by_call if by_call else _run
                    if found := await run(runner, _tensors(gone_in), want, case):
                        return _judged(case, "fail", found)
        except Refused as refusal:
            return _judged(case, "refused", f"{refusal.reason.value}: {one_line(refusal.detail)}")
    return _judged(case, "pass", "")


async def run_cases(
    executor: Executor, cases: Iterable[Case], *, by_call: bool = False, at_once: int = 2
) -> list[Judged]:
    """Run many cases, a few at once; the verdicts are in no order."""
    waiting = iter(cases)
    done: list[Judged] = []

    async def take_next() -> None:
        while case := next(waiting, None):
            done.append(await run_case(executor, case, by_call=by_call))

    async with trio.open_nursery() as nursery:
        for _ in range(at_once):
            nursery.start_soon(take_next)
    return done


def write_model(case: Case, folder: Path) -> Model:
    """Write the case's graph into a folder, as an executor expects it."""
    graph = case.model.SerializeToString()
    path = folder / "graph.onnx"
    path.write_bytes(graph)
    # A runner may be another user than the one who keeps the models.
    path.chmod(0o444)
    folder.chmod(0o755)
    return Model(sha256(graph).digest(), folder)


def regressions(baseline: Iterable[Judged], through: Iterable[Judged]) -> dict[str, str]:
    """Name each case that passes in-process and not through the executor, with the cause.

    A refusal is fine where something is no tensor.
    """
    got = {judged.name: judged for judged in through}
    wrong = {}
    for before in baseline:
        if before.verdict != "pass":
            continue
        after = got.get(before.name)
        if after is None:
            wrong[before.name] = "not run"
        elif after.verdict == "refused" and not before.tensors_only:
            continue
        elif after.verdict != "pass":
            wrong[before.name] = f"{after.verdict}: {after.cause}"
    return wrong


async def _run(
    runner: Runner, tensors: tuple[Tensor, ...], want: tuple[Value, ...], case: Case
) -> str:
    outputs = await runner.run(tensors, deadline_s=_DEADLINE_S, look=True)
    return _judge(outputs, want, case)


async def _run_by_call(
    runner: Runner, tensors: tuple[Tensor, ...], want: tuple[Value, ...], case: Case
) -> str:
    async with runner.call([tensor.header for tensor in tensors]) as call:
        for place, tensor in zip(call.inputs, tensors, strict=True):
            if len(place):
                place[:] = flat(tensor.data)
        outputs = await call.run(deadline_s=_DEADLINE_S, look=True)
        # What comes out is lent, so it is judged before the block ends.
        return _judge(outputs, want, case)


def _tensors(values: Iterable[Value]) -> tuple[Tensor, ...]:
    """Give what can be given: without its sequences the call has too few inputs."""
    tensors = []
    for value in values:
        try:
            tensors.append(tensor_of(value))
        except NotATensor:
            continue
    return tuple(tensors)


def _judge(outputs: Outputs, want: tuple[Value, ...], case: Case) -> str:
    """Look at the form before the content: what breaks a rule of tensors is read by nobody."""
    for place, tensor in enumerate(outputs.tensors):
        if broken := tensor.broken_rule():
            return f"output {place}: {broken}"
    got = [array_of(tensor) for tensor in outputs.tensors]
    finite = all(_is_finite(tensor) for tensor in outputs.tensors)
    if finite != outputs.finite:
        return f"finite is said to be {outputs.finite}, and is {finite}"
    return difference(got, want, case.rtol, case.atol)


def _is_finite(tensor: Tensor) -> bool:
    if tensor.element in _ALWAYS_FINITE:
        return True
    array = array_of(tensor)
    wide = array if array.dtype.kind == "c" else array.astype(np.float64)
    return bool(np.isfinite(wide).all())


def _judged(case: Case, verdict: Verdict, cause: str) -> Judged:
    return Judged(case.name, case.kind, case.tensors_only, verdict, cause)
