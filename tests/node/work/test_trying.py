# SPDX-License-Identifier: MIT
"""A file of a person, computed by another node: real processes, a real model, two nodes."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from math import isfinite
from pathlib import Path

import onnx
import pytest
import trio

from node.executor.pool import Pool, PoolLimits
from node.executor.zygote import Zygote
from node.models.intake import inspect
from node.work.beside import beside
from node.work.trying import Tried, Trying, first_numbers
from protocol.errors import Refused
from protocol.keys import peer_id
from protocol.reasons import Reason
from protocol.tensors import ElementType, Tensor
from tests.models_in_code import mlp
from tests.node.models.small import model
from tests.node.work.pair import World


@asynccontextmanager
async def two_machines(folder: Path) -> AsyncIterator[World]:
    """Two nodes that share one real pool: what each may run is in its own library."""
    async with AsyncExitStack() as stack:
        pool = Pool(PoolLimits(runners=2), Zygote(nice=0))
        await stack.enter_async_context(pool.open())
        nursery = await stack.enter_async_context(beside())
        world = World(nursery, folder)
        for node in (world.ann, world.bob):
            node.made_executor = pool
            node.knows = False
            node.look = inspect
        await world.start()
        yield world


def trying(world: World) -> Trying:
    ann = world.ann
    return Trying(ann.accounts, ann.requester, ann.library, ann.executor)


@pytest.mark.slow
async def test_a_file_is_fetched_computed_checked_and_paid(tmp_path: Path) -> None:
    path = tmp_path / "mlp.onnx"
    onnx.save(mlp((16, 2048, 8)), str(path))
    told: list[str] = []
    with trio.fail_after(60):
        async with two_machines(tmp_path) as world:
            tried: Tried = await trying(world).try_model(
                world.bob.public, path, items=3, progress=lambda part, _: told.append(part)
            )
            totals = await world.agree()
            fetched = [each.manifest.name for each in world.bob.library]
            again = await trying(world).try_model(world.bob.public, path, items=2)
    assert tried.wrong == ""
    assert (tried.items, tried.checked) == (3, 3)
    assert tried.worker == peer_id(world.bob.public)
    assert tried.paid_cu == tried.price_cu == tried.owed_after > tried.owed_before == 0
    assert tried.acked
    assert totals == (tried.price_cu, 0)
    assert fetched == ["mlp"]
    assert len(tried.numbers) == 8
    assert all(isfinite(each) for each in tried.numbers)
    assert list(dict.fromkeys(told)) == [
        *("intake", "calibrate", "inputs", "order", "fetch", "send", "work", "check", "pay")
    ]
    assert set(tried.times_s) == set(told)
    assert again.model == tried.model
    assert "fetch" not in again.times_s
    assert again.owed_after == tried.price_cu + again.price_cu


async def test_a_node_that_is_to_try_itself_is_refused(tmp_path: Path) -> None:
    """It was an order that could not be signed, which the owner saw as a mistake of the node."""
    async with beside() as nursery:
        world = World(nursery, tmp_path)
        await world.start()
        with pytest.raises(Refused, match="itself") as raised:
            await trying(world).try_model(world.ann.public, tmp_path / "nothing.onnx")
    assert raised.value.reason is Reason.WRONG_PARTY


@pytest.mark.slow
async def test_a_model_that_strangers_may_not_run_is_refused_before_anybody_is_asked(
    tmp_path: Path,
) -> None:
    path = tmp_path / "dice.onnx"
    dice = "dice (float[N] x) => (float[N] y) { y = RandomUniformLike(x) }"
    onnx.save(model(dice), str(path))
    with trio.fail_after(60):
        async with two_machines(tmp_path) as world:
            with pytest.raises(Refused) as refused:
                await trying(world).try_model(world.bob.public, path)
    assert refused.value.reason in (Reason.MODEL_REFUSED, Reason.NOT_PRICEABLE)
    assert world.cables == []


def test_the_first_numbers_of_an_output_are_shown_if_they_are_numbers() -> None:
    assert first_numbers(Tensor(ElementType.INT32, (2,), bytes([1, 0, 0, 0, 2, 0, 0, 0]))) == (1, 2)
    assert first_numbers(Tensor(ElementType.STRING, (0,), b"")) == ()
