# SPDX-License-Identifier: MIT
"""One call, and again on another runner when the first one was lost through nobody's fault."""

from collections.abc import Sequence
from dataclasses import replace

import trio

from node.executor.executor import Executor, Group, Model, Outputs
from protocol.errors import Refused
from protocol.reasons import Reason
from protocol.tensors import Tensor

# Whoever shares a runner loses it when another caller takes it down.
_TRIES = 4


async def run_once(
    executor: Executor,
    model: Model,
    group: Group,
    inputs: Sequence[Tensor],
    *,
    deadline_s: float,
) -> Outputs:
    """Lease and run, within one deadline for all tries. Loading does not count."""
    for tries_left in reversed(range(_TRIES)):
        try:
            async with executor.lease(model, group) as runner:
                begin_s = trio.current_time()
                try:
                    return await runner.run(inputs, deadline_s=deadline_s)
                finally:
                    deadline_s -= trio.current_time() - begin_s
        except Refused as refusal:
            if refusal.reason is not Reason.HANDED_BACK or not tries_left:
                raise
        model = replace(model, batchable=False)  # the fault may lie with what it was joined to
    raise AssertionError("the last try neither gave nor raised anything")
