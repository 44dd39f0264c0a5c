# SPDX-License-Identifier: MIT
"""Runs the items of an order, one after another, on one runner. Whose they are is not looked at."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import inf

import trio

from node.executor.executor import Executor, Group, Item, Model
from protocol.errors import Refused
from protocol.reasons import Reason

# Whoever shares a runner loses it when another caller takes it down.
_TRIES = 4

#: One item takes no longer than this, however much time its order has.
ITEM_S_MAX = 600.0


async def compute(
    executor: Executor,
    model: Model,
    group: Group,
    items: Sequence[Item],
    computed: Callable[[], None] = lambda: None,
) -> list[Item]:
    """Give the outputs of all items; Refused says what went wrong with which model or input."""
    outputs: list[Item] = []
    if not items:
        return outputs
    for tries_left in reversed(range(_TRIES)):
        try:
            async with executor.lease(model, group) as runner:
                while len(outputs) < len(items):
                    left_s = min(trio.current_effective_deadline() - trio.current_time(), inf)
                    deadline_s = min(ITEM_S_MAX, max(left_s, 0.0))
                    done = await runner.run(items[len(outputs)], deadline_s=deadline_s)
                    outputs.append(done.tensors)
                    computed()
        except Refused as refusal:
            if refusal.reason is not Reason.HANDED_BACK or not tries_left:
                raise
        else:
            return outputs
        model = replace(model, batchable=False)  # the fault may lie with what it was joined to
    raise AssertionError("the last try neither gave nor raised anything")
