# SPDX-License-Identifier: MIT
"""A daemon whose runners are taken over, as far as a test says so."""

import json
from pathlib import Path
from typing import Any

import pytest

from node.executor.executor import Group, Model, Outputs
from node.executor.pool import Pool
from protocol.errors import Refused
from protocol.tensors import ElementType, Tensor
from tests.node.executor.folders import add_one, array, tensor
from tests.node.executor.taken_over import SHARED_BYTES, Plan

BYTES = ElementType.UINT8
BIG = Tensor(BYTES, (SHARED_BYTES,), b"\7" * SHARED_BYTES)
SMALL = tensor([1, 2])


def taken_over(model: Model, **plan: Any) -> Model:
    """Take over whoever loads this model."""
    Plan(**plan).write(model.folder)
    return model


async def ask(
    pool: Pool, model: Model, *inputs: Tensor, group: str = "taken over", deadline_s: float = 60
) -> Outputs:
    async with pool.lease(model, Group(group)) as runner:
        return await runner.run(inputs, deadline_s=deadline_s)


async def refusal(pool: Pool, model: Model, *inputs: Tensor, deadline_s: float = 60) -> Refused:
    with pytest.raises(Refused) as caught:
        await ask(pool, model, *inputs, deadline_s=deadline_s)
    return Refused(caught.value.reason, caught.value.detail)


async def report(pool: Pool, model: Model, *inputs: Tensor, group: str = "taken over") -> Any:
    outputs = await ask(pool, model, *inputs, group=group)
    return json.loads(bytes(outputs.tensors[0].data))


async def still_works(pool: Pool, above: Path) -> None:
    """Make sure that whoever is honest is served."""
    (above / "honest").mkdir(exist_ok=True)  # the other one has a plan in it, maybe
    outputs = await ask(pool, add_one(above / "honest"), SMALL, group="honest")
    assert array(outputs.tensors[0]).tolist() == [2, 3]
