# SPDX-License-Identifier: MIT
"""Every hostile model is ended by the gate that must end it; nothing else notices."""

import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path

import pytest

from node.executor.executor import Group, Model
from node.executor.pool import Pool, PoolLimits
from tests.conformance.convert import tensor_of
from tests.hostile.corpus import FAMILIES, MODELS
from tests.hostile.graphs import floats, identity, put
from tests.hostile.kinds import Hostile, Plain, Stage
from tests.hostile.through import build, met_by_executor, met_by_intake

LIMITS = PoolLimits(runners=2, memory_bytes=8 << 30, load_s=10.0)

# Where the end of something endless is waited for, one such case says as much as all of them.
_WAITING = {Plain.HANGS, Plain.LOAD_HANGS}


def a_few() -> tuple[Hostile, ...]:
    """Of each family one for each gate and each way to behave; none that must be waited for."""
    chosen: dict[object, Hostile] = {}
    for family, kinds in FAMILIES.items():
        for hostile in kinds:
            if hostile in MODELS and not hostile.plain & _WAITING:
                chosen.setdefault((family, hostile.stage, hostile.plain), hostile)
    return tuple(chosen.values())


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    pool = Pool(LIMITS)
    async with pool.open():
        yield pool


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that a runner of another user can reach; those of pytest are its own."""
    with tempfile.TemporaryDirectory(prefix="hostile-") as folder:
        path = Path(folder)
        path.chmod(0o755)
        yield path


async def bystander_works(pool: Pool, place: Path) -> None:
    """Call a harmless model of somebody else, which has a runner of its own."""
    folder = place / "bystander"
    if not folder.exists():
        folder.mkdir()
        put(folder, identity())
        folder.chmod(0o755)
    model = Model(digest=bytes(32), folder=folder)
    item = (tensor_of(floats(1, 2, 3)),)
    async with pool.lease(model, Group("bystander", trusted=True)) as runner:
        outputs = await runner.run(item, deadline_s=60)
    assert outputs.tensors == item


async def complaints_of_executor(pool: Pool, place: Path, corpus: Iterable[Hostile]) -> list[str]:
    found = []
    for number, hostile in enumerate(corpus):
        folder = place / str(number) / "model"
        build(hostile, folder)
        found.append(await met_by_executor(pool, hostile, folder))
        await bystander_works(pool, place)
    return [complaint for complaint in found if complaint]


async def complaints_of_intake(place: Path, corpus: Iterable[Hostile]) -> list[str]:
    found = []
    for number, hostile in enumerate(corpus):
        folder, blobs = place / str(number) / "model", place / str(number) / "blobs"
        build(hostile, folder)
        blobs.mkdir()
        found.append(await met_by_intake(hostile, folder, blobs))
    return [complaint for complaint in found if complaint]


@pytest.mark.slow
async def test_a_few_of_each_kind_are_contained_without_a_precheck(pool: Pool, place: Path) -> None:
    assert await complaints_of_executor(pool, place, a_few()) == []


@pytest.mark.slow
async def test_an_endless_loop_is_ended(pool: Pool, place: Path) -> None:
    endless = next(one for one in MODELS if one.name == "endless loop")
    build(endless, place / "model")
    assert await met_by_executor(pool, endless, place / "model", deadline_s=0.5) == ""
    await bystander_works(pool, place)


@pytest.mark.slow
async def test_one_of_each_family_is_refused_by_the_intake(place: Path) -> None:
    few = {
        family: hostile
        for family, kinds in FAMILIES.items()
        for hostile in kinds
        if hostile.stage is Stage.PRECHECK
    }
    assert await complaints_of_intake(place, few.values()) == []


@pytest.mark.soak
async def test_all_are_contained_without_a_precheck(pool: Pool, place: Path) -> None:
    assert await complaints_of_executor(pool, place, MODELS) == []


@pytest.mark.soak
async def test_all_pass_the_intake_only_as_far_as_they_may(place: Path) -> None:
    assert await complaints_of_intake(place, MODELS) == []
