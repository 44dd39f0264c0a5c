# SPDX-License-Identifier: MIT
"""What ONNX Runtime can do in-process, it can do in the sandbox."""

from collections.abc import AsyncIterator

import pytest

from node.executor.pool import Pool, PoolLimits
from tests.conformance.baseline import Judged
from tests.conformance.suite import Case
from tests.conformance.through import regressions, run_cases


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    pool = Pool(PoolLimits(runners=2))
    async with pool.open():
        yield pool


@pytest.mark.slow
async def test_what_passes_in_process_passes_in_the_sandbox(
    pool: Pool, slice_baseline: tuple[Judged, ...], slice_cases: tuple[Case, ...]
) -> None:
    """Half of the cases hand their inputs over, half write them where the runner reads them."""
    through = await run_cases(pool, slice_cases[::2])
    through += await run_cases(pool, slice_cases[1::2], by_call=True)
    assert regressions(slice_baseline, through) == {}


@pytest.mark.slow
async def test_what_is_no_tensor_is_refused_by_name(
    pool: Pool, slice_cases: tuple[Case, ...]
) -> None:
    others = [case for case in slice_cases if not case.tensors_only]
    assert others
    for judged in await run_cases(pool, others):
        assert judged.verdict == "refused"
        assert judged.cause.startswith("model_refused: ")
        assert "only tensors are carried" in judged.cause
